"""Sounds that the tests of frontends feed: noise, tones, chirps, vowels."""

import math
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parents[1] / "golden" / "data"


def golden(name):
    """Waveforms, and frames that a reference computed of them, as tests/golden/data/README.md says."""
    return torch.from_numpy(np.load(GOLDEN / f"{name}.npy"))


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


def _speech_like(num_samples, sample_rate):
    """Glottal pulses at 110 to 150 Hz through three resonances, in syllables with pauses."""
    time = np.arange(num_samples) / sample_rate
    phase = np.cumsum(110 + 20 * (1 + np.sin(2 * np.pi * 1.5 * time))) / sample_rate
    pulses = np.diff(np.floor(phase), prepend=0.0)
    out = np.zeros(num_samples)
    for centre_hz, width_hz in ((700, 80), (1220, 90), (2600, 120)):
        ring = np.exp(-np.pi * width_hz * time[:800]) * np.sin(2 * np.pi * centre_hz * time[:800])
        out += np.convolve(pulses, ring)[:num_samples]
    out *= np.clip(np.sin(2 * np.pi * 3 * time), 0, None)
    out += 1e-3 * np.random.default_rng(0).standard_normal(num_samples)
    return torch.from_numpy(0.2 * out / np.abs(out).max()).float()


def over_noise(num_samples=16000, sample_rate=16000):
    """Noise, a chirp with some noise under it, and something like speech: (3, T)."""
    time = torch.arange(num_samples, dtype=torch.float64) / sample_rate
    sweep = 0.5 * torch.sin(2 * math.pi * (200 * time + sample_rate / 8 * time**2)).float()
    first, second = noise(2, num_samples, seed=3)
    return torch.stack([first, sweep + 0.01 * second, _speech_like(num_samples, sample_rate)])


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
