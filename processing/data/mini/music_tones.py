"""Synthesise the mini music corpus' tones, envelopes, drums and echoes."""

import functools
from typing import NamedTuple

import numpy as np

_TABLE_LENGTH = 2048
_MAX_PARTIALS = 40


class Timbre(NamedTuple):
    """The colour of a tone; two timbres that are equal share one table."""

    rolloff_db_per_octave: float
    """How fast the partials become weaker: 4 is bright, 18 is nearly a sine."""
    even: float
    """Share of the even partials: 0 is hollow like a clarinet, 1 is full."""
    detune_cents: float
    """Between two oscillators: 0 is one oscillator, 30 is rough."""


def midi_to_hz(note: float) -> float:
    """Frequency of a MIDI note number.

    Example
    -------
    >>> midi_to_hz(69), round(midi_to_hz(60), 2)
    (440.0, 261.63)
    """
    return 440.0 * 2.0 ** ((note - 69) / 12)


@functools.lru_cache(maxsize=4096)
def _period(rolloff_db: int, even_tenths: int, num_partials: int) -> np.ndarray:
    """One period as a table, of power 1/2."""
    k = np.arange(1, num_partials + 1)
    weights = 10.0 ** (-rolloff_db * np.log2(k) / 20)
    weights[1::2] *= even_tenths / 10
    phases = 2 * np.pi * np.arange(_TABLE_LENGTH) / _TABLE_LENGTH
    # Phases that differ, so that the partials do not peak together.
    table = (weights[:, None] * np.sin(k[:, None] * phases + 0.7 * k[:, None] ** 2)).sum(0)
    return (table / np.sqrt((weights**2).sum())).astype(np.float32)


def tone(frequency_hz: float, num_samples: int, rate_hz: int, timbre: Timbre) -> np.ndarray:
    """A steady tone without partials above 0.45 of the rate. () -> (num_samples,), float32."""
    partials = int(np.clip(0.45 * rate_hz / frequency_hz, 1, _MAX_PARTIALS))
    table = _period(round(timbre.rolloff_db_per_octave), round(10 * timbre.even), partials)
    step = frequency_hz / rate_hz * _TABLE_LENGTH
    places = np.arange(num_samples, dtype=np.float32) * np.float32(step)
    wave = table[places.astype(np.int32) & (_TABLE_LENGTH - 1)]
    if timbre.detune_cents >= 1:
        places *= np.float32(2 ** (timbre.detune_cents / 1200))
        wave = 0.7 * (wave + table[places.astype(np.int32) & (_TABLE_LENGTH - 1)])
    return wave


def envelope(num_samples: int, rate_hz: int, attack_s: float, decay_s: float) -> np.ndarray:
    """Rise, exponential decay and a short release at the end. () -> (num_samples,), float32"""
    shape = np.exp(np.arange(num_samples, dtype=np.float32) * np.float32(-1 / (decay_s * rate_hz)))
    rise = min(max(2, round(attack_s * rate_hz)), num_samples)
    fall = min(max(2, round(0.03 * rate_hz)), num_samples)
    shape[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    shape[-fall:] *= np.linspace(1, 0, fall, dtype=np.float32)
    return shape


@functools.lru_cache(maxsize=8)
def drum(kind: str, rate_hz: int) -> np.ndarray:
    """One hit of "kick", "snare" or "hat", always the same. () -> (T,), float32"""
    length_s, decay_s = {"kick": (0.25, 0.07), "snare": (0.2, 0.05), "hat": (0.08, 0.02)}[kind]
    t = np.arange(round(length_s * rate_hz)) / rate_hz
    noise = np.random.Generator(np.random.PCG64(len(kind))).standard_normal(len(t))
    if kind == "kick":
        sound = np.sin(2 * np.pi * (45 * t + 3.5 * (1 - np.exp(-t / 0.03))))
    elif kind == "snare":
        sound = 0.5 * noise + 0.5 * np.sin(2 * np.pi * 190 * t)
    else:
        sound = np.diff(noise, prepend=0.0) / 1.4
    return (sound * np.exp(-t / decay_s)).astype(np.float32)


def room(samples: np.ndarray, rate_hz: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Add a sparse tail of echoes, which costs less than a convolution. (T,) -> (T,)"""
    wet = samples.copy()
    for i in range(10):
        delay = round((0.017 + 0.03 * i + 0.02 * rng.random()) * rate_hz)
        sign = 1 if rng.random() < 0.5 else -1
        wet[delay:] += np.float32(sign * share * 0.75**i) * samples[:-delay]
    return wet
