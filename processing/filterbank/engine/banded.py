"""Band energies from blocks of the spectrum, each filter at the rate its bandwidth needs."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import torch
from torch.nn import functional

from .bands import band_responses, first_bins
from .blocks import Blocks, make_blocks, pooling_weights
from .edges import Tails
from .lost_energy import LOST_BANDS, lost_energy
from .plan import Plan, lost_power
from .quadratic import Bands, Total, pooled_bands
from .spectra import BlockSpectra, Spectra

__all__ = ["BandedBank"]

#: How many frames are done again together.
AGAIN_FRAMES = 13


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
        self.num_filters, parts, _ = taps.shape
        # A complex number holds one complex filter, or a pair of real ones.
        self.outputs = 3 - parts
        self.taps, self.pool = _complex_taps(taps, exact), pool
        groups = plan.rate_groups
        if parts == 1:
            self.pool = functional.pad(pool, (0, 0, 0, self.num_filters % 2))
            groups = [(blocks.hop, list(range(len(self.taps))))]
        kernels = self._picked([i for _, some in groups for i in some])
        #: Where the first output of each filter of each group goes.
        self.places = [[self.outputs * i for i in some] for _, some in groups]
        self.groups = self._grouped(groups, *kernels, plan.centres, blocks)
        #: A dictionary where the filters are not being trained.
        self.kept: dict | None = None
        # Their energy outside the clips is taken away again; they are the first of the kernels.
        self.reduced = plan.reduced if parts == 2 else []
        self.tails = kernels[0][: len(self.reduced)], kernels[1][: len(self.reduced), 0]
        self.lost = lost_power(plan, taps, LOST_BANDS)
        self.wide = None if self.lost is None else self._wide_group()
        every = self.groups if self.wide is None else [*self.groups, self.wide]
        self.lowest = min(0, *(min(starts) for starts, *_ in every))
        highest = (max(starts) + responses.shape[1] - 1 for starts, responses, *_ in every)
        self.highest = max(blocks.size // 2, *highest)

    def energy(
        self, wavs: torch.Tensor, num_valid: torch.Tensor | None = None, floor: float = 0.0
    ) -> torch.Tensor:
        """Energies (B, frames, N) of `wavs` (B, T), zero behind `num_valid` (B,).

        Energies are exact enough relative to themselves or to `floor`, whichever is larger.
        """
        spectra = BlockSpectra(wavs, self.blocks, self.lowest, self.highest)
        inside = self.blocks.inside(len(wavs), wavs.shape[1], num_valid)
        total = Total(len(self.pool), len(wavs), self.blocks.frames)
        first = self._first_frames(len(wavs))
        every = [
            self._bands(spectra, group, inside, into=total, places=places, first=first)
            for group, places in zip(self.groups, self.places, strict=True)
        ]
        if self.reduced:
            tails = Tails(wavs, self.blocks, total, self.reduced, num_valid, self.kept)
            found = tails.leading(*self.tails), tails.trailing(*self.tails)
            every += [bands for bands in found if bands is not None]
        if self.wide is not None:
            where = {"into": replace(total, outputs=LOST_BANDS), "places": range(LOST_BANDS)}
            every.append(self._bands(spectra.detach(), self.wide, None, first=first, **where))
        energy, *wide = pooled_bands(every)
        if wide:
            # It carries no gradient: it is at most `MAX_LOST` of what does.
            lost, bad = lost_energy(energy, wide[0], self.lost, self.blocks, floor)
            energy = energy + lost
            if bad is not None:
                energy = self._again(energy, wavs, bad, num_valid)
        return energy.permute(1, 2, 0)[..., : self.num_filters]

    def _first_frames(self, clips: int) -> torch.Tensor | None:
        """First frame of each block, (clips * blocks,)."""
        blocks = self.blocks
        if blocks.num_blocks == 1:
            return None
        first = torch.arange(blocks.num_blocks, device=self.taps.device) * blocks.block_frames
        return first.repeat(clips)

    def _bands(self, spectra, group, inside, blocks=None, **where) -> Bands:
        """What is pooled for one group."""
        starts, responses, weights = group
        blocks = blocks or self.blocks
        return Bands(
            spectra,
            responses,
            weights,
            [start - spectra.lowest for start in starts],
            blocks.segments,
            self.rectifier,
            weights.shape[1] > blocks.span,
            inside if responses.shape[1] == blocks.size else None,
            frames=blocks.block_frames,
            span=blocks.span,
            **where,
        )

    def _again(self, energy, wavs, bad, num_valid):
        """`energy` (N, B, frames), around `bad` frames from the filter at full rate."""
        large, frames = self.blocks, energy.shape[2]
        lengths = large.hop, large.window, large.pool, large.offset
        blocks = make_blocks(wavs.shape[1], *lengths, min(AGAIN_FRAMES, large.block_frames))
        behind = blocks.block_frames * blocks.num_blocks - frames
        by_block = len(energy), len(wavs) * blocks.num_blocks, blocks.block_frames
        bad = functional.pad(bad, (0, behind)).view(by_block)
        # Which filter is applied to which block.
        members, rows = bad.any(2).nonzero(as_tuple=True)
        needed, row = torch.unique(rows, return_inverse=True)
        clip = torch.div(needed, blocks.num_blocks, rounding_mode="floor")
        cut = blocks.windows(wavs)[clip, needed % blocks.num_blocks]
        spectra = Spectra(torch.fft.rfft(cut), blocks.size, 0, blocks.size - 1)
        inside = blocks.inside(len(wavs), wavs.shape[1], num_valid)[rows]
        redone, counts = torch.unique_consecutive(members, return_counts=True)
        redone, counts = redone.tolist(), counts.tolist()
        groups = [(blocks.hop, [member]) for member in redone]
        groups = self._grouped(groups, *self._picked(redone), [], blocks)
        found = pooled_bands(
            [
                self._bands(spectra.pick(some), group, ends, blocks)
                for group, some, ends in zip(
                    groups, row.split(counts), inside.split(counts), strict=True
                )
            ]
        )
        energy = functional.pad(energy, (0, behind)).view(by_block)
        energy = energy.index_put((members, rows), torch.cat([one[0, 0] for one in found]))
        return energy.view(len(energy), len(wavs), -1)[..., :frames]

    def _picked(self, members: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Taps (S, W) and pooling windows (S, outputs, P) of some filters."""
        kernels = self.taps, self.pool.view(-1, self.outputs, self.pool.shape[1])
        if members == list(range(len(self.taps))):
            return kernels
        index = torch.tensor(members, device=self.taps.device)
        return tuple(kernel.index_select(0, index) for kernel in kernels)

    def _grouped(
        self,
        groups: list[tuple[int, list[int]]],
        taps: torch.Tensor,
        windows: torch.Tensor,
        centres: list[float],
        blocks: Blocks,
    ) -> list[tuple]:
        """(first bins, responses, weights) of each group (rate, filters), whose kernels follow each
        other as the groups do."""
        # Groups come by rising rate: those at the full rate are the last, and are no bands.
        reduced = [group for group in groups if group[0] < blocks.hop]
        count = sum(len(members) for _, members in reduced)
        found = self._of_some(reduced, taps[:count], windows[:count], centres, blocks)
        rest = groups[len(reduced) :]
        return found + self._of_some(rest, taps[count:], windows[count:], centres, blocks)

    def _of_some(self, groups, taps, windows, centres, blocks) -> list[tuple]:
        """`_grouped` for reduced rates only, or for the full rate only."""
        if not groups:
            return []
        size, hop, segments = blocks.size, blocks.hop, blocks.segments
        starts = []
        for rate, members in groups:
            near = [centres[i] for i in members] if rate < hop else []
            starts.append(first_bins(near, size, rate * segments) or [0] * len(members))
        counts = [len(members) for _, members in groups]
        flat_starts = [start for some in starts for start in some]
        # As many bins for all filters of an octave of rates as one of them needs, and then cut up:
        # one call of each operator instead of one per group.
        octaves = [list(some) for _, some in groupby(groups, lambda group: group[0].bit_length())]
        parts = [
            (sum(len(members) for _, members in some), some[-1][0] * segments) for some in octaves
        ]
        found = band_responses(taps, flat_starts, size, parts)
        responses = [
            response
            for part, some in zip(found, octaves, strict=True)
            for response in part.split([len(members) for _, members in some])
        ]
        made = []
        for (rate, _), some, response, window in zip(
            groups, starts, responses, windows.split(counts), strict=True
        ):
            weights = pooling_weights(window.flatten(0, 1), blocks, rate)
            # The weights of a pair of real filters follow each other.
            weights = weights.view(len(window), -1, rate)
            made.append((some, response[:, : rate * segments], weights))
        return made

    @torch.no_grad()
    def _wide_group(self) -> tuple:
        """Equal rectangular bands from 0 to half the sample rate, for what is lost."""
        blocks, device = self.blocks, self.taps.device
        rate = -(-blocks.hop // (2 * LOST_BANDS))
        bins = rate * blocks.segments
        starts = [i * (blocks.size // (2 * LOST_BANDS)) for i in range(LOST_BANDS)]
        responses = torch.full((LOST_BANDS, bins), 1 / blocks.size, device=device)
        windows = self.pool.mean(0, keepdim=True).expand(LOST_BANDS, -1)
        return starts, responses.to(self.taps.dtype), pooling_weights(windows, blocks, rate)


def _complex_taps(taps: torch.Tensor, exact: bool) -> torch.Tensor:
    """Complex filters (S, W): of a complex bank, or of pairs of real filters.

    A complex filter is conjugated unless `exact`, which changes no modulus and puts the band of a
    Gabor filter at positive frequencies, where a real signal's spectrum is at hand.
    """
    if taps.shape[1] == 2:
        return torch.complex(taps[:, 0], taps[:, 1] if exact else -taps[:, 1])
    pairs = functional.pad(taps[:, 0], (0, 0, 0, len(taps) % 2))
    return torch.complex(pairs[0::2], pairs[1::2])
