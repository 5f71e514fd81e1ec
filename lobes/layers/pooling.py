"""Attentive statistics pooling: weighted mean and deviation of a clip's frames."""

import torch
from torch import nn
from torch.nn import functional

from ..options import choice, flag, whole
from .batch_norm import TemporalBatchNorm, norm_frames
from .masks import frame_mask, zero_padding

ACTIVATIONS = ("tanh", "relu_norm")


class AttentiveStatistics(nn.Module):
    """Weighted mean and standard deviation over time, with weights that are learned.

    The weight of a frame is the softmax over the item's valid frames of
    ``dense(activation(dense(frame)))``.

    Arguments
    ---------
    channels : int
        C of the frames.
    width : int or None
        Outputs of the first dense layer; None: C.
    activation : str
        "tanh"; "relu_norm": ReLU followed by batch norm over the valid frames.
    shared : bool
        One weight per frame for all channels, instead of one per frame and channel. The bias of
        the last layer, a single number that the softmax cancels, is left out then.

    Shape
    -----
    feats (B, N, C), counts (B,) valid frames of each item, at least 1, or None: all
    -> (B, 1, 2 C) float32

    Notes
    -----
    The variance has a floor of 1e-5, as published, so that a single frame has a gradient. It is
    the mean squared distance from the mean, which equals the difference of the mean square and the
    squared mean, but does not cancel.

    References
    ----------
    Okabe, Koshinaka and Shinoda 2018, Attentive Statistics Pooling for Deep Speaker Embedding.

    Example
    -------
    >>> AttentiveStatistics(6, width=4)(torch.randn(2, 11, 6), torch.tensor([11, 3])).shape
    torch.Size([2, 1, 12])
    """

    def __init__(
        self,
        channels: int,
        width: int | None = None,
        activation: str = "tanh",
        shared: bool = False,
    ):
        super().__init__()
        channels = whole("channels", channels)
        width = channels if width is None else whole("width", width)
        self.first = nn.Linear(channels, width)
        normed = choice("activation", activation, ACTIVATIONS) == "relu_norm"
        self.norm = TemporalBatchNorm(width) if normed else None
        shared = flag("shared", shared)
        self.second = nn.Linear(width, 1 if shared else channels, bias=not shared)

    def forward(self, feats: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
        hidden = self.first(feats)
        if self.norm is None:
            hidden = torch.tanh(hidden)
        else:
            hidden = norm_frames(self.norm, functional.relu(hidden), counts)
        scores, feats = self.second(hidden).float(), feats.float()
        if counts is not None:
            mask = frame_mask(counts, feats.shape[1])
            scores = scores.masked_fill(~mask[..., None], torch.finfo(scores.dtype).min)
            feats = zero_padding(feats, mask, axis=1)
        weights = torch.softmax(scores, 1)
        mean = (weights * feats).sum(1, keepdim=True)
        variance = (weights * (feats - mean).square()).sum(1, keepdim=True)
        return torch.cat([mean, variance.clamp(min=1e-5).sqrt()], 2)
