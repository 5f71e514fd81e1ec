"""BC-ResNet: residual blocks that broadcast a temporal convolution over frequency."""

from __future__ import annotations

import torch
from torch import nn

from ..contracts import Encoder, valid_lengths
from ..registry import register_encoder


def _groups(rows: int, wanted: int) -> int:
    """The largest number of equal sub-bands, up to `wanted`, that `rows` can be cut into."""
    return next(groups for groups in range(min(wanted, rows), 0, -1) if rows % groups == 0)


class SubSpectralNorm(nn.Module):
    """Batch normalisation of each channel in each of `groups` frequency sub-bands.

    Shape
    -----
    (B, C, F, N) -> (B, C, F, N), F divisible by `groups`

    References
    ----------
    S. Chang et al., Subspectral Normalization for Neural Audio Data Processing, ICASSP 2021.
    """

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.groups = groups
        self.norm = nn.BatchNorm2d(channels * groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, rows, frames = x.shape
        x = x.reshape(batch, channels * self.groups, rows // self.groups, frames)
        return self.norm(x).view(batch, channels, rows, frames)


class _Block(nn.Module):
    """One broadcasted residual block; a transition block changes channels or rows."""

    def __init__(self, channels_in, channels, rows_in, stride, dilation, dropout, groups):
        super().__init__()
        self.transition = channels_in != channels or stride > 1
        self.rows = -(-rows_in // stride)
        self.expand = None
        if self.transition:
            self.expand = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            )
        self.frequency = nn.Conv2d(
            channels,
            channels,
            (3, 1),
            stride=(stride, 1),
            padding=(1, 0),
            groups=channels,
            bias=False,
        )
        self.norm = SubSpectralNorm(channels, _groups(self.rows, groups))
        # After the mean over frequency there is one row left: the temporal part is 1-D.
        self.temporal = nn.Sequential(
            nn.Conv1d(
                channels,
                channels,
                3,
                padding=dilation,
                dilation=dilation,
                groups=channels,
                bias=False,
            ),
            nn.BatchNorm1d(channels),
            nn.SiLU(inplace=True),
            nn.Conv1d(channels, channels, 1, bias=False),
            nn.Dropout1d(dropout),
        )

    def forward(self, x: torch.Tensor, inside: torch.Tensor | None) -> torch.Tensor:
        residual = x if self.expand is None else self.expand(x)
        aux = self.norm(self.frequency(residual))
        row = aux.mean(2)
        if inside is not None:
            row = row * inside
        out = aux + self.temporal(row)[:, :, None]
        return torch.relu(out if self.transition else out + x)


@register_encoder(
    "bcresnet",
    paper="Kim et al., Broadcasted Residual Learning for Efficient Keyword Spotting, 2021",
    source="Qualcomm-AI-research/bcresnet@656f947",
)
class BCResNet(Encoder):
    """Small convolutional net for keyword spotting, from 9 thousand parameters.

    With a linear head on 12 classes and 40 features it has 9,232 / 17,154 / 27,284 / 54,168 /
    187,812 / 321,068 parameters at tau 1 / 1.5 / 2 / 3 / 6 / 8, as published (3.1 M to 89.1 M
    multiply-adds per second of 10 ms frames).

    Arguments
    ---------
    in_features : int
        F of the frontend, at least 8. At 40 it is the published net, whose sub-bands and last
        kernel need 40; at other sizes the number of sub-bands of each stage is the largest
        divisor of its rows up to `sub_bands`, the last kernel is as high as the rows allow up to
        5, and rows that are left are averaged.
    tau : float
        Width; the published ones are 1, 1.5, 2, 3, 6 and 8.
    dropout : float
        In the temporal part of each block.
    sub_bands : int
        Frequency sub-bands of the sub-spectral normalisation.

    Shape
    -----
    (B, N, F) -> (B, 1, int(32 tau))

    Notes
    -----
    With `lengths`, padding is set to zero before everything that looks along time, and the final
    mean is over valid frames. In training, batch normalisation still sees padded frames.

    Example
    -------
    >>> BCResNet(in_features=40)(torch.zeros(2, 101, 40)).shape
    torch.Size([2, 1, 32])
    """

    def __init__(
        self, in_features: int, tau: float = 1.0, dropout: float = 0.1, sub_bands: int = 5
    ):
        base = int(8 * tau)
        if base < 1:
            raise ValueError(f"tau must be at least 0.125, got {tau}")
        channels = [2 * base, base, int(1.5 * base), 2 * base, int(2.5 * base), 4 * base]
        super().__init__(in_features, channels[-1], "utterance")
        self.head = nn.Sequential(
            nn.Conv2d(1, channels[0], 5, stride=(2, 1), padding=2, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
        )
        rows = -(-in_features // 2)
        blocks = []
        for stage, (count, stride) in enumerate(((2, 1), (2, 2), (4, 2), (4, 1))):
            for number in range(count):
                block = _Block(
                    channels[stage if number == 0 else stage + 1],
                    channels[stage + 1],
                    rows,
                    stride if number == 0 else 1,
                    2**stage,
                    dropout,
                    sub_bands,
                )
                rows = block.rows
                blocks.append(block)
        self.blocks = nn.ModuleList(blocks)
        self.tail = nn.Conv2d(
            channels[-2],
            channels[-2],
            (min(5, rows), 5),
            padding=(0, 2),
            groups=channels[-2],
            bias=False,
        )
        self.expand = nn.Sequential(
            nn.Conv1d(channels[-2], channels[-1], 1, bias=False),
            nn.BatchNorm1d(channels[-1]),
            nn.ReLU(inplace=True),
        )

    @classmethod
    def unfit(cls, in_features, in_frames, **options):
        if in_features < 8:
            return "its strides leave nothing of fewer than 8 features."
        return None

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        inside = None
        if lengths is not None:
            valid = valid_lengths(lengths.to(feats.device), feats.shape[1])
            inside = torch.arange(feats.shape[1], device=feats.device) < valid[:, None]
            inside = inside[:, None].to(feats.dtype)  # (B, 1, N)
            feats = feats * inside.transpose(1, 2)
        x = self.head(feats.transpose(1, 2)[:, None].contiguous())
        for block in self.blocks:
            x = block(x, inside)
        if inside is not None:
            x = x * inside[:, :, None]
        # The published last convolution leaves one row; its mean over rows comes before the 1x1
        # convolution here only when there are more, and then changes no count of parameters.
        x = self.expand(self.tail(x).mean(2))
        if inside is None:
            return x.mean(2)[:, None]
        return ((x * inside).sum(2) / inside.sum(2).clamp(min=1))[:, None]
