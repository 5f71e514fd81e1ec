"""The convolutional encoder of wav2vec 2.0: seven layers of free filters on the waveform."""

import torch
from torch import nn

from ...processing.filterbank.framing import at_least
from ...processing.filterbank.responses import FilterSet, from_taps
from ..contracts import Frontend, check_batch
from ..layers.masks import frame_counts, frame_mask, mask_padding, zero_padding
from ..options import choice, whole
from ..registry import register_frontend

NORMS = ("group", "layer")
HOP_S = 0.02
#: Kernels of the layers behind the first one, each of which halves the frame rate.
KERNELS = (3, 3, 3, 3, 2, 2)
#: Bounds of a filter's sum and of its Euclidean norm; both are about 1.4 at the start.
MAX_WEIGHT = 16.0
#: Bound of a normalisation's offset, in standard deviations; GELU is flat below about -5.
MAX_OFFSET = 3.0


def layer_sizes(sample_rate: int) -> list[tuple[int, int]]:
    """Kernel and stride of the seven layers in samples of their input, for a hop of about 20 ms.

    16 kHz has the published ones. At another rate the first layer's stride is the nearest whole
    number, its kernel is twice that, and below 12.8 kHz one of the next layers after the other
    stops halving.

    Example
    -------
    >>> layer_sizes(16000)
    [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)]
    >>> layer_sizes(8000)[:3], layer_sizes(22050)[:3]
    ([(10, 5), (3, 1), (3, 2)], [(14, 7), (3, 2), (3, 2)])
    """
    halvings = len(KERNELS)
    while halvings and sample_rate * HOP_S / 2**halvings < 4:
        halvings -= 1
    first = max(1, round(sample_rate * HOP_S / 2**halvings))
    strides = [1] * (len(KERNELS) - halvings) + [2] * halvings
    return [(2 * first, first), *zip(KERNELS, strides, strict=True)]


class ConvLayer(nn.Module):
    """A strided convolution without padding, a normalisation if any, and GELU.

    Shape
    -----
    x (B, C, T), valid (B,) or None -> (B, D, (T - kernel) // stride + 1).
    `valid`: number of steps of the output that belong to each item.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: str | None):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=norm == "layer")
        nn.init.kaiming_normal_(self.conv.weight)
        self.layer_norm = None
        if norm == "layer":
            self.layer_norm = nn.LayerNorm(outputs)
        elif norm == "group":
            self.layer_norm = nn.GroupNorm(outputs, outputs)

    @torch.no_grad()
    def project_(self) -> None:
        """Bound filters and offsets that could keep GELU in its flat part, without a gradient."""
        if self.layer_norm is not None:
            self.layer_norm.bias.clamp_(-MAX_OFFSET, MAX_OFFSET)
            return  # a normalisation undoes any scale and offset of the filters before it
        # The inputs are GELU's, hardly ever negative: filters of one sign answer with one sign.
        weight = self.conv.weight
        total = weight.sum((1, 2), keepdim=True)
        # Slack, so that a value that rounding leaves above a bound is not projected again.
        excess = torch.where(
            total.abs() > MAX_WEIGHT * (1 + 1e-3), total - total.clamp(-MAX_WEIGHT, MAX_WEIGHT), 0
        )
        weight.sub_(excess / weight[0].numel())
        norm = torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True)
        weight.mul_(torch.where(norm > MAX_WEIGHT * (1 + 1e-3), MAX_WEIGHT / norm, 1))

    def forward(self, x: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
        x = self.conv(x)
        if isinstance(self.layer_norm, nn.LayerNorm):
            x = self.layer_norm(x.transpose(1, 2)).transpose(1, 2)
        elif self.layer_norm is not None:
            x = self.layer_norm(x) if valid is None else self.norm_of_valid(x, valid)
        return nn.functional.gelu(x)

    def norm_of_valid(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """The group norm with mean and variance from each item's own steps."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            mask = frame_mask(valid, x.shape[2])
            count = mask.to(x.dtype).sum(1)[:, None, None]
            x = x - zero_padding(x, mask).sum(2, keepdim=True) / count
            variance = zero_padding(x, mask).square().sum(2, keepdim=True) / count
            gain = self.layer_norm.weight[:, None] * (variance + self.layer_norm.eps).rsqrt()
            return x * gain + self.layer_norm.bias[:, None]


