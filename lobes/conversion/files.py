"""Files of other people's models: their format by their content, and their tensors."""

import functools
import math
import zipfile
from pathlib import Path

import numpy as np
import torch

from ...processing.system.listing import first_of
from ...processing.system.memory import available_bytes, size_text
from . import ConversionError
from .tensorflow_checkpoint import MAGIC, read_checkpoint

#: Of nested dictionaries in a checkpoint, those that hold the model.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_MAX_BYTES, _MAX_TENSORS = 2**34, 2**16


class SourceFile:
    """A file or a folder, its format, and its tensors by name, which are read when asked for.

    Arguments
    ---------
    path : str or Path

    Attributes
    ----------
    format : str
        "folder", "torch", "npz", "safetensors", "TFLite", "ONNX", "TensorFlow graph", "TensorFlow
        checkpoint" (its index, beside which its data lie) or "unknown".

    Raises
    ------
    ConversionError
        Nothing there; more bytes than the memory holds.
    """

    def __init__(self, path):
        self.path = Path(path).expanduser()
        if not (self.path.is_file() or self.path.is_dir()):
            state = "is no file or folder" if self.path.exists() else "does not exist"
            raise ConversionError(f"{self.path} {state}; nothing is downloaded")
        self.format = _format(self.path)
        if self.format != "folder":
            _check_size(self.path, self.path.stat().st_size)

    @functools.cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor of a file by its name, on the CPU; none of a folder or a graph.

        Raises
        ------
        ConversionError
            A file that is damaged, that holds more than tensors, or whose tensors are larger than
            what it holds.
        """
        read = _READERS.get(self.format)
        if read is None:
            return {}
        try:
            tensors = read(self.path)
        except ConversionError:
            raise
        except Exception as error:  # each library raises its own
            raise ConversionError(f"{self.path} is damaged: {error!r:.300}") from None
        if len(tensors) > _MAX_TENSORS:
            raise ConversionError(
                f"{self.path} holds {len(tensors)} tensors, allowed are {_MAX_TENSORS}"
            )
        _check_size(self.path, sum(t.numel() * t.element_size() for t in tensors.values()))
        return tensors

    def mismatch(self, *needed: str) -> str:
        """Which of these tensors it lacks, for `Source.mismatch`; "" where it has all."""
        if not self.tensors:
            return f"a file of the format {self.format} holds no tensors by name"
        lacking = [name for name in needed if name not in self.tensors]
        return f"it lacks the tensors {first_of(lacking)}" if lacking else ""


def _format(path: Path) -> str:
    if path.is_dir():
        return "folder"
    with open(path, "rb") as file:
        head = file.read(16)
        file.seek(max(0, path.stat().st_size - len(MAGIC)))
        if file.read(len(MAGIC)) == MAGIC:
            return "TensorFlow checkpoint"
    if head[4:8] == b"TFL3":
        return "TFLite"
    if head.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise ConversionError(f"{path} is damaged: {error}; copy it again") from None
        return "npz" if names and all(name.endswith(".npy") for name in names) else "torch"
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"\x80\x02"):
        return "torch"
    return {".onnx": "ONNX", ".pb": "TensorFlow graph"}.get(path.suffix, "unknown")


def _check_size(path: Path, num_bytes: int) -> None:
    most = min(available_bytes() or _MAX_BYTES, _MAX_BYTES)
    if num_bytes > most:
        raise ConversionError(
            f"{path} takes {size_text(num_bytes)} to open, allowed are {size_text(most)} (the free "
            f"memory, {size_text(_MAX_BYTES)} at most)"
        )


def _from_torch(path: Path) -> dict[str, torch.Tensor]:
    if zipfile.is_zipfile(path):
        # torch writes no compressed entries: more bytes than the file has are a trap.
        unpacked = sum(entry.file_size for entry in zipfile.ZipFile(path).infolist())
        if unpacked > path.stat().st_size:
            raise ConversionError(f"{path} is no file that torch writes: its entries are packed")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConversionError(
            f"{path} cannot be read as tensors alone, and nothing else of it is run: {error!s:.300}"
        ) from None
    tensors = _flat(held)
    size = path.stat().st_size
    # A view may repeat one number any number of times.
    if sum(t.numel() * t.element_size() for t in tensors.values()) > 4 * size:
        raise ConversionError(f"{path} of {size_text(size)} holds views that are much larger")
    return tensors


def _flat(held) -> dict[str, torch.Tensor]:
    """Tensors of nested dictionaries, their keys joined by dots, of the model alone."""
    if not isinstance(held, dict):
        return {}
    for wrapper in _WRAPPERS:
        if isinstance(held.get(wrapper), dict):
            held = held[wrapper]
    flat, waiting = {}, [("", held, 0)]
    while waiting:
        prefix, value, depth = waiting.pop()
        if isinstance(value, torch.Tensor):
            flat[prefix] = value.detach()
        elif isinstance(value, dict) and depth < 8:
            dot = f"{prefix}." if prefix else ""
            waiting += [(f"{dot}{key}", inner, depth + 1) for key, inner in value.items()]
    if flat and all(name.startswith("module.") for name in flat):  # of DistributedDataParallel
        flat = {name.removeprefix("module."): value for name, value in flat.items()}
    return dict(reversed(flat.items()))


def _from_npz(path: Path) -> dict[str, torch.Tensor]:
    with zipfile.ZipFile(path) as file:
        _check_size(path, sum(entry.file_size for entry in file.infolist()))
    with np.load(path, allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    return {name: torch.from_numpy(a) for name, a in arrays.items() if a.dtype.kind in "fiub"}


def _from_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    from ..bundles.weights import shapes_in

    shapes_in(path)  # which checks the header
    return load_file(path)


def _from_onnx(path: Path) -> dict[str, torch.Tensor]:
    try:
        import onnx
    except ImportError:
        raise ConversionError(
            f"{path} is ONNX, which takes the package onnx: pip install 'auricle[export]'"
        ) from None
    # An initialiser may name another file as its place, which is not read.
    held = onnx.load(path, load_external_data=False).graph.initializer
    if any(tensor.external_data for tensor in held):
        raise ConversionError(f"{path} keeps weights in other files, which are not read")
    _check_size(path, sum(4 * math.prod(tensor.dims) for tensor in held))
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in held}
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


_READERS = {
    "torch": _from_torch,
    "npz": _from_npz,
    "safetensors": _from_safetensors,
    "ONNX": _from_onnx,
    "TensorFlow checkpoint": read_checkpoint,
}
