"""Samples as frames, for encoders that read the waveform."""

import torch

from ..contracts import Frontend, check_batch
from ..layers.masks import mask_padding
from ..options import whole
from ..registry import register_frontend


@register_frontend("waveform")
class Waveform(Frontend):
    """The samples themselves, one per frame: for encoders that start from the waveform.

    Arguments
    ---------
    sample_rate : int
        In Hz.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, T, 1), zero behind each item's end.

    Notes
    -----
    Recommended normalisation: "sentence", which sets the level of every clip, as encoders on
    raw samples expect.

    Example
    -------
    >>> Waveform(sample_rate=16000)(torch.zeros(2, 16000)).shape
    torch.Size([2, 16000, 1])
    """

    fixed = True

    def __init__(self, sample_rate: int = 16000):
        super().__init__(whole("sample_rate", sample_rate), hop=1, window=1, num_features=1)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        check_batch(wavs, lengths)
        return mask_padding(wavs, lengths)[..., None]
