"""Augmentation of a batch of equally long clips, on the device the batch is on.

Everything is drawn from torch's global generator, so that a training step that seeds it is
repeatable. Masks on features come from SpeechBrain (`SpectrogramDrop`).
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["BackgroundNoise", "Mixup", "TimeShift", "coloured_noise", "shift"]


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


def coloured_noise(shape: tuple[int, int], device=None) -> torch.Tensor:
    """Noise of peak 1 whose spectrum falls by a random 0 to 6 dB per octave, per item.

    Shape
    -----
    (B, T) given -> (B, T)
    """
    batch, size = shape
    spectrum = torch.fft.rfft(torch.randn(batch, size, device=device))
    bins = torch.arange(1, spectrum.shape[1] + 1, device=device, dtype=torch.float32)
    noise = torch.fft.irfft(spectrum * bins ** -torch.rand(batch, 1, device=device), n=size)
    return noise / noise.abs().amax(1, keepdim=True).clamp(min=1e-9)


class BackgroundNoise(nn.Module):
    """Add a random stretch of background noise at a random amplitude.

    Arguments
    ---------
    recordings : list of tensors (T_i,)
        Noise to cut stretches from, at the clips' rate. Empty: noise is generated
        (`coloured_noise`).
    max_amplitude : float
        The amplitude is uniform between 0 and this.

    Shape
    -----
    (B, T), active (B,) bool or None -> (B, T)

    References
    ----------
    B. Kim et al., Broadcasted Residual Learning for Efficient Keyword Spotting, 2021: amplitude
    up to 0.1, together with the time shift.
    """

    def __init__(self, recordings: list[torch.Tensor], max_amplitude: float = 0.1):
        super().__init__()
        self.max_amplitude = max_amplitude
        self.recordings = recordings
        self._joined: tuple[int, torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def _join(self, size: int, device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All recordings in one tensor, so that a batch of stretches is a single copy of rows.

        Returns every stretch as a view (S, T), and per recording its first stretch and their
        number. A recording shorter than a stretch is repeated.
        """
        if self._joined is None or self._joined[0] != size or self._joined[1].device != device:
            whole = [noise.repeat(-(-size // len(noise))) for noise in self.recordings]
            stretches = torch.cat(whole).to(device).unfold(0, size, 1)
            lengths = torch.tensor([len(noise) for noise in whole])
            first = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)[:-1]])
            self._joined = size, stretches, first, lengths - size + 1
        return self._joined[1:]

    def draw(self, batch: int, size: int, device) -> torch.Tensor:
        """(B, T) of noise at full amplitude."""
        if not self.recordings:
            return coloured_noise((batch, size), device)
        stretches, first, count = self._join(size, device)
        which = torch.randint(len(first), (batch,))
        begin = first[which] + (torch.rand(batch).double() * count[which]).long()
        return stretches[begin.to(device)]

    def forward(self, wavs: torch.Tensor, active: torch.Tensor | None = None) -> torch.Tensor:
        if not self.max_amplitude:
            return wavs
        chosen = torch.arange(len(wavs)) if active is None else active.nonzero()[:, 0]
        amplitude = self.max_amplitude * torch.rand(len(chosen), 1, device=wavs.device)
        noise = self.draw(len(chosen), wavs.shape[1], wavs.device)
        return wavs.index_add(0, chosen.to(wavs.device), noise.mul_(amplitude))


class Mixup(nn.Module):
    """Mix each clip with another one of the batch, labels in the same proportion.

    Arguments
    ---------
    alpha : float
        Of the Beta distribution the proportion is drawn from; 0 switches it off.

    Shape
    -----
    (B, T) -> mixed (B, T), partner (B,) int64, share of the clip itself (B,)

    References
    ----------
    H. Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    """

    def __init__(self, alpha: float):
        super().__init__()
        self.alpha = alpha

    def forward(self, wavs: torch.Tensor):
        batch = len(wavs)
        partner = torch.randperm(batch).to(wavs.device)
        # A Beta draw is a ratio of two Gamma draws; this form uses the global generator.
        gamma = torch._standard_gamma(torch.full((2, batch), float(self.alpha)))
        share = (gamma[0] / gamma.sum(0).clamp(min=1e-12)).to(wavs)
        return share[:, None] * wavs + (1 - share[:, None]) * wavs[partner], partner, share


def feature_masks(
    time_masks: int = 0,
    time_mask_frames: int = 20,
    frequency_masks: int = 0,
    frequency_mask_features: int = 7,
) -> list:
    """SpecAugment's masks as a list of modules `(B, N, F) -> (B, N, F)`; masked values are zero.

    Arguments
    ---------
    time_masks, frequency_masks : int
        Masks per clip; 0 leaves that axis alone.
    time_mask_frames, frequency_mask_features : int
        Longest mask, in frames and in features.

    References
    ----------
    D. S. Park et al., SpecAugment, Interspeech 2019; done by speechbrain's SpectrogramDrop.
    """
    from speechbrain.augment.freq_domain import SpectrogramDrop

    return [
        SpectrogramDrop(
            drop_length_low=0,
            drop_length_high=longest + 1,
            drop_count_low=count,
            drop_count_high=count,
            replace="zeros",
            dim=dim,
        )
        for count, longest, dim in (
            (time_masks, time_mask_frames, 1),
            (frequency_masks, frequency_mask_features, 2),
        )
        if count > 0
    ]
