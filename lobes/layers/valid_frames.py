"""Statistics over the valid frames of a padded batch."""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["TemporalBatchNorm", "inside", "masked_median", "standardized"]


def inside(feats: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Which frames are valid, (B, N, 1), for features (B, N, F) and counts of frames (B,).

    Example
    -------
    >>> inside(torch.zeros(2, 3, 1), torch.tensor([3, 1]))[..., 0]
    tensor([[ True,  True,  True],
            [ True, False, False]])
    """
    return (torch.arange(feats.shape[1], device=feats.device) < frames[:, None])[..., None]


def standardized(feats: torch.Tensor, frames: torch.Tensor | None, epsilon: float) -> torch.Tensor:
    """Each feature of each item to zero mean and unit variance over its valid frames, else zero.

    Arguments
    ---------
    feats : tensor (B, N, F)
    frames : int tensor (B,) or None
        Valid frames of each item; None: all.
    epsilon : float
        Added to the variance.

    Shape
    -----
    (B, N, F) -> (B, N, F)

    Example
    -------
    >>> feats = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> standardized(feats, torch.tensor([2]), 0.0)[0, :, 0]
    tensor([-1.,  1.,  0.])
    """
    if frames is None:
        centred = feats - feats.mean(1, keepdim=True)
        return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + epsilon)
    outside = ~inside(feats, frames)
    count = frames.clamp(min=1)[:, None, None]
    mean = feats.masked_fill(outside, 0).sum(1, keepdim=True) / count
    centred = (feats - mean).masked_fill(outside, 0)
    variance = centred.square().sum(1, keepdim=True) / count
    return centred * torch.rsqrt(variance + epsilon)


def masked_median(feats: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Median of each feature over each item's valid frames, the lower one of an even number.

    Shape
    -----
    (B, N, F), (B,) -> (B, 1, F); 0 for an item without frames.

    Example
    -------
    >>> masked_median(torch.tensor([[[3.0], [1.0], [2.0], [9.0]]]), torch.tensor([3])).item()
    2.0
    """
    in_order = feats.masked_fill(~inside(feats, frames), math.inf).sort(1).values
    middle = torch.div(frames - 1, 2, rounding_mode="floor").clamp(min=0)
    place = middle[:, None, None].expand(-1, 1, feats.shape[2])
    return in_order.gather(1, place).masked_fill((frames == 0)[:, None, None], 0)


class TemporalBatchNorm(nn.Module):
    """Batch norm of each feature over the valid frames of a batch.

    `nn.BatchNorm1d` with its defaults, where every frame that counts is valid. A training batch
    with fewer than two valid frames, which that refuses, leaves the running statistics alone.

    Arguments
    ---------
    num_features : int
    epsilon, momentum : float

    Shape
    -----
    feats (B, N, F), frames (B,) valid frames of each item -> (B, N, F)

    Example
    -------
    >>> norm, feats = TemporalBatchNorm(1), torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> norm(feats, torch.tensor([2]))[0, :2, 0].round(decimals=3).tolist(), norm.running_mean
    ([-1.0, 1.0], tensor([0.2000]))
    """

    def __init__(self, num_features: int, epsilon: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.epsilon, self.momentum = epsilon, momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, feats: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        if self.training:
            mean, variance = self._statistics(feats, frames)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return (feats - mean) * scale + self.bias

    def _statistics(
        self, feats: torch.Tensor, frames: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        outside = ~inside(feats, frames)
        total = (~outside).sum()
        count = total.clamp(min=1)
        mean = feats.masked_fill(outside, 0).sum((0, 1)) / count
        variance = (feats - mean).masked_fill(outside, 0).square().sum((0, 1)) / count
        with torch.no_grad():
            unbiased = variance * (count / (count - 1).clamp(min=1))
            step = self.momentum * (total > 1).to(self.running_mean.dtype)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), step)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), step)
        return mean, variance
