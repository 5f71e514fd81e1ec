"""Shift the clips of a batch by random times; zeros come in at the other end."""

import torch
from torch import nn


def shift(wavs: torch.Tensor, offsets: torch.Tensor, reach: int | None = None) -> torch.Tensor:
    """Shift each waveform by its own number of samples; zeros come in at the other end.

    Arguments
    ---------
    wavs : tensor (B, T)
    offsets : int64 tensor (B,)
        In samples; positive is later.
    reach : int or None
        Largest offset there can be; None looks it up.

    Shape
    -----
    (B, T) -> (B, T)

    Example
    -------
    >>> shift(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1]))
    tensor([[0., 1., 2.]])
    """
    size = wavs.shape[1]
    if reach is None:
        reach = int(offsets.abs().max())
    # With zeros on both sides every shifted clip is one stretch of the padded one.
    padded = nn.functional.pad(wavs, (reach, reach)).unfold(1, size, 1)
    return padded[torch.arange(len(wavs), device=wavs.device), reach - offsets]


class TimeShift(nn.Module):
    """Shift clips by a uniform random time.

    Arguments
    ---------
    max_shift_ms : float
        Largest shift in either direction, in ms. 100 is usual for keyword spotting.
    sample_rate : int
        In Hz.

    Shape
    -----
    (B, T), active (B,) bool or None -> (B, T)
    """

    def __init__(self, max_shift_ms: float, sample_rate: int):
        super().__init__()
        self.max_samples = round(max_shift_ms * sample_rate / 1000)

    def forward(self, wavs: torch.Tensor, active: torch.Tensor | None = None) -> torch.Tensor:
        if not self.max_samples:
            return wavs
        offsets = torch.randint(
            -self.max_samples, self.max_samples + 1, (len(wavs),), device=wavs.device
        )
        return shift(wavs, offsets if active is None else offsets * active, self.max_samples)
