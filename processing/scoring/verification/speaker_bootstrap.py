"""Bootstrap over speakers: intervals of verification scores, paired comparison of systems.

Trials of one speaker are alike: 37,611 trials of Vox1-O come from 40 speakers, and it is speakers
that were drawn. A resample draws as many speakers with replacement; speaker a is drawn c_a times.
The drawn copies count as different speakers, so

- a non-target trial of speakers a and b occurs c_a c_b times (each copy of one with each of the
  other),
- a target trial of speaker a occurs c_a times: each copy with itself. The product of both sides'
  counts, c_a squared, would take trials between copies for target trials; in a simulation of 30
  speakers it made 90 % intervals 1.5 times as wide as the EERs scatter, where c_a gave 0.98.

The scores are sorted once. A resample only weights the sorted trials, and between two trials of
different kind nothing but a sum of weights is needed, so one resample of n trials costs O(n).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..bootstrap import resampled_weights, tails
from ..paired import Comparison, compare_draws
from .metrics import ErrorCurve, error_curve, validate_scores

Statistic = Callable[[ErrorCurve], float]


def interpolated_eer(curve: ErrorCurve) -> float:
    """The default statistic of the intervals below."""
    return curve.eer()[0]


#: What intervals are reported of.
HEADLINE: dict[str, Statistic] = {
    "eer": interpolated_eer,
    "min_dcf_0.01": lambda curve: curve.min_dcf(0.01)[0],
    "min_dcf_0.05": lambda curve: curve.min_dcf(0.05)[0],
}


def speaker_intervals(
    scores,
    is_target,
    enroll_speakers: Sequence | np.ndarray,
    test_speakers: Sequence | np.ndarray,
    statistics: Mapping[str, Statistic] = HEADLINE,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of error rates over speakers.

    Where there is not one error every resample is alike, and the interval has no width: the caller
    has to treat that case.

    Arguments
    ---------
    scores, is_target : as for `error_curve`.
    enroll_speakers, test_speakers : (n,), the speakers of both sides, numbers or names.
    statistics : what to compute from an `ErrorCurve`, by name. The curve of a resample has the
        corners of the curve and no points between them; "max" and "average" EER, which depend on
        those, are not for here.
    n_resamples, seed, confidence : as for `percentile_interval`.

    Returns
    -------
    {name: (low, high)}

    Raises
    ------
    ValueError
        As for `error_curve`; labels that the speakers contradict; so few speakers that more than
        one resample in twenty has no target or no non-target trial.
    """
    sides = enroll_speakers, test_speakers
    values = _resampled([scores], is_target, *sides, statistics, n_resamples, seed)[:, 0]
    bounds = np.quantile(values, tails(confidence), axis=0)
    return dict(zip(statistics, map(tuple, bounds.T.tolist()), strict=True))


