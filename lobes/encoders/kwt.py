"""Keyword transformer (KWT): twelve layers with a class token and learned positions."""

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.masks import frame_counts, frame_mask, mask_padding
from ..options import choice
from ..registry import register_encoder

#: Width per head, layers, and how much wider the feed-forward part is: the same in all sizes.
HEAD_WIDTH, LAYERS, FF_RATIO = 64, 12, 4
SIZES = (1, 2, 3)


@register_encoder(
    "kwt",
    paper="Berg et al. 2021, Keyword Transformer: A Self-Attention Model for Keyword Spotting, "
    "arXiv:2104.00769",
    source="ARM-software/keyword-transformer@237e409",
)
class KWT(Encoder):
    """Transformer with a class token and learned positions, one frame per token.

    Twelve layers with normalisation after each part; the class token's last state is the output.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number.
    in_frames : int
        Frames of a training clip: there are so many learned positions.
    size : int
        1, 2 or 3: that many heads of 64 values.
    dropout : float
        After attention and feed-forward, in training. Published: 0.
    gelu : str
        "exact", or "tanh": the approximation by a hyperbolic tangent that the authors' code and
        their published weights have; they differ by up to 5e-4.

    Shape
    -----
    feats (B, N, F) with N <= in_frames, lengths (B,) or None -> (B, 1, 64 size).
    Parameters with a linear head of 12 classes at 40 features:

    ========== ======= ========= =========
    size             1         2         3
    98 frames  607,308 2,394,252 5,360,844
    101 frames 607,500 2,394,636 5,361,420
    ========== ======= ========= =========

    98 frames (30 ms windows each 10 ms, none past the edges) is what was published; each frame
    more is 64 size more.

    Raises
    ------
    ValueError
        When a clip has more frames than there are positions.

    References
    ----------
    Followed: attention over time of the source. Its README gives feed-forward widths of 128 and
    256 for sizes 1 and 2; its parameter counts and training scripts say four times the width, as
    here. Deviations: shorter clips use the first positions, and padding is masked in attention;
    distillation is left out.

    Example
    -------
    >>> KWT(in_features=40, in_frames=101)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 64])
    """

    needs_in_frames = True

    def __init__(
        self,
        in_features: int,
        in_frames: int,
        size: int = 1,
        dropout: float = 0.0,
        gelu: str = "exact",
    ):
        if size not in SIZES:
            raise ValueError(f"size must be 1, 2 or 3, got {size!r}")
        choice("gelu", gelu, ("exact", "tanh"))
        width = HEAD_WIDTH * size
        super().__init__(in_features, width, output="utterance")
        self.in_frames = int(in_frames)
        self.input = nn.Linear(self.in_features, width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, self.in_frames + 1, width))
        self.layers = nn.ModuleList(Layer(width, size, dropout, gelu) for _ in range(LAYERS))
        for parameter in (self.class_token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02, a=-0.04, b=0.04)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        batch, frames, _ = feats.shape
        if frames > self.in_frames:
            raise ValueError(
                f"kwt has positions for {self.in_frames} frames and got {frames}; cut the clips, "
                "raise clip_s, or choose an encoder for any length"
            )
        x = self.input(mask_padding(feats, lengths))
        x = torch.cat([self.class_token.to(x.dtype).expand(batch, -1, -1), x], dim=1)
        x = x + self.positions[:, : frames + 1].to(x.dtype)
        counts = frame_counts(feats, lengths, least=0)
        # One more than the frames: the class token, which is in front of them.
        attended = None if counts is None else frame_mask(counts + 1, frames + 1)
        for layer in self.layers:
            x = layer(x, attended)
        return x[:, :1]


class Layer(nn.Module):
    """Attention and a feed-forward part, each added and then normalised.

    Shape
    -----
    (B, N, width), attended (B, N) boolean or None -> (B, N, width)
    """

    def __init__(self, width: int, heads: int, dropout: float, gelu: str = "exact"):
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, FF_RATIO * width),
            nn.GELU("tanh" if gelu == "tanh" else "none"),
            nn.Linear(FF_RATIO * width, width),
        )
        self.feed_forward_norm = nn.LayerNorm(width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, attended)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class SelfAttention(nn.Module):
    """Self-attention without bias on query, key and value, but with one on the output.

    `torch.nn.MultiheadAttention` has a bias on all four or on none.

    Shape
    -----
    (B, N, width), attended (B, N) boolean or None -> (B, N, width)
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        batch, frames, width = x.shape
        query, key, value = (
            self.query_key_value(x).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        )
        mask = None if attended is None else attended[:, None, None]
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.output(x.transpose(1, 2).reshape(batch, frames, width))
