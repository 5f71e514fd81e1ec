"""VGGish: a small VGG on patches of a log-mel spectrogram."""

import torch
from torch import nn

from ..contracts import Encoder
from ..layers.clip_windows import cut_windows, mean_of_windows
from ..options import whole, wholes
from ..registry import register_encoder


@register_encoder(
    "vggish",
    paper="Hershey et al. 2017, CNN Architectures for Large-Scale Audio Classification, ICASSP, "
    "arXiv:1609.09430",
    source="tensorflow/models@09093db",
)
class VGGish(Encoder):
    """3x3 convolutions and three dense layers on patches of 0.96 s, averaged over the clip.

    A clip of any length is cut into the least number of patches that cover it, evenly spread from
    its first frame to its last, and the patches' embeddings are averaged. A clip shorter than a
    patch is repeated until it fills one.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number above 1. Published: 64 mel bands from 125 to 7500 Hz, every
        10 ms, of 16 kHz audio.
    channels : sequence of four int
        Of the blocks of 1, 1, 2 and 2 convolutions. Published: (64, 128, 256, 512).
    dense : int
        Width of the two layers in front of the embedding. Published: 4096.
    embedding_size : int
        D. Published: 128.
    patch_frames : int
        Frames of a patch. Published: 96, 0.96 s at the published hop.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, embedding_size).
    Parameters at 64 features: 72,141,184, as published; 67,641,472 of them are in the dense layers,
    where each started 16 features take 3,072 dense = 12.6 million.

    Notes
    -----
    Patches are computed as one batch, so that no layer sees padding. Activations kept for
    training, in float32, of 12 clips of 30 s with 64 features every 10 ms (32 patches
    each): 2.1 GiB. The names of the parameters and the order of the values in front of the dense
    layers are those of harritaylor/torchvggish@1bedc9d, whose weights can be loaded into this.

    References
    ----------
    Followed: vggish_slim.py of the source; its embedding has no activation (torchvggish adds a
    ReLU). Deviations: initial values after He et al. 2015, as without normalisation the published
    standard deviation of 0.01 leaves nothing of the input after nine layers; any number of
    features; no quantisation and no principal components of the embedding.

    Example
    -------
    >>> VGGish(40, channels=(4, 8, 8, 8), dense=16)(torch.randn(2, 200, 40)).shape
    torch.Size([2, 1, 128])
    """

    fewest_features = 2

    def __init__(
        self,
        in_features: int,
        channels: tuple[int, ...] = (64, 128, 256, 512),
        dense: int = 4096,
        embedding_size: int = 128,
        patch_frames: int = 96,
    ):
        widths = wholes("channels", channels, 4)
        super().__init__(in_features, whole("embedding_size", embedding_size), output="utterance")
        self.patch_frames = whole("patch_frames", patch_frames)
        layers, before = [], 1
        for width, depth in zip(widths, (1, 1, 2, 2), strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
                before = width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        cells = -(-self.patch_frames // 16) * -(-self.in_features // 16)
        hidden = whole("dense", dense)
        self.embeddings = nn.Sequential(
            nn.Linear(cells * widths[-1], hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, self.out_features),
        )
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x, counts = cut_windows(feats, lengths, self.patch_frames)
        x = self.features(x.unsqueeze(1))  # (K, C, frames, features)
        x = self.embeddings(x.permute(0, 2, 3, 1).flatten(1))
        return mean_of_windows(x, counts).unsqueeze(1)
