"""Write long recordings with the ten commands at known times, in noise and babble.

Each `recording_<n>.wav` has a voice per word, of people whom the mini Speech Commands do not have:
commands, and other words of that corpus, which are not to be detected. `events.csv` has
path,start_s,end_s,label of each command. In every sixth recording nothing is said to the microphone;
its row names the path alone.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from ...system.files import write_text
from ..seeding import generator_for
from .noises import BACKGROUND_NOISES, background_noise
from .recording import Delivery, Voices, record, to_int16
from .sentences import talk
from .speakers import make_speakers
from .speech_commands import COMMANDS, SAMPLE_RATE_HZ, WORDS

CORPUS = "keyword_recordings"
GENERATOR_VERSION = 1
EVENTS = "events.csv"
OTHER_WORDS = [word for word in WORDS if word not in COMMANDS]
_SHARE_OF_COMMANDS = 0.6
_PAUSE_S = (0.8, 3.0)
_SNR_DB = (6.0, 24.0)
_BABBLE_VOICES, _BABBLE_S = 3, 20


class Size(NamedTuple):
    """How many recordings, and how long each is."""

    recordings: int
    lasts_s: float


SIZES = {"tiny": Size(6, 15.0), "small": Size(36, 60.0)}


def write(folder: Path, size: str, seed: int) -> dict:
    """Write the recordings and the table; what `mini.json` says of them is returned."""
    plan = SIZES[size]
    voices = Voices(SAMPLE_RATE_HZ)
    speakers = make_speakers(CORPUS, seed, 24)
    babble = _babble(voices, speakers[:_BABBLE_VOICES], seed)
    lines, count = ["path,start_s,end_s,label"], 0
    numbers = range(plan.recordings)
    for number in tqdm(numbers, "mini recordings", unit="file", delay=1, disable=None):
        rng = generator_for(CORPUS, seed, "recording", number)
        total = round(plan.lasts_s * SAMPLE_RATE_HZ)
        dry, events = np.zeros(total), []
        if number % 6 < 5:
            events = _say_words(dry, rng, voices, speakers[_BABBLE_VOICES:])
        room = speakers[int(rng.integers(len(speakers)))]
        noise, level_dbfs = _noise(rng, babble, total), rng.uniform(-32.0, -20.0)
        snr_db = rng.uniform(*_SNR_DB)
        if events or dry.any():
            response = room.response(CORPUS, seed, SAMPLE_RATE_HZ)
            samples = record(dry, response, noise, level_dbfs, snr_db)
        else:
            rms = np.sqrt(np.mean(noise**2))
            samples = to_int16(noise / rms * 10 ** ((level_dbfs - snr_db) / 20))
        path = f"recording_{number:03}.wav"
        soundfile.write(folder / path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
        times = [
            (start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, word) for start, end, word in events
        ]
        lines += [f"{path},{start:.3f},{end:.3f},{word}" for start, end, word in times]
        lines += [] if events else [f"{path},,,"]
        count += len(events)
    write_text(folder / EVENTS, "\n".join(lines) + "\n")
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "recordings": plan.recordings,
        "hours": plan.recordings * plan.lasts_s / 3600,
        "events": count,
        "espeak_version": voices.synthesizer.version,
    }


def _say_words(dry: np.ndarray, rng, voices: Voices, speakers) -> list[tuple[int, int, str]]:
    """Words one after the other, put into `dry`; begin, end and word of each command."""
    events, at = [], round(SAMPLE_RATE_HZ * rng.uniform(*_PAUSE_S))
    while True:
        words = COMMANDS if rng.random() < _SHARE_OF_COMMANDS else OTHER_WORDS
        word = words[int(rng.integers(len(words)))]
        speaker = speakers[int(rng.integers(len(speakers)))]
        speech = voices.say(word, speaker, Delivery.of(speaker, rng)).samples
        end = at + len(speech)
        if end > len(dry) - SAMPLE_RATE_HZ:
            return events
        speech = speech / np.sqrt(np.mean(speech**2)) * 10 ** (rng.normal(0.0, 3.0) / 20)
        dry[at:end] = speech
        if words is COMMANDS:
            events.append((at, end, word))
        at = end + round(SAMPLE_RATE_HZ * rng.uniform(*_PAUSE_S))


def _babble(voices: Voices, speakers, seed: int) -> np.ndarray:
    """Several people who talk at once, of unit RMS. Shape: () -> (T,)"""
    total = np.zeros(_BABBLE_S * SAMPLE_RATE_HZ)
    for speaker in speakers:
        rng = generator_for(CORPUS, seed, "babble", speaker.index)
        text = talk(rng, 3 * _BABBLE_S)
        speech = voices.say(text, speaker, Delivery.of(speaker, rng)).samples
        total += np.resize(speech / np.sqrt(np.mean(speech**2)), len(total))
    return total / np.sqrt(np.mean(total**2))


def _noise(rng, babble: np.ndarray, num_samples: int) -> np.ndarray:
    """One of the background noises, with babble in any share. Shape: () -> (T,)"""
    names = sorted(BACKGROUND_NOISES)
    name = names[int(rng.integers(len(names)))]
    noise = background_noise(name, rng, num_samples, SAMPLE_RATE_HZ)
    noise = noise / np.sqrt(np.mean(noise**2))
    talking = np.resize(np.roll(babble, int(rng.integers(len(babble)))), num_samples)
    return noise + rng.uniform(0.0, 1.5) * talking
