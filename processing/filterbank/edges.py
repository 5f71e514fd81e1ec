"""The part of the energy that lies outside the clip, to be taken away again.

A filtered clip is longer than the clip by half a filter on either side. The direct form does not
count those tails; blocks of the spectrum do. A tail depends on the first (or last) half filter's
worth of samples only, so it is computed exactly, at the full rate, by a short FFT.
"""

from __future__ import annotations

import torch

from .quadratic import pooled_bands

__all__ = ["tail_energy"]


def tail_energy(
    wavs: torch.Tensor,
    taps: torch.Tensor,
    pool: torch.Tensor,
    lags: int,
    hop: int,
    offset: int,
    frames: int,
    num_valid: torch.Tensor | None,
    rectifier: str,
    outputs: int,
) -> list[tuple[torch.Tensor | slice, torch.Tensor]]:
    """Energies of both tails, by frame.

    Arguments
    ---------
    wavs : tensor (B, T)
    taps : complex tensor (S, W)
    pool : tensor (S * outputs, P)
    lags : int
        How far the taps reach; at most (W - 1) / 2.
    hop, offset, frames : int
    num_valid : int64 tensor (B,) or None
        Where each item ends.
    rectifier : str
    outputs : int
        1: real and imaginary part are summed; 2: they are two filters.

    Returns
    -------
    list of (frames, energy): energy (B, n, S * outputs) belongs to the frames of a slice or, when
    the items differ in length, of an index tensor (B, n), -1 where there is no such frame.
    """
    middle = (taps.shape[1] - 1) // 2
    behind, before = taps[:, middle + 1 : middle + 1 + lags], taps[:, middle - lags : middle]
    width, num_samples = pool.shape[1], wavs.shape[1]
    found = []

    # Sample -1 - j looks at sample i through the tap of lag 1 + i + j.
    count = min(frames, -(-offset // hop))
    if count > 0:
        where = offset - 1 - _grid(lags, count, hop, wavs.device)
        weights = _weights(pool, where, outputs)
        found.append((slice(0, count), _tails(_head(wavs, lags), behind, weights, 2, rectifier)))

    # Sample T + j looks at sample T - 1 - i through the tap of lag -(1 + i + j).
    mirrored = before.flip(1)
    if num_valid is None:
        first = max(0, -(-(num_samples + offset - width + 1) // hop))
        count = min(frames, (num_samples + offset + lags - 1) // hop + 1) - first
        if count > 0:
            steps = torch.arange(lags, device=wavs.device)[:, None]
            starts = hop * torch.arange(first, first + count, device=wavs.device)
            weights = _weights(pool, num_samples + offset + steps - starts, outputs)
            head = _head(wavs.flip(1), lags)
            found.append(
                (slice(first, first + count), _tails(head, mirrored, weights, 2, rectifier))
            )
        return found

    # Items end at different places inside a hop: their tails are moved onto one grid of hops by
    # a delay of less than a hop, so that all of them share one set of weights.
    num_valid = num_valid.to(wavs.device)
    steps = torch.arange(lags, device=wavs.device)
    source = num_valid[:, None] - 1 - steps
    head = wavs.gather(1, source.clamp(min=0)) * (source >= 0).to(wavs.dtype)
    nearest = torch.div(num_valid + offset, hop, rounding_mode="floor")
    delay = num_valid + offset - hop * nearest
    earliest = 1 - -(-width // hop)
    order = torch.arange(earliest, (hop + lags - 1) // hop + 1, device=wavs.device)
    reach = torch.arange(hop + lags, device=wavs.device)
    weights = _weights(pool, reach[:, None] - hop * order, outputs)
    energy = _tails(head, mirrored, weights, 2, rectifier, delay, hop)
    frame = nearest[:, None] + order
    found.append((torch.where((frame >= 0) & (frame < frames), frame, -1), energy))
    return found


def _head(wavs: torch.Tensor, size: int) -> torch.Tensor:
    head = wavs[:, :size]
    return torch.nn.functional.pad(head, (0, size - head.shape[1]))


def _grid(lags: int, count: int, hop: int, device: torch.device) -> torch.Tensor:
    steps = torch.arange(lags, device=device)[:, None]
    return steps + hop * torch.arange(count, device=device)


def _weights(pool: torch.Tensor, where: torch.Tensor, outputs: int) -> torch.Tensor:
    """Pooling weights at the positions `where` (K, n), 0 outside: (S, 2 K, n * outputs)."""
    width = pool.shape[1]
    inside = (where >= 0) & (where < width)
    picked = pool.index_select(1, where.clamp(0, width - 1).reshape(-1))
    picked = picked.view(-1, *where.shape) * inside.to(pool.dtype)
    return spread(picked, outputs)


def spread(weights: torch.Tensor, outputs: int) -> torch.Tensor:
    """Weights of samples to weights of real and imaginary parts.

    (S * outputs, K, n) -> (S, 2 K, n * outputs): with one output both parts count alike; with two
    the real part belongs to the first filter and the imaginary part to the second.
    """
    if outputs == 1:
        return weights.repeat_interleave(2, dim=1)
    filters, size, count = weights.shape
    pairs = weights.view(filters // 2, 2, size, count)
    zeros = torch.zeros_like(pairs[:, 0])
    real = torch.cat([pairs[:, 0], zeros], dim=2)
    imaginary = torch.cat([zeros, pairs[:, 1]], dim=2)
    return torch.stack([real, imaginary], dim=2).reshape(filters // 2, 2 * size, 2 * count)


def gather_outputs(energy: torch.Tensor, outputs: int) -> torch.Tensor:
    """(S, R, ..., n * outputs) -> (S * outputs, R, ..., n)."""
    if outputs == 1:
        return energy
    split = energy.unflatten(-1, (outputs, -1)).movedim(-2, 1)
    return split.flatten(0, 1)


def _tails(head, taps, weights, parts, rectifier, delay=None, hop=0):
    """Filter `head` (B, K) with one-sided taps (S, K), weight: (B, n, S * outputs)."""
    batch, lags = head.shape
    size = 2 * lags + (hop if delay is not None else 0)
    spectra = torch.fft.fft(head, n=size).conj()
    row_weights = None
    if delay is not None:
        bins = torch.arange(size, device=head.device)
        turns = (bins * delay[:, None]).remainder(size).to(head.dtype) * (-2 * torch.pi / size)
        spectra = spectra * torch.polar(torch.ones_like(turns), turns)
        place = torch.arange(size, device=head.device)
        inside = (place >= delay[:, None]) & (place < delay[:, None] + lags)
        row_weights = inside.to(head.dtype).repeat_interleave(2, dim=1)
    responses = torch.fft.fft(taps, n=size) / size
    behind = 2 * size - weights.shape[1]
    weights = torch.nn.functional.pad(weights, (0, 0, 0, behind))
    starts = torch.zeros(len(taps), dtype=torch.int64, device=head.device)
    energy = pooled_bands(
        spectra.resolve_conj(), responses, weights, starts, 1, rectifier, row_weights
    )
    outputs = 2 if rectifier == "pairs" else 1
    return energy[:, :, 0]
