"""Checkpoints of TensorFlow: an index and data written by the format's rules, whole and damaged."""

import os
import struct

import numpy as np
import pytest
import torch
from protobuf_fields import entry, varint

from auricle.lobes.conversion import ConversionError
from auricle.lobes.conversion.files import SourceFile

NAMES = ["", "net/kernel/.ATTRIBUTES/VARIABLE_VALUE", "net/scale/.ATTRIBUTES/VARIABLE_VALUE"]
KERNEL, SCALE = np.arange(6, dtype="<f4").reshape(2, 3), np.float32(2.5)


def block(pairs):
    """Keys with what they share with the one before, in one run."""
    out, before = b"", b""
    for key, value in pairs:
        shared = len(os.path.commonprefix([key, before]))
        added = key[shared:]
        out += varint(shared) + varint(len(added)) + varint(len(value)) + added + value
        before = key
    return out + struct.pack("<II", 0, 1)


def index(values, footer=None):
    content = block([(n.encode(), v) for n, v in zip(NAMES, values, strict=True)])
    table = block([(b"z", varint(0) + varint(len(content)))])
    start = len(content) + 5
    held = content + 5 * b"\0" + table + 5 * b"\0"
    handles = varint(0) + varint(0) + varint(start) + varint(len(table))
    return held + (footer or handles).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def tensor(dtype, shape, start, size, part=0):
    dims = b"".join(entry(2, entry(1, n)) for n in shape)
    held = entry(1, dtype) + entry(2, dims) + entry(3, part) + entry(4, start) + entry(5, size)
    return held + varint(6 << 3 | 5) + b"\1\2\3\4"  # a checksum


VALUES = [entry(1, 1), tensor(1, (2, 3), 0, 24), tensor(1, (), 24, 4)]


def written(folder, held):
    (folder / "ckpt-3.data-00000-of-00001").write_bytes(KERNEL.tobytes() + SCALE.tobytes())
    (folder / "ckpt-3.index").write_bytes(held)
    return SourceFile(folder / "ckpt-3.index")


def test_tensors_of_a_checkpoint(tmp_path):
    file = written(tmp_path, index(VALUES))
    assert file.format == "TensorFlow checkpoint"
    assert list(file.tensors) == NAMES[1:]
    assert torch.equal(file.tensors[NAMES[1]], torch.from_numpy(KERNEL))
    assert file.tensors[NAMES[2]] == 2.5 and file.tensors[NAMES[2]].shape == ()
    (tmp_path / "ckpt-3.data-00000-of-00001").unlink()
    with pytest.raises(ConversionError, match="data-00000-of-00001"):
        _ = SourceFile(tmp_path / "ckpt-3.index").tensors


@pytest.mark.parametrize(
    ("number", "value", "says"),
    [
        (1, tensor(1, (2, 4), 0, 24), "shape"),
        (1, tensor(1, (2**40, 2**40), 0, 24), "shape"),
        (2, tensor(1, (), 25, 4), "beyond"),
        (2, tensor(1, (7,), 0, 28), "beyond"),  # bytes that the kernel has, too
        (2, tensor(1, (), 24, 4, part=1), "another part"),
        (2, b"\xff" * 11, "damaged"),
        (1, b"\x12\x7f\x01", "damaged"),
    ],
)
def test_entries_that_are_wrong(tmp_path, number, value, says):
    values = [value if place == number else held for place, held in enumerate(VALUES)]
    with pytest.raises(ConversionError, match=says):
        _ = written(tmp_path, index(values)).tensors


def test_tables_that_are_wrong(tmp_path):
    for footer in (b"\xff" * 40, b"\0\0" + varint(10**6) + varint(10), b"\0\0\0" + varint(10**9)):
        with pytest.raises(ConversionError, match="damaged"):
            _ = written(tmp_path, index(VALUES, footer)).tensors
    held = bytearray(index(VALUES))
    for place in range(0, len(held) - 8, 3):
        held[place] ^= 0x5A
        try:
            _ = written(tmp_path, bytes(held)).tensors
        except ConversionError:
            pass
        held[place] ^= 0x5A
