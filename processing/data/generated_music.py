"""Generate music: pieces (chords, bass, melody, drum) in numpy, chords for batches in torch.

The robustness suite depends on the exact values of the pieces, the augmentation on those of the
chords, which are drawn from torch's global generator.
"""

import functools
import math

import numpy as np
import torch

from .generated_noise import coloured_noise
from .seeding import generator_for

_PIECES, _PIECE_S = 8, 20.0
# Semitones above the tonic: I vi IV V and its minor relative, as much of popular music goes.
_PROGRESSIONS = (
    ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)),
    ((0, 3, 7), (8, 12, 15), (3, 7, 10), (10, 14, 17)),
)


def stretch(sound, num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """A stretch of a sound from a random place, repeated from its beginning where it ends.

    Example
    -------
    >>> generator = np.random.default_rng(0)
    >>> stretch([1.0, 2.0, 3.0], 5, generator).tolist()
    [3.0, 1.0, 2.0, 3.0, 1.0]
    """
    sound = np.asarray(sound, np.float64)
    begin = int(generator.integers(len(sound)))
    return sound[(begin + np.arange(num_samples)) % len(sound)]


def generated_music(
    num_samples: int, rate_hz: int, generator: np.random.Generator, seed: int = 0
) -> np.ndarray:
    """A stretch of one of 8 generated pieces: struck chords, a bass, a melody, a drum.

    Arguments
    ---------
    num_samples : length of the result.
    rate_hz : sample rate.
    generator : draws the piece and the place in it.
    seed : of the pieces (each of 20 s, played in a loop).
    """
    piece = int(generator.integers(_PIECES))
    return stretch(_piece(seed, piece, rate_hz), num_samples, generator)


@functools.lru_cache(maxsize=2 * _PIECES)
def _piece(seed: int, number: int, rate_hz: int) -> np.ndarray:
    """One piece (20 s), made once."""
    generator = generator_for("music", seed, number)
    size = round(_PIECE_S * rate_hz)
    sound = np.zeros(size)
    tonic_hz = 130.8 * 2 ** (generator.integers(-4, 5) / 12)
    progression = _PROGRESSIONS[generator.integers(len(_PROGRESSIONS))]
    beat_s, brightness = generator.uniform(0.35, 0.65), generator.uniform(0.8, 1.8)

    def note(semitones, begin_s, loudness, decay_s):
        begin = round(begin_s * rate_hz)
        time_s = np.arange(min(size - begin, round(3 * decay_s * rate_hz))) / rate_hz
        hz = tonic_hz * 2 ** (semitones / 12)
        for k in range(1, 7):
            if k * hz < 0.45 * rate_hz:
                # overtones are softer and die sooner, as on a string
                envelope = loudness * k**-brightness * np.exp(-time_s * k**0.5 / decay_s)
                sound[begin : begin + len(time_s)] += envelope * np.sin(2 * np.pi * k * hz * time_s)

    for beat in range(int(_PIECE_S / beat_s)):
        chord = progression[beat // 4 % len(progression)]
        begin_s = beat * beat_s
        if beat % 2 == 0:
            note(chord[0] - 12, begin_s, 1.2, 0.5)
            for semitones in chord:
                note(semitones, begin_s + generator.uniform(0, 0.02), 0.6, 0.7)
        for half in range(2):
            if generator.random() < 0.7:
                melody = chord[generator.integers(3)] + 12
                note(melody, begin_s + half * beat_s / 2, 0.8, 0.3)
        begin = round(begin_s * rate_hz)
        drum = coloured_noise(generator, round(0.15 * rate_hz), rate_hz, -2.0 * (1 + beat % 2))
        drum *= np.exp(-np.arange(len(drum)) / (0.03 * rate_hz))
        drum = drum[: size - begin]
        sound[begin : begin + len(drum)] += 0.5 * drum
    return sound


def chord_batch(batch: int, size: int, rate_hz: int, device=None) -> torch.Tensor:
    """Three voices of a major or minor chord that changes about three times a second.

    Shape: () -> (batch, size), at an arbitrary level
    """
    num_chords = max(2, round(3 * size / rate_hz))
    root = 36 + 24 * torch.rand(batch, 1, 1, device=device)
    steps = torch.tensor([0.0, 5.0, 7.0, 9.0], device=device)
    step = steps[torch.randint(4, (batch, 1, num_chords), device=device)]
    third = 3 + torch.randint(2, (batch, 1, num_chords), device=device).float()
    chord = torch.cat([torch.zeros_like(third), third, torch.full_like(third, 7.0)], 1)
    semitones = root + step + chord
    pitch_hz = 440 * 2 ** ((semitones - 69) / 12)  # MIDI numbers
    hold = -(-size // num_chords)
    held_hz = pitch_hz.repeat_interleave(hold, 2)[..., :size]
    phase = 2 * math.pi * (held_hz / rate_hz).cumsum(2).remainder_(1)
    # Each chord is struck and dies away.
    since_s = torch.arange(size, device=device).remainder(hold) / rate_hz
    return (torch.tanh(3 * phase.sin()).sum(1)) * torch.exp(-3 * since_s)
