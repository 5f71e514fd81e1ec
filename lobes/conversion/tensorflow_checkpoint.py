"""Checkpoints of TensorFlow: tensors by name, read from the index and the data file beside it."""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from . import ConversionError

#: The last 8 bytes of an index, which is a table of LevelDB's kind.
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER, _TRAILER = 48, 5
_MAX_INDEX_BYTES, _MAX_ENTRIES, _MAX_NAME_BYTES, _MAX_RANK = 2**24, 2**16, 4096, 8
#: TensorFlow's numbers of types.
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Numbers of a checkpoint in one part, `NAME.index` and `NAME.data-00000-of-00001`.

    Raises
    ------
    ConversionError
        No data beside the index; a checkpoint in several parts; an entry beyond the data.
    ValueError, IndexError, struct.error
        A damaged index.
    """
    held = path.read_bytes()
    if len(held) > _MAX_INDEX_BYTES:
        raise ConversionError(f"{path} has {len(held)} bytes, allowed are {_MAX_INDEX_BYTES}")
    data = path.with_name(f"{path.name.removesuffix('.index')}.data-00000-of-00001")
    if not data.is_file():
        raise ConversionError(f"{path} is the index of a checkpoint whose data, {data.name}, lack")
    values = np.memmap(data, np.uint8, "r") if data.stat().st_size else np.zeros(0, np.uint8)
    tensors, left = {}, len(values)
    for name, entry in _entries(held):
        fields = dict(_fields(entry))
        dtype = _DTYPES.get(fields.get(1, 0))
        if not name or dtype is None:  # the header, text
            continue
        if fields.get(3, 0) or 7 in fields:
            raise ConversionError(f"{path}: {name:.200} is in another part of the checkpoint")
        shape = [
            dict(_fields(dim)).get(1, 0) for key, dim in _fields(fields.get(2, b"")) if key == 2
        ]
        start, size = fields.get(4, 0), fields.get(5, 0)
        if len(shape) > _MAX_RANK or math.prod(shape) * np.dtype(dtype).itemsize != size:
            raise ConversionError(f"{path}: {name:.200} has {size} bytes and the shape {shape}")
        left -= size  # two tensors of the same bytes are none that TensorFlow writes
        if start + size > len(values) or left < 0:
            raise ConversionError(f"{path}: {name:.200} lies beyond the end of {data.name}")
        array = values[start : start + size].tobytes()
        tensors[name] = torch.from_numpy(np.frombuffer(array, dtype).reshape(shape).copy())
    return tensors


def _entries(held: bytes) -> Iterator[tuple[str, bytes]]:
    """Keys and values of the table, at most `_MAX_ENTRIES`."""
    if len(held) < _FOOTER or not held.endswith(MAGIC):
        raise ValueError("no footer of a table")
    _, place = _block_handle(held, len(held) - _FOOTER)  # of what describes the table
    (start, size), _ = _block_handle(held, place)
    count, left = 0, len(held)
    for _, handle in _block(held, start, size):
        (start, size), _ = _block_handle(handle, 0)
        left -= size + _TRAILER
        if left < 0:
            raise ValueError("blocks that are read twice")
        for key, value in _block(held, start, size):
            count += 1
            if count > _MAX_ENTRIES:
                raise ValueError(f"more than {_MAX_ENTRIES} entries")
            yield key.decode(), value


def _block_handle(held: bytes, place: int) -> tuple[tuple[int, int], int]:
    start, place = _varint(held, place)
    size, place = _varint(held, place)
    return (start, size), place


def _block(held: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Entries of a block, whose keys say how much they share with the one before."""
    if start + size + _TRAILER > len(held):
        raise ValueError("a block beyond the end")
    if held[start + size]:
        raise ValueError("a compressed block, which TensorFlow does not write")
    block = held[start : start + size]
    end = len(block) - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    key, place = b"", 0
    while place < end:
        shared, place = _varint(block, place)
        added, place = _varint(block, place)
        length, place = _varint(block, place)
        if shared > len(key) or place + added + length > end:
            raise ValueError("an entry beyond its block")
        if shared + added > _MAX_NAME_BYTES:
            raise ValueError(f"a name of {shared + added} bytes")
        key = key[:shared] + block[place : place + added]
        place += added + length
        yield key, block[place - length : place]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a protobuf message's fields: whole numbers, or bytes."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind, value = tag & 7, None
        if kind == 0:
            value, place = _varint(message, place)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                size, place = _varint(message, place)
            if size is None or place + size > len(message):
                raise ValueError("a damaged field")
            value, place = message[place : place + size], place + size
        yield tag >> 3, value


def _varint(held: bytes, place: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and the place behind it."""
    value = 0
    for index in range(10):
        byte = held[place + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, place + index + 1
    raise ValueError("a number of more than 10 bytes")
