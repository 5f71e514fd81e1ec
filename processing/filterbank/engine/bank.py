"""Apply a bank of filters block by block, each filter at the rate its bandwidth needs."""

from dataclasses import replace
from itertools import groupby

import torch
from torch.nn import functional

from .band_responses import band_responses, first_bins, pooling_weights
from .corrections import LOST_BANDS, Tails, lost_energy
from .plan import Plan, lost_power
from .pooled_bands import Accumulator, Bands, pooled_bands
from .spectra import Blocks, BlockSpectra, Spectra, make_blocks

#: Frames per block where flagged frames are recomputed.
EXACT_FRAMES = 13


class BandedBank:
    """Responses and pooling weights: what depends on the filters and the block size only.

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
    compiled : bool
        In C.
    """

    def __init__(
        self,
        taps: torch.Tensor,
        pool: torch.Tensor,
        plan: Plan,
        blocks: Blocks,
        rectifier: str = "square",
        exact: bool = False,
        compiled: bool = False,
    ):
        self.blocks = blocks
        self.rectifier, self.compiled = rectifier, compiled
        self.num_filters, parts, _ = taps.shape
        # A complex number holds one complex filter, or a pair of real ones.
        self.outputs = 3 - parts
        self.taps, self.pool = _complex_taps(taps, exact), pool
        rate_groups = plan.rate_groups
        if parts == 1:
            self.pool = functional.pad(pool, (0, 0, 0, self.num_filters % 2))
            rate_groups = [(blocks.hop, list(range(len(self.taps))))]
        kernels = self._kernels([i for _, members in rate_groups for i in members])
        #: Output index of each filter's first output, by groups.
        self.channels = [[self.outputs * i for i in members] for _, members in rate_groups]
        self.groups = self._groups(rate_groups, *kernels, plan.centres, blocks)
        #: A dictionary where the filters are not being trained.
        self.kept: dict | None = None
        # Filters at a reduced rate, the first of the kernels, have their tails subtracted.
        self.reduced = plan.reduced if parts == 2 else []
        self.tails = kernels[0][: len(self.reduced)], kernels[1][: len(self.reduced), 0]
        self.lost = lost_power(plan, taps, LOST_BANDS, compiled)
        self.wide = None if self.lost is None else self._wide_group()
        groups = self.groups if self.wide is None else [*self.groups, self.wide]
        self.lowest = min(0, *(min(starts) for starts, *_ in groups))
        highest = (max(starts) + responses.shape[1] - 1 for starts, responses, *_ in groups)
        self.highest = max(blocks.size // 2, *highest)

    def energy(
        self, wavs: torch.Tensor, num_valid: torch.Tensor | None = None, floor: float = 0.0
    ) -> torch.Tensor:
        """Energies (B, frames, N) of `wavs` (B, T), zero behind `num_valid` (B,).

        The error is bounded relative to each energy or to `floor`, whichever is larger.
        """
        # C has no gradient of the signal.
        compiled = self.compiled and not wavs.requires_grad
        spectra = BlockSpectra(wavs, self.blocks, self.lowest, self.highest)
        valid = self.blocks.valid_samples(len(wavs), wavs.shape[1], num_valid)
        total = Accumulator(len(self.pool), len(wavs), self.blocks.frames)
        options = {"first_frame": self._first_frames(len(wavs)), "compiled": compiled}
        bands = [
            self._bands(spectra, group, valid, into=total, channels=channels, **options)
            for group, channels in zip(self.groups, self.channels, strict=True)
        ]
        if self.reduced:
            tails = Tails(wavs, self.blocks, total, self.reduced, num_valid, self.kept, compiled)
            bands += [*tails.leading(*self.tails), *tails.trailing(*self.tails)]
        if self.wide is not None:
            options.update(into=replace(total, outputs=LOST_BANDS), channels=range(LOST_BANDS))
            options["compiled"] = self.compiled
            bands.append(self._bands(spectra.detach(), self.wide, None, **options))
        energy, *wide = pooled_bands(bands)
        if wide:
            # Without a gradient: it is at most `MAX_LOST` of the energy.
            lost, flagged = lost_energy(
                *(energy.detach(), wide[0], self.lost, self.blocks, floor, self.compiled)
            )
            energy = energy + lost
            if flagged is not None:
                energy = self._recomputed(energy, wavs, flagged, num_valid)
        return energy.permute(1, 2, 0)[..., : self.num_filters]

    def _first_frames(self, clips: int) -> torch.Tensor | None:
        """First frame of each block, (clips * blocks,)."""
        blocks = self.blocks
        if blocks.num_blocks == 1:
            return None
        first = torch.arange(blocks.num_blocks, device=self.taps.device) * blocks.block_frames
        return first.repeat(clips)

    def _bands(self, spectra, group, valid, blocks=None, **options) -> Bands:
        """One group (first bins, responses, weights) of the bank, applied to spectra."""
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
            valid if responses.shape[1] == blocks.size else None,
            frames=blocks.block_frames,
            span=blocks.span,
            **options,
        )

    def _recomputed(self, energy, wavs, flagged, num_valid):
        """`energy` (N, B, frames), with the frames around `flagged` ones from the full rate."""
        large, frames = self.blocks, energy.shape[2]
        lengths = large.hop, large.window, large.pool, large.offset
        blocks = make_blocks(wavs.shape[1], *lengths, min(EXACT_FRAMES, large.block_frames))
        behind = blocks.block_frames * blocks.num_blocks - frames
        by_block = len(energy), len(wavs) * blocks.num_blocks, blocks.block_frames
        flagged = functional.pad(flagged, (0, behind)).view(by_block)
        # Pairs of a filter and a block that it is applied to.
        members, rows = flagged.any(2).nonzero(as_tuple=True)
        needed, row = torch.unique(rows, return_inverse=True)
        clip = torch.div(needed, blocks.num_blocks, rounding_mode="floor")
        cut = blocks.windows(wavs)[clip, needed % blocks.num_blocks]
        spectra = Spectra(torch.fft.rfft(cut), blocks.size, 0, blocks.size - 1)
        valid = blocks.valid_samples(len(wavs), wavs.shape[1], num_valid)[rows]
        filters, counts = torch.unique_consecutive(members, return_counts=True)
        filters, counts = filters.tolist(), counts.tolist()
        rate_groups = [(blocks.hop, [i]) for i in filters]
        groups = self._groups(rate_groups, *self._kernels(filters), [], blocks)
        compiled = self.compiled and not wavs.requires_grad
        pooled = pooled_bands(
            [
                self._bands(spectra.pick(picked), group, ends, blocks, compiled=compiled)
                for group, picked, ends in zip(
                    groups, row.split(counts), valid.split(counts), strict=True
                )
            ]
        )
        energy = functional.pad(energy, (0, behind)).view(by_block)
        energy = energy.index_put((members, rows), torch.cat([part[0, 0] for part in pooled]))
        return energy.view(len(energy), len(wavs), -1)[..., :frames]

    def _kernels(self, members: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Taps (S, W) and pooling windows (S, outputs, P) of some filters."""
        kernels = self.taps, self.pool.view(-1, self.outputs, self.pool.shape[1])
        if members == list(range(len(self.taps))):
            return kernels
        index = torch.tensor(members, device=self.taps.device)
        return tuple(kernel.index_select(0, index) for kernel in kernels)

    def _groups(
        self,
        rate_groups: list[tuple[int, list[int]]],
        taps: torch.Tensor,
        windows: torch.Tensor,
        centres: list[float],
        blocks: Blocks,
    ) -> list[tuple]:
        """(first bins, responses, weights) of each group (rate, filters), by rising rate; the
        kernels are in the order of the groups."""
        # Filters at the full rate have no band: their responses are computed apart.
        reduced = [group for group in rate_groups if group[0] < blocks.hop]
        count = sum(len(members) for _, members in reduced)
        groups = self._groups_of_kind(reduced, taps[:count], windows[:count], centres, blocks)
        full = rate_groups[len(reduced) :]
        return groups + self._groups_of_kind(full, taps[count:], windows[count:], centres, blocks)

    def _groups_of_kind(self, rate_groups, taps, windows, centres, blocks) -> list[tuple]:
        """`_groups` for reduced rates only, or for the full rate only."""
        if not rate_groups:
            return []
        size, hop, segments = blocks.size, blocks.hop, blocks.segments
        starts = [
            first_bins([centres[i] for i in members], size, rate * segments)
            if rate < hop
            else [0] * len(members)
            for rate, members in rate_groups
        ]
        # As many bins for all filters of an octave of rates as one of them needs, cut afterwards:
        # one call of each operator instead of one per group.
        octaves = [list(o) for _, o in groupby(rate_groups, lambda group: group[0].bit_length())]
        parts = [
            (sum(len(members) for _, members in octave), octave[-1][0] * segments)
            for octave in octaves
        ]
        flat_starts = [start for group in starts for start in group]
        by_octave = band_responses(taps, flat_starts, size, parts, self.compiled)
        responses = [
            response
            for part, octave in zip(by_octave, octaves, strict=True)
            for response in part.split([len(members) for _, members in octave])
        ]
        windows = windows.split([len(members) for _, members in rate_groups])
        groups = []
        for (rate, _), first, response, window in zip(
            rate_groups, starts, responses, windows, strict=True
        ):
            weights = pooling_weights(window.flatten(0, 1), blocks, rate)
            # The weights of a pair of real filters follow each other.
            weights = weights.view(len(window), -1, rate)
            groups.append((first, response[:, : rate * segments], weights))
        return groups

    @torch.no_grad()
    def _wide_group(self) -> tuple:
        """Equal rectangular bands from 0 to half the sample rate, to estimate lost energy."""
        blocks, device = self.blocks, self.taps.device
        rate = -(-blocks.hop // (2 * LOST_BANDS))
        bins = rate * blocks.segments
        starts = [i * (blocks.size // (2 * LOST_BANDS)) for i in range(LOST_BANDS)]
        responses = torch.full((LOST_BANDS, bins), 1 / blocks.size, device=device)
        windows = self.pool.mean(0, keepdim=True).expand(LOST_BANDS, -1)
        return (starts, responses.to(self.taps.dtype), pooling_weights(windows, blocks, rate))


def _complex_taps(taps: torch.Tensor, exact: bool) -> torch.Tensor:
    """Complex filters (S, W): of a complex bank, or of pairs of real filters.

    A complex filter is conjugated unless `exact`, which changes no modulus and puts the band of a
    Gabor filter at positive frequencies, where the spectrum of a real signal is stored.
    """
    if taps.shape[1] == 2:
        return torch.complex(taps[:, 0], taps[:, 1] if exact else -taps[:, 1])
    pairs = functional.pad(taps[:, 0], (0, 0, 0, len(taps) % 2))
    return torch.complex(pairs[0::2], pairs[1::2])
