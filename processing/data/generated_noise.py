"""Generate coloured noise, mains hum and voices without words, in numpy and for batches in torch.

The numpy functions make one sound from a generator, in float64; the mini corpora and the robustness
suite depend on their exact values. The functions for batches are for augmentation: they draw from
torch's global generator, on the device of the batch.
"""

import math

import numpy as np
import torch

from .fft_size import fast_fft_size


def coloured_noise(
    rng: np.random.Generator,
    num_samples: int,
    sample_rate_hz: int,
    tilt_db_per_octave: float,
    lowest_hz: float = 50.0,
) -> np.ndarray:
    """Gaussian noise of unit RMS whose power spectrum falls by a constant tilt.

    Arguments
    ---------
    tilt_db_per_octave : float
        0 is white, -3 pink, -6 brown.
    lowest_hz : float
        Below it the spectrum stays flat, so that a steep tilt is not all rumble.

    Shape: () -> (num_samples,)
    """
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequency_hz = np.fft.rfftfreq(num_samples, 1.0 / sample_rate_hz)
    octaves = np.log2(np.maximum(frequency_hz, lowest_hz) / 1000.0)
    noise = np.fft.irfft(spectrum * 10.0 ** (tilt_db_per_octave * octaves / 20.0), num_samples)
    return noise / np.sqrt(np.mean(noise**2))


def ambient_noise(
    rng: np.random.Generator,
    num_samples: int,
    sample_rate_hz: int,
    tilt_db_per_octave: float,
    hum_hz: float,
) -> np.ndarray:
    """Coloured noise, with the hum of the mains where `hum_hz` is not 0. Shape: () -> (T,)"""
    noise = coloured_noise(rng, num_samples, sample_rate_hz, tilt_db_per_octave)
    if hum_hz:
        time_s = np.arange(num_samples) / sample_rate_hz
        for harmonic in (1, 2, 3, 5):
            phase = 2.0 * np.pi * (harmonic * hum_hz * time_s + rng.random())
            noise += 0.4 / harmonic * np.sin(phase)
    return noise


def tilted_noise_batch(batch: int, size: int, device=None) -> torch.Tensor:
    """Noise of peak 1 whose spectrum falls by a random 0 to 6 dB per octave, per item.

    Shape: () -> (batch, size)
    """
    bins = torch.arange(1, size // 2 + 2, device=device, dtype=torch.float32)
    noise = torch.fft.irfft(_tilted_spectrum(bins, batch, size, device), n=size)
    return noise / noise.abs().amax(1, keepdim=True).clamp(min=1e-9)


def noise_batch(batch: int, size: int, rate_hz: int, device=None) -> torch.Tensor:
    """Noise whose spectrum falls by a random 0 to 6 dB per octave above 100 Hz; half with mains hum.

    Shape: () -> (batch, size), of RMS 1 but for the hum
    """
    fft_size = fast_fft_size(size)
    hertz = torch.fft.rfftfreq(fft_size, 1 / rate_hz, device=device)
    # Flat below 100 Hz and nothing below 20: else a steep tilt would be all rumble, and a noise
    # at 0 dB would not be heard.
    spectrum = _tilted_spectrum(hertz.clamp(min=100) / 100, batch, fft_size, device)
    noise = torch.fft.irfft(spectrum * (hertz >= 20), n=fft_size)[:, :size]
    noise = noise / noise.square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)
    mains_hz = torch.tensor([50.0, 60.0], device=device)[torch.randint(2, (batch, 1))]
    time_s = torch.arange(size, device=device) / rate_hz
    phase = 2 * math.pi * mains_hz * time_s
    loudness = torch.rand(batch, 1, device=device) * (torch.rand(batch, 1, device=device) < 0.5)
    # A clipped sine has the odd harmonics that hum has.
    return noise + loudness * (3 * phase.sin()).clamp(-1, 1)


def voice_batch(batch: int, size: int, rate_hz: int, device=None) -> torch.Tensor:
    """Voices without words: glottal pulses of wandering pitch, two formants and syllables.

    Shape: () -> (batch, size), at an arbitrary level
    """
    fft_size = fast_fft_size(size)
    pitch_hz = 90 + 150 * torch.rand(batch, 1, device=device)
    wander = 1 + 0.08 * _wandering(batch, size, rate_hz, 4.0, device).sub_(0.5).mul_(2)
    phase = 2 * math.pi * (pitch_hz / rate_hz * wander).cumsum(1).remainder_(1)
    # Narrow pulses: harmonics up to about 20 times the pitch.
    pulses = torch.exp(100 * (phase.cos() - 1)) + 0.02 * torch.randn(batch, size, device=device)
    hertz = torch.fft.rfftfreq(fft_size, 1 / rate_hz, device=device)
    response = torch.full_like(hertz, 0.03).expand(batch, -1)
    for low_hz, high_hz in ((300, 900), (900, 2500)):
        formant_hz = low_hz + (high_hz - low_hz) * torch.rand(batch, 1, device=device)
        response = response + 1 / (1 + ((hertz - formant_hz) / 100) ** 2)
    response = response * (hertz > 60)
    voice = torch.fft.irfft(torch.fft.rfft(pulses, n=fft_size) * response, n=fft_size)
    return voice[:, :size] * _wandering(batch, size, rate_hz, 8.0, device).square_()


def _tilted_spectrum(base: torch.Tensor, batch: int, fft_size: int, device) -> torch.Tensor:
    """Spectrum of white noise divided by `base` to a random power from 0 to 1. -> (batch, K)"""
    spectrum = torch.fft.rfft(torch.randn(batch, fft_size, device=device))
    return spectrum * base ** -torch.rand(batch, 1, device=device)


def _wandering(batch: int, size: int, rate_hz: int, knots_hz: float, device) -> torch.Tensor:
    """(batch, size) between 0 and 1: linear between random values, `knots_hz` of them per second."""
    num_knots = max(2, round(knots_hz * size / rate_hz) + 1)
    knots = torch.rand(batch, 1, num_knots, device=device)
    return torch.nn.functional.interpolate(knots, size=size, mode="linear", align_corners=True)[
        :, 0
    ]
