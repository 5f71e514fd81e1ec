"""FCN for music: five convolutions with strong pooling, and nothing behind them."""

import torch
from torch import nn

from ..layers.masks import frame_mask, zero_padding
from ..options import number, wholes
from ..registry import register_encoder
from ._pooled_convolutions import PooledConvolutions

FEATURE_POOLS = (2, 2, 2, 3, 4)


@register_encoder(
    "fcn",
    paper="Choi et al. 2016, Automatic Tagging Using Deep Convolutional Neural Networks, ISMIR, "
    "arXiv:1606.00298",
    source="minzwon/sota-music-tagging-models@06fa058",
)
class FCN(PooledConvolutions):
    """Fully convolutional net: what five poolings leave of a clip is its embedding.

    The input is normalised as a whole. Five 3x3 convolutions follow, each with batch norm, ReLU and
    the maximum over 4, 4, 4, 5 and 4 frames and 2, 2, 2, 3 and 4 features, which leaves one step
    per 1,280 frames; the mean over the steps is the output.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number above 1. Published: 96 mel bands every 16 ms.
    channels : sequence of five int
        Of the convolutions; the last is D. Published: (64, 128, 128, 128, 64).
    time_pools : sequence of five int
        Frames over which each layer takes the maximum. Published: (4, 4, 4, 5, 4), for clips of
        29 s in 1,813 frames.
    dropout : float
        Of the output, in training.
    partial_pools : bool
        True: the last, incomplete part of a pooling over time counts. False: it is left out, as in
        the source, unless it is all there is.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, channels[-1])
    Parameters: 444,482 for any number of features; with a head of 50 outputs 447,732.

    Notes
    -----
    The last, incomplete part of a pooling over features counts; where more than one row of
    features is left (above 96), their mean is taken. Batch statistics are those of the valid frames.

    References
    ----------
    Followed: FCN of the source, which takes clips of 1,280 to 2,559 frames, of which it reads the
    first 1,280. Deviations: any number of features and any length; padded frames take no part.

    Example
    -------
    >>> FCN(96)(torch.randn(2, 1813, 96)).shape
    torch.Size([2, 1, 64])
    """

    def __init__(
        self,
        in_features: int,
        channels: tuple[int, ...] = (64, 128, 128, 128, 64),
        time_pools: tuple[int, ...] = (4, 4, 4, 5, 4),
        dropout: float = 0.5,
        partial_pools: bool = True,
    ):
        pools = FEATURE_POOLS, time_pools, partial_pools
        width = wholes("channels", channels, len(FEATURE_POOLS))[-1]
        super().__init__(in_features, width, "utterance", channels, *pools)
        self.dropout = nn.Dropout(number("dropout", dropout, low=0, below=1))

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, counts = self.pooled_steps(feats, lengths)
        if counts is None:
            mean = x.mean(1)
        else:
            x = zero_padding(x, frame_mask(counts, x.shape[1]), axis=1)
            mean = x.sum(1) / counts[:, None]
        return self.dropout(mean.unsqueeze(1).float())
