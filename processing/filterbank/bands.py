"""Bands of a spectrum: a signal's bins around a filter, and the filter's response there."""

from __future__ import annotations

import math

import torch

__all__ = ["band_responses", "first_bins", "real_spectra"]


def first_bins(centres: list[float], size: int, bins: int) -> list[int]:
    """First of `bins` bins around each centre (rad/sample) of an FFT of `size` points."""
    return [round(centre * size / (2 * math.pi)) - bins // 2 for centre in centres]


def band_responses(taps: torch.Tensor, starts: list[int], size: int) -> torch.Tensor:
    """Responses of filters at the bins from each start on, over the FFT's size.

    Arguments
    ---------
    taps : complex tensor (N, W)
    starts : list of int
    size : int
        Points of the FFT.

    Shape
    -----
    -> (N, size), such that the inverse FFT without a factor gives the filter's output.
    """
    if any(starts):
        lag = torch.arange(taps.shape[1], device=taps.device)
        turns = (torch.tensor(starts, device=taps.device)[:, None] * lag).remainder(size)
        turns = turns.to(taps.real.dtype) * (2 * math.pi / size)
        taps = taps * torch.polar(torch.ones_like(turns), turns)
    return torch.fft.ifft(taps, n=size)


def real_spectra(cut: torch.Tensor, lowest: int, highest: int) -> tuple[torch.Tensor, int]:
    """Spectra of real rows (R, S) over the bins from `lowest` (at most 0) to `highest`, which may
    lie beyond half of S; and where bin 0 is."""
    size = cut.shape[1]
    half = torch.fft.rfft(cut)
    # Bin -k, which is also bin size - k, is the conjugate of bin k.
    parts = [half]
    if lowest < 0:
        parts.insert(0, half[:, 1 : 1 - lowest].flip(1).conj())
    if highest > size // 2:
        parts.append(half[:, size - highest : size - size // 2].flip(1).conj())
    whole = torch.cat(parts, dim=1) if len(parts) > 1 else half
    return whole.resolve_conj(), -lowest
