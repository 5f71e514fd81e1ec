"""The plan as compiled C (plan.c), where the machine has a C compiler."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch

from ...system.compiling import Functions
from .lanes import roots

__all__ = ["can_take", "choose_rates", "lost_power"]

_POINTER, _DOUBLE, _INT, _LONG = ctypes.c_void_p, ctypes.c_double, ctypes.c_int, ctypes.c_long


class _Filters(ctypes.Structure):
    _fields_ = [
        *(
            (name, _POINTER)
            for name in ("taps", "roots", "candidates", "power", "centres", "lowest")
        ),
        *((name, _LONG) for name in ("filters", "window", "points", "hop", "number")),
        *((name, ctypes.c_float) for name in ("max_leak", "headroom")),
    ]


_FUNCTIONS = Functions(
    Path(__file__).with_name("plan.c"),
    choose_rates=[ctypes.POINTER(_Filters), _INT],
    lost_power=[*[_POINTER] * 3, _DOUBLE, *[_LONG] * 3, *[_POINTER] * 2, _INT],
)


def can_take(taps: torch.Tensor) -> bool:
    """Whether the compiled form can take these filters (N, C, W)."""
    fits = taps.device.type == "cpu" and taps.dtype == torch.float32 and taps.shape[1] == 2
    return fits and _FUNCTIONS.are_available()


def choose_rates(
    taps: torch.Tensor,
    points: int,
    hop: int,
    candidates: Sequence[int],
    max_leak: float,
    headroom: float,
) -> tuple[torch.Tensor, list[int], list[float]]:
    """Power response (N, points) of complex filters, and of each the number of the first candidate
    that does, and the centre; as `plan.make_plan`, which says what the arguments are."""
    count, _, window = taps.shape
    taps = taps.detach().contiguous()
    power = torch.empty(count, points, dtype=torch.float32, device="cpu")
    centres, lowest = (ctypes.c_double * count)(), (ctypes.c_long * count)()
    rates = (ctypes.c_long * len(candidates))(*candidates)
    call = _Filters(
        *(taps.data_ptr(), roots(points).data_ptr(), ctypes.addressof(rates), power.data_ptr()),
        *(ctypes.addressof(centres), ctypes.addressof(lowest)),
        *(count, window, points, hop, len(candidates), max_leak, headroom),
    )
    if _FUNCTIONS.choose_rates(call, torch.get_num_threads()):
        raise MemoryError("no memory for the power responses of a few filters")
    return power, list(lowest), list(centres)


def lost_power(
    power: torch.Tensor,
    centres: Sequence[float],
    edges: Sequence[float],
    inner: float,
    bands: int,
) -> torch.Tensor:
    """As `plan.lost_power`, (2, N, bands), of a power response (N, points)."""
    count, points = power.shape
    found = torch.empty(2, count, bands, dtype=torch.float32, device="cpu")
    doubles = ctypes.c_double * count
    _FUNCTIONS.lost_power(
        *(power.data_ptr(), doubles(*centres), doubles(*edges), inner, count, points, bands),
        *(found[0].data_ptr(), found[1].data_ptr(), torch.get_num_threads()),
    )
    return found
