"""Bands of a spectrum: the bins around a filter, and the filter's responses there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from . import band_responses_compiled
from .kept_tensors import keep_tensors

__all__ = ["Grid", "band_responses", "first_bins"]


def first_bins(centres: list[float], size: int, bins: int) -> list[int]:
    """First of `bins` bins around each centre (rad/sample) of an FFT of `size` points."""
    return [round(centre * size / (2 * math.pi)) - bins // 2 for centre in centres]


#: The responses of short filters are smooth: they are computed on a coarse grid of bins, at least
#: so many times as dense as the filters' length demands, and interpolated between its points.
MIN_OVERSAMPLING = 2.2
#: Grid points that one bin is interpolated from: errors of 2e-8 and 1e-15 of the largest response.
GRID_POINTS = {torch.complex64: 8, torch.complex128: 16}


def band_responses(
    taps: torch.Tensor, starts: Sequence[int], size: int, parts: Sequence[tuple[int, int]]
) -> list[torch.Tensor]:
    """Responses of filters at the bins from each start on, over the FFT's size.

    Arguments
    ---------
    taps : complex tensor (N, W)
    starts : N whole numbers
    size : int
        Points of the FFT.
    parts : list of (filters, bins)
        How many bins the first so many filters are wanted at, then the next ones, and so on.

    Shape
    -----
    -> of each part (filters, bins), such that the inverse FFT without a factor gives the filter's
    output.
    """
    window, most = taps.shape[1], max(bins for _, bins in parts)
    counts = [count for count, _ in parts]
    step = _grid_step(size, window, most, GRID_POINTS[taps.dtype])
    if band_responses_compiled.can_take(taps, size // step):
        grid = _grid(size, window, most, step, taps.device, taps.dtype)
        return band_responses_compiled.responses(taps, starts, grid, parts)
    if any(starts):
        lag = torch.arange(window, device=taps.device)
        turns = (torch.tensor(starts, device=taps.device)[:, None] * lag).remainder(size)
        turns = turns.to(taps.real.dtype) * (2 * math.pi / size)
        taps = taps * torch.polar(torch.ones_like(turns), turns)
    if step == 1:
        whole = torch.fft.ifft(taps, n=size).split(counts)
        return [some[:, :bins] for some, (_, bins) in zip(whole, parts, strict=True)]
    grid = _grid(size, window, most, step, taps.device, taps.dtype)
    coarse = torch.fft.ifft(taps * grid.taps, n=size // step, norm="forward")
    before, after = grid.points // 2 - 1, grid.cells + grid.points // 2
    coarse = torch.cat([coarse[:, coarse.shape[1] - before :], coarse[:, :after]], dim=1)
    found = []
    for some, (count, bins) in zip((coarse * grid.centred).split(counts), parts, strict=True):
        cells = -(-bins // step)
        around = torch.view_as_real(some[:, : cells + grid.points - 1]).unfold(1, grid.points, 1)
        # One product of two matrices, and not one for each cell of the grid.
        fine = (around.reshape(-1, grid.points) @ grid.weights).view(count, cells, 2, step)
        fine = fine.transpose(2, 3).reshape(count, -1, 2)[:, :bins]
        found.append(torch.view_as_complex(fine.contiguous()) * grid.delayed[:bins])
    return found


@lru_cache(maxsize=256)
def _grid_step(size: int, window: int, bins: int, points: int) -> int:
    """Bins from one point of the coarse grid to the next; 1: there is no use in one."""
    for step in range(min(64, int(size / (MIN_OVERSAMPLING * window))), 3, -1):
        if size % step == 0 and -(-bins // step) + points - 1 <= size // step:
            return step
    return 1


@dataclass(frozen=True, eq=False)
class Grid:
    """What interpolation on a coarse grid needs: factors of the taps, of the grid's points and of
    the bins, and the weights (points, step) of a bin's neighbours on the grid. With a step of 1 the
    grid is the bins themselves."""

    size: int
    step: int
    points: int
    cells: int
    taps: torch.Tensor
    centred: torch.Tensor
    delayed: torch.Tensor
    weights: torch.Tensor


@keep_tensors(maxsize=64)
def _grid(
    size: int, window: int, bins: int, step: int, device: torch.device, dtype: torch.dtype
) -> Grid:
    """Interpolation by a Kaiser-Bessel window, as a non-uniform FFT does it (Beatty et al., 2005).

    The taps are divided by the window's transform, and are seen from their middle, where they are
    smoothest: their delay by half a filter is taken out on the grid and put back on the bins.
    """
    real = torch.empty((), dtype=dtype).real.dtype
    if step == 1:
        ones = torch.ones(max(window, bins), device=device, dtype=dtype)
        taps, weights = ones[:window].real / size, ones[:1, None].real
        return Grid(size, 1, 1, bins, taps, ones[:bins], ones[:bins], weights)
    points, cells = GRID_POINTS[dtype], -(-bins // step)
    coarse, half = size // step, (window - 1) / 2
    ratio = coarse / window
    beta = math.pi * math.sqrt((points / ratio * (ratio - 0.5)) ** 2 - 0.8)
    lag = torch.arange(window, dtype=torch.float64) - half
    root = (beta**2 - (math.pi * points * lag / coarse) ** 2).sqrt()
    peak = torch.special.i0(torch.tensor(beta, dtype=torch.float64))
    transform = points * torch.sinh(root) / root / peak
    apart = torch.arange(step, dtype=torch.float64) / step
    apart = apart - torch.arange(1 - points // 2, 1 + points // 2)[:, None]
    bell = (1 - (2 * apart / points) ** 2).clamp(min=0).sqrt()
    weights = torch.special.i0(beta * bell) / peak
    at = torch.arange(1 - points // 2, cells + points // 2, dtype=torch.float64)
    centred = -2 * math.pi * half / coarse * at
    delayed = 2 * math.pi * half / size * torch.arange(bins, dtype=torch.float64)
    return Grid(
        *(size, step, points, cells),
        (1 / transform / size).to(device, real),
        torch.polar(torch.ones_like(centred), centred).to(device, dtype),
        torch.polar(torch.ones_like(delayed), delayed).to(device, dtype),
        weights.to(device, real),
    )
