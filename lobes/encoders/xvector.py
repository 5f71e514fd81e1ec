"""SpeechBrain's x-vector network, with padding that changes nothing."""

from __future__ import annotations

import torch
from speechbrain.lobes.models.Xvector import Xvector
from speechbrain.nnet.CNN import Conv1d
from speechbrain.nnet.pooling import StatisticsPooling
from torch.nn import functional as F

from ..contracts import Encoder, valid_lengths
from ..registry import register_encoder

__all__ = ["XVector"]


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
        batch, frames, _ = feats.shape
        if lengths is None:
            valid = torch.full((batch,), frames, device=feats.device)
        else:
            valid = valid_lengths(lengths.to(feats.device), frames).clamp(min=1)
        x = feats
        for block in self.net.blocks:
            if isinstance(block, Conv1d) and block.kernel_size > 1:
                x = block(_reflect_ends(x, valid, block.dilation * (block.kernel_size - 1) // 2))
            elif isinstance(block, StatisticsPooling):
                x = _mean_and_deviation(x, valid)
            else:
                x = block(x)
        return x


def _reflect_ends(x: torch.Tensor, valid: torch.Tensor, pad: int) -> torch.Tensor:
    """Reflect each item at its own first and last valid frame: (B, N, C) -> (B, N + 2 pad, C)."""
    frames, channels = x.shape[1:]
    behind = torch.arange(frames, device=x.device) >= valid[:, None]
    padded = F.pad(x.masked_fill(behind[:, :, None], 0.0), (0, 0, pad, pad))
    step = torch.arange(pad, device=x.device)
    target = torch.cat([(step - pad).expand(len(x), -1), valid[:, None] + step], dim=1)
    # A triangle wave, so that clips shorter than the padding are reflected to and fro.
    period = (2 * (valid - 1)).clamp(min=1)[:, None]
    source = torch.minimum(target.abs() % period, period - target.abs() % period)
    ends = x.gather(1, source[:, :, None].expand(-1, -1, channels))
    return padded.scatter_add(1, (target + pad)[:, :, None].expand(-1, -1, channels), ends)


def _mean_and_deviation(x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation over each item's valid frames: (B, N, C) -> (B, 1, 2 C)."""
    x = x.float()
    inside = (torch.arange(x.shape[1], device=x.device) < valid[:, None])[:, :, None]
    count = valid[:, None, None].to(x.dtype)
    mean = x.masked_fill(~inside, 0.0).sum(1, keepdim=True) / count
    square = (x - mean).masked_fill(~inside, 0.0).square().sum(1, keepdim=True)
    # The root of exactly 0 has an infinite slope.
    deviation = (square / (count - 1).clamp(min=1)).clamp(min=1e-10).sqrt()
    return torch.cat([mean, deviation + 1e-5], dim=2)
