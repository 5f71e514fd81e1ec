"""Check that a TIMIT folder is whole, and that its splits share no speakers."""

from collections import Counter

from ...processing.system.listing import first_of
from ...processing.transcription.timit_speakers import CORE_TEST, DEVELOPMENT
from ..training.preparation import PreparationError, shared_speakers
from .protocols import SPEAKERS_BY_REGION, TRAINABLE_STFT

_MOST_SPEAKERS = 20  # named in an error
_SPLIT_NAMES = {"train": "training", "valid": "development", "test": "test"}


def check_speakers(rows, protocol):
    """No speaker of the test set is trained on, nor, in the standard protocol, of validation."""
    shared = shared_speakers(rows)
    if protocol is TRAINABLE_STFT:
        shared.pop(("train", "valid"), None)
    if shared:
        raise PreparationError(
            "speakers in more than one split: "
            + "; ".join(f"{a} and {b}: {', '.join(who)}" for (a, b), who in shared.items())
            + ". TIMIT shares none: somebody's folder lies in TRAIN and in TEST, remove the wrong one"
        )


def check_tokens(counts, protocol):
    """The whole corpus has the published numbers of reference tokens."""
    wrong = [
        f"{split} has {counts[split]['phones']} phones where {expected} are published"
        for split, expected in protocol.phones.items()
        if counts[split]["phones"] != expected
    ]
    if wrong:
        raise PreparationError(
            f"every utterance is there, but {' and '.join(wrong)} (39 phones, silence kept, q "
            "deleted): the .PHN files are not those of LDC93S1. Restore them."
        )


def find_missing(protocol, sentences, counts):
    """What of the whole corpus of the protocol is missing, one line each; empty: it is complete.

    Arguments
    ---------
    sentences : list of Sentence
        Those of the protocol that can be used.
    counts : dict
        Utterances and speakers by split.
    """
    missing = []
    for what, published in (("utterances", protocol.utterances), ("speakers", protocol.speakers)):
        for split, expected in published.items():
            count = counts[split][what]
            if count != expected:
                missing.append(f"{count} of {expected} {_SPLIT_NAMES[split]} {what}")
    if not missing:
        return []
    return missing + _missing_people(protocol, sentences)


def _missing_people(protocol, sentences):
    per_speaker = Counter((s.part, s.region, s.speaker) for s in sentences)
    by_region = Counter((part, region) for part, region, _ in per_speaker)
    tested = {speaker for part, _, speaker in per_speaker if part == "test"}
    lines = []
    if protocol.has_sa:
        parts = SPEAKERS_BY_REGION.items()
    else:
        parts = [("train", SPEAKERS_BY_REGION["train"])]
        for name, people in (("development", DEVELOPMENT), ("core test", CORE_TEST)):
            absent = [speaker for speaker in people if speaker not in tested]
            if absent:
                lines.append(f"{name} speakers that are not there: {', '.join(absent)}")
    for part, expected in parts:
        regions = [
            f"dr{i} {by_region[part, f'dr{i}']} of {number}"
            for i, number in enumerate(expected, start=1)
            if by_region[part, f"dr{i}"] != number
        ]
        if regions:
            lines.append(f"speakers in {part.upper()}: {', '.join(regions)}")
    expected_count = protocol.sentences_per_speaker
    partial = [f"{who[2]} {n}" for who, n in sorted(per_speaker.items()) if n != expected_count]
    if partial:
        shown = first_of(partial, most=_MOST_SPEAKERS)
        lines.append(f"{len(partial)} speakers have not {expected_count} utterances: {shown}")
    return lines
