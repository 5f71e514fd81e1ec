"""ReDimNet: speaker embeddings by alternating two- and one-dimensional blocks."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.batch_norm import masked_batch_norm
from ..layers.masks import batch_mask, zero_padding
from ..layers.statistics import (
    even_weights,
    masked_mean,
    masked_softmax,
    mean_and_deviation,
    moments,
)
from ..options import choice, whole
from ..registry import register_encoder

HEADS = 4
#: Channels of the picture; kind of its blocks; channels per group of a convolution; and for each
#: stage: stride along frequency, blocks, widening of the channels inside the stage, and the part
#: of the sequence's width that its time context works in (None: the stage has none).
SIZES = {
    "b0": (10, "residual", 1, [(1, 2, 1, 30), (2, 3, 2, 30), (1, 3, 3, 30), (2, 4, 2, 10), (1, 3, 1, 10)]),
    "b1": (12, "convnext", 8, [(1, 2, 1, None), (2, 3, 1, None), (3, 4, 1, 12), (2, 5, 1, 12), (2, 3, 1, 8)]),
    "b2": (16, "convnext", 4, [(1, 2, 1, 12), (2, 2, 1, 12), (1, 3, 1, 12), (2, 4, 1, 8), (1, 4, 1, 8), (2, 4, 1, 4)]),
    "b3": (16, "gated", 1, [(1, 6, 4, 32), (2, 6, 2, 32), (1, 8, 2, 32), (2, 10, 2, 16), (1, 10, 1, 16), (2, 8, 1, 16)]),
    "b4": (32, "gated", 1, [(1, 4, 2, 48), (2, 4, 2, 48), (1, 6, 2, 48), (2, 6, 1, 32), (1, 8, 1, 24), (2, 4, 1, 16)]),
    "b5": (32, "gated", 16, [(1, 4, 2, 48), (2, 4, 2, 48), (1, 6, 2, 48), (2, 6, 1, 32), (1, 8, 1, 24), (2, 4, 1, 16)]),
    "b6": (32, "residual", 32, [(1, 4, 4, 32), (2, 6, 2, 32), (1, 6, 2, 24), (3, 8, 1, 24), (1, 8, 1, 16), (2, 8, 1, 16)]),
}  # fmt: skip


@register_encoder(
    "redimnet",
    paper="Yakovlev et al. 2024, Reshape Dimensions Network for Speaker Recognition, Interspeech, "
    "arXiv:2407.18223",
    source="IDRnD/ReDimNet@ceeb132",
)
class ReDimNet(Encoder):
    """Small network for speakers of alternating two- and one-dimensional blocks.

    A picture of C channels x F frequencies and a sequence of C F channels hold the same numbers.
    Each stage takes a weighted sum of all earlier outputs as a picture, trades frequency
    resolution for channels, convolves, and goes on as a sequence, with convolutions over up to
    59 frames and self-attention over all.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number. Published: 60 for b0 and 72 for the
        others, every 15 ms.
    size : str
        "b0" to "b6".
    embedding_size : int
        D, width of the output.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, D).

    Parameters, and multiply-adds of 2 s in 134 frames, with the published values behind:

    ==== == ========== ====== ======= =====
    size F  parameters paper  10 ** 9 paper
    ==== == ========== ====== ======= =====
    b0   60  1,004,250  1.0 M    0.40  0.43
    b1   72  2,126,936  2.2 M    0.58  0.54
    b2   72  4,892,848  4.7 M    0.83  0.90
    b3   72  3,225,020  3.0 M    2.90  3.00
    b4   72  6,441,520  6.3 M    4.70  4.80
    b5   72  7,659,760  9.2 M    8.78  9.87
    b6   72 15,015,472 15.0 M   20.07 20.27
    ==== == ========== ====== ======= =====

    At 80 features: 1,440,650 for b0, 2,915,276 for b1, 5,869,364 for b2.

    Notes
    -----
    A training batch must hold two items or more, for the last batch normalisation. In training
    with `lengths`, batch statistics are those of the valid frames.

    References
    ----------
    Followed: the source's layers, with the sizes that wespeaker (wenet-e2e/wespeaker@b4759ef)
    lists. Neither the list nor the paper is exact: judged by its size in bytes, the released file
    of b5 holds 7.7 million parameters, as here, and that of b2 about 5.1 million. Deviations:

    - The source takes only numbers of features that its strides divide. Here rows of zeros are
      added above the highest feature up to the next multiple (4 for b0, 12 for b1 and b6, 8 for
      the others), and the width of a time context is rounded up to a multiple of its 4 heads;
      nothing changes at the published numbers.
    - Padded frames take no part.
    - The deviation of a single frame is the floor's, and NaN there.
    - The weight of the first stage's only input, which is 1, is left out.
    - Spectrogram and its augmentation are the frontend's and the recipe's.

    Example
    -------
    >>> ReDimNet(in_features=60)(torch.randn(2, 101, 60)).shape
    torch.Size([2, 1, 192])
    """

    def __init__(self, in_features: int, size: str = "b0", embedding_size: int = 192):
        super().__init__(in_features, whole("embedding_size", embedding_size), output="utterance")
        channels, kind, group, stages = SIZES[choice("size", size, tuple(SIZES))]
        divisor = math.prod(stride for stride, *_ in stages)
        rows = -(-self.in_features // divisor) * divisor
        width = channels * rows
        self.rows = rows
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        self.stem_norm = nn.LayerNorm(channels, eps=1e-6)
        # One weight for each channel and each earlier output; equal at first.
        self.mix = nn.ParameterList(
            nn.Parameter(torch.zeros(1, earlier, width, 1)) for earlier in range(2, len(stages) + 2)
        )
        self.stages = nn.ModuleList()
        for stride, blocks, widening, part in stages:
            context = None if part is None else HEADS * -(-(width // part) // HEADS)
            self.stages.append(
                Stage(channels, rows, stride, blocks, widening, kind, group, width, context)
            )
            channels, rows = stride * channels, rows // stride
        self.attention_in = nn.Conv1d(3 * width, 128, 1)
        self.attention_out = nn.Conv1d(128, width, 1)
        self.pool_norm = nn.BatchNorm1d(2 * width)
        self.embed = nn.Linear(2 * width, self.out_features)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        mask = batch_mask(feats, lengths)
        x = zero_padding(feats.transpose(1, 2), mask)
        x = F.pad(x, (0, 0, 0, self.rows - self.in_features)).unsqueeze(1)
        outputs = [_sequence(_over_channels(self.stem_norm, self.stem(x)))]
        x = outputs[0]
        for stage, mix in zip(self.stages, self.mix, strict=True):
            outputs.append(stage(x, mask))
            weights = mix.softmax(1)
            x = sum(weights[:, i] * output for i, output in enumerate(outputs))
        return self.embed(self.pool_norm(self._pooled(x, mask))).unsqueeze(1)

    def _pooled(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Mean and deviation under the attention of each channel: (B, C, N) -> (B, 2 C)."""
        even = even_weights(x, mask)
        mean, variance = moments(x, even)
        count = (even > 0).sum(2, keepdim=True)
        # The source's context has the unbiased variance, its result the biased one.
        variance = variance * count / (count - 1).clamp(min=1)
        context = torch.cat([mean, (variance + 1e-7).sqrt()], dim=1)
        seen = torch.cat([x, context.expand(-1, -1, x.shape[2]).to(x.dtype)], dim=1)
        scores = self.attention_out(self.attention_in(seen).tanh())
        return mean_and_deviation(x, masked_softmax(scores, mask), 1e-7).squeeze(2)


