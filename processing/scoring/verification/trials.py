"""Lists of verification trials: formats, checks, and the recordings they name.

A trial is a pair of recordings and the answer to "is it one speaker?". A recording is known by the
whole of its relative path and by nothing less: every file of VoxCeleb is called 00001.wav. "./a"
and "a" are one recording.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from ...system.files import file_digest, replacing, text_lines
from ...system.rules import choice
from ..arrays import first_repeated
from ..recording_names import first_folder, plain_name, spelling_hint

#: What a line looks like. wespeaker and 3D-Speaker write trials as Kaldi does.
FORMATS = {
    "voxceleb": "1 ENROL TEST (1: one speaker, 0: two)",
    "kaldi": "ENROL TEST target|nontarget",
    "wespeaker": "ENROL TEST target|nontarget, or its score file: ENROL TEST SCORE target|nontarget",
}
_DIGITS = {"1": True, "0": False}
_WORDS = {"target": True, "nontarget": False}


@dataclass(frozen=True, eq=False)
class TrialList:
    """Trials by number: which recording is compared with which, and the right answers.

    Arguments
    ---------
    names : the recordings (full relative paths), all different, in order of first appearance.
    enroll, test : (n,) int32, places in `names`.
    is_target : (n,) bool, True where both recordings are of one speaker.
    source : where the list is from; said in every error.
    format : one of `FORMATS`, or "pairs".
    digest : SHA-256 of the file, or of the trials where there is no file.
    repeated : trials that had occurred before, with the same answer (they count again).
    """

    names: tuple[str, ...]
    enroll: np.ndarray
    test: np.ndarray
    is_target: np.ndarray
    source: str
    format: str
    digest: str
    repeated: int

    def __len__(self) -> int:
        return len(self.is_target)

    def pair(self, number: int) -> str:
        """The two recordings of a trial, for a message."""
        return f"{self.names[self.enroll[number]]} {self.names[self.test[number]]}"

    def __repr__(self) -> str:
        return f"TrialList({self.source}: {self.counts})"

    @property
    def counts(self) -> dict[str, int]:
        """How many trials, targets, non-targets, recordings, repeats, pairs with themselves."""
        target = int(self.is_target.sum())
        return {
            "trials": len(self),
            "target": target,
            "nontarget": len(self) - target,
            "recordings": len(self.names),
            "repeated": self.repeated,
            "with_itself": int((self.enroll == self.test).sum()),
        }

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[tuple[str, str, bool]],
        source: str = "pairs",
        *,
        fold_case: bool = False,
    ) -> TrialList:
        """Trials given as (recording, recording, is it one speaker).

        Raises
        ------
        ValueError
            As for `read_trials`, with the trial's number in place of the line.

        Example
        -------
        >>> trials = TrialList.from_pairs([("a/1.wav", "a/2.wav", True), ("a/1.wav", "b/1.wav", 0)])
        >>> trials.counts["target"], trials.names
        (1, ('a/1.wav', 'a/2.wav', 'b/1.wav'))
        """
        builder, digest = _Builder(source, "trial", fold_case), hashlib.sha256()
        for number, (one, other, answer) in enumerate(pairs, start=1):
            if answer not in (0, 1):  # True and False are 1 and 0
                raise ValueError(
                    f"{source}, trial {number}: the answer is {answer!r}: give True or False; a "
                    "trial without one cannot be scored"
                )
            digest.update(f"{int(answer)} {one} {other}\n".encode())
            builder.add(number, one, other, bool(answer))
        return builder.finish("pairs", digest.hexdigest())

    def locate(
        self, recordings: Sequence[str], *, partial: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the recordings of every trial, in a table that is in the order of `recordings`.

        Arguments
        ---------
        recordings : names of the table's rows (full relative paths), all different.
        partial : say that the list is meant to use only some of the recordings.

        Returns
        -------
        (enroll, test), int64 (n,) each.

        Raises
        ------
        ValueError
            A trial names a recording that is not there (the first such trial is named), a
            recording occurs twice, or recordings are left over and `partial` was not said.
        """
        recordings = [plain_name(name) for name in recordings]
        row = {name: index for index, name in enumerate(recordings)}
        if (double := first_repeated(recordings)) is not None:
            raise ValueError(f"recording {double!r} occurs twice: give every recording once")
        place = np.array([row.get(name, -1) for name in self.names], np.int64)
        missing = np.flatnonzero(place < 0)
        if len(missing):
            gone = np.isin(self.enroll, missing) | np.isin(self.test, missing)
            first = int(gone.argmax())
            side = self.enroll[first] if place[self.enroll[first]] < 0 else self.test[first]
            raise ValueError(
                f"{self.source}, trial {first + 1} names an unknown recording "
                f"{self.names[side]!r}; {len(missing)} of the list's {len(self.names)} recordings "
                f"are not among the {len(row)} given (such as {next(iter(row), None)!r}): names "
                "are full relative paths and must agree letter by letter"
                + spelling_hint(self.names[side], row)
            )
        if len(row) > len(self.names) and not partial:
            used = set(self.names)
            unused = next(name for name in recordings if name not in used)
            raise ValueError(
                f"{self.source} uses {len(self.names)} of {len(row)} recordings, {unused!r} for "
                "one is in no trial: a part of a list gives another error rate than the list; "
                "`partial` says that this is meant"
            )
        return place[self.enroll], place[self.test]

    def speakers(self, speaker_of: Mapping[str, str] | None = None) -> np.ndarray:
        """The speaker of each of `names`, as numbers in the order of the speakers' names.

        Arguments
        ---------
        speaker_of : the speaker of every recording; by default the first folder of its path, as
            in VoxCeleb and in everything laid out like it.

        Raises
        ------
        ValueError
            A recording without a speaker, or a trial whose answer the speakers contradict.
        """
        if speaker_of is None:
            bare = next((name for name in self.names if "/" not in name.strip("/")), None)
            if bare is not None:
                raise ValueError(
                    f"{self.source}: {bare!r} has no folder to take the speaker from: give the "
                    "speaker of every recording"
                )
            speaker = [first_folder(name) for name in self.names]
        else:
            speaker = speakers_of(self.names, speaker_of, f"{self.source}: ")
        number = np.unique(speaker, return_inverse=True)[1]
        wrong = np.flatnonzero((number[self.enroll] == number[self.test]) != self.is_target)
        if len(wrong):
            a, b = self.enroll[wrong[0]], self.test[wrong[0]]
            raise ValueError(
                f"{self.source}, trial {wrong[0] + 1}: {self.names[a]!r} and {self.names[b]!r} are "
                f"of speakers {speaker[a]!r} and {speaker[b]!r}, and the list says "
                f"{'one speaker' if self.is_target[wrong[0]] else 'two speakers'} "
                f"({len(wrong)} such trials): give the speaker of every recording"
            )
        return number


