"""Compose and play songs from curves of valence and arousal.

Each of the two acts on several sides of the music at once, and each side has a deviation of its
own in every song, so that none of them gives the emotion away. Which side follows which dimension
is common knowledge of music psychology, not a model of it: arousal is tempo, loudness, density,
brightness, short and hard tones, drums; valence is mode, register, consonance and the direction of
the melody. Tempo and register follow the other dimension a little, too.

References
----------
P. N. Juslin, E. Lindstrom, "Musical expression of emotions: modelling listeners' judgements of
composed and performed features", Music Analysis 29, 2010, for the directions; no numbers are taken.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .music_tones import Timbre, drum, envelope, midi_to_hz, room, tone

# From dark to bright: each mode raises one degree of the one before.
_MODES = (
    (0, 1, 3, 5, 7, 8, 10),  # phrygian
    (0, 2, 3, 5, 7, 8, 10),  # aeolian: minor
    (0, 2, 3, 5, 7, 9, 10),  # dorian
    (0, 2, 4, 5, 7, 9, 10),  # mixolydian
    (0, 2, 4, 5, 7, 9, 11),  # ionian: major
    (0, 2, 4, 6, 7, 9, 11),  # lydian
)
# Degrees of the chords, one per bar.
_PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 2, 3, 0), (0, 3, 0, 4))
_BEATS_PER_BAR = 4

Curve = Callable[[float], float]


class Artist(NamedTuple):
    """What songs of one artist share and emotion does not decide."""

    even: float
    rolloff_db_per_octave: float
    room: float
    plucked: float


class Deviation(NamedTuple):
    """By how much a song departs from what its emotion asks for."""

    mode: float
    tempo_octaves: float
    register_semitones: float
    level_db: float
    rolloff_db: float
    articulation: float
    density: float
    dissonance: float
    drums: float
    key: int


def draw_artist(rng: np.random.Generator) -> Artist:
    """Draw an artist's sound."""
    return Artist(
        float(rng.uniform(0.2, 1)),
        float(rng.normal(0, 1.5)),
        float(rng.uniform(0, 0.5)),
        float(rng.uniform(0.3, 1.2)),
    )


def draw_deviation(rng: np.random.Generator) -> Deviation:
    """Draw a song's deviations."""
    spread = Deviation(0.6, 0.15, 2.0, 2.5, 2.0, 0.12, 0.35, 0.09, 0.2, 0)
    drawn = [float(rng.normal(0, s)) for s in spread[:-1]]
    return Deviation(*drawn, key=int(rng.integers(12)))


def play(
    valence: Curve,
    arousal: Curve,
    duration_s: float,
    rate_hz: int,
    artist: Artist,
    deviation: Deviation,
    rng: np.random.Generator,
) -> np.ndarray:
    """Play a song whose emotion follows two curves.

    Arguments
    ---------
    valence, arousal : callable
        From time in seconds to -1..1.
    duration_s : float
        Length in seconds.
    rate_hz : int
        Sample rate.
    artist : Artist
        The sound of it.
    deviation : Deviation
        This song's departures.
    rng : numpy.random.Generator
        Decides the notes.

    Returns
    -------
    numpy.ndarray
        (round(duration_s * rate_hz),), float32, within -1..1.
    """
    mix = np.zeros(round((duration_s + 1.0) * rate_hz), np.float32)
    times = np.arange(0, duration_s, 0.5)
    mean_valence = np.mean([valence(t) for t in times])
    mean_arousal = np.mean([arousal(t) for t in times])
    tempo_bpm = 105 * 2 ** (0.6 * mean_arousal + 0.12 * mean_valence + deviation.tempo_octaves)
    beat_s = 60 / tempo_bpm
    progression = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    start_s, bar, degree = 0.0, 0, 7
    while start_s < duration_s:
        v, chord = valence(start_s), progression[bar % len(progression)]
        mode = _MODES[int(np.clip(round(2.5 + 2.6 * v + deviation.mode), 0, 5))]
        for beat in range(_BEATS_PER_BAR):
            now_s = start_s + beat * beat_s
            v, a = valence(now_s), arousal(now_s)
            voice = _Voice(mix, rate_hz, artist, deviation, v, a, mode, rng)
            if beat % 2 == 0 or a + deviation.density > 0.3:
                voice.chord(now_s, chord, beat_s * (2 if beat % 2 == 0 else 1))
            voice.bass(now_s, chord, beat_s, beat)
            degree = voice.melody(now_s, degree, beat_s)
            voice.drums(now_s, beat_s, beat)
        start_s += _BEATS_PER_BAR * beat_s
        bar += 1
    mix = room(mix[: round(duration_s * rate_hz)], rate_hz, artist.room, rng)
    level_dbfs = -22 + 7 * mean_arousal + deviation.level_db
    power = float(np.dot(mix, mix)) / len(mix)
    mix *= np.float32(10 ** (level_dbfs / 20) / math.sqrt(power + 1e-12))
    return np.tanh(mix)  # a limiter: loud songs are denser, none is clipped


