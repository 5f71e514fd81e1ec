"""Band energies from blocks of the spectrum, each filter at the rate its bandwidth needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from .blocks import Blocks, pooling_weights
from .edges import Tails, split_outputs, spread
from .plan import Plan, lost_power
from .quadratic import pooled_bands

__all__ = ["FilterSpectra", "banded_energy", "filter_spectra"]

#: Wide bands in which the energy that the filters' own bands leave out is estimated.
LOST_BANDS = 10


@dataclass(eq=False)
class FilterSpectra:
    """What depends on filters, pooling windows and block size only, and not on the signal.

    Arguments
    ---------
    groups : list of (starts, responses, weights)
        For each rate: first bins (S,), responses (S, M), pooling weights, see `pooled_bands`.
    reach : list of (first, last)
        Bins that each group needs.
    group_order : int64 tensor (N,) or None
        Where each filter is among the groups' outputs; None: in order.
    tails : list of (lags, complex taps (S, W), pooling windows)
    tail_order : int64 tensor (N,) or None
    lost : tensor (N, L) or None
        What each filter passes outside its band, see `lost_power`.
    lost_group : (starts, responses, weights) or None
        Wide bands whose energies are to be multiplied with `lost`.
    """

    groups: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    reach: list[tuple[int, int]]
    group_order: torch.Tensor | None
    tails: list[tuple[int, torch.Tensor, torch.Tensor]]
    tail_order: torch.Tensor | None
    lost: torch.Tensor | None = None
    lost_group: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None


def _complex_taps(taps: torch.Tensor, exact: bool) -> torch.Tensor:
    """Complex filters (S, W): of a complex bank, or of pairs of real filters.

    A complex filter is conjugated unless `exact`, which changes no modulus and puts the band of a
    Gabor filter at positive frequencies, where a real signal's spectrum is at hand.
    """
    if taps.shape[1] == 2:
        return torch.complex(taps[:, 0], taps[:, 1] if exact else -taps[:, 1])
    pairs = functional.pad(taps[:, 0], (0, 0, 0, len(taps) % 2))
    return torch.complex(pairs[0::2], pairs[1::2])


def filter_spectra(
    taps: torch.Tensor, pool: torch.Tensor, plan: Plan, blocks: Blocks, exact: bool
) -> FilterSpectra:
    """Spectra of the filters at the bins their bands need, and pooling weights at their rates."""
    filters, parts, window = taps.shape
    device, size = taps.device, blocks.size
    outputs = 3 - parts
    if parts == 1:
        pool = functional.pad(pool, (0, 0, 0, filters % 2))
        everything = list(range(len(pool) // 2))
        rate_groups, tail_groups = [(blocks.hop, everything)], [((window - 1) // 2, everything)]
    else:
        rate_groups, tail_groups = plan.rate_groups, plan.tail_groups
    complex_taps = _complex_taps(taps, exact)
    lag = torch.arange(window, device=device)
    groups, reach, tails = [], [], []
    for rate, members in rate_groups:
        bins = rate * blocks.segments
        if rate == blocks.hop:
            first = [0] * len(members)
        else:
            first = [round(plan.centres[i] * size / (2 * math.pi)) - bins // 2 for i in members]
        starts = torch.tensor(first, device=device)
        some = _pick(complex_taps, members)
        if any(first):
            turns = (starts[:, None] * lag).remainder(size).to(taps.dtype) * (2 * math.pi / size)
            some = some * torch.polar(torch.ones_like(turns), turns)
        responses = torch.fft.ifft(some, n=size, norm="forward")[:, :bins] / size
        windows = _pick(pool.view(-1, outputs, pool.shape[1]), members).flatten(0, 1)
        weights = spread(pooling_weights(windows, blocks, rate), outputs)
        groups.append((starts, responses, weights))
        reach.append((min(first), max(first) + bins - 1))
    for lags, members in tail_groups:
        windows = _pick(pool.view(-1, outputs, pool.shape[1]), members).flatten(0, 1)
        tails.append((lags, _pick(complex_taps, members), windows))
    orders = _order(rate_groups, device), _order(tail_groups, device)
    found = FilterSpectra(groups, reach, orders[0], tails, orders[1])
    if parts == 2 and not exact:
        _add_lost(found, taps, pool, plan, blocks)
    return found


@torch.no_grad()
def _add_lost(
    found: FilterSpectra, taps: torch.Tensor, pool: torch.Tensor, plan: Plan, blocks: Blocks
) -> None:
    found.lost = lost_power(plan, taps, LOST_BANDS)
    if found.lost is None:
        return
    rate = -(-blocks.hop // (2 * LOST_BANDS))
    bins = rate * blocks.segments
    starts = torch.arange(LOST_BANDS, device=taps.device) * (blocks.size // (2 * LOST_BANDS))
    responses = torch.full(
        (LOST_BANDS, bins), 1 / blocks.size, device=taps.device, dtype=taps.dtype
    ).to(torch.complex64 if taps.dtype == torch.float32 else torch.complex128)
    windows = pool.mean(0, keepdim=True).expand(LOST_BANDS, -1)
    weights = spread(pooling_weights(windows, blocks, rate), 1)
    found.lost_group = starts, responses, weights
    found.reach.append((0, int(starts[-1]) + bins - 1))


def _pick(rows: torch.Tensor, members: list[int]) -> torch.Tensor:
    if members == list(range(len(rows))):
        return rows
    return rows.index_select(0, torch.tensor(members, device=rows.device))


def _order(groups: list[tuple[int, list[int]]], device: torch.device) -> torch.Tensor | None:
    """Index that puts the groups' outputs, one after the other, back in the filters' order."""
    flat = [i for _, members in groups for i in members]
    if flat == sorted(flat):
        return None
    return torch.argsort(torch.tensor(flat)).to(device)


def _join(parts: list[torch.Tensor], order: torch.Tensor | None) -> torch.Tensor:
    whole = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
    return whole if order is None else whole.index_select(2, order)


def banded_energy(
    wavs: torch.Tensor,
    filters: FilterSpectra,
    blocks: Blocks,
    num_filters: int,
    outputs: int,
    num_valid: torch.Tensor | None,
    rectifier: str,
) -> torch.Tensor:
    """Energies (B, frames, N) of `wavs` (B, T) by way of their spectra."""
    spectra, zero_bin = _spectra(blocks.cut(wavs), filters, blocks)
    parts = []
    for starts, responses, weights in filters.groups:
        pooled = pooled_bands(
            spectra, responses, weights, starts + zero_bin, blocks.segments, rectifier
        )
        parts.append(blocks.assemble(split_outputs(pooled, outputs)))
    energy = _join(parts, filters.group_order)
    if filters.lost is not None:
        starts, responses, weights = filters.lost_group
        wide = pooled_bands(
            spectra.detach(), responses, weights, starts + zero_bin, blocks.segments
        )
        energy = energy + blocks.assemble(wide) @ filters.lost.T
    tails = Tails(wavs, blocks, num_valid, rectifier, outputs)
    leading = trailing = None
    if tails.num_leading > 0:
        leading = [tails.leading(taps, pool, lags) for lags, taps, pool in filters.tails]
        leading = _join(leading, filters.tail_order)
    if tails.ends is not None or tails.num_trailing > 0:
        trailing = [tails.trailing(taps, pool, lags) for lags, taps, pool in filters.tails]
        trailing = _join(trailing, filters.tail_order)
    return tails.subtract(energy, leading, trailing)[..., :num_filters]


def _spectra(cut: torch.Tensor, filters: FilterSpectra, blocks: Blocks) -> tuple[torch.Tensor, int]:
    """Spectra of real blocks over a run of bins in which every band lies, and where bin 0 is."""
    size = blocks.size
    half = torch.fft.rfft(cut)
    lowest, highest = 0, size // 2
    for first, last in filters.reach:
        lowest, highest = min(lowest, first), max(highest, last)
    below = half[:, 1 : 1 - lowest].flip(1).conj()
    # Bin size - k is the conjugate of bin k.
    above = half[:, size - highest : size - size // 2].flip(1).conj()
    return torch.cat([below, half, above], dim=1).resolve_conj(), -lowest
