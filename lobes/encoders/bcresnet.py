"""BC-ResNet: residual blocks that broadcast a temporal convolution over frequency."""

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.masks import batch_mask, zero_padding
from ..layers.rectifier import relu
from ..registry import register_encoder

#: Blocks, stride over frequency and dilation over time of the four stages.
STAGES = ((2, 1, 1), (2, 2, 2), (4, 2, 4), (4, 1, 8))
#: Rows of the last depthwise kernel, where there are as many.
TAIL_ROWS = 5


@register_encoder(
    "bcresnet",
    paper="Kim et al., Broadcasted Residual Learning for Efficient Keyword Spotting, 2021",
    source="Qualcomm-AI-research/bcresnet@656f947",
)
class BCResNet(Encoder):
    """Small convolutional net for keyword spotting, from 9 thousand parameters.

    Each block filters over frequency, averages over frequency, filters over time on what is left,
    and adds that back to every frequency row.

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
        Probability with which a channel of a block's temporal part is dropped in training.
    sub_bands : int
        Frequency sub-bands of the sub-spectral normalisation.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, 4 int(8 tau)).
    Parameters with a linear head at 40 features, and the published multiply-adds for one second
    and 12 classes (of tau 1's 3.1 M, 2.5 M are those of the convolutions):

    ========== ======= ======= ======= ======= ======== ========
    tau              1     1.5       2       3        6        8
    12 classes   9,232  17,154  27,284  54,168  187,812  321,068
    35 classes   9,991  18,281  28,779  56,399  192,251  326,979
    MACs         3.1 M   5.5 M   8.5 M  16.2 M   53.1 M   89.1 M
    ========== ======= ======= ======= ======= ======== ========

    Notes
    -----
    Everything is computed as (channels, frequency, batch, time). Then a 1x1 convolution is one
    matrix product, sub-spectral normalisation is batch normalisation of a view, and the filter
    over frequency is a small banded matrix per channel. No convolution of torch's is called:
    `torch.compile` would put the channels of its input and output last, for which everything
    else here is the wrong way round.

    With `lengths`, padding is set to zero before everything that looks along time, and the final
    mean is over valid frames. In training, batch normalisation still sees padded frames.

    Example
    -------
    >>> BCResNet(in_features=40)(torch.zeros(2, 101, 40)).shape
    torch.Size([2, 1, 32])
    """

    #: Fewer leave no frequency axis to broadcast over.
    fewest_features = 8

    def __init__(
        self, in_features: int, tau: float = 1.0, dropout: float = 0.1, sub_bands: int = 5
    ):
        base = int(8 * tau)
        if base < 1:
            raise ValueError(f"tau must be at least 0.125, got {tau}")
        super().__init__(in_features, 4 * base, "utterance")
        widths = [2 * base, base, int(1.5 * base), 2 * base, int(2.5 * base)]
        self.head = HeadConvolution(1, widths[0], 5, bias=False)
        self.head_norm = nn.BatchNorm3d(widths[0])
        rows = -(-self.in_features // 2)
        blocks = []
        for stage, (count, stride, dilation) in enumerate(STAGES):
            for index in range(count):
                block = BroadcastBlock(
                    widths[stage] if index == 0 else None,
                    widths[stage + 1],
                    rows,
                    stride if index == 0 else 1,
                    dilation,
                    dropout,
                    sub_bands,
                )
                blocks.append(block)
                rows = block.out_rows
        self.blocks = nn.ModuleList(blocks)
        kernel = (min(rows, TAIL_ROWS), 5)
        self.tail = TailConvolution(widths[4], widths[4], kernel, groups=widths[4], bias=False)
        self.expand = nn.ModuleList(
            [nn.Conv2d(widths[4], 4 * base, 1, bias=False), nn.BatchNorm3d(4 * base)]
        )

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, mask = self.steps(feats, lengths)
        if mask is None:
            return x.mean(2).unsqueeze(1)
        counts = mask.sum(1).clamp(min=1)[:, None]
        return (zero_padding(x, mask).sum(2) / counts.to(x.dtype)).unsqueeze(1)

    def steps(
        self, feats: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Steps before the mean over time, (B, 4 int(8 tau), N), and the mask (B, N) or None."""
        mask = batch_mask(feats, lengths, least=0)
        x = self.head(zero_padding(feats, mask, axis=1).permute(2, 0, 1))
        x = relu(_norm_channels(self.head_norm, x))
        for block in self.blocks:
            x = block(x, mask)
        x = self.tail(x if mask is None else x.masked_fill(~mask, 0))
        expand, norm = self.expand
        x = relu(_norm_channels(norm, _mix_channels(expand, x)))
        return x.mean(1).transpose(0, 1), mask


class HeadConvolution(nn.Conv2d):
    """Convolution of one channel, five taps along both axes, every second row, as one product.

    Shape
    -----
    (rows, B, N) -> (channels, ceil(rows / 2), B, N)
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, frames, taps = -(-len(x) // 2), x.shape[2], range(5)
        padded = F.pad(x, (2, 2, 0, 0, 2, 2))
        x = torch.stack([padded[tap : tap + 2 * rows - 1 : 2] for tap in taps])
        x = torch.stack([x[..., tap : tap + frames] for tap in taps], 1)
        return _mix_channels(self, x.flatten(0, 1))


class TailConvolution(nn.Conv2d):
    """Depthwise convolution, five taps along time: the rows by products, then sums over time.

    Shape
    -----
    (channels, rows, B, N) -> (channels, rows left, B, N)
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, frames, taps = self.kernel_size[0], x.shape[3], range(5)
        weight = self.weight.squeeze(1).transpose(1, 2)
        rows = [
            torch.bmm(weight, x[:, row : row + height].flatten(2)).view(len(x), 5, *x.shape[2:])
            for row in range(x.shape[1] - height + 1)
        ]
        rows = F.pad(torch.stack(rows, 1), (2, 2))
        return sum(rows[:, :, tap, :, tap : tap + frames] for tap in taps)


class BroadcastBlock(nn.Module):
    """One block: frequency filter, mean over frequency, time filter, broadcast back.

    Arguments
    ---------
    in_channels : int or None
        Channels that come in when the block changes their number (it has no skip connection
        then); None keeps `channels`.
    channels : int
    rows : int
        Frequency rows that come in.
    stride : int
        Over frequency.
    dilation : int
        Over time, in frames.
    dropout : float
    sub_bands : int
        Asked for.

    Shape
    -----
    (in_channels, rows, B, N) -> (channels, ceil(rows / stride), B, N); mask (B, N) or None.
    """

    def __init__(self, in_channels, channels, rows, stride, dilation, dropout, sub_bands):
        super().__init__()
        self.transition = None
        if in_channels is not None:
            self.transition = nn.Linear(in_channels, channels, bias=False)
            self.transition_norm = nn.BatchNorm3d(channels)
        self.frequency = FrequencyFilter(channels, rows, stride)
        self.out_rows = self.frequency.out_rows
        self.sub_spectral_norm = SubSpectralNorm(channels, self.out_rows, sub_bands)
        self.time = nn.Parameter(_depthwise_weight(channels))
        self.dilation = int(dilation)
        self.time_norm = nn.BatchNorm2d(channels)
        self.mix = nn.Linear(channels, channels, bias=False)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        skip = x
        if self.transition is not None:
            x = relu(_norm_channels(self.transition_norm, _mix_channels(self.transition, x)))
        spread = self.sub_spectral_norm(self.frequency(x))
        along = spread.mean(1)  # (C, B, N)
        if mask is not None:
            # The only place in a block where one frame meets another.
            along = along.masked_fill(~mask, 0)
        along = F.silu(_norm_channels(self.time_norm, self._filter_time(along)))
        # Dropout1d on (C, B, N) drops one channel of one item.
        along = self.dropout(_mix_channels(self.mix, along))
        out = along.unsqueeze(1) + spread
        return relu(out if self.transition is not None else out + skip)

    def _filter_time(self, x: torch.Tensor) -> torch.Tensor:
        """Depthwise convolution of three dilated taps, on a tensor without frequency."""
        frames, step = x.shape[2], self.dilation
        padded = F.pad(x, (step, step))
        weight = self.time[:, :, None, None].to(x.dtype)
        return (
            padded[:, :, :frames] * weight[:, 0]
            + x * weight[:, 1]
            + padded[:, :, 2 * step :] * weight[:, 2]
        )


class FrequencyFilter(nn.Module):
    """Depthwise convolution over frequency, three taps, zeros outside, as a banded matrix.

    Shape
    -----
    (channels, rows, B, N) -> (channels, ceil(rows / stride), B, N)
    """

    def __init__(self, channels: int, rows: int, stride: int):
        super().__init__()
        self.out_rows = -(-rows // stride)
        self.weight = nn.Parameter(_depthwise_weight(channels))
        centre = torch.arange(self.out_rows)[:, None] * stride
        tap = torch.arange(rows)[None, :] - centre + 1
        # (3, out_rows * rows): where each tap stands in the matrix.
        places = torch.stack([tap == k for k in range(3)]).float().flatten(1)
        self.register_buffer("places", places, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        matrix = (self.weight @ self.places).view(len(x), self.out_rows, x.shape[1])
        return torch.bmm(matrix, x.flatten(2)).view(len(x), self.out_rows, *x.shape[2:])


class SubSpectralNorm(nn.Module):
    """Batch normalisation of each channel in each frequency sub-band.

    Shape
    -----
    (channels, rows, B, N) -> the same. Row r of channel c belongs to band r // (rows / bands),
    where the number of bands is the largest up to `sub_bands` that divides `rows`.

    References
    ----------
    S. Chang et al., Subspectral Normalization for Neural Audio Data Processing, ICASSP 2021.
    """

    def __init__(self, channels: int, rows: int, sub_bands: int):
        super().__init__()
        self.groups = next(n for n in range(min(sub_bands, rows), 0, -1) if rows % n == 0)
        self.norm = nn.BatchNorm3d(channels * self.groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # In steps that split or join one axis: of a view that does both, a compiler finds elements
        # by divisions.
        split = x.unflatten(1, (self.groups, -1))
        bands = _norm_channels(self.norm, split.flatten(0, 1))
        return bands.view(split.shape).flatten(1, 2)


def _depthwise_weight(channels: int) -> torch.Tensor:
    """Three taps per channel, drawn as nn.Conv1d draws them: uniform up to 1 / sqrt(3)."""
    return torch.empty(channels, 3).uniform_(-(3**-0.5), 3**-0.5)


def _norm_channels(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Batch normalisation of a tensor whose axis 0 is the channel."""
    return norm(x.unsqueeze(0)).squeeze(0)


def _mix_channels(mix: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """1x1 convolution of a tensor whose axis 0 is the channel."""
    return (mix.weight.flatten(1) @ x.flatten(1)).view(-1, *x.shape[1:])
