"""Write the mini VoxCeleb1: speakers in videos and trials in its layout, spoken by espeak-ng.

What is like the dataset: `wav/<speaker>/<video>/<utterance>.wav` at 16 kHz and 16 bits, every
first utterance of a video called 00001.wav; videos with names of eleven characters, each with a
room, a microphone, a noise and a level of its own; `vox1_meta.csv`; `veri_test2.txt`, whose
speakers are id10270 to id10309 and train nowhere. Target trials join different videos; most
non-target trials join people of one gender.

What is not: there are fewer people, videos and utterances, utterances are shorter, and nobody
laughs, interrupts or plays music. The list is smaller, so its error rate has a wide interval.

Bytes repeat as those of the mini Speech Commands do (see `speech_commands`).
"""

import hashlib
import math
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from ..generated_noise import ambient_noise
from ..rooms import place_response
from ..seeding import generator_for
from .recording import Delivery, Voices, record
from .sentences import talk
from .speakers import Speaker, make_cast

CORPUS = "voxceleb"
GENERATOR_VERSION = 1
"""Raise it with every change that changes bytes: the cache is keyed by it."""

SAMPLE_RATE_HZ = 16000
TRIAL_LIST = "veri_test2.txt"
META_FILE = "vox1_meta.csv"

_TEST_NUMBERS = range(10270, 10310)
"""The speakers of VoxCeleb1's own test."""
_ALL_NUMBERS = range(10001, 11252)
_SHARE_OF_WOMEN = 0.4
_SHARE_OF_SAME_GENDER = 0.8
_MOST_TARGET_TRIALS_PER_SPEAKER = 60
_COUNTRY_OF_ACCENT = {"en-us": "USA", "en-us-nyc": "USA", "en-029": "Jamaica"}
_ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Size(NamedTuple):
    """How much there is of everything."""

    num_training_speakers: int
    num_test_speakers: int
    videos_per_speaker: int
    utterances_per_video: int
    duration_s: tuple[float, float]


SIZES = {
    "tiny": Size(24, 16, videos_per_speaker=3, utterances_per_video=2, duration_s=(1.5, 2.5)),
    "small": Size(96, 40, videos_per_speaker=4, utterances_per_video=3, duration_s=(2.0, 5.0)),
}


class Video(NamedTuple):
    """The recording conditions and the delivery of one video."""

    name: str
    reverberation_time_s: float
    direct_to_reverberant_db: float
    level_dbfs: float
    snr_db: float
    noise_tilt_db_per_octave: float
    hum_hz: float
    rate_factor: float
    pitch_step: int


def write(folder: Path, size: str, seed: int) -> dict:
    """Write the corpus into an existing, empty folder; returns what mini.json shall say.

    Arguments
    ---------
    folder : Path
        Where to write.
    size : str
        A key of `SIZES`.
    seed : int
        Other seeds give other speakers, videos and trials.
    """
    plan = SIZES[size]
    cast = _cast(plan, seed)
    voices = Voices(SAMPLE_RATE_HZ)
    utterances: dict[str, list[list[str]]] = {}  # of each speaker, by video
    digest = hashlib.sha256()
    num_samples = 0
    # The bar shows itself only if there is more than a second to wait.
    for name, speaker in tqdm(
        cast.items(), desc="mini VoxCeleb", unit="speaker", delay=1, disable=None
    ):
        utterances[name] = []
        for v in range(plan.videos_per_speaker):
            filmed = _film(speaker, seed, v)
            (folder / "wav" / name / filmed.name).mkdir(parents=True)
            count = plan.utterances_per_video
            paths = [f"{name}/{filmed.name}/{n + 1:05d}.wav" for n in range(count)]
            utterances[name].append(paths)
            response = place_response(
                generator_for(CORPUS, seed, "room", speaker.index, v),
                SAMPLE_RATE_HZ,
                filmed.reverberation_time_s,
                filmed.direct_to_reverberant_db,
            )
            for n, path in enumerate(paths):
                rng = generator_for(CORPUS, seed, "utterance", speaker.index, v, n)
                samples = _utter(voices, speaker, filmed, response, plan.duration_s, rng)
                soundfile.write(folder / "wav" / path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
                digest.update(path.encode() + samples.astype("<i2").tobytes())
                num_samples += len(samples)
    gender = {name: speaker.gender for name, speaker in cast.items()}
    is_test = {name: int(name[2:]) in _TEST_NUMBERS for name in cast}
    tested = {name: u for name, u in utterances.items() if is_test[name]}
    trials = _trials(tested, gender, generator_for(CORPUS, seed, "trials"))
    lines = [f"{int(same)} {one} {other}\n" for one, other, same in trials]
    (folder / TRIAL_LIST).write_bytes("".join(lines).encode())  # bytes: no \r on any system
    (folder / META_FILE).write_bytes(_meta(cast, is_test).encode())
    per_speaker = plan.videos_per_speaker * plan.utterances_per_video
    counts = _counts(plan)
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "counts": {
            "speakers": counts,
            "utterances": {split: count * per_speaker for split, count in counts.items()},
            "trials": len(trials),
            "duration_s": round(num_samples / SAMPLE_RATE_HZ, 1),
        },
        "speakers": {
            name: {
                "split": "test" if is_test[name] else "dev",
                "gender": speaker.gender,
                "voice": speaker.voice,
                "pretended_rate_hz": speaker.pretended_rate_hz,
            }
            for name, speaker in cast.items()
        },
        "clips_sha256": digest.hexdigest(),
        "espeak_version": voices.synthesizer.version,
    }


def _counts(plan: Size) -> dict[str, int]:
    return {"dev": plan.num_training_speakers, "test": plan.num_test_speakers}


