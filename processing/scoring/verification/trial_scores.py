"""Scores of the trials of a list: collected in shards, merged exactly, summarised, kept in files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .calibration import actual_dcf, cllr
from .metrics import CONVENTIONS, error_curve, validate_scores
from .speaker_bootstrap import HEADLINE, speaker_intervals
from .trials import TrialList, read_trials

P_TARGETS = (0.01, 0.05)


class TrialScores:
    """Collects the scores of a list's trials by their number, and sums them up.

    Every trial is to be scored once: what is missing is refused in the end, and what comes again
    (samplers pad shards by repeating) has to come with the same score.

    Arguments
    ---------
    trials : the list.
    speaker_of : the speaker of every recording, for the intervals; by default the first folder of
        its path. It has to agree with the labels of the list.

    Example
    -------
    >>> trials = TrialList.from_pairs([("a/1", "a/2", True), ("a/1", "b/1", False)])
    >>> one, other = TrialScores(trials), TrialScores(trials)
    >>> one.append([1], [0.2])
    >>> other.append([0], [0.9])
    >>> one.merge(other).summarize(n_resamples=0)["eer"]
    0.0
    """

    def __init__(self, trials: TrialList, speaker_of: Mapping[str, str] | None = None):
        self.trials = trials
        self._speaker_of = speaker_of
        self._scores = np.zeros(len(trials))
        self._scored = np.zeros(len(trials), np.bool_)

    def __len__(self) -> int:
        return int(self._scored.sum())

    @property
    def scores(self) -> np.ndarray:
        """All scores (n,) float64 in the order of the trials.

        Raises
        ------
        ValueError
            A trial was not scored.
        """
        if not self._scored.all():
            first = int((~self._scored).argmax())
            raise ValueError(
                f"{len(self.trials) - len(self)} of {len(self.trials)} trials of "
                f"{self.trials.source} have no score, trial {first + 1} ({self._pair(first)}) is "
                "the first: a part of a list gives another error rate than the list"
            )
        return self._scores

    def append(self, numbers, scores) -> None:
        """Add scores; after an error none of them has been added.

        Arguments
        ---------
        numbers : (n,) integers, places of the trials in the list, from 0; each once.
        scores : (n,), finite.

        Raises
        ------
        ValueError
            Numbers out of range or twice, NaN or infinity (the trial is named), another score for
            a trial than before.
        """
        numbers, scores = np.asarray(numbers), _to_float64(scores)
        if numbers.ndim != 1 or scores.shape != numbers.shape or numbers.dtype.kind not in "iu":
            raise ValueError(
                f"numbers have shape {numbers.shape} ({numbers.dtype}) and scores {scores.shape}: "
                "both must be (n,), and numbers integers"
            )
        outside = (numbers < 0) | (numbers >= len(self.trials))
        if outside.any():
            raise ValueError(
                f"trial number {numbers[outside][0]} is not from 0 to {len(self.trials) - 1}, the "
                f"trials of {self.trials.source}"
            )
        bad = ~np.isfinite(scores)
        if bad.any():
            raise ValueError(
                f"the score of trial {numbers[bad][0] + 1} ({self._pair(numbers[bad][0])}) is "
                f"{scores[bad][0]}; {int(bad.sum())} scores are NaN or infinite"
            )
        if len(np.unique(numbers)) != len(numbers):
            raise ValueError("a trial number occurs twice in one batch: score every trial once")
        again = self._scored[numbers]
        # batches of other sizes add up in another order: the last digits of float32 may differ
        differs = again & ~np.isclose(self._scores[numbers], scores, rtol=1e-4, atol=1e-5)
        if differs.any():
            first = numbers[differs][0]
            raise ValueError(
                f"trial {first + 1} ({self._pair(first)}) has two scores, {self._scores[first]} "
                f"and {scores[differs][0]}: are these shares of one system?"
            )
        new = ~again
        self._scores[numbers[new]] = scores[new]
        self._scored[numbers[new]] = True

    def merge(self, other: TrialScores) -> TrialScores:
        """Add the scores of another share of the same list, and return this one."""
        if other.trials.digest != self.trials.digest:
            raise ValueError(
                f"cannot merge scores of different lists: {self.trials.source} and "
                f"{other.trials.source} have different digests"
            )
        numbers = np.flatnonzero(other._scored)
        self.append(numbers, other._scores[numbers])
        return self

    def state(self) -> dict:
        """What was collected: the list's digest and two arrays, for `all_gather_object`."""
        numbers = np.flatnonzero(self._scored)
        return {"digest": self.trials.digest, "numbers": numbers, "scores": self._scores[numbers]}

    def load_states(self, *states: dict) -> TrialScores:
        """Add what `state` gave on every process (also on this one), and return this one."""
        for state in states:
            if state["digest"] != self.trials.digest:
                raise ValueError(f"a state is of another list than {self.trials.source}")
            self.append(state["numbers"], state["scores"])
        return self

    def summarize(
        self,
        *,
        calibrated: bool = False,
        n_resamples: int = 1000,
        seed: int = 0,
        confidence: float = 0.95,
    ) -> dict:
        """All scores with intervals over speakers, ready for a results file.

        Where there is not one error the bootstrap would claim certainty: EER then has the exact
        binomial upper bound over speakers (how often a speaker might be confused), minDCF None.

        Arguments
        ---------
        calibrated : whether the scores are natural log-likelihood ratios: adds cllr and act_dcf.
        n_resamples : 0 for no interval; then no speakers are needed.
        seed, confidence : as for `percentile_interval`.

        Returns
        -------
        dict with eer (interpolated, a share), eer_max, eer_average, eer_threshold, min_dcf and
        min_dcf_threshold {p_target: value}, min_cllr, counts, trials {source, format, digest},
        and interval {eer, min_dcf_0.01, min_dcf_0.05: [low, high], over, n_speakers, ...} or None.

        Raises
        ------
        ValueError
            A trial without a score; what `speaker_intervals` and `TrialList.speakers` refuse.
        """
        scores, labels = self.scores, self.trials.is_target
        curve = error_curve(scores, labels)
        costs = {f"{p:g}": curve.min_dcf(p) for p in P_TARGETS}
        rates = {name: curve.eer(name) for name in CONVENTIONS}
        summary = {
            "eer": rates["interpolated"][0],
            "eer_max": rates["max"][0],
            "eer_average": rates["average"][0],
            "eer_threshold": rates["interpolated"][1],
            "min_dcf": {name: cost for name, (cost, _) in costs.items()},
            "min_dcf_threshold": {name: threshold for name, (_, threshold) in costs.items()},
            "min_cllr": curve.min_cllr(),
        }
        if calibrated:
            summary["cllr"] = cllr(scores, labels)
            summary["act_dcf"] = {f"{p:g}": actual_dcf(scores, labels, p) for p in P_TARGETS}
        summary["counts"] = self.trials.counts
        summary["trials"] = {
            name: getattr(self.trials, name) for name in ("source", "format", "digest")
        }
        summary["interval"] = (
            self._interval(summary["eer"], n_resamples, seed, confidence) if n_resamples else None
        )
        return summary

    def _interval(self, eer: float, n_resamples: int, seed: int, confidence: float) -> dict:
        speakers = self.trials.speakers(self._speaker_of)
        n_speakers = len(np.unique(speakers))
        draw = {"n_resamples": n_resamples, "seed": seed, "confidence": confidence}
        intervals = speaker_intervals(
            self.scores,
            self.trials.is_target,
            speakers[self.trials.enroll],
            speakers[self.trials.test],
            **draw,
        )
        method = "percentile bootstrap"
        if eer == 0:
            method = "exact binomial: no error"
            bound = 1 - ((1 - confidence) / 2) ** (1 / n_speakers)
            intervals = {**dict.fromkeys(HEADLINE), "eer": (0.0, bound)}
        named = {name: list(pair) if pair else None for name, pair in intervals.items()}
        return {**named, **draw, "over": "speaker", "n_speakers": n_speakers, "method": method}

    def _pair(self, number: int) -> str:
        trials = self.trials
        return f"{trials.names[trials.enroll[number]]} {trials.names[trials.test[number]]}"


