"""Error rates of speaker verification: EER, minDCF and minCllr, from one sort of the scores.

Definitions. A trial is accepted at threshold t where its score is at least t. Over T target and N
non-target trials, P_miss(t) is the share of target trials that are not accepted and P_fa(t) the
share of non-target trials that are. All distinct scores are thresholds, and so is "accept none";
equal scores are decided together.

- EER: P_miss = P_fa on the line through the points (P_fa, P_miss) of neighbouring thresholds
  ("interpolated", as in NIST's tools). At the threshold where |P_miss - P_fa| is least (the highest
  such threshold), "average" is their mean and "max" the larger one.
- DCF(t) = (C_miss p P_miss(t) + C_fa (1 - p) P_fa(t)) / min(C_miss p, C_fa (1 - p)), p being
  p_target: normalised by the better of accepting all and none; minDCF is its minimum over t.
- minCllr: Cllr (see `calibration`) after the best rising map of scores to log-likelihood ratios,
  which is the pool-adjacent-violators solution; read off the lower convex hull of the points.

Everything is counts until the last division, in O(n log n) time and memory linear in n.

What others do: clovaai, TaoRuijie and RawNet report the "max" EER (after scikit-learn dropped
points of the curve, which on small lists moves it by up to 1 point of percent), SpeechBrain the
"average" one. speechbrain@9c826ef ``utils/metric_stats.py`` compares all scores with every
threshold (quadratic time, and for minDCF quadratic memory), leaves minDCF without normalisation
and takes scores that are NaN for a perfect system (EER 0.0).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...system.rules import choice
from ..arrays import to_numpy

CONVENTIONS = ("interpolated", "max", "average")
_HULL_PASSES = 50


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Numbers of misses and false alarms at every threshold.

    Arguments
    ---------
    thresholds : (K,), rising; the last lies just above the highest score.
    misses : (K,) int64, from 0 rising to the number of target trials.
    false_alarms : (K,) int64, from the number of non-target trials falling to 0.

    Example
    -------
    >>> curve = error_curve([0.9, 0.6, 0.4, 0.1], [True, False, True, False])
    >>> curve.misses.tolist(), curve.false_alarms.tolist()
    ([0, 0, 1, 1, 2], [2, 1, 1, 0, 0])
    >>> curve.eer()
    (0.5, 0.6)
    """

    thresholds: np.ndarray
    misses: np.ndarray
    false_alarms: np.ndarray

    @property
    def n_target(self) -> int:
        return int(self.misses[-1])

    @property
    def n_nontarget(self) -> int:
        return int(self.false_alarms[0])

    @property
    def miss_rates(self) -> np.ndarray:
        """P_miss at every threshold."""
        return self.misses / self.n_target

    @property
    def false_alarm_rates(self) -> np.ndarray:
        """P_fa at every threshold."""
        return self.false_alarms / self.n_nontarget

    def eer(self, convention: str = "interpolated") -> tuple[float, float]:
        """Equal error rate (a share, not percent), and the threshold nearest to it."""
        choice("EER convention", convention, CONVENTIONS)
        # (P_miss - P_fa) T N: whole numbers that rise with the threshold, from -T N to T N
        gap = self.misses * self.n_nontarget - self.false_alarms * self.n_target
        above = int(np.searchsorted(gap, 0))
        nearest = above if gap[above] <= -gap[above - 1] else above - 1
        if convention == "interpolated":
            before, after = gap[above - 1], gap[above]
            share = -before / (after - before)
            step = self.misses[above] - self.misses[above - 1]
            rate = (self.misses[above - 1] + share * step) / self.n_target
        else:
            pair = (
                self.misses[nearest] / self.n_target,
                self.false_alarms[nearest] / self.n_nontarget,
            )
            rate = max(pair) if convention == "max" else sum(pair) / 2
        return float(rate), float(self.thresholds[nearest])

    def min_dcf(
        self, p_target: float = 0.01, c_miss: float = 1.0, c_false_alarm: float = 1.0
    ) -> tuple[float, float]:
        """Normalised minimum detection cost, and the (lowest) threshold that reaches it."""
        miss, false_alarm = cost_weights(p_target, c_miss, c_false_alarm)
        cost = miss * self.miss_rates + false_alarm * self.false_alarm_rates
        best = int(cost.argmin())
        return float(cost[best]), float(self.thresholds[best])

    @cached_property
    def hull(self) -> np.ndarray:
        """Places of the thresholds on the lower convex hull of the (P_fa, P_miss) points."""
        new = (np.diff(self.misses) != 0) | (np.diff(self.false_alarms) != 0)
        kept = np.concatenate([[0], np.flatnonzero(new) + 1])
        # A point on or above the chord of its neighbours is no corner of the hull, whatever else
        # is dropped in the same pass. A few passes drop most; what is left is gone through once.
        for _ in range(_HULL_PASSES):
            rise, run = np.diff(self.misses[kept]), -np.diff(self.false_alarms[kept])
            corner = rise[:-1] * run[1:] < rise[1:] * run[:-1]
            if corner.all():
                return kept
            kept = kept[np.concatenate([[True], corner, [True]])]
        stack: list[tuple[int, int, int]] = []
        misses, alarms = self.misses[kept].tolist(), self.false_alarms[kept].tolist()
        for k, miss, alarm in zip(kept.tolist(), misses, alarms, strict=True):
            while len(stack) > 1:
                (_, m0, a0), (_, m1, a1) = stack[-2:]
                if (m1 - m0) * (a1 - alarm) < (miss - m1) * (a0 - a1):
                    break
                stack.pop()
            stack.append((k, miss, alarm))
        return np.array([k for k, _, _ in stack])

    def min_cllr(self) -> float:
        """Cllr in bits of the best rising map of these scores to log-likelihood ratios."""
        targets = np.diff(self.misses[self.hull]) / self.n_target
        nontargets = -np.diff(self.false_alarms[self.hull]) / self.n_nontarget
        # a stretch of the hull holds these shares of both sides; its likelihood ratio is t / n
        with np.errstate(divide="ignore"):
            cost = targets * np.log1p(nontargets / np.where(targets > 0, targets, np.inf))
            cost += nontargets * np.log1p(targets / np.where(nontargets > 0, nontargets, np.inf))
        return float(cost.sum() / (2 * math.log(2)))


