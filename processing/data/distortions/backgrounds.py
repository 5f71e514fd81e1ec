"""Sounds that disturb speech: voices of others, music, the recordings of MUSAN."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..audio import AUDIO_SUFFIXES, probe_audio, read_audio
from ..rooms import coloured_noise
from ..seeding import generator_for
from .distortions import active_speech_rms

__all__ = ["Musan", "babble", "generated_music", "stretch"]

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


def babble(
    talkers: Sequence, num_samples: int, rate_hz: int, generator: np.random.Generator
) -> np.ndarray:
    """Several people speak at once, all equally loud, each from a random place on.

    Arguments
    ---------
    talkers : a waveform of each, of any length.
    num_samples : length of the result.
    rate_hz : sample rate.
    generator : draws the places.

    Raises
    ------
    ValueError
        No talker, or one that is silent.
    """
    if not len(talkers):
        raise ValueError("babble needs the recording of at least one talker")
    voices = np.zeros(num_samples)
    for talker in talkers:
        talker = np.asarray(talker, np.float64)
        voices += stretch(talker, num_samples, generator) / active_speech_rms(talker, rate_hz)
    return voices


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


class Musan:
    """The recordings of MUSAN by kind: `noise`, `speech`, `music`.

    Arguments
    ---------
    folder : holds the folders noise, speech and music with audio somewhere below.

    Raises
    ------
    ValueError
        No such folder, or no audio in one of the three.

    References
    ----------
    D. Snyder et al., "MUSAN: A Music, Speech, and Noise Corpus", 2015, openslr.org/17.
    """

    KINDS = ("noise", "speech", "music")

    def __init__(self, folder):
        self.folder = Path(folder).expanduser()
        self.files = {}
        for kind in self.KINDS:
            found = sorted(
                path
                for path in (self.folder / kind).rglob("*")
                if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
            )
            if not found:
                raise ValueError(
                    f"--musan {self.folder}: there is no audio in {self.folder / kind}; MUSAN has "
                    "the folders noise, speech and music"
                )
            self.files[kind] = found

    def draw(
        self, kind: str, num_samples: int, rate_hz: int, generator: np.random.Generator
    ) -> np.ndarray:
        """A random stretch of a random recording; only that stretch is read."""
        path = self.files[kind][generator.integers(len(self.files[kind]))]
        info = probe_audio(path)
        wanted = -(-num_samples * info.sample_rate_hz // rate_hz)
        begin = int(generator.integers(max(1, info.num_samples - wanted + 1)))
        sound = read_audio(
            path,
            rate_hz,
            start_sample=begin,
            num_samples=min(wanted, info.num_samples - begin),
            resample="convert",
            channels="mix",
        ).numpy()
        return np.resize(sound.astype(np.float64), num_samples)
