"""Responses of filters as compiled C (band_responses.c), where the machine has a C compiler."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch

from ...system.compiling import Functions
from .kept_tensors import keep_tensors
from .lanes import is_fast, roots

__all__ = ["can_take", "responses"]


class _Call(ctypes.Structure):
    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("taps", "starts", "bins", "found"),
                *("of_taps", "of_grid", "of_bins", "weights", "roots", "coarse_roots"),
            )
        ),
        *((name, ctypes.c_long) for name in ("filters", "window", "size", "step", "points")),
    ]


_FUNCTIONS = Functions(
    Path(__file__).with_name("band_responses.c"),
    band_responses=[ctypes.POINTER(_Call), ctypes.c_int, ctypes.c_int],
)


def can_take(taps: torch.Tensor, points: int) -> bool:
    """Whether the compiled form can take these filters, and an FFT of so many points fast."""
    on_cpu = taps.device.type == "cpu" and taps.dtype == torch.complex64
    return on_cpu and len(taps) > 0 and is_fast(points) and _FUNCTIONS.are_available()


def responses(
    taps: torch.Tensor, starts: Sequence[int], grid, parts: Sequence[tuple[int, int]]
) -> list[torch.Tensor]:
    """As `bands.band_responses`, on a `bands.Grid`."""
    return list(_Responses.apply(taps, tuple(starts), grid, tuple(parts)))


@keep_tensors(maxsize=64)
def _factors(grid) -> tuple[torch.Tensor, ...]:
    """What the C reads of a grid."""
    coarse = grid.size // grid.step
    return (
        *(grid.taps.contiguous(), grid.centred.contiguous(), grid.delayed.contiguous()),
        *(grid.weights.T.contiguous(), roots(grid.size), roots(coarse)),
    )


def _run(taps, starts, grid, parts, found, backward: bool) -> None:
    filters, window = taps.shape
    assert len(starts) == filters == sum(count for count, _ in parts)
    factors = _factors(grid)
    assert len(factors[0]) == window and len(factors[2]) >= max(bins for _, bins in parts)
    starts = torch.tensor(starts, dtype=torch.int64)
    bins = torch.tensor([bins for count, bins in parts for _ in range(count)], dtype=torch.int64)
    rows = [
        one.data_ptr() + 8 * bins * i
        for one, (count, bins) in zip(found, parts, strict=True)
        for i in range(count)
    ]
    call = _Call(
        *(taps.data_ptr(), starts.data_ptr(), bins.data_ptr()),
        ctypes.cast((ctypes.c_void_p * filters)(*rows), ctypes.c_void_p),
        *(one.data_ptr() for one in factors),
        *(filters, window, grid.size, grid.step, grid.points),
    )
    if _FUNCTIONS.band_responses(call, backward, torch.get_num_threads()):
        raise MemoryError("no memory for the responses of a few filters")


class _Responses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, taps, starts, grid, parts):
        taps = taps.resolve_conj().contiguous()
        found = [taps.new_empty(shape) for shape in parts]
        _run(taps, starts, grid, parts, found, backward=False)
        ctx.about, ctx.shape = (starts, grid, parts), taps.shape
        return tuple(found)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *grads):
        grads = [grad.resolve_conj().contiguous() for grad in grads]
        taps = grads[0].new_empty(ctx.shape)
        _run(taps, *ctx.about, grads, backward=True)
        return taps, None, None, None
