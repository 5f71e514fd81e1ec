"""ResNet-34 of SpeechBrain: speaker embeddings by attentive pooling (r-vector)."""

from collections.abc import Sequence

import torch
from speechbrain.lobes.models.ResNet import BasicBlock, ResNet, SEBasicBlock

from ..contracts import Encoder
from ..layers.batch_norm import masked_batch_norm
from ..layers.masks import batch_mask, zero_padding
from ..layers.statistics import masked_mean, masked_softmax, mean_and_deviation
from ..options import whole, wholes
from ..registry import register_encoder


@register_encoder(
    "resnet34",
    paper="Zeinali et al. 2019, BUT System Description to VoxCeleb Speaker Recognition Challenge "
    "2019, arXiv:1910.12592",
    source="speechbrain/speechbrain@9c826ef",
)
class ResNet34(Encoder):
    """Two-dimensional residual network with attentive pooling, for speakers (r-vector).

    The layers are `speechbrain.lobes.models.ResNet.ResNet`, whose blocks activate before they
    convolve and whose first two stages have squeeze and excitation; weights trained there can be
    loaded into `net`.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number. Published: 80.
    channels : sequence of four int
        Of each stage. (32, 64, 128, 256), the default, are the widths of the r-vector;
        (128, 128, 256, 256) those of SpeechBrain's VoxCeleb recipe.
    block_sizes : sequence of four int
        Blocks of each stage; the second to fourth stage halve both axes.
    embedding_size : int
        D, width of the output.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, D).
    Parameters at 80 features: 7,660,704 by default, 15,438,336 with the channels of SpeechBrain's
    recipe. Without the gates, third convolutions, attention and last normalisations, which
    SpeechBrain adds to the r-vector, the default has 6,633,888 (wespeaker's ResNet34: 6.63
    million). Multiply-adds for 2 s (201 frames of 80 features): 4.89e9 and 28.5e9.

    Notes
    -----
    A training batch must hold two items or more, for the last batch normalisations. In training
    with `lengths`, batch statistics are those of the valid frames.

    References
    ----------
    Followed: SpeechBrain's module; its parameters and layers are used as they are. Equal to it
    up to rounding where nothing is padded. Deviations:

    - SpeechBrain takes no notice of `lengths`, here padded frames take no part. Measured: items
      of 50 to 120 frames in a batch of 200 differ from the same items alone by 0.3 to 0.6 of the
      largest output there, by 2e-6 here.
    - The variance is computed from centred values and in float32, also under autocast.
    - The output has a frame axis, as that of SpeechBrain's other networks.

    Example
    -------
    >>> ResNet34(in_features=40, channels=(8, 8, 16, 16))(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 256])
    """

    def __init__(
        self,
        in_features: int,
        channels: Sequence[int] = (32, 64, 128, 256),
        block_sizes: Sequence[int] = (3, 4, 6, 3),
        embedding_size: int = 256,
    ):
        widths, sizes = wholes("channels", channels, 4), wholes("block_sizes", block_sizes, 4)
        super().__init__(in_features, whole("embedding_size", embedding_size), output="utterance")
        self.net = ResNet(
            self.in_features, channels=widths, block_sizes=sizes, lin_neurons=self.out_features
        )

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        net = self.net
        mask = batch_mask(feats, lengths)
        x = net.conv1(zero_padding(feats, mask, 1).unsqueeze(1))  # (B, C, N, F)
        x = net.activation1(masked_batch_norm(net.bn1, x, mask, 2))
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            for block in stage:
                x, mask = _residual(block, x, mask)
        x = x.transpose(2, 3).flatten(1, 2)
        narrow, activation, norm, wide, _ = net.attention
        scores = wide(masked_batch_norm(norm, activation(narrow(x)), mask))
        pooled = mean_and_deviation(x, masked_softmax(scores, mask), 1e-5).squeeze(2)
        x = net.fc_embed(net.norm_stats(pooled))
        return net.norm_embed(x).unsqueeze(1)


def _residual(
    block: BasicBlock | SEBasicBlock, x: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(B, C, N, F) -> (B, C', N', F') with N' = ceil(N / stride), and which frames are valid."""
    after = mask if mask is None or block.stride == 1 else mask[:, :: block.stride]
    y = block.activation(masked_batch_norm(block.bn1, x, mask, 2))
    y = block.conv1(zero_padding(y, mask, 2))
    y = block.activation(masked_batch_norm(block.bn2, y, after, 2))
    y = block.conv2(zero_padding(y, after, 2))
    y = block.conv3(block.activation(masked_batch_norm(block.bn3, y, after, 2)))
    if isinstance(block, SEBasicBlock):
        gate = block.se.fc(masked_mean(y, after, (2, 3), 2).flatten(1))
        y = y * gate[:, :, None, None]
    if block.downsample is not None:
        convolution, norm = block.downsample
        x = masked_batch_norm(norm, convolution(x), after, 2)
    return y + x, after
