"""M5: convolutions on the waveform with kernels of 80 samples and 3 steps, and a mean over time."""

import torch
from torch import nn
from torch.nn import functional as F

from ..layers.batch_norm import norm_values
from ..layers.masks import frame_mask, strided_counts, trim_padding, zero_padding
from ..options import whole, wholes
from ..registry import register_encoder
from ._waveform import WaveformEncoder

KERNEL_SAMPLES = 80
POOL = 4


@register_encoder(
    "m5",
    paper="Dai et al. 2016, Very Deep Convolutional Neural Networks for Raw Waveforms, ICASSP "
    "2017, arXiv:1610.00087",
    source="pytorch/tutorials@84c6357",
)
class M5(WaveformEncoder):
    """Four convolutions on the waveform, each pooled by 4, and the mean over a clip of any length.

    The first convolution looks at 80 samples, the others at 3 steps; batch norm, ReLU and maximum
    over 4 steps follow each. It takes the frontend `waveform`.

    Arguments
    ---------
    in_features : int
        1: a frame is a sample.
    channels : sequence of four int
        Published: (128, 128, 256, 512); torchaudio's tutorial: (32, 32, 64, 64).
    stride : int
        Of the first convolution, in samples, at most 80. Published: 4; torchaudio's tutorial: 16.

    Shape
    -----
    feats (B, N, 1), lengths (B,) or None -> (B, 1, channels[-1]).
    Parameters: 553,984, with a head of 2 outputs 555,010. The tutorial's: 24,640, with its head of
    35 outputs 26,915.

    Notes
    -----
    Every layer gives ceil(steps in / stride) steps, so that a single sample is a clip. Batch
    statistics are those of the valid steps. Activations kept for training, in float32, of 12 clips
    of 30 s at 22.05 kHz: 3,846 MiB, with the tutorial's options 264 MiB; clips of different lengths
    add copies of them, clips of one length do not.

    References
    ----------
    Followed: the paper's table, and the source's layers. Deviation from the source: convolutions
    are padded with zeros, and the last, incomplete part of a pooling counts, which the paper's
    sizes (32,000 samples end as 32 steps) ask for.

    Example
    -------
    >>> M5(channels=(32, 32, 64, 64), stride=16)(torch.randn(2, 8000, 1)).shape
    torch.Size([2, 1, 64])
    """

    def __init__(
        self,
        in_features: int = 1,
        channels: tuple[int, ...] = (128, 128, 256, 512),
        stride: int = 4,
    ):
        widths = wholes("channels", channels, 4)
        super().__init__(in_features, widths[-1], output="utterance")
        self.first_stride = whole("stride", stride, high=KERNEL_SAMPLES)
        self.convolutions = nn.ModuleList(
            [nn.Conv1d(1, widths[0], KERNEL_SAMPLES, stride=self.first_stride)]
        )
        for before, after in zip(widths, widths[1:], strict=False):
            self.convolutions.append(nn.Conv1d(before, after, 3, padding=1))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, counts = trim_padding(feats, lengths)
        x = zero_padding(x.transpose(1, 2), frame_mask(counts, x.shape[1]))
        left = (KERNEL_SAMPLES - self.first_stride) // 2
        x = F.pad(x, (left, KERNEL_SAMPLES - 1 - left))
        counts = strided_counts(counts, self.first_stride)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x)
            mask = frame_mask(counts, x.shape[2])
            x = F.relu(norm_values(norm, x, mask), inplace=True)
            # After the ReLU a zero never wins against a valid step.
            x = F.max_pool1d(zero_padding(x, mask), POOL, ceil_mode=True)
            counts = strided_counts(counts, POOL)
        mean = x.mean(2) if counts is None else x.sum(2) / counts[:, None]
        return mean.float().unsqueeze(1)
