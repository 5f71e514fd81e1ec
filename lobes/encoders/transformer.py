"""Transformer encoder over frames, with sinusoidal positions."""

import math

import torch
from torch import nn

from ...processing.system.operators import is_recorded
from ..contracts import Encoder
from ..layers.masks import batch_mask, mask_padding, zero_padding
from ..registry import register_encoder


@register_encoder(
    "transformer",
    paper="Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762",
)
class Transformer(Encoder):
    """Self-attention over the frames of a clip of any length.

    A linear layer, sinusoidal positions and `torch.nn.TransformerEncoder` (normalisation after
    each part, ReLU).

    Arguments
    ---------
    in_features : int
        F, values per frame; any number.
    layers : int
        Usually 4, 6 or 8.
    d_model : int
        Width, even and divisible by `heads`.
    heads : int
        Attention heads.
    ff : int
        Width of the feed-forward part.
    dropout : float
        In training.
    output : str
        "utterance": mean over the valid frames, (B, 1, d_model); "frames": (B, N, d_model), zero
        behind each item's end.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, d_model) or (B, N, d_model).
    Parameters with a linear head of 35 classes at 40 features:

    ======== ========= ========= ==========
    layers           4         6          8
    ff 1024  3,178,531 4,758,051  6,337,571
    ff 2048  5,279,779 7,909,923 10,540,067
    ======== ========= ========= ==========

    Each class less is 257 fewer.

    References
    ----------
    The width, the heads and the numbers of layers were given for speech commands without the
    width of the feed-forward part; 1024, four times `d_model`, is the paper's ratio.
    Deviation from torch: TransformerEncoder copies one layer, so that all start from the same
    values; here each layer is drawn for itself.

    Example
    -------
    >>> encoder = Transformer(in_features=40, layers=1)
    >>> encoder(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 256])
    """

    def __init__(
        self,
        in_features: int,
        layers: int = 4,
        d_model: int = 256,
        heads: int = 8,
        ff: int = 1024,
        dropout: float = 0.1,
        output: str = "utterance",
    ):
        if d_model % heads or d_model % 2:
            raise ValueError(
                f"d_model must be even and divisible by heads, got d_model {d_model} and "
                f"heads {heads}"
            )
        super().__init__(in_features, d_model, output)
        self.input = nn.Linear(self.in_features, d_model)
        self.dropout = nn.Dropout(dropout)
        built = [
            nn.TransformerEncoderLayer(d_model, heads, ff, dropout, batch_first=True)
            for _ in range(layers)
        ]
        self.encoder = nn.TransformerEncoder(built[0], layers, enable_nested_tensor=False)
        self.encoder.layers = nn.ModuleList(built)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x = self.input(mask_padding(feats, lengths))
        positions = sinusoidal_positions(x.shape[1], self.out_features, x.device)
        x = self.dropout(x + positions.to(x.dtype))
        # An item without a single frame still attends to its first, or it would become NaN.
        mask = batch_mask(feats, lengths)
        padding = None if mask is None else ~mask
        if is_recorded():
            for layer in self.encoder.layers:
                x = _layer(layer, x, padding)
        else:
            x = self.encoder(x, src_key_padding_mask=padding)
        x = zero_padding(x, mask, axis=1)
        if self.output == "frames":
            return x
        if mask is None:
            return x.mean(1, keepdim=True)
        return x.sum(1, keepdim=True) / mask.sum(1)[:, None, None].to(x.dtype)


def _layer(
    layer: nn.TransformerEncoderLayer, x: torch.Tensor, padding: torch.Tensor | None
) -> torch.Tensor:
    """What `layer` gives; its fused operators, which compilers do not take, want one tensor thrice."""
    y = layer.self_attn(x, x.view_as(x), x.view_as(x), padding, need_weights=False)[0]
    x = layer.norm1(x + layer.dropout1(y))
    y = layer.linear2(layer.dropout(layer.activation(layer.linear1(x))))
    return layer.norm2(x + layer.dropout2(y))


def sinusoidal_positions(frames: int, width: int, device=None) -> torch.Tensor:
    """Positions as sines and cosines of geometrically spaced frequencies.

    Arguments
    ---------
    frames : int
        N.
    width : int
        D, even.
    device : torch device, optional

    Shape
    -----
    (N, D), float32; column 2i is sin(n / 10000 ** (2i / D)), column 2i + 1 its cosine.

    Example
    -------
    >>> sinusoidal_positions(2, 4)[0]
    tensor([0., 1., 0., 1.])
    """
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angle = torch.arange(frames, device=device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
