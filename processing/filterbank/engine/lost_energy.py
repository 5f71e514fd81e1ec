"""Energy that filters pass outside the bands that they are given: how much, and where too much."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch.nn import functional

from ...system.compiling import Functions
from .blocks import Blocks

__all__ = ["LOST_BANDS", "MAX_LOST", "lost_energy"]

#: Wide bands in which the energy that the filters' own bands leave out is estimated.
LOST_BANDS = 20
#: Where more than this part of a frame's energy may have been left out, the filter is applied to
#: the frames around again, exactly.
MAX_LOST = 3e-5


class _Losses(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("energy", "wide", "mean", "peak", "lost", "bad")),
        *((name, ctypes.c_long) for name in ("filters", "clips", "frames", "bands", "whole")),
        *((name, ctypes.c_float) for name in ("part", "most", "floor")),
    ]


_FUNCTIONS = Functions(
    Path(__file__).with_name("lost_energy.c"),
    lost_energy=[ctypes.POINTER(_Losses), ctypes.c_int],
)


@torch.no_grad()
def lost_energy(
    energy: torch.Tensor,
    wide: torch.Tensor,
    lost_power: torch.Tensor,
    blocks: Blocks,
    floor: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Energy that was left out, on average, and the frames from which too much may be missing.

    Arguments
    ---------
    energy : tensor (N, B, frames)
        What the filters' own bands give.
    wide : tensor (LOST_BANDS, B, frames)
        The signal's energy in equal bands up to half the sample rate.
    lost_power : tensor (2, N, LOST_BANDS)
        As `plan.lost_power`.
    blocks : Blocks
    floor : float
        An energy below which accuracy does not matter.

    Returns
    -------
    tensor (N, B, frames), and a boolean one, or None where there is no such frame. Only on a CPU is
    the host asked for that; elsewhere None, as the plan is stricter there (see `plan.make_plan`).
    """
    shift = (blocks.window - 1) / 2 / blocks.hop
    whole, part = int(shift), shift % 1
    tensors = energy.detach(), wide, lost_power
    if all(one.device.type == "cpu" and one.dtype == torch.float32 for one in tensors):
        if _FUNCTIONS.are_available():
            return _compiled(*(one.contiguous() for one in tensors), whole, part, floor)
    padded = functional.pad(wide, (whole + 1, whole + 1))
    size = wide.shape[2]
    # At the two ends of a filter, where a truncated one leaks.
    ends = 0.0
    for weight, reach in ((1 - part, whole), (part, whole + 1)):
        for first in (whole + 1 - reach, whole + 1 + reach):
            ends = ends + 0.5 * weight * padded[..., first : first + size]
    lost = (lost_power[0] @ ends.flatten(1)).view(energy.shape)
    if energy.device.type != "cpu":
        return lost, None
    # The largest that a filter reaches.
    reach = 2 * whole + 3
    largest, covered = padded, 1
    while covered < reach:  # each step doubles what a maximum covers
        step = min(covered, reach - covered)
        largest = torch.maximum(largest[..., :-step], largest[..., step:])
        covered += step
    at_most = (lost_power[1] @ largest.flatten(1)).view(energy.shape)
    bad = at_most > MAX_LOST * energy.clamp(min=floor)
    return lost, bad if bool(bad.any()) else None


def _compiled(energy, wide, lost_power, whole, part, floor):
    filters, clips, frames = energy.shape
    bands = len(wide)
    assert wide.shape == (bands, clips, frames) and lost_power.shape == (2, filters, bands)
    lost, bad = torch.empty_like(energy), torch.empty_like(energy, dtype=torch.bool)
    call = _Losses(
        *(energy.data_ptr(), wide.data_ptr()),
        *(lost_power[0].data_ptr(), lost_power[1].data_ptr(), lost.data_ptr(), bad.data_ptr()),
        *(filters, clips, frames, bands, whole, part, MAX_LOST, floor),
    )
    found = _FUNCTIONS.lost_energy(call, torch.get_num_threads())
    if found < 0:
        raise MemoryError("no memory for the lost energy of one clip")
    return lost, bad if found else None
