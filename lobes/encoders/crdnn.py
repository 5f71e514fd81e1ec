"""CRDNN of SpeechBrain: convolutions, light GRUs and dense layers, masked per item."""

from collections.abc import Sequence

import torch
from speechbrain.lobes.models.CRDNN import CRDNN as SpeechBrainCRDNN
from speechbrain.lobes.models.CRDNN import CNN_Block, DNN_Block
from speechbrain.nnet.RNN import LiGRU_Layer
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.batch_norm import masked_batch_norm
from ..layers.masks import batch_mask, counts_of_mask, reflect_items, reversed_items, zero_padding
from ..layers.recurrent import recurrence
from ..options import number, whole, wholes
from ..registry import register_encoder

#: Every convolutional block halves the features, and reflects them at their ends before.
BLOCKS = 2


@register_encoder(
    "crdnn",
    paper="Ravanelli et al. 2018, Light Gated Recurrent Units for Speech Recognition, "
    "arXiv:1803.10225",
    source="speechbrain/speechbrain@9c826ef",
)
class CRDNN(Encoder):
    """Convolutions, light gated recurrent units in both directions, dense layers; for phones.

    The layers are `speechbrain.lobes.models.CRDNN.CRDNN`; weights trained there can be loaded into
    `net`, all but the buffers called `drop_masks`.

    Arguments
    ---------
    in_features : int
        F, values per frame, at least 4. SpeechBrain's TIMIT recipe: 40.
    channels : sequence of two int
        Of the convolutional blocks, two layers of 3 x 3 each and a pooling of two features to one.
    time_pooling : int
        Frames to a step, of which the largest value remains; the stride.
    rnn_layers : int
    rnn_units : int
        Of each direction.
    dnn_layers : int
    dnn_units : int
        D, width of the output.
    dropout : float
        Everywhere, in training: of feature rows, of units for a whole clip, of values.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, ceil(N / time_pooling), dnn_units), zero behind
    each item's end. Parameters at 40 features as it comes, and as published, in SpeechBrain's
    recipe for TIMIT with CTC: 285,424 and 9,737,088. The published one is

        ``channels=(128, 256), rnn_layers=4, rnn_units=512, dnn_units=512``

    which takes seconds for a step on a CPU.

    Notes
    -----
    In training with `lengths`, batch statistics are those of the valid frames. A training batch
    must hold two steps or more.

    References
    ----------
    Followed: SpeechBrain's module; its parameters and layers are used as they are. Equal to it
    where nothing is padded and the pooling comes out even. Deviations:

    - There the convolutions, the backward direction of the recurrent layers and the batch
      statistics read the padding; here each item is reflected at its own ends, and both
      directions see the item alone.
    - What is left of the last pooling window makes a step; there it is dropped.
    - Recurrent dropout draws its masks when they are needed. There 16,000 of them are part of every
      checkpoint, 131 MB at the published size.
    - The running statistics begin at 0 and 1; there a batch of zeros has been through.

    Example
    -------
    >>> CRDNN(in_features=40)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 51, 128])
    """

    fewest_features = 4
    #: SpeechBrain sends zeros through the layers to learn the sizes of the next ones.
    computes_when_built = True

    def __init__(
        self,
        in_features: int,
        channels: Sequence[int] = (16, 32),
        time_pooling: int = 2,
        rnn_layers: int = 2,
        rnn_units: int = 128,
        dnn_layers: int = 2,
        dnn_units: int = 128,
        dropout: float = 0.15,
    ):
        in_features = whole("in_features", in_features, low=self.fewest_features)
        stride, dnn_units = whole("time_pooling", time_pooling), whole("dnn_units", dnn_units)
        super().__init__(in_features, dnn_units, "frames", stride)
        self.net = SpeechBrainCRDNN(
            self.in_features,
            dropout=number("dropout", dropout, low=0, below=1),
            cnn_blocks=BLOCKS,
            cnn_channels=wholes("channels", channels, BLOCKS),
            inter_layer_pooling_size=[2] * BLOCKS,
            time_pooling=stride > 1,
            time_pooling_size=stride,
            rnn_layers=whole("rnn_layers", rnn_layers),
            rnn_neurons=whole("rnn_units", rnn_units),
            dnn_blocks=whole("dnn_layers", dnn_layers),
            dnn_neurons=dnn_units,
        )
        for layer in self.net.RNN.rnn:
            del layer.drop_masks  # `_light_gru` draws its own
        for part in self.net.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.reset_running_stats()  # building the net has sent zeros through

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        mask = batch_mask(feats, lengths)
        x = zero_padding(feats, mask, axis=1).transpose(1, 2).unsqueeze(1)
        for block in self.net.CNN.values():
            x = _convolved(block, x, mask)
        if self.stride > 1:
            x, mask = _pooled(x, mask, self.stride)
        x = x.permute(0, 3, 2, 1).flatten(2)  # (B, C, F, N) -> (B, N, F C)
        for layer in self.net.RNN.rnn:
            x = _light_gru(layer, x, mask)
        for block in self.net.DNN.values():
            x = _dense(block, x, mask)
        return zero_padding(x, mask, axis=1)


def _convolved(block: CNN_Block, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Two convolutions, normalised per frame, and a pooling: (B, C, F, N) -> (B, C', F // 2, N)."""
    for conv, norm, act in (
        (block.conv_1, block.norm_1, block.act_1),
        (block.conv_2, block.norm_2, block.act_2),
    ):
        along = reflect_items(x.flatten(1, 2), counts_of_mask(mask), 1, 1).unflatten(
            1, x.shape[1:3]
        )
        x = conv.conv(F.pad(along, (0, 0, 1, 1), mode="reflect"))
        x = act(norm(x.transpose(1, 3))).transpose(1, 3)
    x = F.max_pool2d(x, (2, 1))
    return block.drop(x.transpose(1, 3)).transpose(1, 3)


def _pooled(
    x: torch.Tensor, mask: torch.Tensor | None, size: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The largest of each `size` valid frames of (B, C, F, N), and which windows have any."""
    if mask is None:
        return F.max_pool2d(x, (1, size), ceil_mode=True), None
    x = x.masked_fill(~mask[:, None, None], -torch.inf)
    mask = mask[:, ::size]
    return zero_padding(F.max_pool2d(x, (1, size), ceil_mode=True), mask), mask


def _light_gru(layer: LiGRU_Layer, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Both directions, which share their weights: (B, N, F) -> (B, N, 2 H)."""
    counts = counts_of_mask(mask)
    both = None if mask is None else torch.cat([mask, mask])
    gates = layer.w(torch.cat([x, reversed_items(x, counts)])).transpose(1, 2)
    gates = masked_batch_norm(layer.norm, gates, both).transpose(1, 2)
    kept = layer.drop(torch.ones(gates.shape[0], layer.hidden_size, device=x.device))
    states = recurrence("light_gru", gates, [layer.u.weight, kept])
    ahead, back = states[: x.shape[0]], states[x.shape[0] :]
    return torch.cat([ahead, reversed_items(back, counts)], dim=2)


def _dense(block: DNN_Block, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    x = block.linear(x).transpose(1, 2)
    return block.dropout(block.act(masked_batch_norm(block.norm.norm, x, mask).transpose(1, 2)))
