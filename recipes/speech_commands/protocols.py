"""Protocols of Speech Commands by name: release, classes, split; and the rule of the hash.

Every public "12-class Speech Commands" is another test set, so that a number without its protocol
says nothing.

References
----------
P. Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition",
arXiv:1804.03209, 2018. The split by hash is the one published with the data set (README.md of the
archive); file counts are those of the archives and of their list files.
"""

import hashlib
import re
from dataclasses import dataclass

from ...processing.system.rules import wrong_values
from ..training.preparation import Protocols, setting_problems

SAMPLE_RATE_HZ = 16000
CLIP_S = 1.0  # no published clip is longer
LONG_CLIPS = (None, "first", "centre", "windows")
SILENCE, UNKNOWN, NOISE = "_silence_", "_unknown_", "_background_noise_"
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
TWELVE_LABELS = (SILENCE, UNKNOWN, *KEYWORDS)

_WORDS_V1 = tuple(
    "bed bird cat dog down eight five four go happy house left marvin nine no off on one right "
    "seven sheila six stop three tree two up wow yes zero".split()
)
_WORDS_V2 = tuple(sorted((*_WORDS_V1, "backward", "follow", "forward", "learn", "visual")))

_BASE_URL = "https://storage.googleapis.com/download.tensorflow.org/data/"
_MAX_NUM_WAVS_PER_CLASS = 2**27 - 1


@dataclass(frozen=True)
class Archive:
    """One published archive; `checksum` is None where none was published."""

    url: str
    checksum: str | None
    num_files: int


@dataclass(frozen=True)
class Release:
    """One release of the data set; counts are word files, background noise left out."""

    name: str
    words: tuple
    archive: Archive
    test_archive: Archive
    split_num_files: dict


@dataclass(frozen=True)
class Protocol:
    """What a result is measured on.

    `split` is "lists" (the list files of the release where they are there, the hash rule where
    not) or "hash" (always the hash rule). The order of `labels` is the order of the classes.
    """

    name: str
    release: Release
    labels: tuple
    split: str = "lists"
    takes_official_test: bool = False

    @property
    def words(self):
        """The labels that are spoken words."""
        return tuple(label for label in self.labels if label not in (SILENCE, UNKNOWN))

    @property
    def has_extra_classes(self):
        """Whether silence and unknown words are classes."""
        return UNKNOWN in self.labels


V1 = Release(
    "v0.01",
    _WORDS_V1,
    Archive(
        _BASE_URL + "speech_commands_v0.01.tar.gz",
        "sha256:743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        64_721,
    ),
    Archive(_BASE_URL + "speech_commands_test_set_v0.01.tar.gz", None, 3_081),
    {"train": 51_088, "valid": 6_798, "test": 6_835},
)
V2 = Release(
    "v0.02",
    _WORDS_V2,
    Archive(
        _BASE_URL + "speech_commands_v0.02.tar.gz",
        "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        105_829,
    ),
    Archive(
        _BASE_URL + "speech_commands_test_set_v0.02.tar.gz",
        "sha256:cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
        4_890,
    ),
    {"train": 84_843, "valid": 9_981, "test": 11_005},
)
RELEASES = (V1, V2)

PROTOCOLS = Protocols(
    Protocol("v2-12-official", V2, TWELVE_LABELS, takes_official_test=True),
    Protocol("v2-12-hash", V2, TWELVE_LABELS, split="hash"),
    Protocol("v2-35", V2, V2.words),
    Protocol("v1-12-official", V1, TWELVE_LABELS, takes_official_test=True),
    Protocol("v1-30", V1, V1.words),
)


def which_set(file_name):
    """Split of a clip by the hash of its speaker: about 80 % train, 10 % valid and 10 % test.

    All clips of one speaker fall in one split, and a clip keeps its split when others are added.

    Arguments
    ---------
    file_name : str
        Name of the file without its folder.

    Example
    -------
    >>> which_set("bb05582b_nohash_3.wav"), which_set("bb05582b_nohash_0.flac")
    ('test', 'test')
    """
    hashed_name = re.sub(r"_nohash_.*$", "", file_name)
    number = int(hashlib.sha1(hashed_name.encode()).hexdigest(), 16)
    percentage = number % (_MAX_NUM_WAVS_PER_CLASS + 1) * (100.0 / _MAX_NUM_WAVS_PER_CLASS)
    if percentage < 10:
        return "valid"
    return "test" if percentage < 20 else "train"


def num_classes(name):
    """Number of classes of a protocol, e.g. 12."""
    return len(PROTOCOLS.find(name).labels)


def problems(plain):
    """What is wrong with the protocol part of a configuration."""
    rules = {
        "sample_rate": (SAMPLE_RATE_HZ.__eq__, f"{SAMPLE_RATE_HZ}, the rate of Speech Commands"),
        "clip_s": (lambda value: bool(value) and value > 0, "above 0"),
        "long_clips": (LONG_CLIPS.__contains__, "first (or null), centre or windows"),
    }
    wrong = setting_problems({"protocol": plain["protocol"]}, PROTOCOLS, {})
    return wrong + wrong_values(plain, rules)
