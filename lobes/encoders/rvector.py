"""r-vector: a post-activated ResNet of two dimensions and plain statistics, as in wespeaker."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.batch_norm import masked_batch_norm
from ..layers.masks import batch_mask, zero_padding
from ..layers.statistics import even_weights, moments
from ..options import whole, wholes
from ..registry import register_encoder

#: Added to the variance before its root.
_LEAST_VARIANCE = 1e-7


@register_encoder(
    "rvector",
    paper="Zeinali et al. 2019, BUT System Description to VoxCeleb Speaker Recognition Challenge "
    "2019, arXiv:1910.12592",
    source="wenet-e2e/wespeaker@10868f6",
)
class RVector(Encoder):
    """Residual network over time and frequency, and mean and deviation over time, for speakers.

    Blocks of two 3 x 3 convolutions that activate after they are added; `resnet34` is SpeechBrain's
    form of the same idea, with activation first, gates and attention.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number. Published: 80.
    channels : int
        Of the first stage; the second to fourth have twice, four and eight times as many.
    block_sizes : sequence of four int
        Blocks of each stage; the second to fourth stage halve both axes. (3, 4, 6, 3), the default,
        is ResNet-34, (2, 2, 2, 2) ResNet-18.
    embedding_size : int
        D, width of the output.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, D).
    6,634,336 parameters at 80 features (wespeaker's ResNet34: 6.63 million).

    Notes
    -----
    In training with `lengths`, batch statistics are those of the valid frames.

    References
    ----------
    Followed: the source's ResNet18 and ResNet34 with statistics pooling (TSTP) and one embedding
    layer. Deviations: any number of features (there, multiples of 8); padded frames take no part; the
    deviation of a single step is the floor's, and NaN there.

    Example
    -------
    >>> RVector(in_features=40, channels=8)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 256])
    """

    def __init__(
        self,
        in_features: int,
        channels: int = 32,
        block_sizes: Sequence[int] = (3, 4, 6, 3),
        embedding_size: int = 256,
    ):
        sizes, width = wholes("block_sizes", block_sizes, 4), whole("channels", channels)
        super().__init__(in_features, whole("embedding_size", embedding_size), output="utterance")
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layers = nn.ModuleList()
        before, rows = width, self.in_features
        for number, size in enumerate(sizes):
            after, stride = width * 2**number, 1 if number == 0 else 2
            steps = [(before, stride), *[(after, 1)] * (size - 1)]
            self.layers.append(nn.ModuleList(Block(start, after, step) for start, step in steps))
            before, rows = after, -(-rows // stride)
        self.embed = nn.Linear(2 * before * rows, self.out_features)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        mask = batch_mask(feats, lengths)
        x = self.conv1(zero_padding(feats.transpose(1, 2), mask).unsqueeze(1))  # (B, C, F, N)
        x = F.relu(masked_batch_norm(self.bn1, x, mask))
        for layer in self.layers:
            for block in layer:
                x, mask = block(x, mask)
        x = x.flatten(1, 2)
        weights = even_weights(x, mask)
        mean, variance = moments(x, weights)
        count = (weights > 0).sum(2, keepdim=True)
        variance = variance * count / (count - 1).clamp(min=1)  # the unbiased one
        pooled = torch.cat([mean, (variance + _LEAST_VARIANCE).sqrt()], 1)
        return self.embed(pooled.transpose(1, 2))


class Block(nn.Module):
    """Two convolutions and the skip, then ReLU.

    Shape
    -----
    (B, C, F, N), mask (B, N) or None -> (B, C', F', N') with N' = ceil(N / stride), and its mask
    """

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = None
        if stride != 1 or before != after:
            self.shortcut = nn.ModuleList(
                [nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)]
            )

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        after = mask if mask is None or self.stride == 1 else mask[:, :: self.stride]
        x = zero_padding(x, mask)
        y = F.relu(masked_batch_norm(self.bn1, self.conv1(x), after))
        y = masked_batch_norm(self.bn2, self.conv2(zero_padding(y, after)), after)
        if self.shortcut is not None:
            convolution, norm = self.shortcut
            x = masked_batch_norm(norm, convolution(x), after)
        return F.relu(x + y), after
