"""Base of the encoders that wrap a wav2vec 2.0 or HuBERT of transformers for padded batches."""

from __future__ import annotations

import torch
from torch import nn

from ..layers.masks import frame_counts, frame_mask, mask_padding
from ..layers.statistics import even_weights, moments
from ._transformers_folder import config_of
from ._waveform import WaveformEncoder

FROZEN = ("none", "feature_encoder", "all")


class WaveformTransformer(WaveformEncoder):
    """Convolutions on the waveform and a transformer, with padding that changes nothing.

    A subclass says what becomes of the steps. The group norm of the base models counts each item's
    own samples.

    Arguments
    ---------
    in_features : int
        1: a frame is a sample.
    model : nn.Module
        A Wav2Vec2Model or HubertModel, which becomes a part of this.
    freeze : str
        Of `FROZEN`.
    output : str
        "frames" or "utterance".
    stride : int
        Samples from one result to the next, where there is more than one.
    """

    def __init__(
        self, in_features: int, model: nn.Module, freeze: str, output: str, stride: int = 1
    ):
        super().__init__(in_features, model.config.hidden_size, output, stride)
        #: Samples that a step reads, and from one step to the next.
        self.window, self.hop = 1, 1
        for kernel, step in zip(model.config.conv_kernel, model.config.conv_stride, strict=True):
            self.window += (kernel - 1) * self.hop
            self.hop *= step
        self.freeze = freeze
        positions = model.encoder.pos_conv_embed
        positions.conv = _plain(positions.conv)
        self.model = model.float()
        if freeze != "none":
            frozen = model if freeze == "all" else model.feature_extractor
            frozen.requires_grad_(False)

    def lasting_options(self, options: dict) -> dict:
        without = {name: value for name, value in options.items() if name != "path"}
        return {**without, "config": config_of(self.model)}

    def train(self, mode: bool = True) -> WaveformTransformer:
        super().train(mode)
        if self.freeze == "all":
            self.model.eval()
        return self

    def projected(
        self, feats: torch.Tensor, lengths: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Input of the transformer, (B, N', D), and the mask of its valid steps; None: all."""
        wavs = mask_padding(feats.squeeze(2), lengths)
        samples = frame_counts(wavs, lengths, least=self.window)
        x = nn.functional.pad(wavs, (0, max(0, self.window - wavs.shape[1])))
        x = self._convolved(x[:, None], samples).transpose(1, 2)
        steps = None if samples is None else 1 + (samples - self.window) // self.hop
        mask = frame_mask(steps, x.shape[1])
        x = self.model.feature_projection(x)
        return (x[0] if isinstance(x, tuple) else x), mask  # HuBERT's gives no pair

    def _convolved(self, x: torch.Tensor, samples: torch.Tensor | None) -> torch.Tensor:
        """The convolutions, none of which reads behind an item's last step: (B, C, N')."""
        for layer in self.model.feature_extractor.conv_layers:
            norm = getattr(layer, "layer_norm", None)
            if samples is None or not isinstance(norm, nn.GroupNorm):
                x = layer(x)
                continue
            x = layer.conv(x)
            valid = (samples - layer.conv.kernel_size[0]) // layer.conv.stride[0] + 1
            x = layer.activation(_normed(norm, x, frame_mask(valid, x.shape[2])))
        return x


def _normed(norm: nn.GroupNorm, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Each channel of (B, C, N) with mean and variance of each item's valid steps."""
    mean, variance = moments(x, even_weights(x, mask))
    gain = norm.weight[:, None] * (variance + norm.eps).rsqrt()
    return (x - mean) * gain + norm.bias[:, None]


def _plain(conv: nn.Conv1d) -> nn.Conv1d:
    """The convolution without weight normalisation, which cannot be pickled."""
    plain = nn.Conv1d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,
        groups=conv.groups,
    )  # fmt: skip
    with torch.no_grad():
        plain.weight.copy_(conv.weight)
        plain.bias.copy_(conv.bias)
    return plain
