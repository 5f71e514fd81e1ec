"""All frames of a clip side by side, for a linear head on the features alone."""

import torch
from torch.nn import functional as F

from ..contracts import Encoder
from ..layers.masks import mask_padding
from ..registry import register_encoder


@register_encoder("linear")
class Linear(Encoder):
    """All frames of a clip side by side; with its linear head this is the "Simple" model.

    Has no parameter of its own. With a linear head of 12 classes on 101 frames of 40 features the
    model has 48,492 parameters (141,435 at 35 classes).

    Arguments
    ---------
    in_features : int
        F, values per frame.
    in_frames : int
        Frames of a training clip. The output has room for so many.

    Shape
    -----
    feats (B, N, F) with N <= in_frames, lengths (B,) or None -> (B, 1, in_frames * F).
    A shorter clip is followed by zeros, and so is an item's padding.

    Raises
    ------
    ValueError
        When a clip has more than `in_frames` frames: cutting it would score something else than
        what was given.

    Example
    -------
    >>> encoder = Linear(in_features=40, in_frames=101)
    >>> encoder(torch.randn(2, 101, 40)).shape
    torch.Size([2, 1, 4040])
    """

    needs_in_frames = True

    def __init__(self, in_features: int, in_frames: int):
        super().__init__(in_features, int(in_frames) * int(in_features), output="utterance")
        self.in_frames = int(in_frames)

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        missing = self.in_frames - feats.shape[1]
        if missing < 0:
            raise ValueError(
                f"linear was built for {self.in_frames} frames and got {feats.shape[1]}; "
                "cut the clips, raise clip_s, or choose an encoder for any length"
            )
        feats = F.pad(mask_padding(feats, lengths), (0, 0, 0, missing))
        return feats.reshape(feats.shape[0], 1, self.out_features)
