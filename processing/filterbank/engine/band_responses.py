"""Filters at a reduced rate: their responses in their bands, and their pooling windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from . import backend
from .backend import keep_tensors, roots
from .spectra import Blocks


def first_bins(centres: list[float], size: int, bins: int) -> list[int]:
    """First of `bins` bins around each centre (rad/sample) of an FFT of `size` points."""
    return [round(centre * size / (2 * math.pi)) - bins // 2 for centre in centres]


#: Shape of the interpolation's Kaiser window: its ripples must stay below a quiet frame after a burst
#: that is 60 dB louder.
KAISER_BETA = 20.0
#: The responses of short filters are smooth: they are computed on a coarse grid of bins and
#: interpolated between its points. This is the least density of the grid over what the filters'
#: length demands.
MIN_OVERSAMPLING = 2.2
#: Grid points that one bin is interpolated from: errors of 2e-8 and 1e-15 of the largest response.
GRID_POINTS = {torch.complex64: 8, torch.complex128: 16}


def band_responses(
    taps: torch.Tensor,
    starts: Sequence[int],
    size: int,
    parts: Sequence[tuple[int, int]],
    compiled: bool = False,
) -> list[torch.Tensor]:
    """Responses of filters at the bins from each start on, divided by the FFT's size.

    Arguments
    ---------
    taps : complex tensor (N, W)
    starts : N whole numbers
    size : int
        Points of the FFT.
    parts : list of (filters, bins)
        Number of bins for the first so many filters, then for the next ones, and so on.
    compiled : bool
        In C, where its FFT is fast.

    Shape
    -----
    -> of each part (filters, bins), such that the inverse FFT without a factor gives the filter's
    output.
    """
    window, most = taps.shape[1], max(bins for _, bins in parts)
    counts = [count for count, _ in parts]
    step = _grid_step(size, window, most, GRID_POINTS[taps.dtype])
    if compiled and backend.has_fast_fft(size // step):
        grid = _grid(size, window, most, step, taps.device, taps.dtype)
        return list(_Responses.apply(taps, tuple(starts), grid, tuple(parts)))
    if any(starts):
        lag = torch.arange(window, device=taps.device)
        turns = (torch.tensor(starts, device=taps.device)[:, None] * lag).remainder(size)
        turns = turns.to(taps.real.dtype) * (2 * math.pi / size)
        taps = taps * torch.polar(torch.ones_like(turns), turns)
    if step == 1:
        whole = torch.fft.ifft(taps, n=size).split(counts)
        return [part[:, :bins] for part, (_, bins) in zip(whole, parts, strict=True)]
    grid = _grid(size, window, most, step, taps.device, taps.dtype)
    coarse = torch.fft.ifft(taps * grid.taps, n=size // step, norm="forward")
    before, after = grid.points // 2 - 1, grid.cells + grid.points // 2
    coarse = torch.cat([coarse[:, coarse.shape[1] - before :], coarse[:, :after]], dim=1)
    responses = []
    for part, (count, bins) in zip((coarse * grid.centred).split(counts), parts, strict=True):
        cells = -(-bins // step)
        around = torch.view_as_real(part[:, : cells + grid.points - 1]).unfold(1, grid.points, 1)
        # One product of two matrices instead of one for each cell of the grid.
        fine = (around.reshape(-1, grid.points) @ grid.weights).view(count, cells, 2, step)
        fine = fine.transpose(2, 3).reshape(count, -1, 2)[:, :bins]
        responses.append(torch.view_as_complex(fine.contiguous()) * grid.delayed[:bins])
    return responses


@lru_cache(maxsize=256)
def _grid_step(size: int, window: int, bins: int, points: int) -> int:
    """Bins from one point of the coarse grid to the next; 1 where no coarser grid is possible."""
    for step in range(min(64, int(size / (MIN_OVERSAMPLING * window))), 3, -1):
        if size % step == 0 and -(-bins // step) + points - 1 <= size // step:
            return step
    return 1


@dataclass(frozen=True, eq=False)
class Grid:
    """Tables for interpolation on a coarse grid: factors of the taps, of the grid's points and of
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