class Stage(nn.Module):
    """Picture blocks at one frequency resolution, then context along the sequence.

    Shape
    -----
    (B, W, N), mask (B, N) of the valid frames or None -> (B, W, N), W = channels x rows
    """

    def __init__(
        self,
        channels: int,
        rows: int,
        stride: int,
        blocks: int,
        widening: int,
        kind: str,
        group: int,
        width: int,
        context: int | None,
    ):
        super().__init__()
        self.rows = rows
        after, wide = stride * channels, stride * channels * widening
        self.enter = nn.Conv2d(channels, wide, (stride, 1), stride=(stride, 1))
        self.blocks = nn.ModuleList(
            ConvNextBlock(wide, group, nn.Conv2d, nn.BatchNorm2d, (3,))
            if kind == "convnext"
            else ResidualBlock(wide, group, rows // stride if kind == "gated" else None)
            for _ in range(blocks)
        )
        self.leave = Narrow(wide, after, group) if widening > 1 else None
        self.context = TimeContext(width, context) if context else None

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        x = x.unflatten(1, (self.rows, -1)).transpose(1, 2)  # (B, C, F, N)
        x = self.enter(x)
        for block in self.blocks:
            x = block(x, mask)
        if self.leave is not None:
            x = self.leave(x, mask)
        x = _sequence(x)
        return x if self.context is None else self.context(x, mask)


class ResidualBlock(nn.Module):
    """Two grouped 3x3 convolutions, each mixed by a 1x1; with a gate for each frequency or none."""

    def __init__(self, channels: int, group: int, rows: int | None):
        super().__init__()
        groups = channels // group
        self.first = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)
        self.first_mix = nn.Conv2d(channels, channels, 1)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)
        self.second_mix = nn.Conv2d(channels, channels, 1)
        self.second_norm = nn.BatchNorm2d(channels)
        self.gate = None
        if rows is not None:
            inner = min(64, max(channels, 32))
            self.gate = nn.Sequential(
                nn.Linear(rows, inner), nn.ReLU(), nn.Linear(inner, rows), nn.Sigmoid()
            )

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        y = F.relu(self.first_mix(self.first(zero_padding(x, mask))))
        y = masked_batch_norm(self.first_norm, y, mask)
        y = self.second_mix(self.second(zero_padding(y, mask)))
        y = masked_batch_norm(self.second_norm, y, mask)
        if self.gate is not None:
            mean = masked_mean(y, mask, (1, 3)).flatten(1)
            y = y * self.gate(mean)[:, None, :, None]
        return F.relu(x + y)


