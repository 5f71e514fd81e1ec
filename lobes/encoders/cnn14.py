"""CNN14 of the pretrained audio neural networks (PANNs): six blocks of 3x3 convolutions."""

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.masks import frame_counts, frame_mask, zero_padding
from ..registry import register_encoder


@register_encoder(
    "cnn14",
    paper="Kong et al. 2020, PANNs: Large-Scale Pretrained Audio Neural Networks for Audio "
    "Pattern Recognition, arXiv:1912.10211",
    source="qiuqiangkong/audioset_tagging_cnn@d2f4b8c",
)
class CNN14(Encoder):
    """VGG-like network for sound events, music and speech commands.

    Features are normalised over the batch; blocks of two 3x3 convolutions with batch
    normalisation and ReLU follow, with 2x2 average pooling after all but the last; then the mean
    over frequency, maximum plus mean over time, and one dense layer.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number. Published: 64.
    channels : sequence of int
        Channels of each block; the dense layer is as wide as the last. A narrow one, such as
        (16, 32, 64), makes a network for a CPU; the published one needs 2.0 billion
        multiply-adds for a second of 100 frames of 64 features.
    dropout : float
        After each block, in training.
    embedding_dropout : float
        Before and after the dense layer, in training.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, channels[-1]).
    Parameters with a linear head at 64 features: 79,698,380 at 12 classes, 79,745,507 at 35;
    another number of features changes them by two per feature.

    Notes
    -----
    A clip shorter than 2 ** (blocks - 1) frames, 32 as published, is followed by silence
    (the value 0 after the first normalisation) up to that length. Where one frequency row is
    left, pooling goes on over time alone. In training, the batch statistics include padded frames.

    References
    ----------
    Followed: Cnn14 of the source. Deviations: any number of features where the source hard-codes
    64; short clips (see Notes) where the source stops; SpecAugment and mixup are not part of the
    network; padded frames take no part; the output layer is the head.

    Example
    -------
    >>> CNN14(in_features=40, channels=(8, 16, 32))(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 32])
    """

    def __init__(
        self,
        in_features: int,
        channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048),
        dropout: float = 0.2,
        embedding_dropout: float = 0.5,
    ):
        super().__init__(in_features, channels[-1], output="utterance")
        self.feature_norm = nn.BatchNorm1d(self.in_features)
        widths = [1, *channels]
        self.blocks = nn.ModuleList(
            ConvBlock(before, after) for before, after in zip(widths, channels, strict=False)
        )
        self.dropout = nn.Dropout(dropout)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.dense = nn.Linear(channels[-1], channels[-1])
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        frames = feats.shape[1]
        fewest = 2 ** (len(self.blocks) - 1)
        counts = frame_counts(feats, lengths, least=0)
        x = self.feature_norm(feats.transpose(1, 2)).transpose(1, 2).unsqueeze(1)
        # Behind an item's end the normalised value is 0, as a convolution's own padding is.
        x = zero_padding(x, frame_mask(counts, frames), axis=2)
        if frames < fewest:
            x = F.pad(x, (0, 0, 0, fewest - frames))
        if counts is not None:
            counts = counts.clamp(min=fewest)
        for index, block in enumerate(self.blocks):
            x = block(x, frame_mask(counts, x.shape[2]))
            if index < len(self.blocks) - 1:
                x = F.avg_pool2d(x, (2, 2 if x.shape[3] > 1 else 1))
                if counts is not None:
                    counts = counts // 2
                    x = zero_padding(x, frame_mask(counts, x.shape[2]), axis=2)
            x = self.dropout(x)
        x = x.mean(3)  # (B, C, N')
        # Nothing is negative after a ReLU, so the zeros behind the end never win.
        mean = x.mean(2) if counts is None else x.sum(2) / counts[:, None].to(x.dtype)
        x = self.embedding_dropout(x.amax(2) + mean)
        return self.embedding_dropout(F.relu(self.dense(x))).unsqueeze(1)


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each with batch normalisation and ReLU.

    Shape
    -----
    (B, in_channels, N, F), mask (B, N) or None -> (B, channels, N, F)
    """

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.first = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        nn.init.xavier_uniform_(self.first.weight)
        nn.init.xavier_uniform_(self.second.weight)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = zero_padding(F.relu(self.first_norm(self.first(x))), mask, axis=2)
        return zero_padding(F.relu(self.second_norm(self.second(x))), mask, axis=2)
