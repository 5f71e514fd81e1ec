"""Confidence intervals: bootstrap over groups for one run, Student's t over seeds.

A score of one run is uncertain because the test set is a sample: of utterances, of speakers, of
songs. What is drawn again is the unit that was drawn independently, so the protocol names it. A
score of a *method* is uncertain because training is random: that is the interval over seeds.
The two answer different questions and are never mixed in one number.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.special import stdtrit

#: More take hours, and the interval no longer changes.
MOST_RESAMPLES = 1_000_000
_MAX_CELLS = 4_000_000  # float64 cells held at once: 32 MB


def resampled_weights(
    num_groups: int,
    n_resamples: int = 1000,
    *,
    seed: int,
    repeats: Sequence[int] | np.ndarray | None = None,
    chunk_resamples: int | None = None,
) -> Iterator[np.ndarray]:
    """How often each group is drawn in every bootstrap resample, a block of resamples at a time.

    Drawing G groups with replacement and counting them is one multinomial draw, so no index list
    is built. For scores that are no function of summed counts (an EER needs all trials in order)
    these weights are what to work on.

    Arguments
    ---------
    num_groups : number of distinct groups G.
    n_resamples : number of resamples R.
    seed : seed of the draws; the same seed gives the same weights.
    repeats : how many identical groups every one of the G stands for (default 1 each). Equal
        groups may be collapsed this way without changing the distribution: the number of draws
        per resample is ``sum(repeats)``.
    chunk_resamples : resamples per block; by default as many as fit into 32 MB.

    Yields
    ------
    Integer arrays (r, G), together R rows.

    Example
    -------
    >>> blocks = list(resampled_weights(4, n_resamples=3, seed=0))
    >>> blocks[0].shape, blocks[0].sum(axis=1).tolist()
    ((3, 4), [4, 4, 4])
    """
    repeats = np.ones(num_groups, np.int64) if repeats is None else np.asarray(repeats)
    if not 1 <= n_resamples <= MOST_RESAMPLES:
        raise ValueError(
            f"n_resamples is {n_resamples}: give 1 to {MOST_RESAMPLES} (1000 is usual)"
        )
    if repeats.shape != (num_groups,) or repeats.dtype.kind not in "iu" or (repeats < 1).any():
        raise ValueError(
            f"repeats must be {num_groups} integers of at least 1, one per group: leave out groups "
            "that do not occur"
        )
    draws = int(repeats.sum())
    if draws < 2:
        raise ValueError(
            f"a bootstrap over {draws} group(s) says nothing about uncertainty: at least 2 are "
            "needed; resample a smaller unit (utterances instead of speakers)"
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ValueError(f"seed is {seed!r}: give a whole number, so that the interval is the same")
    generator = np.random.default_rng(seed)
    block = chunk_resamples or max(1, _MAX_CELLS // num_groups)
    for start in range(0, n_resamples, block):
        rows = min(block, n_resamples - start)
        yield generator.multinomial(draws, repeats / draws, size=rows)


def percentile_interval(
    statistic: Callable[[np.ndarray], np.ndarray],
    counts_by_group: Sequence | np.ndarray,
    n_resamples: int = 1000,
    *,
    seed: int,
    confidence: float = 0.95,
    repeats: Sequence[int] | np.ndarray | None = None,
) -> list[float]:
    """Percentile bootstrap interval of a score that is a function of summed counts.

    Whole groups are drawn with replacement, their counts are added, and the score is computed
    from the sums: rates are divided last, in every resample. Anything additive serves as counts:
    a flat confusion matrix, (edits, reference tokens) for an error rate, the six sums of a
    concordance correlation.

    Near the end of the scale the percentile interval is too narrow, and where every group is
    alike (not one error) it has no width at all: the caller has to treat that case.

    Arguments
    ---------
    statistic : maps summed counts (r, ...) to r scores, vectorised over the first axis.
    counts_by_group : (G, ...), what each group adds to the counts; finite numbers.
    n_resamples : number of resamples.
    seed : seed of the draws.
    confidence : between 0 and 1, exclusive.
    repeats : as for `resampled_weights`.

    Returns
    -------
    [low, high]

    Raises
    ------
    ValueError
        Fewer than two groups, counts or scores that are not finite, a bad confidence.

    References
    ----------
    B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Example
    -------
    Phone error rate over four utterances, given as (edits, reference tokens):

    >>> import numpy as np
    >>> counts = np.array([[2, 40], [9, 60], [0, 30], [5, 50]])
    >>> low, high = percentile_interval(lambda c: c[:, 0] / c[:, 1], counts, seed=1)
    >>> low < 16 / 180 < high
    True
    """
    quantiles = tails(confidence)
    counts = np.asarray(counts_by_group, dtype=np.float64)
    if counts.ndim < 1 or counts.size == 0:
        raise ValueError("no groups to resample: give one row of counts per group")
    if not np.isfinite(counts).all():
        raise ValueError(
            "counts_by_group holds NaN or infinity: find the item it comes from, an interval over "
            "it has no meaning"
        )
    num_groups, shape = counts.shape[0], counts.shape[1:]
    flat = counts.reshape(num_groups, -1)
    block = max(1, _MAX_CELLS // max(num_groups, flat.shape[1]))
    scores = []
    for weights in resampled_weights(
        num_groups, n_resamples, seed=seed, repeats=repeats, chunk_resamples=block
    ):
        summed = (weights.astype(np.float64) @ flat).reshape(-1, *shape)
        scores.append(np.asarray(statistic(summed), dtype=np.float64))
        if scores[-1].shape != (len(weights),):
            raise ValueError(
                f"the statistic gave shape {scores[-1].shape} for {len(weights)} resamples: it "
                f"must map (r, ...) to (r,)"
            )
    scores = np.concatenate(scores)
    if not np.isfinite(scores).all():
        raise ValueError(
            f"the statistic is not finite in {int((~np.isfinite(scores)).sum())} of {n_resamples} "
            "resamples: define it for counts that miss a class or a side, or resample larger groups"
        )
    return np.quantile(scores, quantiles).tolist()


def ratio(summed: np.ndarray) -> np.ndarray:
    """The statistic first count / second count, such as edits per token. (r, 2) -> (r,)"""
    return summed[:, 0] / summed[:, 1]


def tails(confidence: float) -> tuple[float, float]:
    """The two quantiles that enclose a share of a distribution.

    Raises
    ------
    ValueError
        A confidence that is not between 0 and 1.

    Example
    -------
    >>> tails(0.5)
    (0.25, 0.75)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: give a share between 0 and 1, such as 0.95")
    return (1 - confidence) / 2, 1 - (1 - confidence) / 2


