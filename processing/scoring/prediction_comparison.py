"""Compare two systems by their predictions: over groups, over seeds, and item by item (McNemar)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..system.listing import first_of
from .bootstrap import resampled_weights
from .classification import ConfusionCounts
from .collector import Collector
from .paired import Comparison, compare_draws
from .predictions import targets_of


@dataclass(frozen=True)
class McNemar:
    """Items that one of two classifiers got right and the other wrong.

    Attributes
    ----------
    only_a, only_b : items that A alone, and B alone, got right.
    p_value : exact two-sided binomial test that both are equally likely. Items count as
        independent: with several of one group the bootstrap over groups is the one to trust.
    """

    only_a: int
    only_b: int
    p_value: float


@dataclass(frozen=True)
class Seeds:
    """Difference of two systems' mean scores over training seeds, by Welch's t.

    Attributes
    ----------
    a, b : scores of every seed.
    interval, p_value : of the difference of means; None where a side has one seed.
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    interval: tuple[float, float] | None
    p_value: float | None


def compare_predictions(
    a: Sequence[Collector],
    b: Sequence[Collector],
    score: str,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Comparison, Seeds]:
    """Whether two systems differ on the same items, by paired bootstrap over groups and over seeds.

    With several runs of a system, its score is the mean over them: the bootstrap then says whether
    the very models differ beyond the choice of test items, Welch's t whether the methods differ
    beyond the choice of seeds.

    Arguments
    ---------
    a, b : predictions of every run of each system.
    score : name of a score that all have.
    n_resamples, seed, confidence : as for `percentile_interval`.

    Raises
    ------
    ValueError
        Other items, targets or groups.
    """
    _check_alike([*a, *b])
    both = [[run.resampled(score) for run in side] for side in (a, b)]
    groups = both[0][0][0]

    def scored(weights) -> list[np.ndarray]:
        return [np.stack([function(weights) for _, function in side]) for side in both]

    whole = [side[:, 0] for side in scored(np.ones((1, len(groups))))]
    size = max(1, 2_000_000 // max(1, len(targets_of(a[0]))))
    drawn = [
        np.stack([side.mean(0) for side in scored(weights.astype(np.float64))])
        for weights in resampled_weights(len(groups), n_resamples, seed=seed, chunk_resamples=size)
    ]
    drawn = np.concatenate(drawn, axis=1)
    drawn = drawn[:, np.isfinite(drawn).all(0)]  # a resample may miss what a score needs
    means = [float(values.mean()) for values in whole]
    compared = compare_draws(*means, drawn, len(groups), n_resamples, confidence)
    return compared, _over_seeds(*whole, confidence)


def _check_alike(runs: Sequence[Collector]) -> None:
    first = targets_of(runs[0])
    for other in map(targets_of, runs[1:]):
        if first.keys() != other.keys():
            only = sorted(first.keys() ^ other.keys())
            raise ValueError(
                f"the systems were tested on different items: {len(only)} are in one only, such as "
                f"{first_of(only, 3)}; compare on one test set"
            )
        if differ := sorted(name for name in first if first[name] != other[name]):
            one = differ[0]
            raise ValueError(
                f"the targets or groups of {len(differ)} items differ, such as {one}: "
                f"{first[one]} and {other[one]}; compare on the same labels"
            )


def _over_seeds(a: np.ndarray, b: np.ndarray, confidence: float) -> Seeds:
    sides = tuple(map(float, a)), tuple(map(float, b))
    if min(len(a), len(b)) < 2:
        return Seeds(*sides, None, None)
    if np.ptp(a) == np.ptp(b) == 0:
        difference = float(a[0] - b[0])
        return Seeds(*sides, (difference, difference), float(difference == 0))
    test = stats.ttest_ind(a, b, equal_var=False)
    low, high = test.confidence_interval(confidence)
    return Seeds(*sides, (float(low), float(high)), float(test.pvalue))


def mcnemar(a: ConfusionCounts, b: ConfusionCounts) -> McNemar:
    """McNemar's exact test of two classifiers on the same items.

    References
    ----------
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 1947; the exact form is the sign test of the unequal pairs.

    Example
    -------
    >>> a, b = ConfusionCounts(["x", "y"]), ConfusionCounts(["x", "y"])
    >>> a.append("abcdefg", [0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1])
    >>> b.append("abcdefg", [0, 0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 0, 0, 1])
    >>> mcnemar(a, b)
    McNemar(only_a=6, only_b=0, p_value=0.03125)
    """
    right = [
        {name: true == predicted for name, (true, predicted, _) in side._records.items()}
        for side in (a, b)
    ]
    only_a = sum(right[0][name] and not right[1][name] for name in right[0])
    only_b = sum(right[1][name] and not right[0][name] for name in right[0])
    unequal = only_a + only_b
    p_value = stats.binomtest(only_a, unequal).pvalue if unequal else 1.0
    return McNemar(only_a, only_b, float(p_value))
