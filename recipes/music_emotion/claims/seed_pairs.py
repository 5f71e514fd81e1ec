"""Compare two systems by their runs: paired over seeds, and over songs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import stats

from ....processing.scoring.bootstrap import resampled_weights
from ....processing.scoring.paired import holm
from ....processing.scoring.regression.comparison import compare_regression
from .runs import FinishedRun

CONFIDENCE = 0.95
RESAMPLES = 1000

Name = TypeVar("Name")


@dataclass(frozen=True)
class SeedPairs:
    """A minus B in joint test CCC, run against run of the same seed.

    Attributes
    ----------
    differences : tuple of float
        One per seed.
    mean : float
    interval, p_value : over seeds, paired t; None with one seed.
    songs_interval : (float, float)
        Of the mean difference of these very models, by paired bootstrap over the test's songs.
    seeds_differ : int
        Seeds whose own interval over songs leaves out 0.
    """

    differences: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    p_value: float | None
    songs_interval: tuple[float, float]
    seeds_differ: int

    @property
    def direction(self) -> int:
        """1 or -1 where the interval over seeds leaves out 0, by its side; else 0."""
        if self.interval is None:
            return 0
        low, high = self.interval
        return 1 if low > 0 else -1 if high < 0 else 0

    def row(self) -> dict[str, object]:
        """Its columns in a table."""
        low, high = self.interval or (None, None)
        return {
            "seeds": len(self.differences),
            "difference": self.mean,
            "over seeds, from": low,
            "to": high,
            "p": self.p_value,
            "over songs, from": self.songs_interval[0],
            "to ": self.songs_interval[1],
            "seeds that differ": f"{self.seeds_differ} of {len(self.differences)}",
        }


def compare_runs(a: Mapping[int, FinishedRun], b: Mapping[int, FinishedRun]) -> SeedPairs:
    """Compare two systems by the seeds that both have; a seed gives both the same order of songs.

    Raises
    ------
    ValueError
        No seed in common; other songs or labels.
    """
    seeds = sorted(set(a) & set(b))
    if not seeds:
        raise ValueError("there is no seed that both systems were trained with")
    pairs = [(a[seed].predictions(), b[seed].predictions()) for seed in seeds]
    each = [compare_regression(*pair, n_resamples=RESAMPLES) for pair in pairs]
    differences = tuple(one.difference for one in each)
    interval, p_value = t_interval(differences)
    moments = [[scores.moments()[1] for scores in pair] for pair in pairs]
    drawn = []
    for weights in resampled_weights(each[0].n_groups, RESAMPLES, seed=0):
        ccc = [[_ccc(side, weights) for side in pair] for pair in moments]
        drawn.append(np.mean([first - second for first, second in ccc], axis=0))
    low, high = np.quantile(np.concatenate(drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return SeedPairs(
        differences,
        float(np.mean(differences)),
        interval,
        p_value,
        (float(low), float(high)),
        sum(one.differ for one in each),
    )


def compare_all(
    systems: Mapping[Name, tuple[Mapping[int, FinishedRun], Mapping[int, FinishedRun]]],
) -> tuple[dict[Name, SeedPairs], dict[Name, float]]:
    """Comparisons (A, B) by name, of those with a seed in common, and their p values after Holm."""
    compared = {name: compare_runs(a, b) for name, (a, b) in systems.items() if set(a) & set(b)}
    p_values = {name: p.p_value for name, p in compared.items() if p.p_value is not None}
    return compared, dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _ccc(moments, weights: np.ndarray) -> np.ndarray:
    """Joint CCC (r,) of resamples of the songs (r, G)."""
    sums = np.einsum("rg,gdc->rdc", weights.astype(np.float64), moments.rows)
    return moments.scores(sums)["ccc"].mean(-1)


def t_interval(
    differences: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[tuple[float, float] | None, float | None]:
    """Interval and two-sided p value of a mean of paired differences, by Student's t.

    Returns
    -------
    (low, high) and p; None and None of fewer than two differences.

    Example
    -------
    >>> (low, high), p = t_interval([1.0, 2.0, 3.0])
    >>> print(f"{low:.3f} {high:.3f} {p:.3f}")
    -0.484 4.484 0.074
    """
    values = np.asarray(differences, float)
    if len(values) < 2:
        return None, None
    if np.ptp(values) == 0:
        return (float(values[0]),) * 2, float(values[0] == 0)
    test = stats.ttest_1samp(values, 0.0)
    low, high = test.confidence_interval(confidence)
    return (float(low), float(high)), float(test.pvalue)
