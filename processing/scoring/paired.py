"""Paired comparison of two systems on one test set, and Holm's correction of several p values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bootstrap import tails


@dataclass(frozen=True)
class Comparison:
    """Difference of two systems on the same items, A minus B.

    Attributes
    ----------
    a, b, difference : the scores on the whole test set.
    interval : (low, high) of the difference, at `confidence`.
    p_value : two-sided: twice the smaller share of resamples on either side of 0 (half of those at
        0 on each), at least 1 / n_resamples.
    differ : whether the interval leaves out 0.
    n_groups : the groups that were drawn: speakers, songs.
    """

    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    confidence: float
    p_value: float
    differ: bool
    n_groups: int
    n_resamples: int


def compare_draws(
    a: float, b: float, drawn: np.ndarray, n_groups: int, n_resamples: int, confidence: float
) -> Comparison:
    """The comparison of two systems that were resampled with the same draws.

    Because both meet the same draws, what makes a group hard for both falls out of the difference.

    Arguments
    ---------
    a, b : the scores on the whole test set.
    drawn : (2, r), the scores of A and B in every resample.
    n_groups, n_resamples : how many groups were drawn, and how often.
    confidence : between 0 and 1, exclusive.
    """
    difference = drawn[0] - drawn[1]
    low, high = (float(v) for v in np.quantile(difference, tails(confidence)))
    at_zero = (difference == 0).mean() / 2
    tail = min((difference < 0).mean() + at_zero, (difference > 0).mean() + at_zero)
    return Comparison(
        a=a,
        b=b,
        difference=a - b,
        interval=(low, high),
        confidence=confidence,
        p_value=float(max(2 * tail, 1 / n_resamples)),
        differ=not low <= 0 <= high,
        n_groups=n_groups,
        n_resamples=n_resamples,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number after Holm (1979), in their own order.

    Example
    -------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p_values, np.float64)
    order = np.argsort(p_values, kind="stable")
    stepped = p_values[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected.tolist()