class ConvNextBlock(nn.Module):
    """Grouped convolutions beside one another, one normalisation, and a 1x1 that mixes them."""

    def __init__(
        self, channels: int, group: int, conv: type, norm: type, kernel_sizes: tuple[int, ...]
    ):
        super().__init__()
        self.convolutions = nn.ModuleList(
            conv(channels, channels, kernel, padding=kernel // 2, groups=channels // group)
            for kernel in kernel_sizes
        )
        self.norm = norm(channels * len(kernel_sizes))
        self.mix = conv(channels * len(kernel_sizes), channels, 1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        silenced = zero_padding(x, mask)
        y = torch.cat([convolution(silenced) for convolution in self.convolutions], dim=1)
        return x + self.mix(F.gelu(masked_batch_norm(self.norm, y, mask)))


class Narrow(nn.Module):
    """Back from the widened channels of a stage to those that fit the sequence."""

    def __init__(self, wide: int, channels: int, group: int):
        super().__init__()
        self.convolution = nn.Conv2d(wide, channels, 3, padding=1, groups=channels // group)
        self.norm = nn.BatchNorm2d(channels, eps=1e-6)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        y = self.convolution(zero_padding(x, mask))
        return self.mix(F.gelu(masked_batch_norm(self.norm, y, mask)))


class TimeContext(nn.Module):
    """Convolutions over 7, 19, 31 and 59 frames and self-attention, in a narrower width."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.reduce = nn.Conv1d(width, inner, 1)
        self.norm = nn.LayerNorm(inner, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNextBlock(inner, 1, nn.Conv1d, nn.BatchNorm1d, (kernel,))
            for kernel in (7, 19, 31, 59)
        )
        self.attention = nn.TransformerEncoderLayer(
            inner, HEADS, inner, 0.0, _gelu_tanh, layer_norm_eps=1e-6, batch_first=True
        )
        self.expand = nn.Conv1d(inner, width, 1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        y = _over_channels(self.norm, self.reduce(x))
        for block in self.blocks:
            y = block(y, mask)
        padding = None if mask is None else ~mask
        y = self.attention(y.transpose(1, 2), src_key_padding_mask=padding).transpose(1, 2)
        return x + self.expand(y)


def _gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")


def _sequence(x: torch.Tensor) -> torch.Tensor:
    """The channels of each frequency after one another: (B, C, F, N) -> (B, F C, N)."""
    return x.transpose(1, 2).flatten(1, 2)


def _over_channels(norm: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    """Layer normalisation over axis 1."""
    return norm(x.movedim(1, -1)).movedim(-1, 1)
