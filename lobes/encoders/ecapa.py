"""ECAPA-TDNN of SpeechBrain: speaker embeddings by attentive pooling, masked per item."""

from collections.abc import Sequence

import torch
from speechbrain.lobes.models.ECAPA_TDNN import (
    ECAPA_TDNN,
    AttentiveStatisticsPooling,
    Conv1d,
    SERes2NetBlock,
    TDNNBlock,
)
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.batch_norm import masked_batch_norm
from ..layers.masks import batch_mask, counts_of_mask, reflect_items, zero_padding
from ..layers.statistics import even_weights, masked_mean, masked_softmax, mean_and_deviation
from ..options import choice, number, whole, wholes
from ..registry import register_encoder


@register_encoder(
    "ecapa",
    paper="Desplanques, Thienpondt, Demuynck 2020, ECAPA-TDNN: Emphasized Channel Attention, "
    "Propagation and Aggregation in TDNN Based Speaker Verification, arXiv:2005.07143",
    source="speechbrain/speechbrain@9c826ef",
)
class ECAPA(Encoder):
    """Time-delay network with multi-scale residual blocks and attentive pooling, for speakers.

    The layers are `speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN`; weights trained there can be
    loaded into `net`.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number. Published: 80.
    channels : int or sequence of five int
        Width of the network: 512 and 1024 are published. One number C stands for
        (C, C, C, C, 3 C): the first layer, three blocks of one width, and the layer that
        gathers them.
    embedding_size : int
        D, width of the output.
    attention_channels : int
        Inner width of the attention that weighs the frames.
    res2net_scale : int
        Groups of channels that each block passes through one after another.
    se_channels : int
        Inner width of each block's squeeze and excitation.
    dropout : float
        Of whole channels, in training.
    form : str
        "speechbrain"; or "wespeaker": zeros beyond the ends of a recording in place of its mirror
        image, no ReLU in the attention, whose context has the unbiased variance. The rest of
        wespeaker's ECAPA-TDNN is the same up to the order of channels.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, D).
    Parameters at 80 features: 6,194,048 with 512 channels, 20,767,552 with 1024; another number
    of features changes them by 5 channels[0] per feature. Multiply-adds for 2 s (201 frames of
    80 features): 1.04e9 and 3.77e9.

    Notes
    -----
    A training batch must hold two items or more, for the last batch normalisation. In training
    with `lengths`, batch statistics are those of the valid frames.

    References
    ----------
    Followed: SpeechBrain's module; its parameters and layers are used as they are. Equal to it
    where nothing is padded. Deviations, each because the original lets an item's result depend
    on the batch:

    - SpeechBrain reflects at the end of the padded batch, here each item is reflected at its own
      end. Measured: items of 50 to 120 frames in a batch of 200 differ from the same items alone
      by 0.03 to 0.15 of the largest output there, by 2e-6 here.
    - SpeechBrain rounds lengths in frames up, which lets one padded frame in; its batch
      statistics count the padding.
    - A clip may be shorter than a layer's padding.

    Example
    -------
    >>> ECAPA(in_features=40, channels=64)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 192])
    """

    def __init__(
        self,
        in_features: int,
        channels: int | Sequence[int] = 512,
        embedding_size: int = 192,
        attention_channels: int = 128,
        res2net_scale: int = 8,
        se_channels: int = 128,
        dropout: float = 0.0,
        form: str = "speechbrain",
    ):
        choice("form", form, ("speechbrain", "wespeaker"))
        scale = whole("res2net_scale", res2net_scale, low=2)
        widths = _widths(channels, scale)
        super().__init__(in_features, whole("embedding_size", embedding_size), output="utterance")
        self.net = ECAPA_TDNN(
            self.in_features,
            lin_neurons=self.out_features,
            channels=widths,
            attention_channels=whole("attention_channels", attention_channels),
            res2net_scale=scale,
            se_channels=whole("se_channels", se_channels),
            dropout=number("dropout", dropout, low=0.0, below=1.0),
        )
        for part in self.net.modules():
            if isinstance(part, Conv1d):
                part.padding = "valid"  # `_time_delay` pads
                part.padding_mode = "reflect" if form == "speechbrain" else "zeros"
        self.unbiased = form == "wespeaker"
        if self.unbiased:
            self.net.asp.tdnn.activation = nn.Identity()
            self.net.asp.eps = 1e-7

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        mask = batch_mask(feats, lengths)
        first, *blocks = self.net.blocks
        x = _time_delay(first, zero_padding(feats.transpose(1, 2), mask), mask)
        outputs = []
        for block in blocks:
            x = _residual(block, x, mask)
            outputs.append(x)
        x = _time_delay(self.net.mfa, torch.cat(outputs, dim=1), mask)
        x = _pooled(self.net.asp, x, mask, self.unbiased)
        return self.net.fc(self.net.asp_bn(x)).transpose(1, 2)


