"""3x3 convolutions with strong pooling over frames and features: the trunk of music taggers."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.batch_norm import norm_values
from ..layers.masks import frame_mask, strided_counts, trim_padding, zero_padding
from ..options import flag, wholes


class PooledConvolutions(Encoder):
    """Batch norm of the input, then 3x3 convolutions with batch norm, ReLU and a maximum each.

    Arguments
    ---------
    in_features, out_features, output
        As `Encoder`.
    channels : sequence of int
        Of the convolutions.
    feature_pools, time_pools : sequence of int
        Features and frames over which each layer takes the maximum.
    partial_pools : bool
        True: the last, incomplete part of a pooling over time counts. False: it is left out, as
        published, where it is not all there is; then a clip gives no steps over time.

    Raises
    ------
    ValueError
        An option out of range; steps over time of poolings that leave a part out.
    """

    fewest_features = 2

    def __init__(
        self,
        in_features: int,
        out_features: int,
        output: str,
        channels: Sequence[int],
        feature_pools: Sequence[int],
        time_pools: Sequence[int],
        partial_pools: bool,
    ):
        widths = wholes("channels", channels, len(feature_pools))
        pools = wholes("time_pools", time_pools, len(feature_pools))
        stride = math.prod(pools) if output == "frames" else 1
        super().__init__(in_features, out_features, output, stride)
        self.feature_pools, self.time_pools = tuple(feature_pools), tuple(pools)
        self.partial_pools = flag("partial_pools", partial_pools)
        if output == "frames" and not partial_pools:
            raise ValueError('partial_pools=False needs output="utterance", got "frames"')
        self.input_norm = nn.BatchNorm2d(1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1)
            for before, after in zip([1, *widths], widths, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)

    def pooled_steps(
        self, feats: torch.Tensor, lengths: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Steps over time, the mean over the rows of features that are left; and their counts.

        Shape
        -----
        feats (B, N, F), lengths (B,) or None -> (B, N', C), zero behind each item's end; (B,) or
        None: all are valid.
        """
        x, counts = trim_padding(feats, lengths)
        mask = frame_mask(counts, x.shape[1])
        x = x.transpose(1, 2).unsqueeze(1)  # (B, 1, F, N)
        x = zero_padding(norm_values(self.input_norm, zero_padding(x, mask), mask), mask)
        for convolution, norm, rows, frames in zip(
            self.convolutions, self.norms, self.feature_pools, self.time_pools, strict=True
        ):
            x = F.relu(norm_values(norm, convolution(x), mask), inplace=True)
            # After the ReLU a zero never wins against a valid frame.
            x = zero_padding(x, mask)
            if not self.partial_pools:
                x = F.pad(x, (0, max(1, x.shape[3] // frames) * frames - x.shape[3]))
            x = F.max_pool2d(x, (rows, frames), ceil_mode=True)
            if self.partial_pools:
                counts = strided_counts(counts, frames)
            elif counts is not None:
                counts = (counts // frames).clamp(min=1)
            mask = frame_mask(counts, x.shape[3])
            x = x if self.partial_pools else zero_padding(x, mask)
        return x.mean(2).transpose(1, 2), counts
