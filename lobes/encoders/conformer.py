"""Conformer of SpeechBrain: self-attention and convolution over steps, masked per item."""

import torch
from speechbrain.lobes.models.transformer.Conformer import (
    ConformerEncoder,
    ConformerEncoderLayer,
    ConvolutionModule,
)
from speechbrain.nnet.attention import RelPosEncXL
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.frame_conv import depthwise_frames
from ..layers.masks import batch_mask, zero_padding
from ..options import number, whole
from ..registry import register_encoder


@register_encoder(
    "conformer",
    paper="Gulati et al. 2020, Conformer: Convolution-augmented Transformer for Speech "
    "Recognition, arXiv:2005.08100",
    source="speechbrain/speechbrain@9c826ef",
)
class Conformer(Encoder):
    """Self-attention between the steps of a clip and convolution along them, for phones.

    A linear layer over `stride` neighbouring frames, then
    `speechbrain.lobes.models.transformer.Conformer.ConformerEncoder` with relative positions, not
    causal; weights trained there can be loaded into `net`.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number.
    layers : int
    d_model : int
        D, width of the output; even and divisible by `heads`.
    heads : int
        Attention heads.
    ff : int
        Width of the feed-forward parts.
    kernel : int
        Steps that a convolution looks at, odd.
    stride : int
        Frames to a step.
    dropout : float
        In training.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, ceil(N / stride), d_model), zero behind each
    item's end. 2,037,168 parameters at 40 features. The published small one is 16 layers of this
    width.

    References
    ----------
    Followed: SpeechBrain's module, its parameters and layers, equal to it where nothing is
    padded. Deviations: there a convolution reads the padding, up to half its kernel behind an
    item's end; here it reads zeros. Published: two strided convolutions, four frames to a step.

    Example
    -------
    >>> Conformer(in_features=40, layers=1)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 51, 144])
    """

    def __init__(
        self,
        in_features: int,
        layers: int = 4,
        d_model: int = 144,
        heads: int = 4,
        ff: int = 576,
        kernel: int = 31,
        stride: int = 2,
        dropout: float = 0.1,
    ):
        d_model, heads = whole("d_model", d_model), whole("heads", heads)
        if d_model % heads or d_model % 2:
            raise ValueError(
                f"d_model must be even and divisible by heads, got d_model {d_model} and "
                f"heads {heads}"
            )
        if whole("kernel", kernel) % 2 == 0:
            raise ValueError(f"kernel must be an odd whole number, got {kernel!r}")
        dropout = number("dropout", dropout, low=0, below=1)
        super().__init__(in_features, d_model, "frames", whole("stride", stride))
        self.input = nn.Linear(self.stride * self.in_features, d_model)
        self.dropout = nn.Dropout(dropout)
        self.positions = RelPosEncXL(d_model)
        self.net = ConformerEncoder(
            num_layers=whole("layers", layers),
            d_model=d_model,
            d_ffn=whole("ff", ff),
            nhead=heads,
            kernel_size=kernel,
            dropout=dropout,
            causal=False,
            attention_type="RelPosMHAXL",
        )

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        mask = batch_mask(feats, lengths)
        x = zero_padding(feats, mask, axis=1)
        x = F.pad(x, (0, 0, 0, -x.shape[1] % self.stride))
        x = self.dropout(self.input(x.unflatten(1, (-1, self.stride)).flatten(2)))
        if mask is not None:
            mask = mask[:, :: self.stride]
        positions = self.positions(x)
        for layer in self.net.layers:
            x = _layer(layer, x, positions, mask)
        return zero_padding(self.net.norm(x), mask, axis=1)


def _layer(
    layer: ConformerEncoderLayer,
    x: torch.Tensor,
    positions: torch.Tensor,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """Feed-forward, attention, convolution, feed-forward: (B, N, D) -> (B, N, D)."""
    x = x + 0.5 * layer.ffn_module1(x)
    normed = layer.norm1(x)
    x = x + layer.mha_layer(
        normed,
        normed,
        normed,
        pos_embs=positions,
        key_padding_mask=None if mask is None else ~mask,
        return_attn_weights=False,
    )
    x = x + _convolved(layer.convolution_module, x, mask)
    return layer.norm2(x + 0.5 * layer.ffn_module2(x))


def _convolved(
    module: ConvolutionModule, x: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    x = module.bottleneck(module.layer_norm(x).transpose(1, 2)).transpose(1, 2)
    # The only place where a step meets its neighbours by their distance in the batch.
    x = depthwise_frames(
        zero_padding(x, mask, axis=1), module.conv.weight.squeeze(1).t(), module.conv.bias
    )
    return module.after_conv(x)
