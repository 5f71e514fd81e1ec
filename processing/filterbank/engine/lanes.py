"""Constants and tables of the C sources that work on several rows side by side (lanes.h)."""

from __future__ import annotations

import math

import torch

from .kept_tensors import keep_tensors

__all__ = ["LANES", "is_fast", "roots", "suits"]

#: Rows side by side; as in lanes.h.
LANES = 8


def is_fast(points: int, largest: int = 13) -> bool:
    """Whether a number has no prime factor above `largest`: 13 for an FFT by lanes_fft.h.

    Example
    -------
    >>> is_fast(2200), is_fast(2200 * 17), is_fast(2200, largest=5)
    (True, False, False)
    """
    for factor in range(2, largest + 1):
        while points % factor == 0:
            points //= factor
    return points == 1


def suits(tensor: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether the C sources can take it: on the CPU, of that type, not empty, without a gradient.

    Example
    -------
    >>> suits(torch.ones(2), torch.float32), suits(torch.ones(2), torch.float64)
    (True, False)
    """
    on_cpu = tensor.device.type == "cpu" and tensor.dtype == dtype
    return on_cpu and len(tensor) > 0 and not tensor.requires_grad


@keep_tensors(maxsize=256)
def roots(size: int) -> torch.Tensor:
    """exp(2 pi i t / size) for t < size, (size, 2) float32."""
    angles = torch.arange(size, dtype=torch.float64) * (2 * math.pi / size)
    return torch.stack([angles.cos(), angles.sin()], dim=1).float()
