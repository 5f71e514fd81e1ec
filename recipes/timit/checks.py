"""What must hold before a TIMIT manifest is written, and what is said if it does not."""

from collections import Counter

from ...processing.data.manifest import SPLITS
from ...processing.transcription.phones import fold
from ...processing.transcription.timit_speakers import CORE_TEST, DEVELOPMENT
from ..training.preparation import PreparationError
from .protocols import SPEAKERS_BY_REGION, TRAINABLE_STFT

_MAX_EXAMPLES = 5
_SPLIT_NAMES = {"train": "training", "valid": "development", "test": "test"}


def count_splits(rows):
    """{split: {"utterances", "speakers", "hours", "phones"}}; an empty split is an error.

    Raises
    ------
    PreparationError
    """
    counts = {}
    for split in SPLITS:
        its = [row for row in rows if row["split"] == split]
        counts[split] = {
            "utterances": len(its),
            "speakers": len({row["speaker"] for row in its}),
            "hours": round(sum(row["duration_s"] for row in its) / 3600, 4),
            "phones": sum(len(fold(row["phones"].split())) for row in its),
        }
    empty = [split for split, numbers in counts.items() if not numbers["utterances"]]
    if empty:
        raise PreparationError(
            f"no utterance is left for {' and '.join(empty)}: nothing can be trained and scored "
            "without them"
        )
    return counts


def shared_speakers(rows):
    """Speakers by the pairs of splits that share them."""
    speakers = {s: {row["speaker"] for row in rows if row["split"] == s} for s in SPLITS}
    pairs = (("train", "valid"), ("train", "test"), ("valid", "test"))
    return {
        (a, b): sorted(speakers[a] & speakers[b]) for a, b in pairs if speakers[a] & speakers[b]
    }


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
    """What lacks to the whole corpus of the protocol, one line each; empty: it is complete.

    Arguments
    ---------
    sentences : list of Sentence
        Those of the protocol that can be used.
    counts : dict
        As `count_splits` gives.
    """
    missing = []
    for split, expected in protocol.utterances.items():
        found = counts[split]["utterances"]
        if found != expected:
            missing.append(f"{found} of {expected} {_SPLIT_NAMES[split]} utterances")
    for split, expected in protocol.speakers.items():
        found = counts[split]["speakers"]
        if found != expected:
            missing.append(f"{found} of {expected} {_SPLIT_NAMES[split]} speakers")
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
    wanted = protocol.sentences_per_speaker
    partial = [f"{who[2]} {n}" for who, n in sorted(per_speaker.items()) if n != wanted]
    if partial:
        shown = ", ".join(partial[: 4 * _MAX_EXAMPLES])
        more = len(partial) - 4 * _MAX_EXAMPLES
        lines.append(
            f"{len(partial)} speakers have not {wanted} utterances: {shown}"
            + (f" and {more} more" if more > 0 else "")
        )
    return lines
