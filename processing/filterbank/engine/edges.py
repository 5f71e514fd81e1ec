"""The part of the energy that lies outside the clip, to be taken away again.

A filtered clip is longer than the clip by half a filter on either side. The direct form does not
count those tails; blocks of the spectrum do. Filters that are read at the full rate leave those
samples out. At a reduced rate no sample need lie where a clip ends; but a tail depends on the
first (or last) half filter's worth of samples only, so it is computed exactly, at the full rate,
by a short FFT.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from .blocks import Blocks
from .kept_tensors import keep_tensors
from .quadratic import Bands, Total
from .spectra import Spectra

__all__ = ["Tails"]

#: Sets of weights that are kept for filters that are not being trained.
KEPT_PARTS = 64


class Tails:
    """Energies outside the clips of one batch, as bands that are taken away from a total.

    Arguments
    ---------
    wavs : tensor (B, T)
        Zero behind each item's end.
    blocks : Blocks
        For hop, offset, frames and the lengths of the windows.
    into : Total
        The energies of the filters, (N, B, frames).
    places : list of int
        Which of them are read at a reduced rate, S filters.
    num_valid : int64 tensor (B,) or None
        Where each item ends.
    kept : dict or None
        Where to keep what depends on the filters only; None: they are being trained.
    """

    def __init__(
        self,
        wavs: torch.Tensor,
        blocks: Blocks,
        into: Total,
        places: list[int],
        num_valid: torch.Tensor | None,
        kept: dict | None = None,
    ):
        self.wavs = wavs
        self.blocks = blocks
        self.into = into
        self.places = places
        self.kept = kept
        half = (blocks.window - 1) // 2
        hop, offset = blocks.hop, blocks.offset
        self.num_leading = min(blocks.frames, -(-offset // hop))
        self.ends = None
        if num_valid is not None and wavs.device.type == "cpu":
            # Waiting for the answer costs nothing there.
            num_valid = None if bool((num_valid == wavs.shape[1]).all()) else num_valid
        if num_valid is None:
            end = wavs.shape[1] + offset
            self.first = max(0, -(-(end - blocks.pool + 1) // hop))
            self.num_trailing = min(blocks.frames, (end + half - 1) // hop + 1) - self.first
            return
        # Items end at different places inside a hop: their tails are moved onto one grid of hops
        # by a delay of less than a hop, so that all of them share one set of weights.
        self.ends = num_valid.to(wavs.device)
        nearest = torch.div(self.ends + offset, hop, rounding_mode="floor")
        self.delay = self.ends + offset - hop * nearest
        self.before = 1 - -(-blocks.pool // hop)
        self.num_delayed = (hop + half - 1) // hop + 1 - self.before
        self.frame = nearest + self.before

    def leading(self, taps: torch.Tensor, pool: torch.Tensor) -> Bands | None:
        """Energies in front of the clips, in frames 0, 1, ...; None where no frame looks there.

        Arguments
        ---------
        taps : complex tensor (S, W)
        pool : tensor (S, P)
        """
        if self.num_leading <= 0:
            return None
        middle = lags = (taps.shape[1] - 1) // 2

        def parts():
            # Sample -1 - j looks at sample i through the tap of lag 1 + i + j.
            where = self.blocks.offset - 1, -1, self.blocks.hop, self.num_leading, lags
            return _parts(taps[:, middle + 1 : middle + 1 + lags], pool, where, 2 * lags)

        return self._bands(1, _head(self.wavs, lags), *self._made("leading", parts))

    def trailing(self, taps: torch.Tensor, pool: torch.Tensor) -> Bands | None:
        """Energies behind the clips' ends; None where no frame looks there."""
        if self.ends is None and self.num_trailing <= 0:
            return None
        hop, num_samples = self.blocks.hop, self.wavs.shape[1]
        middle = lags = (taps.shape[1] - 1) // 2

        def parts(where, size):
            # Sample T + j looks at sample T - 1 - i through the tap of lag -(1 + i + j).
            return _parts(taps[:, middle - lags : middle].flip(1), pool, where, size)

        if self.ends is None:
            begin = num_samples + self.blocks.offset - hop * self.first
            where = begin, 1, hop, self.num_trailing, lags
            made = self._made(("trailing", num_samples), lambda: parts(where, 2 * lags))
            head = _head(self.wavs[:, -lags:].flip(1), lags)
            return self._bands(
                2, head, *made, torch.full((len(head),), self.first, device=head.device)
            )
        source = self.ends[:, None] - 1 - torch.arange(lags, device=taps.device)
        head = self.wavs.gather(1, source.clamp(min=0)) * (source >= 0).to(self.wavs.dtype)
        where = -hop * self.before, 1, hop, self.num_delayed, hop + lags
        made = self._made("delayed", lambda: parts(where, 2 * lags + hop))
        return self._bands(2, head, *made, self.frame, self.delay)

    def _made(self, key, parts) -> tuple[torch.Tensor, torch.Tensor]:
        if self.kept is None:
            return parts()
        if key not in self.kept:
            if len(self.kept) >= KEPT_PARTS:
                self.kept.clear()
            self.kept[key] = parts()
        return self.kept[key]

    def _bands(
        self,
        turn: int,
        head: torch.Tensor,
        responses: torch.Tensor,
        weights: torch.Tensor,
        first: torch.Tensor | None = None,
        delay: torch.Tensor | None = None,
    ) -> Bands:
        """Heads (B, K) through one-sided filters, squared, weighted, and taken away in frames from
        `first` (B,) on."""
        lags, size = head.shape[1], responses.shape[1]
        spectra = torch.fft.fft(head, n=size).conj()
        valid = None
        if delay is not None:
            place = torch.arange(size, device=head.device)
            turns = (place * delay[:, None]).remainder(size).to(head.dtype)
            turns = turns * (-2 * math.pi / size)
            spectra = spectra * torch.polar(torch.ones_like(turns), turns)
            valid = torch.stack([delay, delay + lags], dim=1)
        rows, starts = Spectra(spectra.resolve_conj()), [0] * len(responses)
        where = {"into": self.into, "places": self.places, "first": first, "in_time": True}
        return Bands(rows, responses, weights, starts, 1, valid=valid, turn=turn, **where)


def _parts(
    taps: torch.Tensor, pool: torch.Tensor, where: tuple[int, ...], size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Responses (S, size) of one-sided filters (S, K), and the pooling windows' weights at `where`,
    see `_positions`, 0 outside the windows: (S, n, size)."""
    index, inside = _positions(*where, pool.shape[1], pool.device)
    picked = pool.index_select(1, index).view(-1, *inside.shape) * inside.to(pool.dtype)
    weights = functional.pad(picked, (0, size - inside.shape[1]))
    return torch.fft.fft(taps, n=size) / size, weights


@keep_tensors(maxsize=64)
def _positions(
    begin: int, sign: int, hop: int, frames: int, steps: int, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions begin + sign * step - hop * frame in windows of `width` samples, flat and clamped
    to it, and which are inside, (frames, steps)."""
    at = begin + sign * torch.arange(steps) - hop * torch.arange(frames)[:, None]
    inside = (at >= 0) & (at < width)
    return at.clamp(0, width - 1).reshape(-1).to(device), inside.to(device)


def _head(wavs: torch.Tensor, size: int) -> torch.Tensor:
    head = wavs[:, :size]
    return functional.pad(head, (0, size - head.shape[1]))
