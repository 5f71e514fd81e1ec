"""The part of the energy that lies outside the clip, to be taken away again.

A filtered clip is longer than the clip by half a filter on either side. The direct form does not
count those tails; blocks of the spectrum do. A tail depends on the first (or last) half filter's
worth of samples only, so it is computed exactly, at the full rate, by a short FFT.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from .blocks import Blocks
from .quadratic import pooled_bands

__all__ = ["Tails", "split_outputs", "spread"]


class Tails:
    """Energies outside the clips of one batch.

    Arguments
    ---------
    wavs : tensor (B, T)
        Zero behind each item's end.
    blocks : Blocks
        For hop, offset, frames and the lengths of the windows.
    num_valid : int64 tensor (B,) or None
        Where each item ends.
    rectifier : str
    outputs : int
        1: real and imaginary part of a filter are summed; 2: they are two filters.
    """

    def __init__(
        self,
        wavs: torch.Tensor,
        blocks: Blocks,
        num_valid: torch.Tensor | None,
        rectifier: str,
        outputs: int,
    ):
        self.wavs = wavs
        self.blocks = blocks
        self.rectifier = rectifier
        self.outputs = outputs
        half = (blocks.window - 1) // 2
        hop, offset = blocks.hop, blocks.offset
        self.num_leading = min(blocks.frames, -(-offset // hop))
        self.ends = None
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
        self.order = torch.arange(1 - -(-blocks.pool // hop), (hop + half - 1) // hop + 1)
        self.order = self.order.to(wavs.device)
        self.frame = nearest[:, None] + self.order

    def leading(self, taps: torch.Tensor, pool: torch.Tensor, lags: int) -> torch.Tensor:
        """Energies in front of the clips, for frames 0, 1, ...: (N, B, num_leading).

        Arguments
        ---------
        taps : complex tensor (S, W)
        pool : tensor (S * outputs, P)
        lags : int
            How far the taps reach from their middle.
        """
        middle = (taps.shape[1] - 1) // 2
        steps = torch.arange(lags, device=taps.device)
        starts = self.blocks.hop * torch.arange(self.num_leading, device=taps.device)
        # Sample -1 - j looks at sample i through the tap of lag 1 + i + j.
        weights = self._weights(pool, self.blocks.offset - 1 - steps - starts[:, None])
        one_sided = taps[:, middle + 1 : middle + 1 + lags]
        return self._energy(_head(self.wavs, lags), one_sided, weights)

    def trailing(self, taps: torch.Tensor, pool: torch.Tensor, lags: int) -> torch.Tensor:
        """Energies behind the clips' ends, (N, B, n): for the frames from `first` on, or with
        `ends` for the frames `frame` (B, n)."""
        middle = (taps.shape[1] - 1) // 2
        steps = torch.arange(lags, device=taps.device)
        # Sample T + j looks at sample T - 1 - i through the tap of lag -(1 + i + j).
        one_sided = taps[:, middle - lags : middle].flip(1)
        hop, num_samples = self.blocks.hop, self.wavs.shape[1]
        if self.ends is None:
            starts = hop * torch.arange(
                self.first, self.first + self.num_trailing, device=taps.device
            )
            where = num_samples + self.blocks.offset + steps - starts[:, None]
            return self._energy(
                _head(self.wavs.flip(1), lags), one_sided, self._weights(pool, where)
            )
        source = self.ends[:, None] - 1 - steps
        head = self.wavs.gather(1, source.clamp(min=0)) * (source >= 0).to(self.wavs.dtype)
        reach = torch.arange(hop + lags, device=taps.device)
        weights = self._weights(pool, reach - hop * self.order[:, None])
        return self._energy(head, one_sided, weights, self.delay)

    def subtract(
        self, energy: torch.Tensor, leading: torch.Tensor | None, trailing: torch.Tensor | None
    ) -> torch.Tensor:
        """Take both tails away from `energy` (B, frames, N)."""
        frames = energy.shape[1]
        if leading is not None:
            energy = energy - functional.pad(leading, (0, 0, 0, frames - self.num_leading))
        if trailing is not None and self.ends is None:
            behind = frames - self.first - self.num_trailing
            energy = energy - functional.pad(trailing, (0, 0, self.first, behind))
        elif trailing is not None:
            inside = (self.frame >= 0) & (self.frame < frames)
            place = self.frame.clamp(0, frames - 1)[..., None].expand_as(trailing)
            energy = energy.scatter_add(1, place, -trailing * inside[..., None])
        return energy

    def _weights(self, pool: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Pooling weights at the positions `where` (n, K), 0 outside the window."""
        width = pool.shape[1]
        inside = (where >= 0) & (where < width)
        picked = pool.index_select(1, where.clamp(0, width - 1).reshape(-1))
        return spread(picked.view(-1, *where.shape) * inside.to(pool.dtype), self.outputs)

    def _energy(
        self,
        head: torch.Tensor,
        taps: torch.Tensor,
        weights: torch.Tensor,
        delay: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Correlate heads (B, K) with taps (S, K), rectify, weight: (S * outputs, B, n)."""
        lags = head.shape[1]
        size = 2 * lags + (self.blocks.hop if delay is not None else 0)
        spectra = torch.fft.fft(head, n=size).conj()
        row_weights = None
        if delay is not None:
            place = torch.arange(size, device=head.device)
            turns = (place * delay[:, None]).remainder(size).to(head.dtype)
            turns = turns * (-2 * math.pi / size)
            spectra = spectra * torch.polar(torch.ones_like(turns), turns)
            inside = (place >= delay[:, None]) & (place < delay[:, None] + lags)
            row_weights = inside.to(head.dtype).repeat_interleave(2, dim=1)
        responses = torch.fft.fft(taps, n=size) / size
        weights = functional.pad(weights, (0, 2 * size - weights.shape[2]))
        starts = torch.zeros(len(taps), dtype=torch.int64, device=head.device)
        energy = pooled_bands(
            spectra.resolve_conj(), responses, weights, starts, 1, self.rectifier, row_weights
        )
        return split_outputs(energy[..., 0], self.outputs).transpose(1, 2)


def _head(wavs: torch.Tensor, size: int) -> torch.Tensor:
    head = wavs[:, :size]
    return functional.pad(head, (0, size - head.shape[1]))


def spread(weights: torch.Tensor, outputs: int) -> torch.Tensor:
    """Weights of samples to weights of their real and imaginary parts.

    (S * outputs, n, K) -> (S, outputs * n, 2 K): with one output both parts count alike; with two
    the real part belongs to the first filter of a pair and the imaginary part to the second.
    """
    if outputs == 1:
        return weights.repeat_interleave(2, dim=2)
    filters, count, size = weights.shape
    pairs = weights.reshape(filters // 2, 2, count, size)
    zeros = torch.zeros_like(pairs[:, 0])
    real = torch.cat([pairs[:, 0], zeros], dim=1)
    imaginary = torch.cat([zeros, pairs[:, 1]], dim=1)
    return torch.stack([real, imaginary], dim=3).reshape(filters // 2, 2 * count, 2 * size)


def split_outputs(energy: torch.Tensor, outputs: int) -> torch.Tensor:
    """(S, outputs * n, ...) -> (S * outputs, n, ...): the rows that `spread` made."""
    if outputs == 1:
        return energy
    return energy.unflatten(1, (outputs, -1)).flatten(0, 1)
