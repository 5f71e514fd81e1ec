"""Write the mini Speech Commands: v0.02's words and layout, spoken by espeak-ng.

What is like the dataset: 35 words with about twice as many clips of the ten commands as of the
others, `<word>/<speaker>_nohash_<n>.wav` at 16 kHz and 16 bits, at most 1 s and some shorter, the
six names below `_background_noise_/`, and the two list files, disjoint in speakers. The SHA-1 rule
gives the same split as the lists: the speakers' names are chosen so.

What is not: the shares of the split. The dataset has about 80/10/10 %; with so few clips a tenth
would make a test set whose interval is too wide to compare anything, so here it is 60/15/25 %.

The same seed gives the same bytes wherever espeak-ng is the same (the wheel espeakng-loader
0.2.4 brings 1.52.0) and numpy's PCG64 streams are; mini.json records both. All arithmetic between
espeak-ng and the 16-bit file is float64. espeak-ng itself computes partly in floating point, so
another processor family may differ in single samples.
"""

import hashlib
import math
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from ..generated_noise import ambient_noise
from ..seeding import generator_for
from .noises import BACKGROUND_NOISES, background_noise
from .recording import Delivery, Voices, record, to_int16
from .speakers import Speaker, make_speakers

CORPUS = "speech_commands"
GENERATOR_VERSION = 1
"""Raise it with every change that changes bytes: the cache is keyed by it."""

SAMPLE_RATE_HZ = 16000

COMMANDS = "yes no up down left right on off stop go".split()
WORDS = sorted(
    COMMANDS
    + (
        "zero one two three four five six seven eight nine bed bird cat dog happy house marvin "
        "sheila tree wow backward forward follow learn visual"
    ).split()
)

_SPLIT_SHARES = {"train": 0.60, "valid": 0.15, "test": 0.25}
_LIST_FILES = {"valid": "validation_list.txt", "test": "testing_list.txt"}
_SHARE_OF_SHORT_CLIPS = 0.1


class Size(NamedTuple):
    """How much there is of everything."""

    num_speakers: int
    clips_per_command: int
    clips_per_other_word: int
    background_s: float


SIZES = {
    "tiny": Size(64, clips_per_command=28, clips_per_other_word=10, background_s=6.0),
    "small": Size(96, clips_per_command=120, clips_per_other_word=50, background_s=20.0),
}


def write(
    folder: Path,
    size: str,
    seed: int,
    words: list[str] | None = None,
    clips_per_word: int | None = None,
) -> dict:
    """Write the corpus into an existing, empty folder; returns what mini.json shall say.

    Arguments
    ---------
    folder : Path
        Where to write.
    size : str
        A key of `SIZES`.
    seed : int
        Other seeds give other speakers, rooms and clips.
    words : list[str] | None
        Only these words (for tests); their clips are the same as in the full corpus of equal
        `clips_per_word`.
    clips_per_word : int | None
        So many clips of each word instead of what the size says; at least 3, one for each split.
    """
    plan = SIZES[size]
    words = WORDS if words is None else sorted(words)
    unknown = [word for word in words if word not in WORDS]
    if unknown or not words:
        raise ValueError(f"unknown words {unknown}; allowed are {', '.join(WORDS)}")
    if clips_per_word is not None and clips_per_word < 3:
        raise ValueError(f"clips_per_word is {clips_per_word}; each split needs one: at least 3")

    speakers = make_speakers(CORPUS, seed, plan.num_speakers)
    split_of_speaker = _split_speakers(seed, speakers)
    names = _name_speakers(seed, speakers, split_of_speaker)
    clips = []
    for word in words:
        per_word = plan.clips_per_command if word in COMMANDS else plan.clips_per_other_word
        clips += _clips_of_word(seed, word, clips_per_word or per_word, split_of_speaker)

    voices = Voices(SAMPLE_RATE_HZ)
    recorder = _Recorder(voices, seed, speakers)
    digest = hashlib.sha256()
    lists: dict[str, list[str]] = {split: [] for split in _SPLIT_SHARES}
    for word in words:
        (folder / word).mkdir()
    # The bar shows itself only if there is more than a second to wait.
    for word, split, index, n in tqdm(
        clips, desc="mini Speech Commands", unit="clip", delay=1, disable=None
    ):
        path = f"{word}/{names[index]}_nohash_{n}.wav"
        samples = recorder.record(word, index, n)
        soundfile.write(folder / path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
        digest.update(path.encode() + samples.astype("<i2").tobytes())
        lists[split].append(path)
    for split, file in _LIST_FILES.items():
        text = "".join(f"{path}\n" for path in sorted(lists[split]))
        (folder / file).write_bytes(text.encode())  # bytes: no \r on any system
    (folder / "_background_noise_").mkdir()
    for name in BACKGROUND_NOISES:
        rng = generator_for(CORPUS, seed, "background", name)
        num_samples = round(plan.background_s * SAMPLE_RATE_HZ)
        noise = background_noise(name, rng, num_samples, SAMPLE_RATE_HZ)
        path = folder / "_background_noise_" / f"{name}.wav"
        soundfile.write(path, to_int16(noise), SAMPLE_RATE_HZ, subtype="PCM_16")
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "words": words,
        "counts": {split: len(paths) for split, paths in lists.items()},
        "speakers": {
            names[s.index]: {"split": split_of_speaker[s.index], **asdict(s)} for s in speakers
        },
        "clips_sha256": digest.hexdigest(),
        "espeak_version": voices.synthesizer.version,
    }


