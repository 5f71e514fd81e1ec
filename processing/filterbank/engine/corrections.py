"""Two corrections of the bands' energies: tails outside the clips, and energy outside the bands.

A filtered clip is longer than the clip by half a filter on either side. The direct form does not
count those tails; blocks of the spectrum do. Filters at the full rate mask those samples. At a
reduced rate no sample need lie at a clip's end; but a tail depends on the first (or last) half
filter of samples only, so it is computed exactly, at the full rate, by a short FFT, and subtracted.

The energy that a filter passes outside its band is estimated and added.
"""

import math

import torch
from torch.nn import functional

from . import backend
from .backend import keep_tensors
from .pooled_bands import Accumulator, Bands
from .spectra import Blocks, Spectra

#: Number of equal bands in which the energy outside the filters' own bands is estimated.
LOST_BANDS = 20
#: Frames that may have lost more than this fraction of their energy are recomputed exactly.
MAX_LOST = 3e-5
#: Sets of responses and weights that are kept for filters that are not being trained.
KEPT_SETS = 64


class Tails:
    """Energies outside the clips of one batch, as bands that are subtracted from the total.

    Arguments
    ---------
    wavs : tensor (B, T)
        Zero behind each item's end.
    blocks : Blocks
        For hop, offset, frames and the lengths of the windows.
    into : Accumulator
        The energies of the filters, (N, B, frames).
    channels : list of int
        Filters that are read at a reduced rate, S of N.
    num_valid : int64 tensor (B,) or None
        Samples of each item.
    kept : dict or None
        Keeps what depends on the filters only; None: they are being trained.
    compiled : bool
        In C.
    """

    def __init__(
        self,
        wavs: torch.Tensor,
        blocks: Blocks,
        into: Accumulator,
        channels: list[int],
        num_valid: torch.Tensor | None,
        kept: dict | None = None,
        compiled: bool = False,
    ):
        self.wavs = wavs
        self.blocks = blocks
        self.kept = kept
        self.options = {"into": into, "channels": channels, "compiled": compiled}
        half = (blocks.window - 1) // 2
        hop, offset = blocks.hop, blocks.offset
        self.num_leading = min(blocks.frames, -(-offset // hop))
        self.ends = None
        if num_valid is not None and wavs.device.type == "cpu":
            # Reading a value costs nothing there.
            num_valid = None if bool((num_valid == wavs.shape[1]).all()) else num_valid
        if num_valid is None:
            end = wavs.shape[1] + offset
            self.first = max(0, -(-(end - blocks.pool + 1) // hop))
            self.num_trailing = min(blocks.frames, (end + half - 1) // hop + 1) - self.first
            return
        # Items end at different samples of a hop: a delay of less than a hop moves their tails to
        # one grid of hops, so that all share one set of weights.
        self.ends = num_valid.to(wavs.device)
        nearest = torch.div(self.ends + offset, hop, rounding_mode="floor")
        self.delay = self.ends + offset - hop * nearest
        self.before = 1 - -(-blocks.pool // hop)
        self.num_delayed = (hop + half - 1) // hop + 1 - self.before
        self.frame = nearest + self.before

    def leading(self, taps: torch.Tensor, pool: torch.Tensor) -> list[Bands]:
        """Energies in front of the clips, in frames 0, 1, ...; empty where no frame covers them.

        Arguments
        ---------
        taps : complex tensor (S, W)
        pool : tensor (S, P)
        """
        if self.num_leading <= 0:
            return []
        middle = lags = (taps.shape[1] - 1) // 2

        def make():
            # Sample -1 - j reads sample i through the tap of lag 1 + i + j.
            grid = self.blocks.offset - 1, -1, self.blocks.hop, self.num_leading, lags
            return _responses_and_weights(taps[:, middle + 1 :], pool, grid, 2 * lags)

        return [self._bands(1, _head(self.wavs, lags), *self._kept("leading", make))]

    def trailing(self, taps: torch.Tensor, pool: torch.Tensor) -> list[Bands]:
        """Energies behind the clips' ends; empty where no frame covers them."""
        if self.ends is None and self.num_trailing <= 0:
            return []
        hop, num_samples = self.blocks.hop, self.wavs.shape[1]
        middle = lags = (taps.shape[1] - 1) // 2

        def make(grid, size):
            # Sample T + j reads sample T - 1 - i through the tap of lag -(1 + i + j).
            return _responses_and_weights(taps[:, :middle].flip(1), pool, grid, size)

        if self.ends is None:
            begin = num_samples + self.blocks.offset - hop * self.first
            grid = begin, 1, hop, self.num_trailing, lags
            made = self._kept(("trailing", num_samples), lambda: make(grid, 2 * lags))
            head = _head(self.wavs[:, -lags:].flip(1), lags)
            first = torch.full((len(head),), self.first, device=head.device)
            return [self._bands(2, head, *made, first)]
        source = self.ends[:, None] - 1 - torch.arange(lags, device=taps.device)
        head = self.wavs.gather(1, source.clamp(min=0)) * (source >= 0).to(self.wavs.dtype)
        grid = -hop * self.before, 1, hop, self.num_delayed, hop + lags
        made = self._kept("delayed", lambda: make(grid, 2 * lags + hop))
        return [self._bands(2, head, *made, self.frame, self.delay)]

    def _kept(self, key, make) -> tuple[torch.Tensor, torch.Tensor]:
        if self.kept is None:
            return make()
        if key not in self.kept:
            if len(self.kept) >= KEPT_SETS:
                self.kept.clear()
            self.kept[key] = make()
        return self.kept[key]

    def _bands(
        self,
        stage: int,
        head: torch.Tensor,
        responses: torch.Tensor,
        weights: torch.Tensor,
        first_frame: torch.Tensor | None = None,
        delay: torch.Tensor | None = None,
    ) -> Bands:
        """Heads (B, K) through one-sided filters, squared and weighted, for frames from
        `first_frame` (B,) on."""
        lags, size = head.shape[1], responses.shape[1]
        spectra = torch.fft.fft(head, n=size).conj()
        valid = None
        if delay is not None:
            bins = torch.arange(size, device=head.device)
            phase = (bins * delay[:, None]).remainder(size).to(head.dtype)
            phase = phase * (-2 * math.pi / size)
            spectra = spectra * torch.polar(torch.ones_like(phase), phase)
            valid = torch.stack([delay, delay + lags], dim=1)
        return Bands(
            *(Spectra(spectra.resolve_conj()), responses, weights, [0] * len(responses), 1),
            **{"valid": valid, "stage": stage, "first_frame": first_frame, "along_time": True},
            **self.options,
        )


def _responses_and_weights(
    taps: torch.Tensor, pool: torch.Tensor, grid: tuple[int, ...], size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Responses (S, size) of one-sided filters (S, K), and the pooling windows' weights on a grid,
    see `_positions`, 0 outside the windows: (S, n, size)."""
    index, valid = _positions(*grid, pool.shape[1], pool.device)
    weights = pool.index_select(1, index).view(-1, *valid.shape) * valid.to(pool.dtype)
    weights = functional.pad(weights, (0, size - valid.shape[1]))
    return torch.fft.fft(taps, n=size) / size, weights


@keep_tensors(maxsize=64)
def _positions(
    begin: int, sign: int, hop: int, frames: int, steps: int, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions begin + sign * step - hop * frame in windows of `width` samples, flat and clamped
    to it, and a mask of those inside, (frames, steps)."""
    position = begin + sign * torch.arange(steps) - hop * torch.arange(frames)[:, None]
    valid = (position >= 0) & (position < width)
    return position.clamp(0, width - 1).reshape(-1).to(device), valid.to(device)


def _head(wavs: torch.Tensor, size: int) -> torch.Tensor:
    head = wavs[:, :size]
    return functional.pad(head, (0, size - head.shape[1]))


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
