"""What stands between a frontend and an encoder: normalisation of features over time.

SpeechBrain's `InputNormalization` is not used: its statistics are plain attributes outside
`state_dict` (a bundle would lose them), they differ between ranks, and a constant utterance is
divided by 1e-10, which turns rounding errors into features.
"""

from __future__ import annotations

import torch
from torch import nn

from ..contracts import valid_lengths

__all__ = ["KINDS", "GlobalNormalization", "NoNormalization", "SentenceNormalization"]


def _inside(feats: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """1 on valid frames, 0 on padding; (B, N, 1) float32."""
    batch, frames = feats.shape[:2]
    if lengths is None:
        return torch.ones(batch, frames, 1, device=feats.device)
    valid = valid_lengths(lengths.to(feats.device), frames)
    return (torch.arange(frames, device=feats.device) < valid[:, None])[..., None].float()


class NoNormalization(nn.Module):
    """Hand the features on as they are."""

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return feats


class SentenceNormalization(nn.Module):
    """Zero mean and unit variance of each feature over the utterance's valid frames.

    Arguments
    ---------
    epsilon : float
        Added to the variance, so that a constant utterance becomes zeros and not noise.

    Shape
    -----
    feats (B, N, F), lengths (B,) relative -> (B, N, F)

    Example
    -------
    >>> SentenceNormalization()(torch.full((1, 5, 2), 7.0)).abs().max().item()
    0.0
    """

    def __init__(self, epsilon: float = 1e-5):
        super().__init__()
        self.epsilon = epsilon

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        inside = _inside(feats, lengths)
        feats = feats.float().masked_fill(inside == 0, 0)
        count = inside.sum(1, keepdim=True).clamp(min=1)
        mean = (feats * inside).sum(1, keepdim=True) / count
        centred = (feats - mean) * inside
        variance = centred.square().sum(1, keepdim=True) / count
        return centred * torch.rsqrt(variance + self.epsilon)


class GlobalNormalization(nn.Module):
    """Zero mean and unit variance of each feature over the training set.

    The statistics are running sums over every valid frame seen in training, on all ranks; they
    are buffers and travel with `state_dict`. Before the first update it changes nothing.

    Arguments
    ---------
    num_features : int
    epsilon : float
        Added to the variance.

    Shape
    -----
    feats (B, N, F), lengths (B,) relative -> (B, N, F)
    """

    def __init__(self, num_features: int, epsilon: float = 1e-5):
        super().__init__()
        self.epsilon = epsilon
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(num_features, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(num_features, dtype=torch.float64))

    @torch.no_grad()
    def _update(self, feats: torch.Tensor, inside: torch.Tensor) -> None:
        masked = feats.double() * inside
        sums = torch.cat(
            [inside.double().sum().view(1), masked.sum((0, 1)), masked.square().sum((0, 1))]
        )
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        width = self.mean.numel()
        added, total, squares = sums[0], sums[1 : 1 + width], sums[1 + width :]
        count = self.count + added
        if count == 0:
            return
        old_squares = self.count * (self.variance + self.mean.square())
        mean = (self.count * self.mean + total) / count
        self.variance.copy_(((old_squares + squares) / count - mean.square()).clamp(min=0))
        self.mean.copy_(mean)
        self.count.copy_(count)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        inside = _inside(feats, lengths)
        feats = feats.float().masked_fill(inside == 0, 0)
        if self.training:
            self._update(feats, inside)
        scale = torch.rsqrt(self.variance + self.epsilon).float()
        return (feats - self.mean.float()) * scale * inside


KINDS = {"none": NoNormalization, "sentence": SentenceNormalization, "global": GlobalNormalization}
