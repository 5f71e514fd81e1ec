"""Normalisation of features over time, between a frontend and an encoder.

SpeechBrain's `InputNormalization` is not used: its statistics are plain attributes outside
`state_dict` (a bundle would lose them), they differ between ranks, and a constant utterance is
divided by 1e-10, which turns rounding errors into features.
"""

import torch
from torch import nn

from .masks import batch_mask, frame_counts, zero_padding
from .statistics import masked_mean, standardized


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
        # Around the first frame the mean of a constant is exact: of silence no rounding is left.
        feats = feats.float()
        feats = feats - feats[:, :1].detach()
        return standardized(feats, frame_counts(feats, lengths, least=0), self.epsilon)


class SentenceMean(nn.Module):
    """Subtract each feature's mean over the utterance's valid frames, and leave its scale.

    Shape
    -----
    feats (B, N, F), lengths (B,) relative -> (B, N, F)

    Example
    -------
    >>> SentenceMean()(torch.tensor([[[1.0], [3.0]]])).flatten().tolist()
    [-1.0, 1.0]
    """

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        mask = batch_mask(feats, lengths)
        feats = feats.float()
        return zero_padding(feats - masked_mean(feats, mask, (1,), 1), mask, axis=1)


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
    def _update(self, feats: torch.Tensor, frames: torch.Tensor) -> None:
        feats = feats.double()
        sums = torch.cat([frames.view(1), feats.sum((0, 1)), feats.square().sum((0, 1))])
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
        mask = batch_mask(feats, lengths, least=0)
        feats = zero_padding(feats.float(), mask, axis=1)
        if self.training:
            frames = torch.ones_like(feats[..., 0], dtype=torch.bool) if mask is None else mask
            self._update(feats, frames.sum().double())
        scale = torch.rsqrt(self.variance + self.epsilon).float()
        return zero_padding((feats - self.mean.float()) * scale, mask, axis=1)


KINDS = {
    "none": NoNormalization,
    "sentence": SentenceNormalization,
    "sentence_mean": SentenceMean,
    "global": GlobalNormalization,
}
