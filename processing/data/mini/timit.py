"""Write the mini TIMIT: its layout, speaker names and phone labels, spoken by espeak-ng.

What is like the corpus: `TRAIN/DR1/FCJF0/SX37.WAV` and the .PHN, .WRD and .TXT beside it, audio in
NIST SPHERE files of 16 kHz and 16 bits, times in samples; people named by sex, initials and a
digit, those of the core test set and of the development set among them; two sentences that
everybody speaks (SA), sentences that seven speak (SX, a speaker's numbers 90 apart, 3 to 452),
sentences of one speaker (SI, 453 to 2342), none of SX or SI in both TRAIN and TEST; the 61 symbols.

What is not: the sentences, which are auricle's own; the other 94 test speakers; the development
speakers' regions (they are dealt in order, the core test's are right). Everybody speaks General
American, those of DR6 that of New York. Two people may have one voice that differs in pitch, rate
and length of the vocal tract only. The labels are what espeak-ng meant to say, on its times.

Bytes repeat as those of the mini Speech Commands do (see `speech_commands`).
"""

import dataclasses
import hashlib
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from ...transcription import timit_speakers
from ...transcription.segments import Segment
from ..generated_noise import ambient_noise
from ..rooms import place_response
from ..seeding import generator_for
from .recording import Delivery, Spoken, Voices, record
from .sentences import sentence
from .speakers import Speaker, make_cast
from .timit_phones import timit_phones, timit_words

CORPUS = "timit"
GENERATOR_VERSION = 1
"""Raise it with every change that changes bytes: the cache is keyed by it."""

SAMPLE_RATE_HZ = 16000

CORE_TEST = [name.upper() for name in timit_speakers.CORE_TEST]
DEVELOPMENT = [name.upper() for name in timit_speakers.DEVELOPMENT]
SHARED_SENTENCES = (
    "Why should a good judge choose the oyster boat near your garage?",
    "My yellow leather suitcase fell off the bus with both thick books.",
)

_NUM_REGIONS = 8
_NEW_YORK = 6
_SHARE_OF_WOMEN = 0.3
_SPEAKERS_PER_SX = 7
_FIRST_SX, _SX_STEP = 3, 90
_FIRST_SI, _SI_STEP = 453, 630


class Size(NamedTuple):
    """How much there is of everything; SA1 and SA2 come on top."""

    num_training_speakers: int
    training_sx: int
    training_si: int
    test_sx: int
    test_si: int


SIZES = {
    "tiny": Size(32, training_sx=3, training_si=1, test_sx=1, test_si=1),
    "small": Size(160, training_sx=5, training_si=3, test_sx=5, test_si=3),
}


class Person(NamedTuple):
    """A speaker of the corpus and the sentences to speak."""

    name: str
    part: str
    """ "TRAIN" or "TEST"."""
    region: int
    speaker: Speaker
    sentences: dict[str, str]
    """Text of each by its name ("SX37")."""


class _Place(NamedTuple):
    """A quiet room, different for everybody."""

    response: np.ndarray
    level_dbfs: float
    snr_db: float
    noise_tilt_db_per_octave: float


def write(folder: Path, size: str, seed: int) -> dict:
    """Write the corpus into an existing, empty folder; returns what mini.json shall say.

    Arguments
    ---------
    folder : Path
        Where to write.
    size : str
        A key of `SIZES`.
    seed : int
        Other seeds give other training speakers, voices and sentences; the names of the test
        speakers, SA1 and SA2 stay.
    """
    people = _people(SIZES[size], seed)
    voices = Voices(SAMPLE_RATE_HZ)
    digest = hashlib.sha256()
    num_samples, used = 0, set()
    # The bar shows itself only if there is more than a second to wait.
    for person in tqdm(people, desc="mini TIMIT", unit="speaker", delay=1, disable=None):
        home = folder / person.part / f"DR{person.region}" / person.name
        home.mkdir(parents=True)
        place = _place(person, seed)
        for name, text in person.sentences.items():
            rng = generator_for(CORPUS, seed, "sentence", person.name, name)
            spoken = voices.say(text, person.speaker, Delivery.of(person.speaker, rng))
            offset = round(rng.uniform(0.1, 0.25) * SAMPLE_RATE_HZ)
            samples = _record(spoken, offset, place, rng)
            phones = timit_phones(spoken.samples, SAMPLE_RATE_HZ, spoken.events, offset)
            words = timit_words(phones, spoken.events, offset)
            if [word.text for word in words] != re.findall(r"[a-z]+", text.lower()):
                raise RuntimeError(f"espeak-ng spoke {words} for {text!r}: choose other words")
            _write_sentence(home / name, text, samples, phones, words)
            digest.update(f"{person.name}/{name}".encode() + samples.astype("<i2").tobytes())
            num_samples += len(samples)
            used.update(phone.text for phone in phones)
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "counts": {**_counts(people), "duration_s": round(num_samples / SAMPLE_RATE_HZ, 1)},
        "phones": sorted(used),
        "speakers": {
            person.name: {
                "part": person.part,
                "region": person.region,
                "voice": person.speaker.voice,
                "pretended_rate_hz": person.speaker.pretended_rate_hz,
            }
            for person in people
        },
        "clips_sha256": digest.hexdigest(),
        "espeak_version": voices.synthesizer.version,
    }