def sha1_split(speaker: str) -> str:
    """The split that the dataset's SHA-1 rule gives to a speaker: train, valid or test.

    Example
    -------
    >>> sha1_split("0a7c2a8d")
    'train'
    """
    bucket = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27
    percentage = bucket * 100.0 / (2**27 - 1)
    return "valid" if percentage < 10 else "test" if percentage < 20 else "train"


def _split_counts(total: int) -> dict[str, int]:
    """Divide by `_SPLIT_SHARES`, at least one each; train gets what rounding leaves."""
    counts = {s: max(1, math.floor(total * _SPLIT_SHARES[s] + 0.5)) for s in ("valid", "test")}
    return {"train": total - sum(counts.values()), **counts}


def _split_speakers(seed: int, speakers: list[Speaker]) -> dict[int, str]:
    """Deal the speakers to the splits, women and men apart, so that each split hears both."""
    rng = generator_for(CORPUS, seed, "split")
    splits: dict[int, str] = {}
    for gender in ("f", "m"):
        members = [s.index for s in speakers if s.gender == gender]
        order = iter(rng.permutation(members).tolist())
        for split, count in _split_counts(len(members)).items():
            splits.update({next(order): split for _ in range(count)})
    return splits


def _name_speakers(seed: int, speakers: list[Speaker], splits: dict[int, str]) -> list[str]:
    """Eight hex digits each, drawn again until the dataset's SHA-1 rule agrees with the split."""
    names: list[str] = []
    for speaker in speakers:
        rng = generator_for(CORPUS, seed, "name", speaker.index)
        while True:
            name = f"{int(rng.integers(2**32)):08x}"
            if sha1_split(name) == splits[speaker.index] and name not in names:
                break
        names.append(name)
    return names


def _clips_of_word(
    seed: int, word: str, num_clips: int, splits: dict[int, str]
) -> list[tuple[str, str, int, int]]:
    """(word, split, speaker index, n) for each clip; n counts the speaker's repetitions."""
    clips = []
    for split, count in _split_counts(num_clips).items():
        rng = generator_for(CORPUS, seed, "who", word, split)
        members = rng.permutation(sorted(i for i, s in splits.items() if s == split)).tolist()
        clips += [(word, split, members[i % len(members)], i // len(members)) for i in range(count)]
    return clips


class _Recorder:
    """Speaks and records clips, each from random numbers of its own."""

    def __init__(self, voices: Voices, seed: int, speakers: list[Speaker]):
        self._voices = voices
        self._seed = seed
        self._speakers = speakers
        self._responses: dict[int, np.ndarray] = {}

    def record(self, word: str, index: int, n: int) -> np.ndarray:
        """One clip. Shape: () -> (T,), int16, T <= 16,000"""
        speaker = self._speakers[index]
        rng = generator_for(CORPUS, self._seed, "clip", word, index, n)
        speech = self._speak(word, speaker, rng)
        num_samples = SAMPLE_RATE_HZ
        if rng.random() < _SHARE_OF_SHORT_CLIPS:
            least = max(len(speech) + 800, round(0.6 * SAMPLE_RATE_HZ))
            num_samples = int(rng.integers(min(least, SAMPLE_RATE_HZ), SAMPLE_RATE_HZ + 1))
        # Around the middle, as people who press a button and speak; never cut off.
        room_left = num_samples - len(speech)
        centre = 0.5 + 0.16 * rng.standard_normal()
        start = int(np.clip(round(centre * room_left), 0, room_left))
        dry = np.zeros(num_samples)
        dry[start : start + len(speech)] = speech
        if index not in self._responses:
            self._responses[index] = speaker.response(CORPUS, self._seed, SAMPLE_RATE_HZ)
        level_dbfs = speaker.level_dbfs + rng.normal(0.0, 3.0)
        tilt = speaker.noise_tilt_db_per_octave + rng.normal(0.0, 0.7)
        noise = ambient_noise(rng, num_samples, SAMPLE_RATE_HZ, tilt, speaker.hum_hz)
        snr_db = speaker.snr_db + rng.normal(0.0, 3.0)
        return record(dry, self._responses[index], noise, level_dbfs, snr_db)

    def _speak(self, word: str, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
        """The bare word at 16 kHz, at most 0.9 s of it."""
        delivery = Delivery.of(speaker, rng)
        while True:
            speech = self._voices.say(word, speaker, delivery).samples
            if len(speech) <= 0.9 * SAMPLE_RATE_HZ:
                return speech
            if delivery.rate_wpm > 400:
                raise RuntimeError(f"{word!r} by {speaker.voice} does not fit into a second")
            # Too slow for a clip of one second: say it again, faster.
            delivery = delivery._replace(rate_wpm=delivery.rate_wpm * 1.15)
