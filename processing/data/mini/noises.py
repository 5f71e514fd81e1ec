"""Synthesise stand-ins for the six background recordings of Speech Commands."""

from collections.abc import Callable

import numpy as np

from ...system.rules import choice
from ..generated_noise import coloured_noise
from ..rooms import convolve, room_response


def _envelope(rng, num_samples, sample_rate_hz, rate_hz, depth_db) -> np.ndarray:
    """A gain that wanders by about `depth_db` (s.d.) at about `rate_hz`."""
    num_knots = max(3, round(num_samples / sample_rate_hz * rate_hz) + 2)
    knots_db = depth_db * rng.standard_normal(num_knots)
    positions = np.linspace(0.0, num_samples - 1.0, num_knots)
    return 10.0 ** (np.interp(np.arange(num_samples), positions, knots_db) / 20.0)


def _white_noise(rng, num_samples, sample_rate_hz):
    return rng.standard_normal(num_samples)


def _pink_noise(rng, num_samples, sample_rate_hz):
    return coloured_noise(rng, num_samples, sample_rate_hz, -3.0)


def _running_tap(rng, num_samples, sample_rate_hz):
    """Hiss around 3 kHz that never stands still, over the rumble of the basin."""
    hiss = coloured_noise(rng, num_samples, sample_rate_hz, 0.0)
    # A short two-sided difference takes the lows away, a short mean the very highs.
    hiss = convolve(hiss, np.array([1.0, 0.3, -0.6, -0.5, -0.2]))
    hiss *= _envelope(rng, num_samples, sample_rate_hz, 12.0, 2.5)
    rumble = coloured_noise(rng, num_samples, sample_rate_hz, -6.0)
    return hiss + 0.5 * rumble * _envelope(rng, num_samples, sample_rate_hz, 3.0, 2.0)


def _exercise_bike(rng, num_samples, sample_rate_hz):
    """A flywheel's hum with overtones, and a swoosh at every turn of the pedals."""
    time_s = np.arange(num_samples) / sample_rate_hz
    turns_hz, hum_hz = rng.uniform(1.2, 2.0), rng.uniform(70.0, 110.0)
    phase = (
        2.0 * np.pi * hum_hz * (time_s + 0.02 / turns_hz * np.sin(2 * np.pi * turns_hz * time_s))
    )
    hum = sum(np.sin(k * phase + rng.uniform(0.0, 6.28)) / k for k in range(1, 9))
    swoosh = coloured_noise(rng, num_samples, sample_rate_hz, -4.0)
    turning = 0.25 + np.maximum(0.0, np.sin(2.0 * np.pi * turns_hz * time_s)) ** 2
    return 0.4 * hum + 1.5 * swoosh * turning


def _doing_the_dishes(rng, num_samples, sample_rate_hz):
    """China and cutlery: struck resonances at random times, over water."""
    sound = 0.15 * _running_tap(rng, num_samples, sample_rate_hz)
    ring_samples = min(num_samples, round(0.4 * sample_rate_hz))
    time_s = np.arange(ring_samples) / sample_rate_hz
    for _ in range(max(2, round(3.0 * num_samples / sample_rate_hz))):
        start = int(rng.integers(0, num_samples))
        loudness = 10.0 ** (rng.uniform(-20.0, 6.0) / 20.0)
        ring = np.zeros(ring_samples)
        for _ in range(5):
            mode_hz = rng.uniform(900.0, 7000.0)
            decay_s = rng.uniform(0.01, 0.12)
            ring += np.exp(-time_s / decay_s) * np.sin(2.0 * np.pi * mode_hz * time_s)
        end = min(num_samples, start + ring_samples)
        sound[start:end] += loudness * ring[: end - start]
    return convolve(sound, room_response(rng, sample_rate_hz, 0.4, 3.0))


def _dude_miaowing(rng, num_samples, sample_rate_hz):
    """Somebody plays the cat: gliding harmonics through a moving resonance, with pauses."""
    sound = 0.02 * coloured_noise(rng, num_samples, sample_rate_hz, -3.0)
    position = int(rng.integers(0, sample_rate_hz // 2))
    while position < num_samples:
        duration_s = rng.uniform(0.5, 1.1)
        size = round(duration_s * sample_rate_hz)
        x = np.linspace(0.0, 1.0, size)
        f0_hz = rng.uniform(220.0, 420.0) * (1.0 + 0.5 * np.sin(np.pi * x**0.7))
        phase = 2.0 * np.pi * np.cumsum(f0_hz) / sample_rate_hz
        resonance_hz = 700.0 + 1400.0 * np.sin(np.pi * x)
        meow = np.zeros(size)
        for k in range(1, 16):
            nearness = np.exp(-(((k * f0_hz - resonance_hz) / 500.0) ** 2))
            below_nyquist = k * f0_hz < 0.45 * sample_rate_hz
            meow += below_nyquist * (nearness + 0.15 / k) * np.sin(k * phase)
        meow *= np.sin(np.pi * x) ** 0.5 * rng.uniform(0.3, 1.0)
        end = min(num_samples, position + size)
        sound[position:end] += meow[: end - position]
        position += size + int(rng.uniform(0.2, 1.2) * sample_rate_hz)
    return convolve(sound, room_response(rng, sample_rate_hz, 0.3, 5.0))


# Name in the dataset, RMS level in dB below full scale. The order is the dataset's alphabet.
BACKGROUND_NOISES: dict[str, tuple[Callable, float]] = {
    "doing_the_dishes": (_doing_the_dishes, -30.0),
    "dude_miaowing": (_dude_miaowing, -28.0),
    "exercise_bike": (_exercise_bike, -26.0),
    "pink_noise": (_pink_noise, -20.0),
    "running_tap": (_running_tap, -26.0),
    "white_noise": (_white_noise, -20.0),
}


def background_noise(
    name: str, rng: np.random.Generator, num_samples: int, sample_rate_hz: int
) -> np.ndarray:
    """One of the six background recordings, at the level that belongs to it.

    Shape: () -> (num_samples,), float64 within [-0.99, 0.99]
    """
    choice("background noise", name, BACKGROUND_NOISES)
    make, level_dbfs = BACKGROUND_NOISES[name]
    noise = make(rng, num_samples, sample_rate_hz)
    noise = noise - np.mean(noise)
    noise *= 10.0 ** (level_dbfs / 20.0) / np.sqrt(np.mean(noise**2))
    return np.clip(noise, -0.99, 0.99)