def read_trials(
    path: str | os.PathLike, format: str = "auto", *, fold_case: bool = False
) -> TrialList:
    """Read a list of trials; an error names the line.

    The file is read line by line; what is kept is 9 bytes a trial and the recordings' names.
    Blank lines are passed over. "auto" takes the format from the first line, and every other line
    has to be in it.

    Arguments
    ---------
    path : a text file, UTF-8.
    format : one of `FORMATS` or "auto".
    fold_case : names that differ only in case are one recording.

    Raises
    ------
    ValueError
        A line in another format, a trial without a label or with an unknown one, the same pair
        with both answers, no trial, no target or no non-target trial.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "veri_test2.txt")
    ...     _ = path.write_text("1 id1/a/1.wav id1/b/1.wav\\n0 id1/a/1.wav id2/c/1.wav\\n")
    ...     trials = read_trials(path)
    >>> trials.format, len(trials), trials.names[2]
    ('voxceleb', 2, 'id2/c/1.wav')
    """
    path = Path(path)
    choice("format", format, ("auto", *FORMATS))
    builder = _Builder(path.name, "line", fold_case)
    for number, line in text_lines(path):
        fields = line.split()
        if format == "auto":
            format = next((f for f in ("kaldi", "voxceleb", "wespeaker") if _parse(fields, f)), "")
        trial = _parse(fields, format)
        if trial is None:
            what = f"in the format {format}" if format else "in any known format"
            why = "has no label" if len(fields) == 2 else f"is not {what}"
            known = "; ".join(f"{name}: {shape}" for name, shape in FORMATS.items())
            raise ValueError(
                f"{path.name}, line {number} {why}: {' '.join(fields)[:120]!r}. Lines are: {known}"
            )
        builder.add(number, *trial)
    return builder.finish(format, file_digest(path))


