"""Transformer over the patches of a spectrogram, for clips of any length with padding.

The blocks are timm's, the names of the parameters are timm's, and so a timm checkpoint fits. What
is added is what a batch of clips needs: each item has its own positions and attends to its own
patches only.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ....processing.filterbank.framing import at_least
from ...contracts import Encoder
from ...layers.masks import frame_counts, frame_mask, mask_padding, zero_padding
from ...options import choice, number, whole
from .._extras import timm
from .positions import patches_along, positions_of_items
from .weights import SIZES, load_weights

FF_RATIO = 4
#: timm's own.
NORM_EPSILON = 1e-6
POSITIONS = ("interpolate", "cut")
POOLINGS = ("token", "mean")


class PatchTransformer(Encoder):
    """Patches, prefix tokens, learned positions, timm's blocks; a vector per clip.

    A subclass gives the prefix tokens (1: class token; 2: with a distillation token), the
    interpolation of positions ("bicubic", with a low-pass where it shrinks, or "bilinear"), the
    defaults, and how the positions of a checkpoint are adapted. The image is (B, 1, F, N): rows are
    features from low to high, columns are frames.

    Arguments
    ---------
    in_features : int
        F, rows of the image.
    patch : int
        Side of the square patches, in features and in frames.
    patch_stride : (int, int)
        Features and frames between patches; at most `patch`.
    positions : str
        For clips of another length than `frames`: "interpolate" stretches or shrinks them in time
        to the item's length; "cut" takes the first ones, and stretches for longer items only.
    edges : str
        "pad": zeros complete the last patch. "drop": what does not fill a patch is not read.
    size : str
        Of `SIZES`.
    frames : int
        Length in frames that the learned positions are made for.
    path, mean, std : str or None, floats
        As in `load_weights`; None: random values.
    pooling : str
        "token": mean of the prefix tokens; "mean": mean of the item's patches.
    depth : int or None
        Blocks, where fewer than those of `size` are wanted.
    dropout : float
        After attention and in the feed-forward part, in training.
    drop_path : float
        Rate at which the last block is skipped for an item in training, linear from 0.
    freeze_blocks : int
        So many first blocks do not learn, nor do patches, tokens and positions; 0: all learn.
    norm_epsilon : float or None
        Of the layer norms. None: that of the config beside the weights, else 1e-6.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, width)
    """

    fewest_features = 2
    prefix_tokens: int
    interpolation: str

    def __init__(
        self,
        in_features: int,
        patch: int,
        patch_stride: tuple[int, int],
        positions: str,
        edges: str,
        *,
        size: str = "tiny",
        frames: int = 1024,
        path: str | None = None,
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.5,
        freeze_blocks: int = 0,
        depth: int | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        pooling: str = "token",
        norm_epsilon: float | None = None,
    ):
        whole("in_features", in_features)
        whole("frames", frames)
        choice("size", size, tuple(SIZES))
        whole("patch", patch)
        for name, stride in zip(("stride_features", "stride_frames"), patch_stride, strict=True):
            whole(name, stride, high=patch)
        choice("positions", positions, POSITIONS)
        choice("edges", edges, ("pad", "drop"))
        choice("pooling", pooling, POOLINGS)
        width, heads, blocks = SIZES[size]
        blocks = blocks if depth is None else whole("depth", depth)
        dropout = number("dropout", dropout, low=0, below=1)
        drop_path = number("drop_path", drop_path, low=0, below=1)
        whole("freeze_blocks", freeze_blocks, low=0, high=blocks)
        if norm_epsilon is not None:
            norm_epsilon = number("norm_epsilon", norm_epsilon, above=0)
        super().__init__(in_features, width, output="utterance")
        vit = timm(self.registered_name).models.vision_transformer
        if "attn_mask" not in inspect.signature(vit.Block.forward).parameters:
            raise ValueError(
                f"encoder {self.registered_name!r} needs timm 1.0.16 or newer, whose blocks take a "
                "mask: pip install --upgrade 'auricle[timm]'"
            )
        self.size, self.patch = size, patch
        self.patch_stride = patch_stride
        self.positions = positions
        self.edges, self.pooling = edges, pooling
        self.freeze_blocks = freeze_blocks
        #: Rows and columns of the grid that the positions are learned for.
        self.grid = (
            patches_along(in_features, patch, patch_stride[0], edges),
            self.columns(frames),
        )
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(1, width, patch, self.patch_stride)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        if self.prefix_tokens == 2:
            self.dist_token = nn.Parameter(torch.empty(1, 1, width))
        places = self.prefix_tokens + self.grid[0] * self.grid[1]
        self.pos_embed = nn.Parameter(torch.empty(1, places, width))
        self.pos_drop = nn.Dropout(dropout)
        self.norm_epsilon = norm_epsilon
        layer_norm = functools.partial(nn.LayerNorm, eps=norm_epsilon or NORM_EPSILON)
        self.blocks = nn.ModuleList(
            vit.Block(
                width,
                heads,
                FF_RATIO,
                qkv_bias=True,
                proj_drop=dropout,
                drop_path=drop_path * index / max(1, blocks - 1),
                norm_layer=layer_norm,
            )
            for index in range(blocks)
        )
        self.norm = layer_norm(width)
        self._draw()
        if freeze_blocks:
            own = self.parameters(recurse=False)  # tokens and positions
            for part in (*self.blocks[:freeze_blocks], self.patch_embed, *own):
                part.requires_grad_(False)
        self.train()
        if path is not None:
            load_weights(self, path, mean, std)

    def lasting_options(self, options: dict) -> dict:
        if options.get("path") is None:
            return options
        without = {name: value for name, value in options.items() if name != "path"}
        return {**without, "norm_epsilon": self.norm.eps}

    def positions_in(self, path: str, weights: dict, about: dict) -> torch.Tensor:
        """Positions of a checkpoint, and of its tokens, on the grid of this encoder.

        Arguments
        ---------
        path : str
            For the messages.
        weights, about : dict
            Tensors under timm's names, and the config beside them. What has no place here is
            taken out of the weights.

        Raises
        ------
        ValueError
            The checkpoint belongs to another kind of encoder.
        """
        raise TypeError(f"{type(self).__name__} does not define positions_in(...)")

    def _draw(self) -> None:
        """Initial values, as timm draws them."""
        for part in self.blocks.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for token in (self.cls_token, getattr(self, "dist_token", None)):
            if token is not None:
                nn.init.normal_(token, std=1e-6)

    def train(self, mode: bool = True) -> PatchTransformer:
        super().train(mode)
        if self.freeze_blocks:  # no dropout in what does not learn
            self.pos_drop.eval()
            for block in self.blocks[: self.freeze_blocks]:
                block.eval()
        return self

    def columns(self, frames: int) -> int:
        """Patches in time for a clip of `frames` frames."""
        return patches_along(frames, self.patch, self.patch_stride[1], self.edges)

    def tokens(self, frames: int) -> int:
        """Prefix tokens and patches for a clip of `frames` frames."""
        return self.prefix_tokens + self.grid[0] * self.columns(frames)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, mask = self.embed(feats, lengths)
        # A key mask for all queries: a patch behind the end is seen by nobody.
        keys = None if mask is None else mask[:, None, None, :]
        for block in self.blocks:
            x = block(x, attn_mask=keys)
        x = self.norm(x)
        if self.pooling == "token":
            return x[:, : self.prefix_tokens].mean(1, keepdim=True)
        x = x[:, self.prefix_tokens :]
        if mask is None:
            return x.mean(1, keepdim=True)
        mask = mask[:, self.prefix_tokens :]
        return zero_padding(x, mask, axis=1).sum(1, keepdim=True) / mask.sum(1)[:, None, None]

    def embed(
        self, feats: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Tokens with positions before the first block, and which of them are an item's own.

        Shape
        -----
        (B, N, F), (B,) -> (B, tokens, width), bool (B, tokens) or None; the patches go through the
        frames of the lowest row first.
        """
        batch, frames, _ = feats.shape
        columns = self.columns(frames)
        counts = frame_counts(feats, lengths)
        if counts is not None:
            counts = patches_along(counts, self.patch, self.patch_stride[1], self.edges)
        image = mask_padding(feats, lengths).transpose(1, 2)[:, None]
        read = [
            self.patch + (steps - 1) * stride
            for steps, stride in zip((self.grid[0], columns), self.patch_stride, strict=True)
        ]
        image = F.pad(
            image, (0, at_least(read[1] - frames, 0), 0, max(0, read[0] - self.in_features))
        )
        patches = self.patch_embed.proj(image).flatten(2).transpose(1, 2)
        prefix = self.cls_token
        if self.prefix_tokens == 2:
            prefix = torch.cat([prefix, self.dist_token], dim=1)
        prefix = (prefix + self.pos_embed[:, : self.prefix_tokens]).expand(batch, -1, -1)
        table = self.pos_embed[:, self.prefix_tokens :].unflatten(1, self.grid)
        patches = patches + positions_of_items(
            table, columns, counts, self.positions, self.interpolation
        )
        x = self.pos_drop(torch.cat([prefix.to(patches.dtype), patches], dim=1))
        if counts is None:
            return x, None
        mask = frame_mask(counts, columns).repeat(1, self.grid[0])
        return x, torch.cat([mask.new_ones(batch, self.prefix_tokens), mask], dim=1)
