"""Add noise to the clips of a batch at a signal-to-noise ratio."""

import torch
from torch import nn

from ...filterbank.framing import frame_mask, valid_lengths


def valid_samples(wavs: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Mask of the samples that are not padding: bool (B, T), or (1, T) without lengths.

    Arguments
    ---------
    wavs : tensor (B, T)
    lengths : tensor (B,) or None
        Relative to T, in (0, 1].

    Example
    -------
    >>> valid_samples(torch.zeros(2, 4), torch.tensor([1.0, 0.5]))
    tensor([[ True,  True,  True,  True],
            [ True,  True, False, False]])
    """
    size = wavs.shape[1]
    if lengths is None:
        return torch.ones(1, size, dtype=torch.bool, device=wavs.device)
    return frame_mask(valid_lengths(lengths.to(wavs.device), size), size)


def power(wavs: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean square of the valid samples, (B, 1).

    Example
    -------
    >>> power(torch.tensor([[3.0, 3.0, 9.0]]), torch.tensor([[True, True, False]]))
    tensor([[9.]])
    """
    return (wavs * valid).square().sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp(min=1)


def draw_active(batch: int, probability: float) -> torch.Tensor:
    """Draw the items to change: bool (B,), on the CPU, where counting them does not wait for a GPU."""
    return torch.rand(batch) < probability


class ItemEffect(nn.Module):
    """Change some items of a batch; a subclass defines `change`, the others stay as they are.

    Arguments
    ---------
    source : object
        What `change` draws from.
    probability : float
        That an item is changed.

    Shape
    -----
    wavs (B, T), lengths (B,) relative or None, active (B,) bool on the CPU or None -> (B, T)
    """

    def __init__(self, source, probability: float = 1.0):
        super().__init__()
        self.source, self.probability = source, probability

    def forward(self, wavs, lengths=None, active=None):
        if active is None:
            active = draw_active(len(wavs), self.probability)
        rows = active.nonzero()[:, 0].to(wavs.device)
        if not len(rows):
            return wavs
        valid = valid_samples(wavs, lengths).expand(len(wavs), -1)[rows]
        return wavs.index_copy(0, rows, self.change(wavs[rows].float(), valid).to(wavs.dtype))

    def change(self, clean: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """(b, T) of the chosen items and the mask (b, T) of their valid samples -> (b, T)"""
        raise TypeError(f"{type(self).__name__} does not define change")


class AddNoise(ItemEffect):
    """Add noise from a source, each item at the SNR that the source draws.

    Signal and noise are both measured over the valid part of the item. Padding stays zero, and a
    silent item, or one whose noise is silent, is left as it is.

    Arguments
    ---------
    source : object with `draw(batch, size, device)`
        `GeneratedNoise`, `MusanNoise`.
    probability : float
        That an item gets noise.

    Shape
    -----
    wavs (B, T), lengths (B,) relative or None, active (B,) bool on the CPU or None -> (B, T)

    Example
    -------
    >>> from auricle.processing.data.augmentation.noise_sources import GeneratedNoise
    >>> AddNoise(GeneratedNoise(16000))(torch.randn(2, 16000), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 16000])
    """

    def change(self, clean, valid):
        noise, snr_db = self.source.draw(*clean.shape, clean.device)
        noise = noise * valid
        ratio = power(clean, valid) / power(noise, valid) / 10 ** (snr_db[:, None] / 10)
        # 0 / 0 and x / 0: silent noise adds nothing, whatever its gain.
        return clean + ratio.sqrt().nan_to_num(nan=0.0, posinf=0.0) * noise