def write_trials(path: str | os.PathLike, trials: TrialList, format: str = "voxceleb") -> Path:
    """Write a list of trials in the VoxCeleb or the Kaldi format; returns the path."""
    choice("format", format, ("voxceleb", "kaldi"))
    shape = "{2:d} {0} {1}\n" if format == "voxceleb" else "{0} {1} {3}\n"
    return write_lines(path, trials, shape)


def write_lines(path: str | os.PathLike, trials: TrialList, shape: str, scores=()) -> Path:
    """Write a line per trial: `shape` is given enrol, test, answer, its word and the score."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = (trials.enroll.tolist(), trials.test.tolist(), trials.is_target.tolist())
    with replacing(path) as part, open(part, "w", encoding="utf-8", newline="\n") as out:
        for a, b, answer, score in zip_longest(*columns, scores):
            word = "target" if answer else "nontarget"
            out.write(shape.format(trials.names[a], trials.names[b], answer, word, score))
    return path


def speakers_of(names: Iterable[str], speaker_of: Mapping[str, str], where: str = "") -> list[str]:
    """The speaker of every recording; a ValueError names the first that has none."""
    known = {plain_name(name): speaker for name, speaker in speaker_of.items()}
    names = [plain_name(name) for name in names]
    absent = next((name for name in names if name not in known), None)
    if absent is not None:
        hint = spelling_hint(absent, known)
        raise ValueError(f"{where}there is no speaker for {absent!r} among those given{hint}")
    return [known[name] for name in names]


def _parse(fields: list[str], format: str) -> tuple[str, str, bool] | None:
    """(recording, recording, one speaker?) of a line; None where it is not in the format."""
    if format == "voxceleb":
        if len(fields) == 3 and fields[0] in _DIGITS:
            return fields[1], fields[2], _DIGITS[fields[0]]
        return None
    place = 3 if format == "wespeaker" and len(fields) > 3 else 2
    if (len(fields) == 3 or place == 3) and fields[place] in _WORDS:
        return fields[0], fields[1], _WORDS[fields[place]]
    return None


class _Builder:
    """Collects trials as numbers and checks them as a whole at the end."""

    def __init__(self, source: str, unit: str, fold_case: bool = False):
        self.source, self.unit, self.fold_case = source, unit, fold_case
        self.place: dict[str, int] = {}
        self.numbers, self.enroll, self.test = array("i"), array("i"), array("i")
        self.answers = bytearray()

    def add(self, number: int, one: str, other: str, answer: bool) -> None:
        place, fold = self.place, self.fold_case
        self.enroll.append(place.setdefault(plain_name(one, fold), len(place)))
        self.test.append(place.setdefault(plain_name(other, fold), len(place)))
        self.answers.append(answer)
        self.numbers.append(number)

    def finish(self, format: str, digest: str) -> TrialList:
        if not self.answers:
            raise ValueError(f"{self.source} holds no trial")
        # array("i") has 4 bytes on every platform that torch runs on
        enroll, test = (np.frombuffer(side, np.int32) for side in (self.enroll, self.test))
        answers = np.frombuffer(self.answers, np.bool_)
        if answers.all() or not answers.any():
            has, lacks = ("target", "non-target") if answers.all() else ("non-target", "target")
            raise ValueError(
                f"{self.source} is one-sided: all {len(answers)} trials are {has} trials and there "
                f"is no {lacks} trial, so no error rate can be told"
            )
        return TrialList(
            names=tuple(self.place),
            enroll=enroll,
            test=test,
            is_target=answers,
            source=self.source,
            format=format,
            digest=digest,
            repeated=self._repeated(enroll, test, answers),
        )

    def _repeated(self, enroll: np.ndarray, test: np.ndarray, answers: np.ndarray) -> int:
        """How many trials occurred before; a pair with both answers, in any order, is refused."""
        pair = np.minimum(enroll, test).astype(np.int64) * len(self.place)
        pair += np.maximum(enroll, test)
        order = np.argsort(pair, kind="stable")
        again = np.diff(pair[order]) == 0
        clash = np.flatnonzero(again & (np.diff(answers[order].view(np.int8)) != 0))
        if len(clash):
            first, second = order[clash[0]], order[clash[0] + 1]
            names = list(self.place)
            raise ValueError(
                f"{self.source}: {names[enroll[first]]!r} and {names[test[first]]!r} are one "
                f"speaker in one trial and two in another ({self.unit}s {self.numbers[first]} and "
                f"{self.numbers[second]})"
            )
        return int(again.sum())