def bound_without_errors(n_groups: int, confidence: float) -> float:
    """Lower end of the exact binomial (Clopper-Pearson) interval where all groups are right.

    Where not one item is wrong every resample is alike, and the bootstrap would claim certainty.

    Example
    -------
    >>> round(bound_without_errors(100, 0.95), 4)
    0.9638
    """
    return tails(confidence)[0] ** (1 / n_groups)


def t_quantile(degrees_of_freedom: int, confidence: float = 0.95) -> float:
    """Half-width factor t with P(|T| <= t) = confidence for Student's t distribution.

    Example
    -------
    >>> round(t_quantile(2), 3), round(t_quantile(9, 0.99), 3)
    (4.303, 3.25)
    """
    if degrees_of_freedom != int(degrees_of_freedom) or degrees_of_freedom < 1:
        raise ValueError(
            f"degrees_of_freedom is {degrees_of_freedom}: give a whole number of at least 1"
        )
    return float(stdtrit(degrees_of_freedom, tails(confidence)[1]))


def seed_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Mean over seeds and half the width of its t interval.

    With three seeds the normal factor 1.96 would be less than half of the right one (4.30): the
    spread itself is only estimated from three values.

    Arguments
    ---------
    values : one score per seed, at least two.
    confidence : between 0 and 1, exclusive.

    Returns
    -------
    (mean, half_width), in the unit of the values.

    Example
    -------
    >>> mean, half_width = seed_interval([90.0, 92.0, 94.0])
    >>> round(mean, 2), round(half_width, 2)
    (92.0, 4.97)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"an interval over seeds needs at least 2 values, got {values.size}: train more seeds, "
            "or report the bootstrap interval of the single run"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"scores over seeds must be finite, got {values.tolist()}")
    spread = values.std(ddof=1)
    half_width = t_quantile(len(values) - 1, confidence) * spread / math.sqrt(len(values))
    return float(values.mean()), float(half_width)
