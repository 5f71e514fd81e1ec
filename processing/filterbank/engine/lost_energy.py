"""Estimate the energy lost by band-limiting; flag frames above `MAX_LOST`."""

import torch
from torch.nn import functional

from . import backend
from .blocks import Blocks

#: Number of equal bands in which the energy outside the filters' own bands is estimated.
LOST_BANDS = 20
#: Frames that may have lost more than this fraction of their energy are recomputed exactly.
MAX_LOST = 3e-5


@torch.no_grad()
def lost_energy(
    energy: torch.Tensor,
    wide: torch.Tensor,
    lost_power: torch.Tensor,
    blocks: Blocks,
    floor: float = 0.0,
    compiled: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Expected lost energy, and the frames that may have lost more than `MAX_LOST` of theirs.

    Arguments
    ---------
    energy : tensor (N, B, frames)
        Energies from the filters' own bands.
    wide : tensor (LOST_BANDS, B, frames)
        The signal's energy in equal bands up to half the sample rate.
    lost_power : tensor (2, N, LOST_BANDS)
        As `plan.lost_power`.
    blocks : Blocks
    floor : float
        An energy below which accuracy does not matter.
    compiled : bool
        In C.

    Returns
    -------
    tensor (N, B, frames), and a boolean one, or None where no frame is flagged. On a GPU no frame
    is flagged, which would stall it: the plan is stricter there (see `plan.make_plan`).
    """
    shift = (blocks.window - 1) / 2 / blocks.hop
    whole, part = int(shift), shift % 1
    if compiled:
        energy, wide = energy.contiguous(), wide.contiguous()
        lost, flagged = (torch.empty_like(energy), torch.empty_like(energy, dtype=torch.bool))
        assert wide.shape[1:] == energy.shape[1:]
        assert lost_power.shape == (2, len(energy), len(wide))
        any_flagged = backend.call(
            "lost_energy",
            energy=energy,
            wide=wide,
            mean=lost_power[0],
            peak=lost_power[1],
            lost=lost,
            flagged=flagged,
            filters=len(energy),
            clips=energy.shape[1],
            frames=energy.shape[2],
            bands=len(wide),
            whole=whole,
            part=part,
            bound=MAX_LOST,
            floor=floor,
        )
        return lost, flagged if any_flagged else None
    padded = functional.pad(wide, (whole + 1, whole + 1))
    size = wide.shape[2]
    # A truncated filter leaks at its two ends, half a filter away from the frame.
    ends = 0.0
    for weight, reach in ((1 - part, whole), (part, whole + 1)):
        for first in (whole + 1 - reach, whole + 1 + reach):
            ends = ends + 0.5 * weight * padded[..., first : first + size]
    lost = (lost_power[0] @ ends.flatten(1)).view(energy.shape)
    if energy.device.type != "cpu":
        return lost, None
    # Maximum over all frames within reach of the filter.
    reach = 2 * whole + 3
    largest, covered = padded, 1
    while covered < reach:  # each step doubles the width of the maximum
        step = min(covered, reach - covered)
        largest = torch.maximum(largest[..., :-step], largest[..., step:])
        covered += step
    bound = (lost_power[1] @ largest.flatten(1)).view(energy.shape)
    flagged = bound > MAX_LOST * energy.clamp(min=floor)
    return lost, flagged if bool(flagged.any()) else None
