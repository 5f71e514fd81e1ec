"""Small convolutional network of three layers and one dense layer."""

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.masks import frame_counts, frame_mask, strided_counts, zero_padding
from ..registry import register_encoder


@register_encoder("small_cnn")
class SmallCNN(Encoder):
    """Three convolutions over time and frequency and a dense layer, for short commands.

    Each layer is a 3x3 convolution without bias, batch normalisation, ReLU and 2x2 max pooling.
    The result is averaged into `time_cells` equal parts of the clip, so that early and late stay
    apart whatever the length, and goes through the dense layer, ReLU and dropout.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number.
    channels : sequence of int
        Channels of the convolutions.
    dense : int
        Width of the dense layer, which is the output.
    dropout : float
        Probability with which a value of the dense layer is dropped in training.
    time_cells : int
        Parts the clip is divided into before the dense layer.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, dense).
    Parameters with a linear head, 40 features: 1,173,568 at 12 classes, 1,183,251 at 35.

    Notes
    -----
    In training, the batch statistics include padded frames.

    References
    ----------
    The layer widths (32, 64, 128, dense 420) and the dropout of 0.18 were given for this model
    without kernels, pooling or the way to the dense layer. Kernels of 3x3, batch normalisation,
    pooling by 2 and the time cells are auricle's choice. Flattening all 12 x 5 positions of a
    one-second clip instead would put 3.2 million parameters into the dense layer and tie the model
    to one length.

    Example
    -------
    >>> SmallCNN(in_features=40)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 420])
    """

    def __init__(
        self,
        in_features: int,
        channels: tuple[int, ...] = (32, 64, 128),
        dense: int = 420,
        dropout: float = 0.18,
        time_cells: int = 4,
    ):
        super().__init__(in_features, dense, output="utterance")
        self.time_cells = int(time_cells)
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        width, rows = 1, self.in_features
        for out in channels:
            self.convolutions.append(nn.Conv2d(width, out, 3, padding=1, bias=False))
            self.norms.append(nn.BatchNorm2d(out))
            width, rows = out, -(-rows // 2)
        self.dense = nn.Linear(width * rows * self.time_cells, dense)
        self.dropout = nn.Dropout(dropout)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        counts = frame_counts(feats, lengths, least=0)
        x = zero_padding(feats.unsqueeze(1), frame_mask(counts, feats.shape[1]), axis=2)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(convolution(x)))
            # After the ReLU a zero never wins against a valid frame, so a pooling window that is
            # half padding gives what it gives at the end of a clip of its own.
            x = zero_padding(x, frame_mask(counts, x.shape[2]), axis=2)
            x = F.max_pool2d(x, 2, ceil_mode=True)
            counts = strided_counts(counts, 2)
        if counts is None:
            counts = torch.full(x.shape[:1], x.shape[2], device=x.device)
        # (B, C, N', F') -> (B, C * F', N') -> (B, C * F', cells)
        x = x.transpose(2, 3).flatten(1, 2) @ _cells(counts, x.shape[2], self.time_cells).to(
            x.dtype
        )
        return self.dropout(F.relu(self.dense(x.flatten(1)))).unsqueeze(1)


def _cells(counts: torch.Tensor, frames: int, cells: int) -> torch.Tensor:
    """Weights (B, frames, cells) that average each item's valid frames in `cells` parts."""
    counts = counts.clamp(min=1)[:, None]
    cell = torch.arange(cells, device=counts.device)
    first, last = cell * counts // cells, -(-(cell + 1) * counts // cells)
    frame = torch.arange(frames, device=counts.device)[None, :, None]
    chosen = (frame >= first[:, None]) & (frame < last[:, None])
    return chosen / (last - first)[:, None]
