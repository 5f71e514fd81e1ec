"""Error rates of a trial list with intervals over speakers, and the files of its scores."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..arrays import to_numpy
from ..bootstrap import bound_without_errors
from .calibration import actual_dcf, cllr
from .metrics import CONVENTIONS, error_curve, validate_scores
from .speaker_bootstrap import interpolated_eer, speaker_intervals
from .trials import TrialList, write_lines

P_TARGETS = (0.01, 0.05)
#: Operating points (p_target, c_miss, c_false_alarm) that every list is scored at.
POINTS = tuple((p_target, 1.0, 1.0) for p_target in P_TARGETS)

#: What a run calls the scores of its test trials.
SCORES_NAME = "test_scores.txt"


def point_name(p_target: float, c_miss: float = 1.0, c_false_alarm: float = 1.0) -> str:
    """An operating point as results name it: its p_target, and costs that are not both 1.

    Example
    -------
    >>> point_name(0.01), point_name(0.05, 10, 1)
    ('0.01', '0.05,10,1')
    """
    costs = () if c_miss == c_false_alarm == 1 else (c_miss, c_false_alarm)
    return ",".join(f"{value:g}" for value in (p_target, *costs))


def summarize_trials(
    trials: TrialList,
    scores,
    speaker_of: Mapping[str, str] | None = None,
    *,
    calibrated: bool = False,
    points: Sequence[tuple[float, float, float]] = POINTS,
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict:
    """All error rates of a list with intervals over speakers, ready for a results file.

    Where there is not one error the bootstrap would claim certainty: EER then has the exact
    binomial upper bound over speakers (how often a speaker might be confused), minDCF None.

    Arguments
    ---------
    trials : the list.
    scores : (n,), in its order.
    speaker_of : the speaker of every recording, for the intervals; by default the first folder of
        its path. It has to agree with the labels of the list.
    calibrated : whether the scores are natural log-likelihood ratios: adds cllr and act_dcf.
    points : operating points (p_target, c_miss, c_false_alarm) of minDCF and the actual DCF.
    n_resamples : 0 for no interval; then no speakers are needed.
    seed, confidence : as for `percentile_interval`.

    Returns
    -------
    dict with eer (interpolated, a share), eer_max, eer_average, eer_threshold, min_dcf and
    min_dcf_threshold {`point_name`: value}, min_cllr, counts, trials {source, format, digest},
    and interval {eer, min_dcf_0.01, min_dcf_0.05: [low, high], over, n_speakers, ...} or None.

    Raises
    ------
    ValueError
        What `error_curve`, `speaker_intervals` and `TrialList.speakers` refuse.

    Example
    -------
    >>> trials = TrialList.from_pairs([("a/1", "a/2", True), ("a/1", "b/1", False)])
    >>> summarize_trials(trials, [0.9, 0.2], n_resamples=0)["eer"]
    0.0
    """
    scores, labels = np.asarray(to_numpy(scores), np.float64), trials.is_target
    curve = error_curve(scores, labels)
    points = {point_name(*point): point for point in points}
    costs = {name: curve.min_dcf(*point) for name, point in points.items()}
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
        summary["act_dcf"] = {n: actual_dcf(scores, labels, *point) for n, point in points.items()}
    summary["counts"] = trials.counts
    summary["trials"] = {name: getattr(trials, name) for name in ("source", "format", "digest")}
    summary["interval"] = None
    if n_resamples:
        speakers = trials.speakers(speaker_of)
        n_speakers = len(np.unique(speakers))
        draw = {"n_resamples": n_resamples, "seed": seed, "confidence": confidence}
        sides = speakers[trials.enroll], speakers[trials.test]
        statistics = {"eer": interpolated_eer}
        for name, point in points.items():
            statistics[f"min_dcf_{name}"] = lambda curve, point=point: curve.min_dcf(*point)[0]
        intervals = speaker_intervals(scores, labels, *sides, statistics, **draw)
        method = "percentile bootstrap"
        if summary["eer"] == 0:
            method = "exact binomial: no error"
            bound = 1 - bound_without_errors(n_speakers, confidence)
            intervals = {**dict.fromkeys(statistics), "eer": (0.0, bound)}
        named = {name: list(pair) if pair else None for name, pair in intervals.items()}
        about = {"over": "speaker", "n_speakers": n_speakers, "method": method}
        summary["interval"] = {**named, **draw, **about}
    return summary


def write_scores(path: str | os.PathLike, trials: TrialList, scores) -> Path:
    """Write a score file as wespeaker does: ENROL TEST SCORE target|nontarget; returns the path."""
    scores, _ = validate_scores(scores, trials.is_target)
    return write_lines(path, trials, "{0} {1} {4!r} {3}\n", scores.tolist())
