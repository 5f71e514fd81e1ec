"""X-vector network of SpeechBrain: time-delay layers, mean and deviation over time."""

import torch
from speechbrain.lobes.models.Xvector import Xvector
from speechbrain.nnet.CNN import Conv1d
from speechbrain.nnet.pooling import StatisticsPooling

from ..contracts import Encoder
from ..layers.masks import batch_mask, counts_of_mask, reflect_items, zero_padding
from ..registry import register_encoder


@register_encoder(
    "xvector",
    paper="Snyder et al. 2018, X-Vectors: Robust DNN Embeddings for Speaker Recognition, ICASSP",
    source="speechbrain/speechbrain@9c826ef",
)
class XVector(Encoder):
    """Time-delay network with mean and deviation over time, for speakers and commands.

    The layers are `speechbrain.lobes.models.Xvector.Xvector` with the widths of SpeechBrain's
    Google Speech Commands recipe; weights trained there can be loaded into `net`.

    Arguments
    ---------
    in_features : int
        F, values per frame; any number. SpeechBrain's recipe: 24.
    channels : sequence of int
        Channels of the five time-delay layers, whose kernels are 5, 3, 3, 1, 1 and dilations
        1, 2, 3, 1, 1 frames.
    lin_neurons : int
        D, width of the output.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, 1, D).
    4,252,564 parameters at 40 features, 4,211,604 at 24; a linear head has 513 per class.

    Notes
    -----
    In training, the batch statistics include padded frames.

    References
    ----------
    Followed: SpeechBrain's module; its parameters and layers are used as they are. Deviations,
    each because the original lets an item's result depend on the batch or on chance:

    - SpeechBrain reflects at the end of the padded batch, here each item is reflected at its own
      end. Measured: items of 40 to 101 frames in one batch differ from the same items alone by
      1e-2 of the largest output there, by 5e-7 here.
    - SpeechBrain adds random noise of 1e-5 to 9e-5 to the mean, in eval mode too; here none is
      added (outputs differ by 5e-4 of the largest; without the noise they are the same).
    - The deviation of a single frame is 1e-5 here and NaN there, and a clip may be shorter than
      a layer's padding.

    Example
    -------
    >>> XVector(in_features=40)(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 512])
    """

    def __init__(
        self,
        in_features: int,
        channels: tuple[int, ...] = (512, 512, 512, 512, 1500),
        lin_neurons: int = 512,
    ):
        if len(channels) != 5:
            raise ValueError(f"channels must name five layers, got {len(channels)}: {channels}")
        super().__init__(in_features, lin_neurons, output="utterance")
        self.net = Xvector(
            tdnn_channels=list(channels), lin_neurons=lin_neurons, in_channels=self.in_features
        )
        for block in self.net.blocks:
            if isinstance(block, Conv1d):
                block.padding = "valid"  # `_reflect_ends` has padded

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        mask = batch_mask(feats, lengths)
        counts = counts_of_mask(mask)
        x = feats
        for block in self.net.blocks:
            if isinstance(block, Conv1d) and block.kernel_size > 1:
                pad = block.dilation * (block.kernel_size - 1) // 2
                x = block(reflect_items(x.transpose(1, 2), counts, pad, pad).transpose(1, 2))
                continue
            x = _mean_and_deviation(x, mask) if isinstance(block, StatisticsPooling) else block(x)
        return x


def _mean_and_deviation(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean and standard deviation over each item's valid frames: (B, N, C) -> (B, 1, 2 C)."""
    x = x.float()
    if mask is None:
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    count = mask.sum(1)[:, None, None].to(x.dtype)
    mean = zero_padding(x, mask, axis=1).sum(1, keepdim=True) / count
    square = zero_padding(x - mean, mask, axis=1).square().sum(1, keepdim=True)
    # The root of exactly 0 has an infinite slope.
    deviation = (square / (count - 1).clamp(min=1)).clamp(min=1e-10).sqrt()
    return torch.cat([mean, deviation + 1e-5], dim=2)
