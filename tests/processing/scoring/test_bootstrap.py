"""Intervals: against tables, against exact distributions, and by how often they cover the truth."""

import math

import numpy as np
import pytest
from refusals import refused

from auricle.processing.scoring.bootstrap import (
    percentile_interval,
    resampled_weights,
    seed_interval,
    t_quantile,
)


def rate(counts):
    return counts[..., 0] / counts[..., 1]


def all_weights(*arguments, **options):
    return np.concatenate(list(resampled_weights(*arguments, **options)))


@pytest.mark.parametrize(
    ("df", "confidence", "expected"),
    [  # any printed table of Student's t, two-sided
        (1, 0.95, 12.706),
        (2, 0.95, 4.303),
        (3, 0.95, 3.182),
        (4, 0.95, 2.776),
        (5, 0.95, 2.571),
        (9, 0.95, 2.262),
        (10, 0.95, 2.228),
        (30, 0.95, 2.042),
        (120, 0.95, 1.980),
        (2, 0.90, 2.920),
        (7, 0.99, 3.499),
    ],
)
def test_t_quantiles_are_those_of_the_tables(df, confidence, expected):
    assert t_quantile(df, confidence) == pytest.approx(expected, abs=5e-4)


def test_t_quantile_of_one_degree_is_cauchy_and_of_many_is_normal():
    assert t_quantile(1, 0.5) == pytest.approx(1.0, rel=1e-12)
    assert t_quantile(1, 0.95) == pytest.approx(math.tan(0.475 * math.pi), rel=1e-10)
    assert t_quantile(2, 0.95) == pytest.approx(0.95 * math.sqrt(2 / (1 - 0.95**2)), rel=1e-10)
    assert t_quantile(20001, 0.95) == pytest.approx(1.959964, abs=2e-4)


def test_seed_interval_worked_by_hand():
    # mean 92, sample deviation 2, 4.3027 * 2 / sqrt(3)
    mean, half_width = seed_interval([90.0, 92.0, 94.0])
    assert (mean, half_width) == (pytest.approx(92.0), pytest.approx(4.9683, abs=1e-4))
    # two values: 12.7062 * |difference| / 2
    assert seed_interval([1.0, 3.0])[1] == pytest.approx(12.7062, abs=1e-4)


@pytest.mark.slow
def test_seed_interval_covers_the_mean_of_normal_draws():
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(2000):
        mean, half_width = seed_interval(generator.normal(3.0, 0.5, size=3))
        hits += abs(mean - 3.0) <= half_width
    assert 0.935 <= hits / 2000 <= 0.965  # a normal factor of 1.96 would cover 0.81


@pytest.mark.parametrize("values", [[], [91.0], [91.0, float("nan")], [[1.0, 2.0]]])
def test_seed_interval_refuses_what_has_no_spread(values):
    refused("seed", seed_interval, values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, -0.1])
def test_confidence_is_a_share(confidence):
    for call in (
        lambda: t_quantile(3, confidence),
        lambda: percentile_interval(rate, [[1, 2], [1, 2]], seed=0, confidence=confidence),
    ):
        refused("between 0 and 1", call)


@pytest.mark.parametrize("df", [0, -1, 1.5])
def test_degrees_of_freedom_are_whole(df):
    refused("whole number", t_quantile, df)


def test_weights_draw_as_many_groups_as_there_are():
    weights = all_weights(7, 500, seed=3)
    assert weights.shape == (500, 7)
    assert (weights.sum(axis=1) == 7).all()
    # each group is drawn Binomial(7, 1/7): mean 1, variance 6/7
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.15)
    assert weights.var() == pytest.approx(6 / 7, abs=0.08)


def test_weights_do_not_depend_on_the_blocks():
    whole = all_weights(9, 50, seed=1)
    parts = all_weights(9, 50, seed=1, chunk_resamples=7)
    np.testing.assert_array_equal(whole, parts)