@register_frontend(
    "wav2vec_conv",
    paper="Baevski et al., wav2vec 2.0: A Framework for Self-Supervised Learning, NeurIPS 2020",
    source="torchaudio.models.wav2vec2.components.FeatureExtractor",
)
class Wav2VecConv(Frontend):
    """The seven-layer convolutional encoder of wav2vec 2.0 (and HuBERT, WavLM): free filters.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    channels : int
        Filters of every layer and features F, at least 2.
    norm : str
        "group": each channel of the first layer is normalised over the clip, no biases (the base
        models). "layer": every frame of each layer is normalised over the channels, with biases
        (the large models).

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, 1 + max(0, T - window) // hop, F), zero behind each
    item's end. Convolutions are not padded: frame k reads the samples from hop * k on, `window`
    of them. A clip shorter than a window is padded with zeros, at its end, to one window.

    Raises
    ------
    ValueError
        Unknown `norm`, or fewer than 2 channels.

    Notes
    -----
    At 16 kHz hop 320 and window 400 samples. At another rate kernels and strides follow
    (`layer_sizes`), for a hop near 20 ms: 160 and 210 samples at 8 kHz, 448 and 560 at 22.05 kHz.
    Filters of 10 taps at 8 kHz are twice as long in ms as at 16 kHz.

    A frame that lies within an item reads nothing behind the item's end in any layer; only the
    group norm needs lengths, for statistics of the item's own samples.

    The parameters have the names and shapes that torchaudio and transformers give them below
    `feature_extractor.`: their weights are taken by `load_state_dict`.

    Learned: 4,200,448 values with 512 channels and "group", 4,210,176 with "layer".
    `project_` keeps filters and offsets away from where GELU has no gradient; published initial
    values are far from the bounds.

    References
    ----------
    facebookresearch/fairseq `ConvFeatureExtractionModel`, as in torchaudio 2.11; there, the group
    norm of a padded batch also counts the padding, so that a clip's frames depend on its company.

    Example
    -------
    >>> frontend = Wav2VecConv(sample_rate=16000, channels=32)
    >>> frontend(torch.zeros(2, 16000)).shape, frontend.hop, frontend.window
    (torch.Size([2, 49, 32]), 320, 400)
    """

    def __init__(self, sample_rate: int = 16000, channels: int = 512, norm: str = "group"):
        choice("norm", norm, NORMS)
        whole("channels", channels, 2)
        sizes = layer_sizes(whole("sample_rate", sample_rate))
        hop, window = 1, 1
        for kernel, stride in sizes:
            window += (kernel - 1) * hop
            hop *= stride
        super().__init__(sample_rate, hop, window, channels)
        norms = ["layer"] * 7 if norm == "layer" else ["group"] + [None] * 6
        self.conv_layers = nn.ModuleList(
            ConvLayer(
                1 if layer == 0 else self.num_features, self.num_features, *size, norms[layer]
            )
            for layer, size in enumerate(sizes)
        )

    def num_frames(self, num_samples: int) -> int:
        """Exact number of frames: 1 + max(0, T - window) // hop."""
        return 1 + at_least(num_samples - self.window, 0) // self.hop

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        check_batch(wavs, lengths)
        x = mask_padding(wavs.to(self.conv_layers[0].conv.weight.dtype), lengths)
        x = nn.functional.pad(x, (0, max(0, self.window - x.shape[1])))[:, None]
        if lengths is None:
            for layer in self.conv_layers:
                x = layer(x)
            return x.transpose(1, 2)
        samples = frame_counts(wavs, lengths, least=0)
        valid = samples.clamp(min=self.window)  # with the zeros that make up one window
        for layer in self.conv_layers:
            valid = (valid - layer.conv.kernel_size[0]) // layer.conv.stride[0] + 1
            x = layer(x, valid)
        valid = valid * (samples > 0)
        return zero_padding(x.transpose(1, 2), frame_mask(valid, x.shape[2]), axis=1)

    @torch.no_grad()
    def filters(self, num_bins: int = 512) -> FilterSet:
        """The first layer's filters, which are the only ones that read the waveform itself."""
        return from_taps(self.conv_layers[0].conv.weight, self.sample_rate, num_bins)
