"""Band energies from blocks of the spectrum, each filter at the rate its bandwidth needs."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from .blocks import Blocks, pooling_weights
from .edges import Tails, spread
from .plan import Plan, lost_power
from .quadratic import pooled_bands

__all__ = ["BandedBank"]

#: Wide bands in which the energy that the filters' own bands leave out is estimated.
LOST_BANDS = 10
#: Where more than this part of a frame's energy may have been left out, the block is done again,
#: exactly.
MAX_LOST = 1e-4


class BandedBank:
    """What depends on filters, pooling windows and block size only, and not on the signal.

    Arguments
    ---------
    taps : tensor (N, C, W)
        Filters; C = 2: real and imaginary part, 1: real.
    pool : tensor (N, P)
        Pooling windows.
    plan : Plan
    blocks : Blocks
    rectifier : str
        "square", "abs" or "leaky_relu".
    exact : bool
        The plan has the full rate for every filter.
    """

    def __init__(
        self,
        taps: torch.Tensor,
        pool: torch.Tensor,
        plan: Plan,
        blocks: Blocks,
        rectifier: str = "square",
        exact: bool = False,
    ):
        self.blocks = blocks
        self.rectifier = rectifier
        self.num_filters, parts, window = taps.shape
        # A complex number holds one complex filter, or a pair of real ones.
        self.outputs = 3 - parts
        self.taps, self.pool = _complex_taps(taps, exact), pool
        rate_groups, tail_groups = plan.rate_groups, plan.tail_groups
        if parts == 1:
            self.pool = functional.pad(pool, (0, 0, 0, self.num_filters % 2))
            pairs = list(range(len(self.taps)))
            rate_groups, tail_groups = [(blocks.hop, pairs)], [((window - 1) // 2, pairs)]
        self.groups = [self._group(rate, members, plan) for rate, members in rate_groups]
        self.group_order = _order(rate_groups, taps.device)
        self.tails = [
            (lags, _pick(self.taps, members), self._windows(members))
            for lags, members in tail_groups
        ]
        self.tail_order = _order(tail_groups, taps.device)
        self.lost = lost_power(plan, taps, LOST_BANDS)
        if self.lost is not None:
            self.groups.append(self._wide_group())
        firsts = [first for *_, first, _ in self.groups]
        lasts = [last for *_, last in self.groups]
        self.reach = min(0, *firsts), max(blocks.size // 2, *lasts)

    def energy(
        self, wavs: torch.Tensor, num_valid: torch.Tensor | None = None, floor: float = 0.0
    ) -> torch.Tensor:
        """Energies (B, frames, N) of `wavs` (B, T), zero behind `num_valid` (B,).

        Energies are exact enough relative to themselves or to `floor`, whichever is larger.
        """
        cut = self.blocks.cut(wavs)
        spectra, zero_bin = self._spectra(cut)
        found = [
            self._pooled(spectra, starts + zero_bin, responses, weights)
            for starts, responses, weights, *_ in self.groups[: self._num_own]
        ]
        energy = _join(found, self.group_order)
        if self.lost is not None:
            energy = self._with_lost(energy, cut, spectra.detach(), zero_bin, floor)
        energy = energy.view(len(energy), len(wavs), -1)[..., : self.blocks.frames]
        energy = energy.permute(1, 2, 0)
        tails = Tails(wavs, self.blocks, num_valid, self.rectifier, self.outputs)
        leading = trailing = None
        if tails.num_leading > 0:
            leading = [tails.leading(taps, pool, lags) for lags, taps, pool in self.tails]
            leading = _join(leading, self.tail_order).permute(1, 2, 0)
        if tails.ends is not None or tails.num_trailing > 0:
            trailing = [tails.trailing(taps, pool, lags) for lags, taps, pool in self.tails]
            trailing = _join(trailing, self.tail_order).permute(1, 2, 0)
        return tails.subtract(energy, leading, trailing)[..., : self.num_filters]

    @property
    def _num_own(self) -> int:
        return len(self.groups) - (self.lost is not None)

    def _pooled(self, spectra, starts, responses, weights):
        """Energies of one group by block, (N, R, block_frames)."""
        blocks = self.blocks
        parts = pooled_bands(
            spectra,
            responses,
            weights,
            starts,
            blocks.segments,
            self.rectifier,
            frames=blocks.block_frames,
            span=blocks.span,
        )
        return parts.flatten(0, 1)

    def _with_lost(self, energy, cut, spectra, zero_bin, floor):
        """Put back what the bands leave out: on average, and exactly where it may be too much.

        The average carries no gradient; it is at most `MAX_LOST` of what does. Only on a CPU is
        the host asked where it is too much; elsewhere the plan is stricter (see `make_plan`).
        """
        starts, responses, weights, *_ = self.groups[-1]
        wide = self._pooled(spectra, starts + zero_bin, responses, weights)
        lost, at_most = (self.lost @ wide.flatten(1)).view(2, *energy.shape)
        if energy.device.type == "cpu":
            bad = at_most > MAX_LOST * energy.detach().clamp(min=floor)
            if bool(bad.any()):
                bad = bad.any(2)
                rows, members = bad.any(0).nonzero()[:, 0], bad.any(1).nonzero()[:, 0]
                whole = torch.fft.fft(cut.index_select(0, rows))
                starts, responses, weights, *_ = self._group(self.blocks.hop, members.tolist())
                exact = self._pooled(whole, starts, responses, weights)
                return (energy + lost).index_put((members[:, None], rows), exact)
        return energy + lost

    def _windows(self, members: list[int]) -> torch.Tensor:
        return _pick(self.pool.view(-1, self.outputs, self.pool.shape[1]), members).flatten(0, 1)

    def _group(self, rate: int, members: list[int], plan: Plan | None = None) -> tuple:
        """(first bins, responses, weights, lowest bin, highest bin) of filters at one rate."""
        size, device = self.blocks.size, self.taps.device
        bins = rate * self.blocks.segments
        taps = _pick(self.taps, members)
        first = [0] * len(members)
        if rate < self.blocks.hop:
            first = [round(plan.centres[i] * size / (2 * math.pi)) - bins // 2 for i in members]
        starts = torch.tensor(first, device=device)
        if any(first):
            lag = torch.arange(taps.shape[1], device=device)
            turns = (starts[:, None] * lag).remainder(size).to(self.pool.dtype)
            turns = turns * (2 * math.pi / size)
            taps = taps * torch.polar(torch.ones_like(turns), turns)
        responses = torch.fft.ifft(taps, n=size, norm="forward")[:, :bins] / size
        weights = spread(pooling_weights(self._windows(members), self.blocks, rate), self.outputs)
        return starts, responses, weights, min(first), max(first) + bins - 1

    @torch.no_grad()
    def _wide_group(self) -> tuple:
        """Equal rectangular bands from 0 to half the sample rate, for what is lost."""
        blocks, device = self.blocks, self.taps.device
        rate = -(-blocks.hop // (2 * LOST_BANDS))
        bins = rate * blocks.segments
        first = [i * (blocks.size // (2 * LOST_BANDS)) for i in range(LOST_BANDS)]
        responses = torch.full((LOST_BANDS, bins), 1 / blocks.size, device=device)
        windows = self.pool.mean(0, keepdim=True).expand(LOST_BANDS, -1)
        weights = spread(pooling_weights(windows, blocks, rate), 1)
        starts = torch.tensor(first, device=device)
        return starts, responses.to(self.taps.dtype), weights, 0, first[-1] + bins - 1

    def _spectra(self, cut: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Spectra of real blocks over a run of bins in which all bands lie; where bin 0 is."""
        size = self.blocks.size
        lowest, highest = self.reach
        half = torch.fft.rfft(cut)
        # Bin -k, which is also bin size - k, is the conjugate of bin k.
        below = half[:, 1 : 1 - lowest].flip(1).conj()
        above = half[:, size - highest : size - size // 2].flip(1).conj()
        return torch.cat([below, half, above], dim=1).resolve_conj(), -lowest


def _complex_taps(taps: torch.Tensor, exact: bool) -> torch.Tensor:
    """Complex filters (S, W): of a complex bank, or of pairs of real filters.

    A complex filter is conjugated unless `exact`, which changes no modulus and puts the band of a
    Gabor filter at positive frequencies, where a real signal's spectrum is at hand.
    """
    if taps.shape[1] == 2:
        return torch.complex(taps[:, 0], taps[:, 1] if exact else -taps[:, 1])
    pairs = functional.pad(taps[:, 0], (0, 0, 0, len(taps) % 2))
    return torch.complex(pairs[0::2], pairs[1::2])


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
    whole = parts[0] if len(parts) == 1 else torch.cat(parts)
    return whole if order is None else whole.index_select(0, order)
