"""ResNet-50 of timm on a spectrogram of any size, with image weights from a local file."""

import torch
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.batch_norm import masked_batch_norm
from ..layers.masks import batch_mask, zero_padding
from ..layers.statistics import masked_mean
from ..options import number, whole
from ..registry import register_encoder
from ._extras import timm
from ._pretrained_weights import check_against, read_safetensors

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

    fewest_features = 2

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
        mask = batch_mask(feats, lengths)
        x = net.conv1(zero_padding(feats.transpose(1, 2)[:, None], mask))
        mask = _halved(mask)
        # After the ReLU nothing is below the zeros behind an item's end.
        x = zero_padding(net.act1(masked_batch_norm(net.bn1, x, mask)), mask)
        x, mask = net.maxpool(x), _halved(mask)
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            for block in stage:
                x, mask = _bottleneck(block, x, mask)
        x = masked_mean(x, mask, (2, 3)).flatten(1)
        return self.dropout(x)[:, None]


def _halved(mask: torch.Tensor | None) -> torch.Tensor | None:
    """Mask behind a stride of 2: the rounded-up half of the valid columns."""
    return None if mask is None else mask[:, ::2]


def _bottleneck(block, x: torch.Tensor, mask: torch.Tensor | None):
    """timm's Bottleneck on a batch with padding: (B, C, F, N) and the valid columns of it."""
    shortcut = x
    x = F.relu(masked_batch_norm(block.bn1, block.conv1(x), mask))
    x = block.conv2(zero_padding(x, mask))
    if block.stride == 2:
        mask = _halved(mask)
    x = F.relu(masked_batch_norm(block.bn2, x, mask))
    x = masked_batch_norm(block.bn3, block.conv3(x), mask)
    if block.downsample is not None:
        conv, norm = block.downsample
        shortcut = masked_batch_norm(norm, conv(shortcut), mask)
    return F.relu(x + shortcut), mask