def _widths(channels: int | Sequence[int], scale: int) -> list[int]:
    """Channels of the five layers."""
    if isinstance(channels, Sequence) and not isinstance(channels, str):
        widths = wholes("channels", channels, 5)
    else:
        width = whole("channels", channels)
        widths = [width, width, width, width, 3 * width]
    if len(set(widths[1:4])) != 1 or widths[1] % scale:
        raise ValueError(
            "channels must be one number or five, of which the second to fourth are equal; the "
            f"blocks' width must be a multiple of res2net_scale={scale}; got {channels!r}"
        )
    return widths


def _time_delay(block: TDNNBlock, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Convolution, ReLU and batch normalisation: (B, C, N) -> (B, C', N)."""
    pad = block.conv.dilation * (block.conv.kernel_size - 1) // 2
    if pad and block.conv.padding_mode == "reflect":
        x = reflect_items(x, counts_of_mask(mask), pad, pad)
    elif pad:
        x = F.pad(zero_padding(x, mask), (pad, pad))
    x = block.conv(x)
    return block.dropout(masked_batch_norm(block.norm.norm, block.activation(x), mask))


def _residual(block: SERes2NetBlock, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Time-delay layers in a chain over groups of channels, then squeeze and excitation."""
    skip = x if block.shortcut is None else block.shortcut(x)
    groups = block.res2net_block
    first, *rest = _time_delay(block.tdnn1, x, mask).chunk(groups.scale, dim=1)
    outputs = [first]
    for index, (layer, group) in enumerate(zip(groups.blocks, rest, strict=True)):
        outputs.append(_time_delay(layer, group + outputs[-1] if index else group, mask))
    x = _time_delay(block.tdnn2, torch.cat(outputs, dim=1), mask)
    gate = block.se_block
    squeezed = gate.relu(gate.conv1(masked_mean(x, mask, (2,))))
    return gate.sigmoid(gate.conv2(squeezed)) * x + skip


def _pooled(
    pooling: AttentiveStatisticsPooling,
    x: torch.Tensor,
    mask: torch.Tensor | None,
    unbiased: bool,
) -> torch.Tensor:
    """Mean and deviation under the attention of each channel: (B, C, N) -> (B, 2 C, 1)."""
    even = even_weights(x, mask)
    context = mean_and_deviation(x, even, pooling.eps)
    if unbiased:
        count = (even > 0).sum(2, keepdim=True)
        mean, deviation = context.chunk(2, 1)
        context = torch.cat([mean, deviation * (count / (count - 1).clamp(min=1)).sqrt()], 1)
    seen = torch.cat([x, context.expand(-1, -1, x.shape[2]).to(x.dtype)], dim=1)
    scores = pooling.conv(pooling.tanh(_time_delay(pooling.tdnn, seen, mask)))
    return mean_and_deviation(x, masked_softmax(scores, mask), pooling.eps)