def error_curve(
    scores: Sequence[float] | np.ndarray, is_target: Sequence[bool] | np.ndarray
) -> ErrorCurve:
    """Sort the scores of trials into an error curve.

    Arguments
    ---------
    scores : (n,), higher for "one speaker".
    is_target : (n,), True (or 1) for a target trial.

    Raises
    ------
    ValueError
        No trials, other lengths, NaN or infinity, labels that are not true or false, one side
        missing.
    """
    scores, is_target = validate_scores(scores, is_target)
    order = np.argsort(scores)
    ordered = scores[order]
    first = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    targets_below = np.concatenate([[0], np.cumsum(is_target[order], dtype=np.int64)])
    place = np.append(first, len(scores))
    misses = targets_below[place]
    return ErrorCurve(
        thresholds=np.append(ordered[first], np.nextafter(ordered[-1], ordered.dtype.type(np.inf))),
        misses=misses,
        false_alarms=(len(scores) - misses[-1]) - (place - misses),
    )


def cost_weights(p_target: float, c_miss: float, c_false_alarm: float) -> tuple[float, float]:
    """Weights of P_miss and P_fa in the normalised detection cost."""
    if not 0 < p_target < 1:
        raise ValueError(f"p_target is {p_target}: give a probability between 0 and 1, exclusive")
    for name, cost in (("c_miss", c_miss), ("c_false_alarm", c_false_alarm)):
        if not 0 < cost < math.inf:
            raise ValueError(f"{name} is {cost}: a cost is a finite number above 0")
    miss, false_alarm = c_miss * p_target, c_false_alarm * (1 - p_target)
    scale = min(miss, false_alarm)
    return miss / scale, false_alarm / scale


def validate_scores(scores, is_target) -> tuple[np.ndarray, np.ndarray]:
    """Scores as float (n,) and labels as bool (n,), or a ValueError that says what is wrong."""
    scores, labels = to_numpy(scores), to_numpy(is_target)
    if scores.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(
            f"scores have shape {scores.shape} and labels {labels.shape}: both must be (n,)"
        )
    if not len(scores):
        raise ValueError("no trials: an error rate needs target and non-target trials")
    if scores.dtype.kind not in "fiu":
        raise ValueError(f"scores must be real numbers, got {scores.dtype}")
    if scores.dtype not in (np.float32, np.float64):
        scores = scores.astype(np.float64)
    finite = np.isfinite(scores)
    if not finite.all():
        place = int((~finite).argmax())
        raise ValueError(
            f"{int((~finite).sum())} of {len(scores)} scores are NaN or infinite, the first is "
            f"trial {place + 1} ({scores[place]}): an error rate over them has no meaning"
        )
    if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be True (1) for target and False (0) for non-target trials")
    labels = labels.astype(np.bool_)
    n_target = int(labels.sum())
    if n_target in (0, len(labels)):
        has, lacks = ("target", "non-target") if n_target else ("non-target", "target")
        raise ValueError(
            f"one-sided: all {len(labels)} trials are {has} trials; an error rate needs {lacks} "
            "trials too"
        )
    return scores, labels
