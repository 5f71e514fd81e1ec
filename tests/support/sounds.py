"""Sounds that the tests of frontends feed: noise, tones, chirps, vowels."""

import math

import torch


def noise(*shape, seed=0, scale=0.1):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tone(frequency_hz, sample_rate=16000, seconds=1.0, phase=-math.pi / 2):
    """One item; a sine unless the phase says otherwise."""
    time = torch.arange(int(seconds * sample_rate), dtype=torch.float64) / sample_rate
    return torch.cos(2 * math.pi * float(frequency_hz) * time + phase).float()[None]


_TIME = torch.arange(16000) / 16000
_SPEECH = sum(
    math.exp(-((140 * k - 700) ** 2) / 2e5) * torch.cos(2 * math.pi * 140 * k * _TIME + k)
    for k in range(1, 50)
) * (0.6 + 0.4 * torch.sin(2 * math.pi * 4 * _TIME))
#: A second at 16 kHz of each kind.
SIGNALS = {
    "noise": noise(16000),
    "chirp": 0.5 * torch.sin(2 * math.pi * (200 * _TIME + 1900 * _TIME**2)),
    "speech-like": 0.1 * _SPEECH,
}


def waveforms(sample_rate=16000, num_samples=5000):
    """Noise, a chirp, and a buzz that comes and goes: (3, num_samples)."""
    time = torch.arange(num_samples) / sample_rate
    chirp = torch.sin(2 * math.pi * (200 + 4000 * time) * time)
    voiced = torch.sin(2 * math.pi * 120 * time).sign() * torch.sin(2 * math.pi * 4 * time)
    return torch.stack([noise(num_samples, scale=1.0), chirp, voiced])


def loud_and_quiet(kind, num_samples=4000):
    """Noise, or a chirp or a vowel once loud and once quiet: (2, num_samples) at 16 kHz."""
    time = torch.arange(num_samples, dtype=torch.float64) / 16000
    if kind == "noise":
        return noise(2, num_samples)
    if kind == "chirp":
        wave = 0.5 * torch.sin(2 * math.pi * (200 * time + 14000 * time.square()))
    else:  # a vowel: harmonics of a falling pitch, with pauses
        phase = 2 * math.pi * (140 * time - 60 * time.square())
        wave = sum(torch.sin(k * phase) / k for k in range(1, 30))
        wave = 0.2 * wave * torch.sin(2 * math.pi * 4 * time).clamp(min=0)
    return wave.float()[None].repeat(2, 1) * torch.tensor([[1.0], [0.3]])
