"""Protocols of TIMIT by name: speakers and sentences of each split, and the published counts.

A phone error rate says nothing without them. "standard" is what nearly every published number is
on: SA sentences left out, 462 training speakers, 50 development speakers, the 24 of the core test.
"trainable_stft" is the split of one study; nothing else can be compared with it. "manifest" is
anybody's table of recordings.

References
----------
J. Garofolo et al., "TIMIT Acoustic-Phonetic Continuous Speech Corpus", LDC93S1, 1993.
heungky/trainable-STFT-Mel@1fc500e, train_ASR_hydra.py: all sentences, SA included, the training
part divided at random into 4,000 and 620, the full test part.
"""

from dataclasses import dataclass

import torch

from ...processing.data.augmentation.speed import SpeedPerturbation
from ...processing.system.rules import number, wrong_values
from ...processing.transcription.timit_speakers import CORE_TEST, DEVELOPMENT
from ...processing.transcription.unit_options import unit_problems
from ..training.preparation import Protocols, setting_problems

SAMPLE_RATE_HZ = 16000

# Speakers by dialect region, DR1 to DR8.
SPEAKERS_BY_REGION = {
    "train": (38, 76, 76, 68, 70, 35, 77, 22),
    "test": (11, 26, 26, 32, 28, 11, 23, 11),
}

_TRAIN_SHARE = 4000, 4620  # of the training part, in trainable_stft


@dataclass(frozen=True)
class Protocol:
    """What a result is measured on.

    Attributes
    ----------
    has_sa : bool
        Whether the two sentences that everybody speaks are used.
    utterances, speakers : dict
        By split, those of the whole corpus; empty where there is no such number.
    phones : dict
        By split, reference tokens of the whole corpus with 39 phones, silence kept and ``q``
        deleted, as far as they are published.
    comparable : bool
        Whether results on the whole corpus may stand beside published ones.
    """

    name: str
    has_sa: bool
    utterances: dict
    speakers: dict
    phones: dict
    comparable: bool
    remark: str = ""

    @property
    def sentences_per_speaker(self):
        return 10 if self.has_sa else 8


STANDARD = Protocol(
    "standard",
    False,
    {"train": 3696, "valid": 400, "test": 192},
    {"train": 462, "valid": 50, "test": 24},
    {"valid": 15057, "test": 7215},
    True,
)
TRAINABLE_STFT = Protocol(
    "trainable_stft",
    True,
    {"train": 4000, "valid": 620, "test": 1680},
    {"test": 168},
    {},
    False,
    "not comparable with other numbers on TIMIT: SA sentences, which everybody speaks, are in "
    "training and test, and validation shares its speakers with training",
)
MANIFEST = Protocol(
    "manifest", True, {}, {}, {}, False, "a table of recordings, not TIMIT; not comparable with it"
)
PROTOCOLS = Protocols(STANDARD, TRAINABLE_STFT, MANIFEST)


def training_share(num_utterances):
    """How many of the training part are trained on in trainable_stft: 4,000 of 4,620.

    Example
    -------
    >>> training_share(4620), training_share(100)
    (4000, 87)
    """
    taken, of = _TRAIN_SHARE
    return round(num_utterances * taken / of)


def problems(plain):
    """What is wrong with the data part of a configuration, all of it at once.

    Arguments
    ---------
    plain : dict
        Plain values of the YAML. Read are protocol, data_seed, skip_broken, sample_rate, cache_gb,
        speed_factors, units, bpe_size, silence_rule and glottal_stop, as far as they are there.

    Returns
    -------
    list of str

    Example
    -------
    >>> problems({"protocol": "standart", "data_seed": 0})
    ["protocol 'standart' is not known; did you mean 'standard'? There are standard, \
trainable_stft, manifest"]
    """
    wrong = setting_problems(plain, PROTOCOLS, {"data_seed": 0})
    rules = {
        "sample_rate": (SAMPLE_RATE_HZ.__eq__, f"must be {SAMPLE_RATE_HZ}, the rate of TIMIT"),
        "cache_gb": number(0, what="must be 0 or more GB"),
    }
    wrong += wrong_values(plain, rules, "{name} is {value!r}; it {what}")
    try:
        SpeedPerturbation(1, plain.get("speed_factors") or [])
    except (TypeError, ValueError) as error:
        wrong.append(f"speed_factors: {error}")
    return wrong + unit_problems(plain)


def is_used(sentence, protocol):
    """Whether a protocol trains, validates or tests on a sentence."""
    if sentence.is_sa and not protocol.has_sa:
        return False
    people = (*CORE_TEST, *DEVELOPMENT)
    return protocol is TRAINABLE_STFT or sentence.part == "train" or sentence.speaker in people


def splits_of(sentences, protocol, seed):
    """Split of each sentence, in their order."""
    if protocol is not TRAINABLE_STFT:
        return [
            "train" if s.part == "train" else "test" if s.speaker in CORE_TEST else "valid"
            for s in sentences
        ]
    # The study divides its list of files, whose order within a region is the file system's; here
    # it is by region, speaker and name. What torch's random_split draws is randperm's.
    splits = ["test"] * len(sentences)
    training = [i for i, s in enumerate(sentences) if s.part == "train"]
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(seed)).tolist()
    for place, drawn in enumerate(order):
        held_out = place >= training_share(len(training))
        splits[training[drawn]] = "valid" if held_out else "train"
    return splits
