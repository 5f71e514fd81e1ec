"""SampleCNN: convolutions over three samples and pooling by three on windows of the waveform."""

import torch
from torch import nn
from torch.nn import functional as F

from ..layers.batch_norm import norm_values
from ..layers.clip_windows import cut_windows, mean_of_windows, valid_windows
from ..options import choice, number, wholes
from ..registry import register_encoder
from ._waveform import WaveformEncoder


@register_encoder(
    "sample_cnn",
    paper="Lee et al. 2017, Sample-level Deep Convolutional Neural Networks for Music Auto-tagging "
    "Using Raw Waveforms, SMC, arXiv:1703.01789",
    source="minzwon/sota-music-tagging-models@06fa058",
)
class SampleCNN(WaveformEncoder):
    """Convolutions over 3 samples with pooling by 3, on windows of 59,049 samples of the waveform.

    A convolution with stride 3 and nine layers of convolution over 3 steps, batch norm, ReLU and
    maximum over 3 turn 3 ** 10 samples, 2.68 s at 22.05 kHz, into one frame, and one more
    layer follows.

    A clip of any length is cut into the least number of windows that cover it, evenly spread from
    its first sample to its last, and the windows' frames are averaged. A clip shorter than a window
    is repeated until it fills one. It takes the frontend `waveform`.

    Arguments
    ---------
    in_features : int
        1: a frame is a sample.
    channels : sequence of int
        Channels of the first convolution and of each layer after it; a window holds
        3 ** len(channels) samples. Published: ten of them, the default.
    last_kernel : int
        Steps that the last layer, whose input is a single step, looks at: 1 as published, 3 as in
        CLMR.
    dropout : float
        Of the output, in training.

    Shape
    -----
    feats (B, N, 1), lengths (B,) or None -> (B, 1, channels[-1]).
    Parameters: 1,844,224 (1,869,874 with a head of 50 outputs, published 1.9 million); 2,368,512
    with `last_kernel` 3, of which 524,288 never see a step.

    Notes
    -----
    The windows of a batch are computed as one batch, so that no layer sees padding, and batch
    statistics are those of the clips. Activations kept for training, in float32: 67.5 MiB for a
    window, 810 MiB for 12 clips of one window and 9.5 GiB for 12 clips of 30 s at 22.05 kHz (12
    windows each). Windows that overlap repeat samples of the input; nothing else is held twice.

    References
    ----------
    Followed: SampleCNN of the source. Deviations: the first convolution reads samples 0 to 2 and
    not -1 to 1, as the paper's (and CLMR's, Spijkervet/CLMR@09d32de) does, so that the last sample
    counts; the average over a clip's windows is of what stands before the head and is part of
    training, where the paper trains on single windows and averages predictions, which is the
    same for a linear head.

    Example
    -------
    >>> SampleCNN(channels=(8, 8, 16))(torch.randn(2, 100, 1)).shape
    torch.Size([2, 1, 16])
    """

    def __init__(
        self,
        in_features: int = 1,
        channels: tuple[int, ...] = (128, 128, 128, 256, 256, 256, 256, 256, 256, 512),
        last_kernel: int = 1,
        dropout: float = 0.5,
    ):
        widths = wholes("channels", channels)
        if len(widths) < 2:
            raise ValueError(f"channels must be two or more, got {channels!r}")
        super().__init__(in_features, widths[-1], output="utterance")
        self.window = 3 ** len(widths)
        last = choice("last_kernel", last_kernel, (1, 3))
        self.convolutions = nn.ModuleList([nn.Conv1d(1, widths[0], 3, stride=3)])
        for before, after in zip(widths, widths[1:], strict=False):
            self.convolutions.append(nn.Conv1d(before, after, 3, padding=1))
        self.convolutions.append(nn.Conv1d(widths[-1], widths[-1], last, padding=last // 2))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in [*widths, widths[-1]])
        self.dropout = nn.Dropout(number("dropout", dropout, low=0, below=1))

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, counts = cut_windows(feats, lengths, self.window)
        x, mask = x.transpose(1, 2), valid_windows(x, counts)
        last = len(self.norms) - 1
        for index, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            x = F.relu(norm_values(norm, convolution(x), mask), inplace=True)
            if 0 < index < last:
                x = F.max_pool1d(x, 3)
        return self.dropout(mean_of_windows(x.squeeze(2), counts)).unsqueeze(1)