def test_repeats_have_the_distribution_of_written_out_groups():
    collapsed = all_weights(2, 20000, seed=1, repeats=[3, 17])
    written_out = all_weights(20, 20000, seed=2)
    a, b = collapsed[:, 0], written_out[:, :3].sum(axis=1)
    assert (collapsed.sum(axis=1) == 20).all()
    assert a.mean() == pytest.approx(b.mean(), abs=0.05)
    assert a.var() == pytest.approx(b.var(), abs=0.1)


def test_interval_of_a_share_is_that_of_the_binomial():
    """Resampling n yes/no items with k yes is Binomial(n, k/n): its quantiles are known."""
    n, k = 200, 60
    counts = np.stack([np.arange(n) < k, np.ones(n)], axis=1)
    log_pmf = [
        math.lgamma(n + 1)
        - math.lgamma(i + 1)
        - math.lgamma(n - i + 1)
        + i * math.log(k / n)
        + (n - i) * math.log(1 - k / n)
        for i in range(n + 1)
    ]
    cdf = np.cumsum(np.exp(log_pmf))
    low, high = percentile_interval(rate, counts, 20000, seed=0)
    assert low == pytest.approx(np.searchsorted(cdf, 0.025) / n, abs=1.01 / n)
    assert high == pytest.approx(np.searchsorted(cdf, 0.975) / n, abs=1.01 / n)


def test_interval_covers_the_true_rate():
    generator = np.random.default_rng(11)
    covered = 0
    for trial in range(300):
        hits = int(generator.binomial(150, 0.8))
        low, high = percentile_interval(
            rate, [[1, 1], [0, 1]], 400, seed=trial, repeats=[hits, 150 - hits]
        )
        covered += low <= 0.8 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_groups_that_stick_together_widen_the_interval():
    """20 speakers of 25 items, each all right or all wrong: 20 independent facts, not 500."""
    right = np.repeat(np.arange(20) < 14, 25)
    items = np.stack([right, np.ones(500)], axis=1)
    groups = items.reshape(20, 25, 2).sum(axis=1)
    narrow = percentile_interval(rate, items, seed=0)
    wide = percentile_interval(rate, groups, seed=0)
    ratio = (wide[1] - wide[0]) / (narrow[1] - narrow[0])
    assert ratio == pytest.approx(5.0, rel=0.2)  # sqrt(25)


def test_the_seed_decides_and_more_confidence_is_wider():
    counts = np.stack([np.arange(40) % 3, np.full(40, 5)], axis=1)
    first = percentile_interval(rate, counts, seed=4)
    assert percentile_interval(rate, counts, seed=4) == first
    assert percentile_interval(rate, counts, seed=5) != first
    wider = percentile_interval(rate, counts, seed=4, confidence=0.99)
    assert wider[0] < first[0] < first[1] < wider[1]


def test_counts_of_any_shape_reach_the_statistic():
    counts = np.arange(24).reshape(4, 2, 3)
    shapes = []

    def statistic(summed):
        shapes.append(summed.shape[1:])
        return summed[:, 1, 2]

    percentile_interval(statistic, counts, 10, seed=0)
    assert set(shapes) == {(2, 3)}


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ([], {}, "no groups"),
        ([[1, 2]], {}, "at least 2"),
        ([[1, 2], [np.nan, 2]], {}, "NaN"),
        ([[1, 2], [1, 2]], {"n_resamples": 0}, "n_resamples"),
        ([[1, 2], [1, 2]], {"repeats": [1, 0]}, "repeats"),
        ([[1, 2], [1, 2]], {"repeats": [1, 2, 3]}, "repeats"),
        ([[1, 2], [1, 2]], {"seed": None}, "seed"),
        ([[0, 0], [1, 2]], {}, "not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_gives_no_interval_is_refused(counts, options, message):
    refused(message, percentile_interval, rate, counts, **{"seed": 0, **options})


def test_a_statistic_that_is_not_vectorised_is_refused():
    refused("must map", percentile_interval, lambda summed: 0.5, [[1, 2], [1, 2]], seed=0)
