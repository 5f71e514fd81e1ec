"""CRNN for music: four convolutions with strong pooling, then two GRUs over time."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from ...processing.filterbank.framing import frame_count
from ..layers.masks import frame_mask, zero_padding
from ..layers.recurrent import GRU
from ..options import number, whole
from ..registry import register_encoder
from ._pooled_convolutions import PooledConvolutions

FEATURE_POOLS = (2, 3, 4, 4)


@register_encoder(
    "crnn",
    paper="Choi et al. 2017, Convolutional Recurrent Neural Networks for Music Classification, "
    "ICASSP, arXiv:1609.04243",
    source="minzwon/sota-music-tagging-models@06fa058",
)
class CRNN(PooledConvolutions):
    """Convolutions with strong pooling, and a recurrent summary of what is left, step by step.

    The input is normalised as a whole. Four 3x3 convolutions follow, each with batch norm, ReLU and
    the maximum over 2x2, 3x3, 4x4 and 4x4 frames and features, which leaves one step per 96 frames;
    two layers of gated recurrent units read the steps in order, whatever the length of the clip.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number above 1. Published: 96 mel bands.
    channels : sequence of four int
        Of the convolutions. Published: (64, 128, 128, 128).
    hidden : int
        Units of each recurrent layer, and D. Published: 32.
    time_pools : sequence of four int
        Frames over which each layer takes the maximum. Published: (2, 3, 4, 4), a step per 96
        frames; (2, 3, 4, 2) at a hop of 10 ms gives the two steps per second of dynamic labels.
    dropout : float
        Of the output, in training.
    output : str
        "utterance": what the last recurrent layer says at the end of the clip. "frames": at
        every step.
    partial_pools : bool
        True: the last, incomplete part of a pooling over time counts. False: it is left out, as in
        the source, unless it is all there is; only with the output "utterance".

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, hidden), or (B, ceil(N / 96), hidden), zero
    behind each item's end; in place of 96 the product of `time_pools`.
    Parameters: 392,450 for any number of features; with a head of 50 outputs 394,100.

    Notes
    -----
    The last, incomplete part of a pooling over features counts; where more than one row of
    features is left (above 96), their mean is taken. Batch statistics are those of the valid
    frames. Activations kept for training, in float32, of 12 clips of 30 s with 96 features
    every 10 ms: 3.4 GiB; clips of different lengths add copies of them.

    References
    ----------
    Followed: CRNN of the source, which has ReLU where the paper has ELU, and one normalisation for
    all bands at the input where the authors' Keras model has one per frame. Deviations: any number
    of features; incomplete poolings count; padded frames take no part.

    Example
    -------
    >>> CRNN(96)(torch.randn(2, 1366, 96)).shape
    torch.Size([2, 1, 32])
    """

    def __init__(
        self,
        in_features: int,
        channels: tuple[int, ...] = (64, 128, 128, 128),
        hidden: int = 32,
        time_pools: tuple[int, ...] = (2, 3, 4, 4),
        dropout: float = 0.5,
        output: str = "utterance",
        partial_pools: bool = True,
    ):
        pools = FEATURE_POOLS, time_pools, partial_pools
        super().__init__(in_features, whole("hidden", hidden), output, channels, *pools)
        width = self.convolutions[-1].out_channels
        self.recurrent = GRU(width, self.out_features, 2, batch_first=True)
        self.dropout = nn.Dropout(number("dropout", dropout, low=0, below=1))

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        total = frame_count(feats.shape[1], math.prod(self.time_pools))
        x, counts = self.pooled_steps(feats, lengths)
        mask = frame_mask(counts, x.shape[1])
        x, _ = self.recurrent(x)
        x = x.float()
        if self.output == "frames":
            x = F.pad(zero_padding(x, mask, axis=1), (0, 0, 0, total - x.shape[1]))
        elif counts is None:
            x = x[:, -1:]
        else:
            x = x.gather(1, (counts - 1)[:, None, None].expand(-1, 1, x.shape[2]))
        return self.dropout(x)
