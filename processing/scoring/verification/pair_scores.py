"""Score files of any system, read and matched with the trials that they are scores of."""

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...system.files import text_lines
from ...system.tables import to_number
from ..recording_names import plain_name, spelling_hint
from .trials import TrialList, read_trials

_LABELS = {"target": True, "nontarget": False, "1": True, "0": False}
_SHAPE = (
    "score files are: ENROL TEST SCORE, or ENROL TEST SCORE target|nontarget, or with 1 or 0 in "
    "every line ENROL TEST LABEL SCORE"
)


def read_scored_trials(
    path: str | os.PathLike,
    trials: TrialList | None = None,
    *,
    partial: bool = False,
    fold_case: bool = False,
) -> tuple[TrialList, np.ndarray]:
    """Scores of a file in the order of a list, whatever order the file has.

    Arguments
    ---------
    path : lines 'ENROL TEST SCORE', a label and further columns after it or not, or SpeechBrain's
        'ENROL TEST LABEL SCORE' with 1 or 0; which of them, all lines decide.
    trials : the list; None takes the trials from the file, which then needs a label in every line.
        Enrolment and test are not exchanged: there are scores that are not symmetric.
    partial : say that the file is meant to hold scores of more than the list.
    fold_case : names that differ only in case are one recording.

    Returns
    -------
    (trials, scores), scores float64 (n,) in the order of `trials`.

    Raises
    ------
    ValueError
        A line without a score, NaN or infinity, a fourth column that is no label, labels that
        could be scores, a recording that the list does not know, a trial
        without a score, a pair with two scores, a label that the list contradicts, scores of more
        than the list where `partial` was not said; the line or the trial is named.

    Example
    -------
    >>> import tempfile
    >>> trials = TrialList.from_pairs([("a/1", "a/2", True), ("a/1", "b/1", False)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "scores")
    ...     _ = path.write_text("a/1 b/1 0.25\\na/1 a/2 0.75\\n")
    ...     read_scored_trials(path, trials)[1].tolist()
    [0.75, 0.25]
    """
    path = Path(path)
    columns = _columns(path)
    if trials is None:
        if columns == "speechbrain":
            pairs = ((one, other, bool(label)) for _, one, other, _, label in _rows(path, columns))
            trials = TrialList.from_pairs(pairs, path.name, fold_case=fold_case)
        else:
            trials = read_trials(path, format="wespeaker", fold_case=fold_case)
        return trials, np.fromiter((score for *_, score, _ in _rows(path, columns)), np.float64)
    names = {name: number for number, name in enumerate(trials.names)}
    size = np.int64(len(names))
    numbers, keys, scores, labels = array("q"), array("q"), array("d"), array("b")
    stray: tuple[int, str] | None = None
    for number, one, other, score, label in _rows(path, columns):
        one, other = plain_name(one, fold_case), plain_name(other, fold_case)
        a, b = names.get(one), names.get(other)
        if a is None or b is None:
            stray = stray or (number, one if a is None else other)
            continue
        numbers.append(number)
        keys.append(a * int(size) + b)
        scores.append(score)
        labels.append(-1 if label is None else label)
    if not keys and stray:
        raise ValueError(
            f"{path.name} holds no score of a trial of {trials.source}: line {stray[0]} has "
            f"{stray[1]!r}, the list {trials.names[0]!r}"
            + (spelling_hint(stray[1], names) or "; names must agree letter by letter")
        )
    if not keys:
        raise ValueError(f"{path.name} holds no score; {_SHAPE}")
    if stray and not partial:
        why = spelling_hint(stray[1], names) or f": {_PARTIAL}"
        raise ValueError(
            f"{path.name}, line {stray[0]} scores the recording {stray[1]!r}, which is in no trial "
            f"of {trials.source}{why}"
        )
    place = _match(path.name, trials, np.array(keys), np.array(scores), np.array(numbers), partial)
    found_labels = np.array(labels)[place]
    wrong = np.flatnonzero((found_labels >= 0) & (found_labels != trials.is_target))
    if len(wrong):
        raise ValueError(
            f"{path.name}, line {numbers[place[wrong[0]]]} and {trials.source} disagree about "
            f"{trials.pair(wrong[0])}: one says target, one nontarget ({len(wrong)} such trials)"
        )
    return trials, np.array(scores)[place]


_PARTIAL = (
    "a part of a list gives another error rate than the list; `partial` says that this is meant"
)


def _match(source, trials, keys, scores, numbers, partial) -> np.ndarray:
    """Place of every trial's score among the lines; each way of not fitting is an error."""
    order = np.argsort(keys, kind="stable")
    keys, scores = keys[order], scores[order]
    twice = np.flatnonzero((np.diff(keys) == 0) & (np.diff(scores) != 0))
    if len(twice):
        first, second = numbers[order[twice[0]]], numbers[order[twice[0] + 1]]
        raise ValueError(f"{source}: one pair has two scores, in lines {first} and {second}")
    pairs_of_list = trials.enroll.astype(np.int64) * len(trials.names) + trials.test
    matches = np.searchsorted(keys, pairs_of_list).clip(max=len(keys) - 1)
    missing = np.flatnonzero(keys[matches] != pairs_of_list)
    if len(missing):
        raise ValueError(
            f"trial {missing[0] + 1} of {trials.source} ({trials.pair(missing[0])}) has no score "
            f"in {source}; {len(missing)} of {len(trials)} have none"
        )
    if not partial:
        unused = np.flatnonzero(~np.isin(keys, pairs_of_list))
        if len(unused):
            line = int(numbers[order[unused]].min())
            raise ValueError(
                f"{source}, line {line} scores a pair that is no trial of {trials.source} "
                f"({len(unused)} such lines): {_PARTIAL}"
            )
    return order[matches]


def _columns(path: Path) -> str:
    """Whether the label stands before the score: only where every line says so."""
    after = True  # every fourth column could be a label
    for _, line in text_lines(path):
        fields = line.split()
        if len(fields) != 4 or fields[2] not in ("0", "1") or fields[3] in ("target", "nontarget"):
            return "score"
        after = after and fields[3] in _LABELS
    if after:
        raise ValueError(
            f"{path.name}: the third and the fourth column of every line are 0 or 1: which of them "
            "is the label cannot be told; write labels as target and nontarget"
        )
    return "speechbrain"


def _rows(path: Path, columns: str) -> Iterator[tuple[int, str, str, float, bool | None]]:
    """(line, enrolment, test, score, label or None)."""
    for number, line in text_lines(path):
        fields = line.split()
        try:
            if columns == "speechbrain":
                one, other, label, text = fields
                answer = {"1": True, "0": False}[label]
            else:
                one, other, text = fields[:3]
                answer = _LABELS[fields[3]] if len(fields) > 3 else None
            score = to_number(text)
        except (ValueError, KeyError):
            raise ValueError(
                f"{path.name}, line {number} has no score, or a label that is none: "
                f"{line[:120]!r}; {_SHAPE}"
            ) from None
        if not np.isfinite(score):
            raise ValueError(f"{path.name}, line {number}: the score is {text}")
        yield number, one, other, score, answer
