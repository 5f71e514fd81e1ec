"""Augmentation of keyword clips: random time shift and background noise, after BC-ResNet."""

import torch
from torch import nn

from ..generated_noise import tilted_noise_batch


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


class BackgroundNoise(nn.Module):
    """Add a random stretch of background noise at a random amplitude.

    Arguments
    ---------
    recordings : list of tensors (T_i,)
        Noise to cut stretches from, at the clips' rate. Empty: noise is generated
        (`tilted_noise_batch`).
    max_amplitude : float
        The amplitude is uniform between 0 and this.

    Shape
    -----
    (B, T), active (B,) bool or None -> (B, T)
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
            return tilted_noise_batch(batch, size, device)
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


class KeywordAugmentation(nn.Module):
    """Time shift and background noise together with one probability; silence always gets noise.

    Arguments
    ---------
    shift : TimeShift
    noise, silence_noise : BackgroundNoise
    probability : float
        That a clip is shifted and gets noise.
    silence_class : int or None
        Class index of silence.

    Shape
    -----
    wavs (B, T), lengths (B,), batch with `target` (B,), class indices -> (B, T)

    References
    ----------
    B. Kim et al., Broadcasted Residual Learning for Efficient Keyword Spotting, 2021;
    Qualcomm-AI-research/bcresnet@656f947: shift and noise are applied together with probability
    0.8, noise with an amplitude up to 0.1, and clips of silence always get noise of amplitude up
    to 1.
    """

    def __init__(self, shift, noise, silence_noise, probability, silence_class=None):
        super().__init__()
        self.shift, self.noise, self.silence_noise = shift, noise, silence_noise
        self.probability = probability
        self.silence_class = -1 if silence_class is None else silence_class

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor, batch) -> torch.Tensor:
        active = torch.rand(len(wavs), device=wavs.device) < self.probability
        silent = torch.as_tensor(batch.target, device=wavs.device) == self.silence_class
        wavs = self.noise(self.shift(wavs, active & ~silent), active & ~silent)
        return self.silence_noise(wavs, silent) if silent.any() else wavs