def compare(
    scores_a,
    scores_b,
    is_target,
    enroll_speakers: Sequence | np.ndarray,
    test_speakers: Sequence | np.ndarray,
    statistic: Statistic = interpolated_eer,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Whether two systems differ on the same trials, by paired bootstrap over speakers.

    Both are resampled with the same draws, so what makes a speaker hard for both falls out of the
    difference. Training is random too: this compares two trained models, not two methods.

    Arguments
    ---------
    scores_a, scores_b : (n,) each, of the same trials in the same order.
    Others as for `speaker_intervals`.

    Example
    -------
    >>> generator = np.random.default_rng(0)
    >>> a, b = np.triu_indices(40, 0)
    >>> good, poor = (generator.normal(d * (a == b), 1.0) for d in (4, 0.5))
    >>> compare(good, poor, a == b, a, b, n_resamples=200).differ
    True
    """
    sides = enroll_speakers, test_speakers
    draw = {"n_resamples": n_resamples, "seed": seed, "confidence": confidence}
    return compare_systems([scores_a], [scores_b], is_target, *sides, statistic, **draw)


def compare_systems(
    a: Sequence,
    b: Sequence,
    is_target,
    enroll_speakers: Sequence | np.ndarray,
    test_speakers: Sequence | np.ndarray,
    statistic: Statistic = interpolated_eer,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """As `compare`, of the mean statistic of several models of each system: of its seeds.

    Arguments
    ---------
    a, b : scores (n,) of every model of each system.
    Others as for `compare`.
    """
    systems, sides = [*a, *b], (enroll_speakers, test_speakers)
    values = np.array([statistic(error_curve(scores, is_target)) for scores in systems])
    drawn = _resampled(systems, is_target, *sides, {"": statistic}, n_resamples, seed)[:, :, 0]
    means = [
        np.stack([side.mean(-1) for side in np.split(part, [len(a)], axis=-1)])
        for part in (values, drawn)
    ]
    n_speakers = len(np.unique(np.concatenate([enroll_speakers, test_speakers])))
    return compare_draws(*map(float, means[0]), means[1], n_speakers, n_resamples, confidence)


class _WeightedTrials:
    """Sorted trials of one system: gives its error curve under weights of the speakers."""

    def __init__(self, scores, is_target, enroll, test):
        scores, is_target = validate_scores(scores, is_target)
        curve = error_curve(scores, is_target)
        rejected = curve.n_nontarget - curve.false_alarms
        # steps of the curve that add only to misses, or only to false alarms: where two of the
        # same kind meet the curve goes straight on, and the point between them says nothing
        adds, drops = np.diff(curve.misses) > 0, np.diff(rejected) > 0
        straight = (adds[1:] == adds[:-1]) & (drops[1:] == drops[:-1]) & (adds[1:] != drops[1:])
        corner = np.concatenate([[True], ~straight, [True]])
        self.targets_below, self.nontargets_below = curve.misses[corner], rejected[corner]
        self.thresholds = curve.thresholds[corner]
        order = np.argsort(scores)
        targets, nontargets = order[is_target[order]], order[~is_target[order]]
        self.target = enroll[targets]
        self.enroll, self.test = enroll[nontargets], test[nontargets]

    def curve(self, counts: np.ndarray) -> ErrorCurve | None:
        """The curve with each speaker drawn `counts` times; None where a side is missing."""
        misses = _sums(counts[self.target], self.targets_below)
        rejected = _sums(counts[self.enroll] * counts[self.test], self.nontargets_below)
        if not misses[-1] or not rejected[-1]:
            return None
        return ErrorCurve(self.thresholds, misses, rejected[-1] - rejected)


def _sums(weights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Sums of the first `places` weights, for each place."""
    return np.concatenate([[0], np.cumsum(weights, dtype=np.int64)])[places]


def _resampled(
    systems, is_target, enroll_speakers, test_speakers, statistics, n_resamples, seed
) -> np.ndarray:
    """Statistics (resamples, systems, statistics) of all resamples that have both sides."""
    enroll_speakers, test_speakers = np.asarray(enroll_speakers), np.asarray(test_speakers)
    labels = validate_scores(systems[0], is_target)[1]
    if not enroll_speakers.shape == test_speakers.shape == labels.shape:
        raise ValueError(
            f"speakers have shapes {enroll_speakers.shape} and {test_speakers.shape} for "
            f"{len(labels)} trials: give the speaker of both sides of every trial"
        )
    names, number = np.unique(np.concatenate([enroll_speakers, test_speakers]), return_inverse=True)
    enroll, test = np.split(number, 2)
    wrong = np.flatnonzero((enroll == test) != labels)
    if len(wrong):
        raise ValueError(
            f"trial {wrong[0] + 1} is a {'target' if labels[wrong[0]] else 'non-target'} trial of "
            f"speakers {names[enroll[wrong[0]]]!r} and {names[test[wrong[0]]]!r}: labels and "
            "speakers contradict each other"
        )
    sorted_systems = [_WeightedTrials(scores, labels, enroll, test) for scores in systems]
    values, left_out = [], 0
    for block in resampled_weights(len(names), n_resamples, seed=seed):
        for counts in block:
            curves = [system.curve(counts) for system in sorted_systems]
            if curves[0] is None:
                left_out += 1
            else:
                values.append([[s(curve) for s in statistics.values()] for curve in curves])
    if left_out > n_resamples / 20:
        raise ValueError(
            f"{left_out} of {n_resamples} resamples of the {len(names)} speakers have no target or "
            "no non-target trial: these are too few speakers for an interval over speakers"
        )
    return np.array(values, np.float64)
