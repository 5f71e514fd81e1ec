"""DS-CNN: depthwise separable convolutions over cepstra, for keywords on microcontrollers."""

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.masks import frame_counts, frame_mask, mask_padding, strided_counts, zero_padding
from ..layers.statistics import masked_mean
from ..options import number, whole
from ..registry import register_encoder

#: Rows along time and features of the first kernel, and its stride along both.
FIRST, STRIDE = (10, 4), 2


@register_encoder(
    "ds_cnn",
    paper="Zhang et al. 2017, Hello Edge: Keyword Spotting on Microcontrollers, arXiv:1711.07128",
    source="mlcommons/tiny@bceb91c",
)
class DSCNN(Encoder):
    """One convolution of stride 2 and four depthwise separable ones, averaged over what is left.

    Each convolution is followed by batch normalisation and ReLU.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number. Published: 10 cepstral coefficients.
    channels : int
        Of every layer, and D.
    blocks : int
        Depthwise separable convolutions, 3 x 3.
    first_dropout, dropout : float
        In training, behind the first convolution and before the mean.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, channels).
    23,180 parameters with a linear head of 12 classes, whatever F is (49 x 10 is the published
    input, of a second in windows of 30 ms each 20 ms).

    Notes
    -----
    In training, the batch statistics include padded frames.

    References
    ----------
    Followed: the model of MLPerf Tiny's keyword spotting, which keeps the feature axis throughout.
    Deviations: its convolutions have a bias besides batch normalisation's (23,756 parameters); zeros
    in front of the first frame are 4 for every length, as TensorFlow has them for its 49 frames and
    for every other number; clips of any length, whose padding does not count.

    Example
    -------
    >>> DSCNN(in_features=10)(torch.randn(2, 49, 10)).shape
    torch.Size([2, 1, 64])
    """

    fewest_features = 2

    def __init__(
        self,
        in_features: int,
        channels: int = 64,
        blocks: int = 4,
        first_dropout: float = 0.2,
        dropout: float = 0.4,
    ):
        super().__init__(in_features, whole("channels", channels), output="utterance")
        width = self.out_features
        rows = -(-self.in_features // STRIDE)
        total = max((rows - 1) * STRIDE + FIRST[1] - self.in_features, 0)
        #: Zeros before and behind the features, and the frames; as TensorFlow's "same".
        self.around = (total // 2, total - total // 2, (FIRST[0] - 1) // 2, FIRST[0] // 2)
        self.first = nn.Sequential(
            nn.Conv2d(1, width, FIRST, STRIDE, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.blocks = nn.ModuleList(Separable(width) for _ in range(whole("blocks", blocks)))
        self.first_dropout = nn.Dropout(number("first_dropout", first_dropout, 0.0, below=1.0))
        self.dropout = nn.Dropout(number("dropout", dropout, 0.0, below=1.0))

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x = mask_padding(feats, lengths).unsqueeze(1)
        x = self.first_dropout(self.first(F.pad(x, self.around)))
        mask = frame_mask(strided_counts(frame_counts(feats, lengths), STRIDE), x.shape[2])
        for block in self.blocks:
            x = block(zero_padding(x, mask, axis=2))
        return masked_mean(self.dropout(x), mask, (2, 3), axis=2).flatten(1).unsqueeze(1)


class Separable(nn.Module):
    """A 3 x 3 convolution of each channel and a mixture of channels.

    Shape
    -----
    (B, channels, N, F) -> the same
    """

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.pointwise = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise(self.depthwise(x))
