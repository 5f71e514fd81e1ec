"""WaveNet's stack of dilated, gated convolutions behind a strided one on the waveform."""

import torch
from torch import nn
from torch.nn import functional as F

from ...processing.filterbank.framing import frame_count
from ..layers.masks import frame_mask, strided_counts, trim_padding, zero_padding
from ..layers.statistics import masked_mean
from ..options import whole
from ..registry import register_encoder
from ._waveform import WaveformEncoder


@register_encoder(
    "wavenet_dilated",
    paper="van den Oord et al. 2016, WaveNet: A Generative Model for Raw Audio, arXiv:1609.03499",
    source="ibab/tensorflow-wavenet@b735da4",
)
class WaveNetDilated(WaveformEncoder):
    """Gated convolutions over two steps, 1 to 512 apart, behind a strided one on the waveform.

    A convolution over two strides of samples gives one step per stride. In each layer a convolution
    over two steps, tanh times sigmoid, and a convolution over one step whose results are added to
    the layer's input and to the output; the distance of the two steps doubles from layer to layer
    and starts anew in each stack. It takes the frontend `waveform`.

    At the full rate, 30 s at 22.05 kHz would keep 19 GiB of activations for each clip, and a layer
    would see 139 ms; behind a stride of 128 samples it is 160 MiB, and 17.8 s.

    Arguments
    ---------
    in_features : int
        1: a frame is a sample.
    stride : int
        Of the strided convolution, in samples; 1 is WaveNet at the full rate.
    stacks, layers : int
        Published for speech and music: 3 stacks of 10 layers, the default.
    channels : int
        Of the residual path and of the gates.
    skip_channels : int
        D, of the output.
    output : str
        "utterance": the mean over the clip. "frames": a step per stride, of the past alone.

    Shape
    -----
    feats (B, N, 1), lengths (B,) or None -> (B, 1, skip_channels), or (B, ceil(N / stride),
    skip_channels), zero behind each item's end.
    Parameters: 898,560, of which 865,600 in the layers.

    Notes
    -----
    A step depends on the past alone, on `receptive_steps` = 1 + stacks (2 ** layers - 1) = 3,070
    steps of it as published. There is no normalisation, so that no layer needs a mask. Activations
    kept for training, in float32: 32 kB per step.

    References
    ----------
    Followed: the paper's residual block and the source's order of its layers. Deviations: samples
    as numbers and not as 256 classes; the strided convolution; the mean over time in place of the
    softmax of the next sample; no unused residual convolution in the last layer.

    Example
    -------
    >>> encoder = WaveNetDilated(stacks=1, layers=4, output="frames")
    >>> encoder(torch.randn(2, 1000, 1)).shape, encoder.num_frames(1000)
    (torch.Size([2, 8, 128]), 8)
    """

    def __init__(
        self,
        in_features: int = 1,
        stride: int = 128,
        stacks: int = 3,
        layers: int = 10,
        channels: int = 64,
        skip_channels: int = 128,
        output: str = "utterance",
    ):
        stride = whole("stride", stride)
        stacks, layers = whole("stacks", stacks), whole("layers", layers, high=16)
        channels, skip = whole("channels", channels), whole("skip_channels", skip_channels)
        super().__init__(in_features, skip, output, stride if output == "frames" else 1)
        self.front_stride = stride
        self.receptive_steps = 1 + stacks * (2**layers - 1)
        self.front = nn.Conv1d(1, channels, 2 * stride, stride=stride)
        self.gates, self.mixes = nn.ModuleList(), nn.ModuleList()
        for index in range(stacks * layers):
            last = index == stacks * layers - 1
            self.gates.append(nn.Conv1d(channels, 2 * channels, 2, dilation=2 ** (index % layers)))
            self.mixes.append(nn.Conv1d(channels, skip + (0 if last else channels), 1))
        self.after = nn.Conv1d(skip, skip, 1)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        total = frame_count(feats.shape[1], self.front_stride)
        x, counts = trim_padding(feats, lengths)
        samples, stride = x.shape[1], self.front_stride
        x = zero_padding(x.transpose(1, 2), frame_mask(counts, samples))
        # Step t reads the samples up to (t + 1) stride.
        x = self.front(F.pad(x, (stride, -samples % stride)))
        x = F.relu(self.after(F.relu(self._skipped(x)))).float()
        mask = frame_mask(strided_counts(counts, stride), x.shape[2])
        if self.output == "utterance":
            return masked_mean(x, mask, (2,)).transpose(1, 2)
        x = zero_padding(x, mask)
        return F.pad(x, (0, total - x.shape[2])).transpose(1, 2)

    def _skipped(self, x: torch.Tensor) -> torch.Tensor:
        """Sum over the layers of what each adds to the output."""
        channels, skip = x.shape[1], self.out_features
        total = None
        for gate, mix in zip(self.gates, self.mixes, strict=True):
            content, opening = gate(F.pad(x, (gate.dilation[0], 0))).split(channels, 1)
            mixed = mix(content.tanh() * opening.sigmoid())
            total = mixed[:, :skip] if total is None else total + mixed[:, :skip]
            if mixed.shape[1] > skip:
                x = x + mixed[:, skip:]
        return total
