"""The engine's inner loop as compiled C (pooled_bands.c), where the machine has a C compiler."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch

from ...system.compiling import Functions
from .lanes import LANES, roots

__all__ = ["Call", "is_available"]

_FLOATS = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are
_RECTIFIERS = ("square", "abs", "leaky_relu")
#: Pieces that backward's sums are cut into at least, whatever the number of threads is: the order
#: of a sum, and with it its last digit, then depends on the data alone.
_PIECES = 16


class _Bands(ctypes.Structure):
    """As `bands` in pooled_bands.c."""

    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("spectra", "half", "picked", "responses", "weights", "starts", "valid", "roots"),
                *("places", "first", "out", "grad_responses", "grad_weights"),
            )
        ),
        *(
            (name, ctypes.c_long)
            for name in (
                *("rows", "bins", "filters", "size", "segments"),
                *("half_bins", "real_size", "lowest", "count", "span", "frames"),
                *("clips", "limit", "turn", "in_time"),
                *("rectifier", "paired", "parts"),
            )
        ),
    ]


_INT, _LONG = ctypes.c_int, ctypes.c_long
_FUNCTIONS = Functions(
    Path(__file__).with_name("pooled_bands.c"),
    pool_bands=[ctypes.POINTER(_Bands), _LONG, _INT],
    pool_bands_backward=[ctypes.POINTER(_Bands), _LONG, _INT],
)
is_available = _FUNCTIONS.are_available


class Call:
    """A C structure for each of several sets of bands, and the tensors that they point to.

    Arguments
    ---------
    every : list of `quadratic.Bands`
        By rising turn.
    """

    def __init__(self, every: Sequence):
        self.totals = [some.total for some in every]
        self.tensors: list = []
        self.structures = (_Bands * len(every))(*map(self._structure, every))
        #: Shapes of responses and weights.
        self.shapes = [(some.responses.shape, some.weights.shape) for some in every]

    def _structure(self, some) -> _Bands:
        total, places = some.total, some.all_places
        (filters, size), (_, count, rate) = some.responses.shape, some.weights.shape
        outputs, frames = count // some.span, some.frames or some.segments
        spectra, rows, valid = some.spectra, len(some.spectra), some.valid
        assert some.responses.dtype == torch.complex64 and some.weights.dtype == torch.float32
        assert rate * some.segments == size and count % some.span == 0
        assert min(some.starts) >= 0 and max(some.starts) + size <= spectra.bins
        assert rows % total.clips == 0 and min(places) >= 0
        assert max(places) + (1 if some.in_time else outputs) <= total.outputs
        if spectra.picked is None:
            where, half_bins = (self._pointer(spectra.packed), None, None), 0
        else:
            assert spectra.picked.dtype == torch.int64
            where = None, self._pointer(spectra.half), self._pointer(spectra.picked)
            half_bins = spectra.half.shape[1]
        return _Bands(
            *where,
            self._pointer(some.responses.detach().resolve_conj().contiguous()),
            self._pointer(some.weights.detach().contiguous()),
            self._pointer(torch.tensor(some.starts, dtype=torch.int64)),
            self._pointer(None if valid is None else valid.clamp(0, size).contiguous()),
            self._pointer(roots(size)),
            self._pointer(torch.tensor(places, dtype=torch.int64)),
            self._pointer(None if some.first is None else some.first.contiguous()),
            *(None, None, None),
            *(rows, spectra.bins, filters, size, some.segments),
            *(half_bins, spectra.size, spectra.lowest, count, some.span, frames),
            *(total.clips, total.frames, some.turn, some.in_time),
            *(_RECTIFIERS.index(some.rectifier), some.paired),
            min(-(-rows // LANES), -(-_PIECES // filters)),
        )

    def _pointer(self, tensor: torch.Tensor | None) -> int | None:
        if tensor is None:
            return None
        self.tensors.append(tensor)
        return tensor.data_ptr()

    def forward(self) -> dict:
        """What each different `quadratic.Total` is, (outputs, clips, frames)."""
        found = {
            total: torch.empty(total.outputs, total.clips, total.frames, **_FLOATS)
            for total in self.totals
        }
        for structure, total in zip(self.structures, self.totals, strict=True):
            structure.out = found[total].data_ptr()
        self._run(_FUNCTIONS.pool_bands, self.structures)
        return found

    def backward(self, grads: Sequence[torch.Tensor], wanted: Sequence[int]) -> list[tuple]:
        """Gradients of responses and weights of those sets of bands that are `wanted`, for those
        of what `forward` gives."""
        grads = [grad.contiguous() for grad in grads]
        by_total = dict(zip(dict.fromkeys(self.totals), grads, strict=True))
        some = (_Bands * len(wanted))(*(self.structures[i] for i in wanted))
        found = []
        for structure, i in zip(some, wanted, strict=True):
            responses, weights = self.shapes[i]
            # Of each part of the rows; the first is what all of them make together.
            both = (
                torch.empty(structure.parts, *responses, dtype=torch.complex64, device="cpu"),
                torch.empty(structure.parts, *weights, **_FLOATS),
            )
            structure.out = by_total[self.totals[i]].data_ptr()
            structure.grad_responses, structure.grad_weights = (one.data_ptr() for one in both)
            found.append(tuple(one[0] for one in both))
        self._run(_FUNCTIONS.pool_bands_backward, some)
        return found

    @staticmethod
    def _run(function, structures) -> None:
        if function(structures, len(structures), torch.get_num_threads()):
            raise MemoryError("no memory for the band signals of eight rows")
