"""ResNet-50 on a spectrogram of any size, with weights of images by a local path."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ..contracts import Encoder, valid_lengths
from ..layers.padded import batch_norm_inside, mean_inside, zero_outside
from ..options import number, whole
from ..registry import register_encoder
from ._accepted_input import picture_unfit
from ._extras import timm
from ._pretrained_weights import check_against, read_safetensors

__all__ = ["ResNet50"]

LAYERS = (3, 4, 6, 3)
EXPANSION = 4
PUBLISHED_WIDTH = 64


@register_encoder(
    "resnet50",
    paper="He et al. 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385",
    source="timm 1.0.31, timm.models.resnet",
)
class ResNet50(Encoder):
    """Residual network for images on one channel (needs the extra `timm`).

    Rows are features from low to high, columns are frames; both are halved five times. Then the
    mean over the rows and over each item's own columns.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number.
    width : int
        Channels of the first stage; the later ones have 2, 4 and 8 times as many, and what a
        stage gives out four times its own. Published: 64; 16 makes a network for a CPU.
    path : str or None
        A `.safetensors` file, or a folder with one, of timm's or torchvision's ResNet-50 (the
        same names). Nothing is downloaded. The three channels of its first convolution are
        summed, which is the network fed the same picture three times. None: random values.
    dropout : float
        On the vector that comes out, in training.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, 32 width): 2048 as published.
    Parameters without a head: 23,501,760 at width 64 (23,508,032 with three channels), 1,481,472
    at width 16.

    Raises
    ------
    ValueError
        timm is not installed; an option is out of range; the file at `path` is of another
        architecture (says what was found and what was expected).

    References
    ----------
    Followed: timm's resnet50, equal to its forward_features and mean where nothing is padded.
    Deviations: frames behind an item's end are zero before every convolution that looks across
    time and take no part in the batch statistics; the last normalisation of a block starts with
    gains of one and not of zero, so that every parameter learns from the first step.

    Example
    -------
    >>> ResNet50(in_features=40, width=8)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 256])
    """

    def __init__(
        self,
        in_features: int,
        width: int = PUBLISHED_WIDTH,
        path: str | None = None,
        dropout: float = 0.0,
    ):
        whole("in_features", in_features)
        whole("width", width)
        number("dropout", dropout, low=0, below=1)
        if path is not None and width != PUBLISHED_WIDTH:
            raise ValueError(f"path needs width {PUBLISHED_WIDTH}, the published one, got {width}")
        super().__init__(in_features, 8 * EXPANSION * width, output="utterance")
        resnet = timm("resnet50").models.resnet
        self.net = resnet.ResNet(
            resnet.Bottleneck,
            LAYERS,
            num_classes=0,
            in_chans=1,
            stem_width=width,
            channels=tuple(width * factor for factor in (1, 2, 4, 8)),
            zero_init_last=False,
        )
        self.dropout = torch.nn.Dropout(dropout)
        if path is not None:
            self._load(path)

    @classmethod
    def unfit(cls, in_features: int, in_frames: int | None, **options) -> str | None:
        return picture_unfit(in_features)

    def lasting_options(self, options: dict) -> dict:
        return {name: value for name, value in options.items() if name != "path"}

    def _load(self, path: str) -> None:
        weights, _ = read_safetensors(path)
        weights = {name: v for name, v in weights.items() if not name.startswith("fc.")}
        first = weights.get("conv1.weight")
        if first is not None and first.dim() == 4 and first.shape[1] == 3:
            weights["conv1.weight"] = first.sum(1, keepdim=True)
        expected = self.net.state_dict()
        for name in expected:  # counters, which some writers leave out
            if name.endswith("num_batches_tracked"):
                weights.setdefault(name, expected[name])
        check_against(path, weights, expected, {"resnet50 of width": PUBLISHED_WIDTH})
        self.net.load_state_dict(weights)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        net = self.net
        valid = None
        if lengths is not None:
            valid = valid_lengths(lengths.to(feats.device), feats.shape[1]).clamp(min=1)
        x = feats.transpose(1, 2)[:, None]
        inside = _inside(x, valid)
        x = net.conv1(zero_outside(x, inside))
        x, valid, inside = _halved(x, valid)
        # After the ReLU nothing is below the zeros behind an item's end.
        x = zero_outside(net.act1(batch_norm_inside(net.bn1, x, inside)), inside)
        x, valid, inside = _halved(net.maxpool(x), valid)
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            for block in stage:
                x, valid = _bottleneck(block, x, valid)
        x = mean_inside(x, _inside(x, valid), (2, 3)).flatten(1)
        return self.dropout(x)[:, None]


def _inside(x: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor | None:
    """Which columns of (B, C, F, N) are valid, (B, N)."""
    if valid is None:
        return None
    return torch.arange(x.shape[3], device=x.device) < valid[:, None]


def _halved(x: torch.Tensor, valid: torch.Tensor | None):
    """What a stride of 2 leaves of the valid columns, the rounded-up half."""
    valid = None if valid is None else (valid + 1) // 2
    return x, valid, _inside(x, valid)


def _bottleneck(block, x: torch.Tensor, valid: torch.Tensor | None):
    """timm's Bottleneck on a batch with padding: (B, C, F, N) and the valid columns of it."""
    inside = _inside(x, valid)
    shortcut = x
    x = F.relu(batch_norm_inside(block.bn1, block.conv1(x), inside))
    x = block.conv2(zero_outside(x, inside))
    if block.stride == 2:
        x, valid, inside = _halved(x, valid)
    x = F.relu(batch_norm_inside(block.bn2, x, inside))
    x = batch_norm_inside(block.bn3, block.conv3(x), inside)
    if block.downsample is not None:
        conv, norm = block.downsample
        shortcut = batch_norm_inside(norm, conv(shortcut), inside)
    return F.relu(x + shortcut), valid
