"""The engine's inner loop as compiled C (pooled_bands.c), where the machine has a C compiler."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from ..compiling import library

__all__ = ["backward", "forward", "is_available", "pack"]

_SOURCE = Path(__file__).with_name("pooled_bands.c")
_LANES = 8
_FLOATS = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are
_RECTIFIERS = ("square", "abs", "leaky_relu")
#: Pieces that backward's sums are cut into at least, whatever the number of threads is: the order
#: of a sum, and with it its last digit, then depends on the data alone.
_PIECES = 16


class _Bands(ctypes.Structure):
    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("spectra", "responses", "weights", "starts", "valid", "roots"),
                *("out", "grad", "grad_responses", "grad_weights"),
            )
        ),
        *(
            (name, ctypes.c_long)
            for name in (
                *("rows", "bins", "filters", "size", "segments", "count", "span", "frames"),
                *("rectifier", "paired", "parts"),
            )
        ),
    ]


def is_available() -> bool:
    """Whether the compiled form is there, compiling it if need be.

    Example
    -------
    >>> is_available() in (True, False)
    True
    """
    return library(_SOURCE) is not None


@lru_cache(maxsize=1)
def _functions() -> ctypes.CDLL:
    functions = library(_SOURCE)
    pointer, whole, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
    functions.pack_spectra.argtypes = [pointer, *[long] * 5, pointer, whole]
    functions.pack_spectra.restype = None
    functions.pool_bands.argtypes = [ctypes.POINTER(_Bands), long, whole]
    functions.pool_bands_backward.argtypes = [ctypes.POINTER(_Bands), long, whole]
    return functions


@lru_cache(maxsize=256)
def _roots(size: int) -> torch.Tensor:
    angles = torch.arange(size, dtype=torch.float64) * (2 * math.pi / size)
    return torch.stack([angles.cos(), angles.sin()], dim=1).float()


def pack(spectra: torch.Tensor, size: int, lowest: int, bins: int) -> torch.Tensor:
    """Spectra with eight rows side by side, (R / 8 rounded up, bins, 2, 8) float32.

    Arguments
    ---------
    spectra : complex64 tensor (R, K)
        Bins from 0 on.
    size : int
        Points of the FFT. Bins below 0 and above size / 2 are conjugates of others.
    lowest, bins : int
        First of the bins that are wanted, and their number.
    """
    rows, half = spectra.shape
    spectra = spectra.detach().resolve_conj().contiguous()
    packed = torch.empty(-(-rows // _LANES), bins, 2, _LANES, **_FLOATS)
    where = spectra.data_ptr(), rows, half, size, lowest, bins, packed.data_ptr()
    _functions().pack_spectra(*where, torch.get_num_threads())
    return packed


class _Call:
    """One C structure for each set of bands, and the tensors that they point to."""

    def __init__(self, every: Sequence):
        self.tensors = []
        self.structures = (_Bands * len(every))()
        self.shapes = []
        for some, structure in zip(every, self.structures, strict=True):
            self._fill(some, structure)

    def _fill(self, some, structure: _Bands) -> None:
        filters, size = some.responses.shape
        count, rows, packed = some.weights.shape[1], len(some.spectra), some.spectra.packed
        frames = some.frames or some.segments
        assert some.responses.dtype == torch.complex64 and some.weights.dtype == torch.float32
        assert some.valid is None or some.valid.dtype == torch.int64
        assert min(some.starts) >= 0 and max(some.starts) + size <= packed.shape[1]
        assert some.weights.shape == (filters, count, size // some.segments)
        assert size % some.segments == 0 and count % some.span == 0
        self.shapes.append((filters, count // some.span, rows, frames))
        valid = some.valid
        self.point(
            structure,
            spectra=packed,
            responses=some.responses.detach().resolve_conj().contiguous(),
            weights=some.weights.detach().contiguous(),
            starts=torch.tensor(some.starts, dtype=torch.int64),
            valid=None if valid is None else valid.clamp(0, size).contiguous(),
            roots=_roots(size),
        )
        structure.rows, structure.bins, structure.filters = rows, packed.shape[1], filters
        structure.size, structure.segments, structure.count = size, some.segments, count
        structure.span, structure.frames, structure.paired = some.span, frames, some.paired
        structure.rectifier = _RECTIFIERS.index(some.rectifier)
        structure.parts = min(packed.shape[0], -(-_PIECES // filters))

    def point(self, structure: _Bands, **tensors) -> None:
        for name, tensor in tensors.items():
            setattr(structure, name, None if tensor is None else tensor.data_ptr())
            self.tensors.append(tensor)

    def run(self, function) -> None:
        if function(self.structures, len(self.structures), torch.get_num_threads()):
            raise MemoryError("no memory for the band signals of eight rows")


def forward(every: Sequence) -> list[torch.Tensor]:
    """Sums of `quadratic.Bands`, as `pooled_bands`."""
    call = _Call(every)
    found = [torch.empty(shape, **_FLOATS) for shape in call.shapes]
    for structure, out in zip(call.structures, found, strict=True):
        call.point(structure, out=out)
    call.run(_functions().pool_bands)
    return found


def backward(grads: Sequence[torch.Tensor], every: Sequence) -> list[tuple]:
    """Gradients of responses and weights for the gradients of what `forward` gives."""
    call, found = _Call(every), []
    for structure, shape, grad, some in zip(
        call.structures, call.shapes, grads, every, strict=True
    ):
        assert grad.shape == shape
        both = (
            some.responses.new_empty(structure.parts, *some.responses.shape),
            some.weights.new_empty(structure.parts, *some.weights.shape),
        )
        call.point(structure, grad=grad.contiguous(), grad_responses=both[0], grad_weights=both[1])
        found.append(both)
    call.run(_functions().pool_bands_backward)
    return [tuple(parts[0] if len(parts) == 1 else parts.sum(0) for parts in b) for b in found]