def _counts(people: list[Person]) -> dict[str, int]:
    """Sentences of the usual sets, which leave SA out, and of all there are."""

    def usual(names) -> int:
        return sum(len(p.sentences) - len(SHARED_SENTENCES) for p in people if p.name in names)

    return {
        "train": usual({person.name for person in people if person.part == "TRAIN"}),
        "development": usual(DEVELOPMENT),
        "core_test": usual(CORE_TEST),
        "with_sa": sum(len(person.sentences) for person in people),
    }


def _people(plan: Size, seed: int) -> list[Person]:
    """Training speakers, then those of the development and core test sets."""
    regions = {name: i // 3 + 1 for i, name in enumerate(CORE_TEST)}
    regions |= {n: i * _NUM_REGIONS // len(DEVELOPMENT) + 1 for i, n in enumerate(DEVELOPMENT)}
    testing = DEVELOPMENT + CORE_TEST
    training = _training_names(plan.num_training_speakers, seed)
    regions |= {name: i % _NUM_REGIONS + 1 for i, name in enumerate(training)}
    names = training + testing

    women, men = (sum(name[0] == sex for name in names) for sex in "FM")
    waiting = make_cast(CORPUS, seed, women, men)
    num_training_sx, num_test_sx = (
        math.ceil(len(part) / _SPEAKERS_PER_SX) for part in (training, testing)
    )
    people = []
    for i, name in enumerate(names):
        is_training = i < len(training)
        # Consecutive numbers of SX go around, so that all have about seven speakers.
        if is_training:
            first_sx = i % num_training_sx
        else:
            first_sx = _SX_STEP - 1 - (i - len(training)) % num_test_sx
        num_sx = plan.training_sx if is_training else plan.test_sx
        num_si = plan.training_si if is_training else plan.test_si
        numbers = {f"SX{_FIRST_SX + first_sx + _SX_STEP * k}": "SX" for k in range(num_sx)}
        numbers |= {f"SI{_FIRST_SI + i + _SI_STEP * k}": "SI" for k in range(num_si)}
        texts = {number: sentence(generator_for(CORPUS, seed, number)) for number in numbers}
        accent = "en-us-nyc" if regions[name] == _NEW_YORK else "en-us"
        speaker = dataclasses.replace(waiting[name[0].lower()].pop(0), accent=accent)
        part = "TRAIN" if is_training else "TEST"
        shared = {f"SA{k}": text for k, text in enumerate(SHARED_SENTENCES, start=1)}
        people.append(Person(name, part, regions[name], speaker, shared | texts))
    return people


def _training_names(count: int, seed: int) -> list[str]:
    """Sex, three initials, a digit; nobody of the test sets among them."""
    rng = generator_for(CORPUS, seed, "names")
    letters = "ABCDEFGHJKLMNPRSTVW"
    names: list[str] = []
    while len(names) < count:
        sex = "F" if len(names) < round(_SHARE_OF_WOMEN * count) else "M"
        name = sex + "".join(letters[i] for i in rng.integers(len(letters), size=3)) + "0"
        if name not in names and name not in CORE_TEST and name not in DEVELOPMENT:
            names.append(name)
    return [names[i] for i in rng.permutation(count)]  # so that every region has women and men


def _place(person: Person, seed: int) -> _Place:
    rng = generator_for(CORPUS, seed, "place", person.name)
    response = place_response(
        rng, SAMPLE_RATE_HZ, float(rng.uniform(0.06, 0.12)), float(rng.uniform(10.0, 20.0))
    )
    return _Place(
        response,
        level_dbfs=float(rng.uniform(-30.0, -20.0)),
        snr_db=float(rng.uniform(30.0, 45.0)),
        noise_tilt_db_per_octave=float(rng.uniform(-6.0, -1.0)),
    )


def _record(
    spoken: Spoken, offset_samples: int, place: _Place, rng: np.random.Generator
) -> np.ndarray:
    """Speech with as much silence after it as before it. () -> (T + 2 offset,), int16"""
    dry = np.pad(spoken.samples, offset_samples)
    noise = ambient_noise(rng, len(dry), SAMPLE_RATE_HZ, place.noise_tilt_db_per_octave, 0.0)
    level_dbfs = place.level_dbfs + rng.normal(0.0, 1.0)
    return record(dry, place.response, noise, level_dbfs, place.snr_db)


def _write_sentence(
    stem: Path, text: str, samples: np.ndarray, phones: list[Segment], words: list[Segment]
) -> None:
    """The four files of a sentence."""
    sphere = {"format": "NIST", "subtype": "PCM_16", "endian": "LITTLE"}
    soundfile.write(stem.with_suffix(".WAV"), samples, SAMPLE_RATE_HZ, **sphere)
    whole = [Segment(0, len(samples), text)]
    for suffix, segments in ((".PHN", phones), (".WRD", words), (".TXT", whole)):
        lines = "".join(f"{start} {end} {what}\n" for start, end, what in segments)
        stem.with_suffix(suffix).write_bytes(lines.encode())  # bytes: no \r on any system