@keep_tensors(maxsize=64)
def _tables(grid: Grid) -> dict[str, torch.Tensor]:
    """The tables of a grid in the layout of band_responses.c."""
    tables = {"of_taps": grid.taps, "of_grid": grid.centred, "of_bins": grid.delayed}
    tables.update(weights=grid.weights.T, roots=roots(grid.size))
    tables["coarse_roots"] = roots(grid.size // grid.step)
    return {name: table.contiguous() for name, table in tables.items()}


def _run(taps, starts, grid: Grid, parts, responses, backward: bool) -> None:
    """Responses from taps, or with `backward` the gradient of the taps from that of responses."""
    filters, window = taps.shape
    assert len(starts) == filters == sum(count for count, _ in parts)
    tables = _tables(grid)
    assert len(tables["of_taps"]) == window and len(tables["of_bins"]) >= max(
        bins for _, bins in parts
    )
    widths = [bins for count, bins in parts for _ in range(count)]
    pointers = [
        part.data_ptr() + part.element_size() * bins * i
        for part, (count, bins) in zip(responses, parts, strict=True)
        for i in range(count)
    ]
    numbers = torch.tensor([starts, widths, pointers], dtype=torch.int64, device="cpu")
    backend.call(
        "band_responses_backward" if backward else "band_responses",
        **{"taps": taps, "starts": numbers[0], "bins": numbers[1], "rows": numbers[2]},
        **tables,
        **{"filters": filters, "window": window},
        **{"size": grid.size, "step": grid.step, "points": grid.points},
    )


class _Responses(torch.autograd.Function):
    """`band_responses` in C, with the gradient of the taps."""

    @staticmethod
    def forward(ctx, taps, starts, grid, parts):
        taps = taps.resolve_conj().contiguous()
        responses = [taps.new_empty(shape) for shape in parts]
        _run(taps, starts, grid, parts, responses, backward=False)
        ctx.bands, ctx.shape = (starts, grid, parts), taps.shape
        return tuple(responses)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *grads):
        grads = [grad.resolve_conj().contiguous() for grad in grads]
        taps = grads[0].new_empty(ctx.shape)
        _run(taps, *ctx.bands, grads, backward=True)
        return taps, None, None, None


@keep_tensors(maxsize=64)
def interpolation(
    pool: int, hop: int, span: int, slack: int, rate: int, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """Interpolation from reduced samples to samples of the pooling window, (pool, span * rate).

    The first reduced sample lies `slack` samples in front of the window. A Kaiser-windowed sinc
    that cuts at half the reduced rate, as long as the slack allows, which matters because the
    pooling window ends with a step (4% of its peak in LEAF).
    """
    step = hop / rate
    time = torch.arange(pool, dtype=torch.float64)[:, None]
    apart = time - (torch.arange(span * rate, dtype=torch.float64) * step - slack)
    half = float(min(slack, span * hop - pool - slack + 1))
    bell = torch.special.i0(KAISER_BETA * (1 - (apart / half) ** 2).clamp(min=0).sqrt())
    weights = torch.sinc(apart / step) * bell * (apart.abs() <= half)
    weights = weights / weights.sum(1, keepdim=True)
    return weights.to(device=device, dtype=dtype)


def pooling_weights(pool: torch.Tensor, blocks: Blocks, rate: int) -> torch.Tensor:
    """Pooling windows at a reduced rate, cut into segments of one hop.

    Arguments
    ---------
    pool : tensor (N, P)
    blocks : Blocks
    rate : int
        Samples per hop; `hop` is exact.

    Shape
    -----
    (N, P) -> (N, span, rate): segment j of the window, sample i of a segment.
    """
    if rate == blocks.hop:
        behind = blocks.span * blocks.hop - blocks.pool - blocks.slack
        weights = torch.nn.functional.pad(pool, (blocks.slack, behind))
    else:
        kernel = interpolation(
            blocks.pool, blocks.hop, blocks.span, blocks.slack, rate, pool.device, pool.dtype
        )
        weights = pool @ kernel
    return weights.view(len(pool), blocks.span, rate)