class _Voice:
    """Plays one beat into the mix with the emotion of its moment."""

    def __init__(self, mix, rate_hz, artist, deviation, valence, arousal, mode, rng):
        self.mix, self.rate_hz, self.rng, self.mode = mix, rate_hz, rng, mode
        self.valence, self.arousal, self.deviation = valence, arousal, deviation
        self.gain = 10 ** (4 * arousal / 20)
        self.dissonance = float(np.clip(0.25 - 0.45 * valence + deviation.dissonance, 0, 1))
        self.timbre = Timbre(
            float(np.clip(
                9.5 - 4 * arousal + artist.rolloff_db_per_octave + deviation.rolloff_db, 3, 20
            )),
            artist.even,
            30 * self.dissonance,
        )  # fmt: skip
        self.held = float(np.clip(0.62 - 0.35 * arousal + deviation.articulation, 0.15, 1.1))
        self.attack_s = 0.004 + 0.05 * (1 - arousal) ** 2 / 2
        self.decay_s = artist.plucked * (0.75 - 0.35 * arousal)
        register = 60 + 7 * valence + 2 * arousal + deviation.register_semitones
        # The octave of the key nearest to where the emotion wants it.
        self.tonic = deviation.key + 12 * round((register - deviation.key) / 12)
        self.lift = register - self.tonic

    def note(self, start_s, pitch, length_s, gain):
        start = round(start_s * self.rate_hz)
        count = min(round(length_s * self.rate_hz), len(self.mix) - start)
        if count > 64:
            wave = tone(midi_to_hz(pitch), count, self.rate_hz, self.timbre)
            wave *= envelope(count, self.rate_hz, self.attack_s, self.decay_s)
            wave *= np.float32(gain * self.gain)
            self.mix[start : start + count] += wave

    def pitch(self, degree):
        octave, place = divmod(degree, 7)
        return self.tonic + 12 * octave + self.mode[place]

    def chord(self, start_s, degree, length_s):
        for third in range(3):
            pitch = self.pitch(degree + 2 * third)
            # Chords stay near the register, whatever their root.
            pitch -= 12 * round((pitch - self.tonic - self.lift) / 12)
            self.note(start_s, pitch, length_s * self.held, 0.22)
            if self.rng.random() < 0.7 * self.dissonance:
                clash = pitch + (1 if self.rng.random() < 0.6 else 6)
                self.note(start_s, clash, length_s * self.held, 0.18)

    def bass(self, start_s, degree, beat_s, beat):
        if beat == 0 or self.rng.random() < 0.5 + 0.5 * self.arousal:
            self.note(start_s, self.pitch(degree) - 24, beat_s * max(self.held, 0.4), 0.4)

    def melody(self, start_s, degree, beat_s):
        density = 1.3 * self.arousal + self.deviation.density
        count = 4 if density > 0.8 else 2 if density > -0.1 else 1
        if density < -0.8 and self.rng.random() < 0.5:
            return degree
        for i in range(count):
            up = 0.5 + 0.25 * self.valence
            degree += int(self.rng.choice((1, 2, 4) if self.rng.random() < up else (-1, -2, -4)))
            if not 4 <= degree <= 14:
                degree = 7 + int(self.rng.integers(0, 5))
            length_s = beat_s / count
            self.note(start_s + i * length_s, self.pitch(degree), length_s * self.held * 1.2, 0.35)
        return degree

    def drums(self, start_s, beat_s, beat):
        level = self.arousal + self.deviation.drums
        if level < -0.2:
            return
        gain = 0.25 * min(1.0, 0.3 + level) * self.gain
        hits = [("kick" if beat % 2 == 0 else "snare", 0.0, 2.0)]
        hits += [("hat", i / 2, 0.6) for i in range(2)] if level > 0.15 else []
        for kind, place, weight in hits:
            wave = drum(kind, self.rate_hz)
            start = round((start_s + place * beat_s) * self.rate_hz)
            count = min(len(wave), len(self.mix) - start)
            if count > 0:
                self.mix[start : start + count] += np.float32(gain * weight) * wave[:count]