def write_scores(path: str | os.PathLike, trials: TrialList, scores) -> Path:
    """Write a score file as wespeaker does: ENROL TEST SCORE target|nontarget; returns the path."""
    scores, _ = validate_scores(scores, trials.is_target)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (trials.enroll.tolist(), trials.test.tolist(), scores.tolist(), trials.is_target)
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        for a, b, score, answer in zip(*rows, strict=True):
            label = "target" if answer else "nontarget"
            out.write(f"{trials.names[a]} {trials.names[b]} {score!r} {label}\n")
    return path


def read_scores(path: str | os.PathLike) -> tuple[TrialList, np.ndarray]:
    """Read a score file of wespeaker's format; further columns are passed over.

    Returns
    -------
    (trials, scores), scores float64 (n,).

    Raises
    ------
    ValueError
        As for `read_trials`; a line without a score, NaN or infinity (the line is named).
    """
    path = Path(path)
    trials = read_trials(path, format="wespeaker")
    scores = np.empty(len(trials))
    place = 0
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            if not fields:
                continue
            try:
                scores[place] = float(fields[2])
            except ValueError:
                raise ValueError(
                    f"{path.name}, line {number} has no score: {line.strip()[:120]!r}; score "
                    "files are: ENROL TEST SCORE target|nontarget"
                ) from None
            if not np.isfinite(scores[place]):
                raise ValueError(f"{path.name}, line {number}: the score is {fields[2]}")
            place += 1
    return trials, scores


def _to_float64(values) -> np.ndarray:
    if hasattr(values, "detach"):  # a tensor, wherever it lives
        values = values.detach().double().cpu().numpy()
    return np.asarray(values, np.float64)
