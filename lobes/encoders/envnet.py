"""EnvNet: two convolutions on the waveform and two on the image of their maxima."""

import torch
from torch import nn
from torch.nn import functional as F

from ..layers.batch_norm import norm_values
from ..layers.clip_windows import cut_windows, mean_of_windows, valid_windows
from ..options import number, whole
from ..registry import register_encoder
from ._waveform import WaveformEncoder

WINDOW_SAMPLES = 24_014
FILTERS = 40
#: Channels x rows x columns of what the dense layers are given.
FLAT = 50 * 11 * 14


@register_encoder(
    "envnet",
    paper="Tokozume and Harada 2017, Learning Environmental Sounds with End-to-End Convolutional "
    "Neural Network, ICASSP",
    source="mil-tokyo/bc_learning_sound@c43e8bb",
)
class EnvNet(WaveformEncoder):
    """A learned picture of 40 filters x 150 steps from the waveform, then a small image network.

    Two convolutions over 8 samples and the maximum over 160 samples give each filter a row of a
    picture; two convolutions over filters and time with pooling, and two dense layers follow.

    A clip of any length is cut into the least number of windows of 24,014 samples (1.5 s at
    16 kHz) that cover it, evenly spread from its first sample to its last, and the windows' results
    are averaged. A clip shorter than a window is repeated until it fills one. It takes the
    frontend `waveform`.

    Arguments
    ---------
    in_features : int
        1: a frame is a sample.
    dense : int
        Width of both dense layers, and D. Published: 4096.
    dropout : float
        After each dense layer, in training.

    Shape
    -----
    feats (B, N, 1), lengths (B,) or None -> (B, 1, dense).
    Parameters: 48,355,788, with a head of 50 outputs 48,560,638; 31,180 of them are in the
    convolutions.

    Notes
    -----
    The windows of a batch are computed as one batch, so that no layer sees padding, and batch
    statistics are those of the clips. Activations kept for training, in float32: 17 MiB for a
    window, 5.6 GiB for 12 clips of 30 s at 22.05 kHz (28 windows each).

    References
    ----------
    Followed: models/envnet.py of the source, layer for layer, with its initial values. Deviation:
    windows are averaged in front of the head and in training, too, where the source trains on one
    random window and averages the outputs of ten.

    Example
    -------
    >>> EnvNet(dense=32)(torch.randn(1, 4000, 1)).shape
    torch.Size([1, 1, 32])
    """

    def __init__(self, in_features: int = 1, dense: int = 4096, dropout: float = 0.5):
        super().__init__(in_features, whole("dense", dense), output="utterance")
        self.waveform_convolutions = nn.ModuleList(
            [nn.Conv1d(1, FILTERS, 8, bias=False), nn.Conv1d(FILTERS, FILTERS, 8, bias=False)]
        )
        self.waveform_norms = nn.ModuleList(nn.BatchNorm1d(FILTERS) for _ in range(2))
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(1, 50, (8, 13), bias=False), nn.Conv2d(50, 50, (1, 5), bias=False)]
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(50) for _ in range(2))
        self.dense = nn.ModuleList([nn.Linear(FLAT, dense), nn.Linear(dense, dense)])
        self.dropout = nn.Dropout(number("dropout", dropout, low=0, below=1))
        for convolution in [*self.waveform_convolutions, *self.convolutions]:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        for layer in self.dense:  # Chainer's default
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            nn.init.zeros_(layer.bias)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, counts = cut_windows(feats, lengths, WINDOW_SAMPLES)
        x, mask = x.transpose(1, 2), valid_windows(x, counts)
        for convolution, norm in zip(self.waveform_convolutions, self.waveform_norms, strict=True):
            x = F.relu(norm_values(norm, convolution(x), mask), inplace=True)
        x = F.max_pool1d(x, 160).unsqueeze(1)  # (K, 1, 40 filters, 150 steps)
        for convolution, norm, pool in zip(self.convolutions, self.norms, (3, (1, 3)), strict=True):
            x = F.relu(norm_values(norm, convolution(x), mask), inplace=True)
            x = F.max_pool2d(x, pool)
        x = x.flatten(1)
        for layer in self.dense:
            x = self.dropout(F.relu(layer(x)))
        return mean_of_windows(x, counts).unsqueeze(1)
