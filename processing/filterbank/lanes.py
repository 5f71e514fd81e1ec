"""Constants and tables of the C sources that work on several rows side by side (lanes.h)."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

__all__ = ["LANES", "is_fast", "roots"]

#: Rows side by side; as in lanes.h.
LANES = 8


def is_fast(points: int) -> bool:
    """Whether an FFT of so many points takes short passes only in lanes_fft.h.

    Example
    -------
    >>> is_fast(2200), is_fast(2200 * 17)
    (True, False)
    """
    for prime in (2, 3, 5, 7, 11, 13):
        while points % prime == 0:
            points //= prime
    return points == 1


@lru_cache(maxsize=256)
def roots(size: int) -> torch.Tensor:
    """exp(2 pi i t / size) for t < size, (size, 2) float32."""
    angles = torch.arange(size, dtype=torch.float64) * (2 * math.pi / size)
    return torch.stack([angles.cos(), angles.sin()], dim=1).float()
