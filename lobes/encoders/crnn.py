"""CRNN for music: four convolutions with strong pooling, then two GRUs over time."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from ...processing.filterbank.framing import frame_count
from ..contracts import Encoder
from ..layers.batch_norm import norm_values
from ..layers.masks import frame_mask, strided_counts, trim_padding, zero_padding
from ..layers.recurrent import GRU
from ..options import number, whole, wholes
from ..registry import register_encoder

FEATURE_POOLS = (2, 3, 4, 4)


@register_encoder(
    "crnn",
    paper="Choi et al. 2017, Convolutional Recurrent Neural Networks for Music Classification, "
    "ICASSP, arXiv:1609.04243",
    source="minzwon/sota-music-tagging-models@06fa058",
)
class CRNN(Encoder):
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

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, hidden), or (B, ceil(N / 96), hidden), zero
    behind each item's end; in place of 96 the product of `time_pools`.
    Parameters: 392,450 for any number of features; with a head of 50 outputs 394,100.

    Notes
    -----
    The last, incomplete part of a pooling counts, over time and over features; where more than one
    row of features is left (above 96), their mean is taken. Batch statistics are those of the
    valid frames. Activations kept for training, in float32, of 12 clips of 30 s with 96 features
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

    fewest_features = 2

    def __init__(
        self,
        in_features: int,
        channels: tuple[int, ...] = (64, 128, 128, 128),
        hidden: int = 32,
        time_pools: tuple[int, ...] = (2, 3, 4, 4),
        dropout: float = 0.5,
        output: str = "utterance",
    ):
        widths = wholes("channels", channels, 4)
        pools = wholes("time_pools", time_pools, 4)
        stride = math.prod(pools) if output == "frames" else 1
        super().__init__(in_features, whole("hidden", hidden), output, stride)
        self.time_pools = tuple(pools)
        self.input_norm = nn.BatchNorm2d(1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1)
            for before, after in zip([1, *widths], widths, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.recurrent = GRU(widths[-1], self.out_features, 2, batch_first=True)
        self.dropout = nn.Dropout(number("dropout", dropout, low=0, below=1))

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        total = frame_count(feats.shape[1], math.prod(self.time_pools))
        x, counts = trim_padding(feats, lengths)
        mask = frame_mask(counts, x.shape[1])
        x = x.transpose(1, 2).unsqueeze(1)  # (B, 1, F, N)
        x = zero_padding(norm_values(self.input_norm, zero_padding(x, mask), mask), mask)
        for convolution, norm, rows, frames in zip(
            self.convolutions, self.norms, FEATURE_POOLS, self.time_pools, strict=True
        ):
            x = F.relu(norm_values(norm, convolution(x), mask), inplace=True)
            # After the ReLU a zero never wins against a valid frame.
            x = F.max_pool2d(zero_padding(x, mask), (rows, frames), ceil_mode=True)
            counts = strided_counts(counts, frames)
            mask = frame_mask(counts, x.shape[3])
        x, _ = self.recurrent(x.mean(2).transpose(1, 2))
        x = x.float()
        if self.output == "frames":
            x = F.pad(zero_padding(x, mask, axis=1), (0, 0, 0, total - x.shape[1]))
        elif counts is None:
            x = x[:, -1:]
        else:
            x = x.gather(1, (counts - 1)[:, None, None].expand(-1, 1, x.shape[2]))
        return self.dropout(x)
