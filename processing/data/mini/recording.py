"""Speak texts with the voices of the mini corpora and record them in noisy rooms.

The same random numbers give the same samples; all arithmetic is float64 up to the rounding to 16
bits.
"""

from typing import NamedTuple

import numpy as np
import torch
from torchaudio.transforms import Resample

from ..rooms import convolve, mix_at_snr
from .espeak import SpeechEvent, Synthesizer
from .speakers import Speaker

_TRIM_MARGIN_SAMPLES = 110  # of espeak-ng's 22,050 in a second: 5 ms
# Slowest and fastest, as factors of the speaker's own rate; largest steps away from the speaker's
# own pitch and range, in espeak-ng's units (0 to 100).
_RATE_FACTORS, _PITCH_STEP, _RANGE_STEP = (0.88, 1.14), 8, 15


class Delivery(NamedTuple):
    """Rate, pitch and breath of one utterance."""

    rate_wpm: float
    pitch: int
    pitch_range: int
    voice_seed: int

    @classmethod
    def of(cls, speaker: Speaker, rng: np.random.Generator) -> "Delivery":
        """Draw a delivery around the speaker's own rate and pitch."""
        rate_wpm = speaker.rate_wpm * rng.uniform(*_RATE_FACTORS)
        steps = (
            rng.integers(-_PITCH_STEP, _PITCH_STEP + 1),
            rng.integers(-_RANGE_STEP, _RANGE_STEP + 1),
        )
        pitch, pitch_range = np.clip(np.add((speaker.pitch, speaker.pitch_range), steps), 0, 100)
        return cls(rate_wpm, int(pitch), int(pitch_range), int(rng.integers(2**31)))


class Spoken(NamedTuple):
    """Dry speech, and when its words and phones are, counted in the same samples."""

    samples: np.ndarray
    events: list[SpeechEvent]


class Voices:
    """Speak texts with the voices of `Speaker`, at the rate of the corpus.

    Arguments
    ---------
    sample_rate_hz : int
        Of what is returned.

    Raises
    ------
    auricle.processing.data.mini.espeak.EspeakMissingError
        If espeak-ng is not installed.

    Example
    -------
    >>> from auricle.processing.data.mini.speakers import make_speakers
    >>> person = make_speakers("example", seed=0, num_speakers=1)[0]
    >>> samples, events = Voices(16000).say("yes", person, Delivery(150, 50, 50, 0))
    >>> events[0].kind, events[0].text, events[-1].end_samples == len(samples)
    ('word', 'yes', True)
    """

    def __init__(self, sample_rate_hz: int):
        self.synthesizer = Synthesizer()
        self.sample_rate_hz = sample_rate_hz
        self._resamplers: dict[int, Resample] = {}

    def say(self, text: str, speaker: Speaker, delivery: Delivery) -> Spoken:
        """The bare speech without the silence around it. Shape: () -> (T,), float64"""
        rate_wpm, *others = delivery
        samples, _, events = self.synthesizer.speak(text, speaker.voice, round(rate_wpm), *others)
        start, stop = _loud_part(samples)
        resampled = self._resample(samples[start:stop], speaker.pretended_rate_hz)
        # espeak-ng's clock runs at the pretended rate as its samples do.
        scale = self.sample_rate_hz / speaker.pretended_rate_hz
        return Spoken(resampled, _move_events(events, start, scale, len(resampled)))

    def _resample(self, samples: np.ndarray, from_hz: int) -> np.ndarray:
        if from_hz not in self._resamplers:
            self._resamplers[from_hz] = Resample(from_hz, self.sample_rate_hz, dtype=torch.float64)
        num_threads = torch.get_num_threads()
        # Half a second of sound is no work to share: on a busy machine, the threads' waiting for
        # one another took 100 times as long as the filter.
        torch.set_num_threads(1)
        try:
            return self._resamplers[from_hz](torch.from_numpy(samples.astype(np.float64))).numpy()
        finally:
            torch.set_num_threads(num_threads)


def record(
    dry: np.ndarray, response: np.ndarray, noise: np.ndarray, level_dbfs: float, snr_db: float
) -> np.ndarray:
    """Record dry speech with a microphone in a noisy room.

    Arguments
    ---------
    dry : numpy.ndarray
        Speech; samples that are exactly 0 are pauses, and count neither for level nor for SNR.
    response : numpy.ndarray
        Impulse response of room and microphone.
    level_dbfs : float
        RMS of the speech at the microphone. All is turned down where it would clip.
    snr_db : float
        Speech to noise, where there is speech.

    Shape: (T,), (K,), (T,) -> (T,), int16

    Example
    -------
    >>> dry, silence = np.array([1.0, -1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])
    >>> record(dry, np.array([1.0]), silence, level_dbfs=-20.0, snr_db=17.0).tolist()
    [3277, -3277, 655, 655]
    """
    active = dry != 0.0
    wet = convolve(dry, response)
    wet *= 10.0 ** (level_dbfs / 20.0) / np.sqrt(np.mean(wet[active] ** 2))
    mixed = mix_at_snr(wet, noise, snr_db, active)
    return to_int16(mixed * min(1.0, 0.98 / np.max(np.abs(mixed))))


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Round [-1, 1] to 16 bits; what lies outside is clipped. Shape: (T,) -> (T,)"""
    return np.clip(np.round(samples * 32767.0), -32768, 32767).astype(np.int16)


def _loud_part(samples: np.ndarray, floor_db: float = -60.0) -> tuple[int, int]:
    """Where speech begins and ends, the silence that espeak-ng puts around it left out."""
    loud = np.flatnonzero(np.abs(samples) > 10.0 ** (floor_db / 20.0) * np.max(np.abs(samples)))
    start, stop = int(loud[0]) - _TRIM_MARGIN_SAMPLES, int(loud[-1]) + 1 + _TRIM_MARGIN_SAMPLES
    return max(0, start), min(len(samples), stop)


def _move_events(
    events: list[SpeechEvent], start_samples: int, scale: float, num_samples: int
) -> list[SpeechEvent]:
    """Times from the untrimmed sound at espeak-ng's rate to the trimmed one at the corpus's."""

    def move(time_samples: int) -> int:
        return min(max(round((time_samples - start_samples) * scale), 0), num_samples)

    moved = [SpeechEvent(kind, text, move(start), move(end)) for kind, text, start, end in events]
    return [event for event in moved if event.end_samples > event.start_samples]