def _cast(plan: Size, seed: int) -> dict[str, Speaker]:
    """Speakers by name, sorted; both splits have the same share of women."""
    counts = _counts(plan)
    women = {split: round(_SHARE_OF_WOMEN * count) for split, count in counts.items()}
    men = {split: counts[split] - women[split] for split in counts}
    people = make_cast(CORPUS, seed, sum(women.values()), sum(men.values()))
    rng = generator_for(CORPUS, seed, "split")
    chosen: dict[str, list[Speaker]] = {"dev": [], "test": []}
    for gender, counts_of_gender in (("f", women), ("m", men)):
        members = people[gender]
        order = [members[i] for i in rng.permutation(len(members))]
        chosen["dev"] += order[: counts_of_gender["dev"]]
        chosen["test"] += order[counts_of_gender["dev"] :]
    others = [number for number in _ALL_NUMBERS if number not in _TEST_NUMBERS]
    picked = rng.choice(len(others), size=counts["dev"], replace=False)
    numbers = {
        "dev": sorted(others[i] for i in picked.tolist()),
        "test": list(_TEST_NUMBERS[: counts["test"]]),
    }
    cast = {}
    for split, members in chosen.items():
        order = rng.permutation(len(members))  # or all women would have the lowest numbers
        for number, i in zip(numbers[split], order, strict=True):
            cast[f"id{number}"] = members[i]
    return dict(sorted(cast.items()))


def _film(speaker: Speaker, seed: int, v: int) -> Video:
    """The conditions of a speaker's v-th video."""
    rng = generator_for(CORPUS, seed, "video", speaker.index, v)
    return Video(
        name="".join(_ID_CHARACTERS[i] for i in rng.integers(len(_ID_CHARACTERS), size=11)),
        reverberation_time_s=float(rng.uniform(0.08, 0.6)),
        direct_to_reverberant_db=float(rng.uniform(-3.0, 12.0)),
        level_dbfs=float(rng.uniform(-34.0, -16.0)),
        snr_db=float(rng.uniform(5.0, 28.0)),
        noise_tilt_db_per_octave=float(rng.uniform(-7.0, 0.0)),
        hum_hz=float(rng.choice([0.0, 0.0, 0.0, 50.0, 60.0])),
        rate_factor=float(rng.uniform(0.85, 1.2)),
        pitch_step=int(rng.integers(-10, 11)),
    )


def _utter(
    voices: Voices,
    speaker: Speaker,
    video: Video,
    response: np.ndarray,
    duration_s: tuple[float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """One utterance; like the dataset's, it is cut out of speech that goes on. () -> (T,), int16"""
    num_samples = round(rng.uniform(*duration_s) * SAMPLE_RATE_HZ)
    delivery = Delivery.of(speaker, rng)
    delivery = delivery._replace(
        rate_wpm=float(np.clip(delivery.rate_wpm * video.rate_factor, 90, 300)),
        pitch=int(np.clip(delivery.pitch + video.pitch_step, 0, 100)),
    )
    # The rate counts espeak-ng's own speaking; the pretended rate shortens it by up to 11 %.
    num_words = math.ceil(num_samples / SAMPLE_RATE_HZ * delivery.rate_wpm / 60.0 * 1.15)
    speech = ()
    while len(speech) < num_samples:
        speech = voices.say(talk(rng, num_words), speaker, delivery).samples
        num_words += 3
    start = int(rng.integers(len(speech) - num_samples + 1))
    level_dbfs = video.level_dbfs + rng.normal(0.0, 2.0)
    noise = ambient_noise(
        rng, num_samples, SAMPLE_RATE_HZ, video.noise_tilt_db_per_octave, video.hum_hz
    )
    snr_db = video.snr_db + rng.normal(0.0, 2.0)
    return record(speech[start : start + num_samples], response, noise, level_dbfs, snr_db)


def _trials(
    utterances: dict[str, list[list[str]]], gender: dict[str, str], rng: np.random.Generator
) -> list[tuple[str, str, bool]]:
    """(recording, recording, one speaker?), each target followed by a non-target."""
    trials: list[tuple[str, str, bool]] = []
    taken: set[frozenset[str]] = set()
    for name, videos in utterances.items():
        pairs = [pair for videos_ in combinations(videos, 2) for pair in product(*videos_)]
        kept = sorted(rng.permutation(len(pairs))[:_MOST_TARGET_TRIALS_PER_SPEAKER].tolist())
        same = [n for n in utterances if n != name and gender[n] == gender[name]]
        different = [n for n in utterances if gender[n] != gender[name]]
        for one, other in (pairs[i] for i in kept):
            trials.append((one, other, True))
            while True:
                among = same if rng.random() < _SHARE_OF_SAME_GENDER else different
                whose = sum(utterances[among[int(rng.integers(len(among)))]], [])
                stranger = whose[int(rng.integers(len(whose)))]
                if frozenset((one, stranger)) not in taken:
                    break
            taken.add(frozenset((one, stranger)))
            trials.append((one, stranger, False))
    return trials


def _meta(cast: dict[str, Speaker], is_test: dict[str, bool]) -> str:
    """The dataset's table of speakers: tabs between the columns in spite of its name."""
    lines = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"]
    for name, speaker in cast.items():
        country = _COUNTRY_OF_ACCENT.get(speaker.accent, "UK")
        who = f"{speaker.variant}_of_{speaker.accent}"
        split = "test" if is_test[name] else "dev"
        lines.append(f"{name}\t{who}\t{speaker.gender}\t{country}\t{split}\n")
    return "".join(lines)
