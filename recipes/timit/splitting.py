"""Decide which sentences of TIMIT a protocol uses, and in which split."""

import torch

from ...processing.transcription.timit_speakers import CORE_TEST, DEVELOPMENT
from .protocols import TRAINABLE_STFT, training_share


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
