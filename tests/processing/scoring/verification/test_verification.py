"""Error rates of verification: by hand, by invariance, against other libraries, over speakers."""

import math

import numpy as np
import pytest
import torch
from error_rates import eer, min_cllr, min_dcf
from refusals import refused
from scipy.special import ndtri
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_curve
from speechbrain.utils.metric_stats import EER as speechbrain_eer
from speechbrain.utils.metric_stats import minDCF as speechbrain_min_dcf

from auricle.processing.plots.common import save_figure
from auricle.processing.plots.det import det_curve, det_points
from auricle.processing.scoring.verification.metrics import CONVENTIONS, error_curve
from auricle.processing.scoring.verification.speaker_bootstrap import (
    _WeightedTrials,
    compare,
    speaker_intervals,
)


def trials(size=2000, distance=2.5, share=0.3, decimals=None, seed=0):
    """Normal scores; with few decimals, many ties."""
    generator = np.random.default_rng(seed)
    labels = generator.random(size) < share
    labels[:2] = True, False
    scores = generator.normal(distance * labels, 1.0)
    return (scores if decimals is None else np.round(scores, decimals)), labels


def by_definition(scores, labels):
    """P_miss and P_fa at every threshold by comparing every score with it."""
    thresholds = np.append(np.unique(scores), np.inf)
    accepted = scores >= thresholds[:, None]
    return (~accepted[:, labels]).mean(1), accepted[:, ~labels].mean(1)


CASES = [
    {},
    {"decimals": 1},
    {"decimals": 0},
    {"size": 60, "share": 0.5},
    {"size": 3000, "share": 0.02},
    {"distance": 0.0},
    {"distance": -1.0},
    {"size": 3, "decimals": 0},
]


# ---- by hand -------------------------------------------------------------------------------------


def test_worked_by_hand():
    scores = [0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.3, 0.2, 0.1]
    labels = [1, 1, 0, 1, 1, 0, 0, 0, 0]  # 4 targets, 5 non-targets
    curve = error_curve(scores, labels)
    # at 0.55 every target is accepted, and 1 of 5 non-targets
    assert curve.misses.tolist() == [0, 0, 0, 0, 0, 1, 2, 2, 3, 4]
    assert curve.false_alarms.tolist() == [5, 4, 3, 2, 1, 1, 1, 0, 0, 0]
    # P_fa stays 1/5 while P_miss goes 0, 1/4: the line crosses at 1/5
    assert curve.eer() == (pytest.approx(0.2), 0.6)
    assert curve.eer("max") == (0.25, 0.6)
    assert curve.eer("average") == (pytest.approx(0.225), 0.6)
    # p 0.01: a false alarm costs 99 misses; none at 0.8: 2 of 4 missed
    assert curve.min_dcf(0.01) == (0.5, 0.8)
    # p 0.5: false alarm 1/5 at 0.55 is cheapest
    assert curve.min_dcf(0.5) == (pytest.approx(0.2), 0.55)
    # p 0.5, a miss costs half a false alarm: weights 1 and 2
    assert curve.min_dcf(0.5, c_miss=1, c_false_alarm=2)[0] == pytest.approx(0.4)
    # hull: 4 non-targets alone | 1 non-target and 2 targets | 2 targets alone
    mixed = 0.5 * math.log2(1 + 0.2 / 0.5) + 0.2 * math.log2(1 + 0.5 / 0.2)
    assert curve.min_cllr() == pytest.approx(mixed / 2, rel=1e-12)


def test_tied_scores_are_decided_together():
    """Two of each at one score: a line from (1, 0) to (0, 1), whatever the order they come in."""
    for labels in ([1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]):
        assert error_curve([5.0] * 4, labels).misses.tolist() == [0, 2]
        assert eer([5.0] * 4, labels) == 0.5
        assert eer([5.0] * 4, labels, "max") == 1.0
        assert min_dcf([5.0] * 4, labels) == 1.0
        assert min_cllr([5.0] * 4, labels) == 1.0


def test_of_equally_near_thresholds_the_highest_counts():
    """10 targets, 5 non-targets: at 0.5, 1 missed and 1 false alarm (10 and 20 %); above it two
    more targets of one score are missed (30 and 20 %)."""
    scores = [0.1] + [0.5] * 2 + [0.9] * 7 + [0.6] + [0.05] * 4
    labels = [1] * 10 + [0] * 5
    curve = error_curve(scores, labels)
    assert curve.eer() == (pytest.approx(0.2), 0.6)
    assert curve.eer("max") == (0.3, 0.6)
    assert curve.eer("average") == (0.25, 0.6)


def test_perfect_and_reversed():
    assert eer([2, 3, 1, 0], [1, 1, 0, 0]) == 0
    assert min_dcf([2, 3, 1, 0], [1, 1, 0, 0]) == 0
    assert min_cllr([2, 3, 1, 0], [1, 1, 0, 0]) == 0
    assert eer([0, 1, 2, 3], [1, 1, 0, 0]) == 1
    assert min_dcf([0, 1, 2, 3], [1, 1, 0, 0]) == 1
    assert min_cllr([0, 1, 2, 3], [1, 1, 0, 0]) == 1


def test_normal_scores_have_the_error_rates_of_their_distributions():
    scores, labels = trials(400_000, distance=3.0, share=0.5)
    expected = 0.5 * math.erfc(1.5 / math.sqrt(2))  # beyond half of the distance
    assert eer(scores, labels) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("p_target", [0.01, 0.05])
def test_reported_thresholds_give_the_reported_rates(p_target):
    scores, labels = trials(5000, decimals=2)
    curve = error_curve(scores, labels)
    cost, threshold = curve.min_dcf(p_target)
    accepted = scores >= threshold
    miss, alarm = (~accepted[labels]).mean(), accepted[~labels].mean()
    assert cost == pytest.approx(miss + (1 - p_target) / p_target * alarm, rel=1e-12)
    rate, threshold = curve.eer("max")
    accepted = scores >= threshold
    assert rate == max((~accepted[labels]).mean(), accepted[~labels].mean())


# ---- against the definition and other libraries --------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equal_to_the_definition(case):
    scores, labels = trials(**case)
    curve = error_curve(scores, labels)
    misses, alarms = by_definition(scores, labels)
    np.testing.assert_array_equal(curve.miss_rates, misses)
    np.testing.assert_array_equal(curve.false_alarm_rates, alarms)
    # a fine walk along the line through the points meets P_miss = P_fa at the EER
    way = np.linspace(0, 1, 2001)[:, None]
    walk = np.stack([r[:-1] + way * np.diff(r) for r in (misses, alarms)])
    gap = np.abs(walk[0] - walk[1])
    at = np.unravel_index(gap.argmin(), gap.shape)
    assert curve.eer()[0] == pytest.approx(walk[0][at], abs=6e-4)
    nearest = np.abs(misses - alarms).min() + 1e-12
    where = np.flatnonzero(np.abs(misses - alarms) <= nearest)[-1]  # the highest threshold
    assert curve.eer("max")[0] == pytest.approx(max(misses[where], alarms[where]), rel=1e-12)
    assert curve.eer("average")[0] == pytest.approx((misses[where] + alarms[where]) / 2, rel=1e-12)
    for p in (0.01, 0.5, 0.9):
        cost = (p * misses + (1 - p) * alarms).min() / min(p, 1 - p)
        assert curve.min_dcf(p)[0] == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equal_to_scikit_learn(case):
    scores, labels = trials(**case)
    alarms, hits, _ = roc_curve(labels, scores, drop_intermediate=False)
    # the ROC from the top: gap falls to 0 between two of its points
    gap = (1 - hits) - alarms
    after = int(np.argmax(gap <= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    expected = alarms[after - 1] + share * (alarms[after] - alarms[after - 1])
    assert eer(scores, labels) == pytest.approx(expected, abs=1e-12)
    # as clovaai, TaoRuijie and RawNet have it, with every point of the ROC
    nearest = int(np.argmin(np.round(np.abs(gap), 12)))
    expected = max(1 - hits[nearest], alarms[nearest])
    assert eer(scores, labels, "max") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_min_cllr_is_that_of_pool_adjacent_violators(case):
    scores, labels = trials(**case)
    posterior = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, labels.astype(float))
    with np.errstate(divide="ignore"):
        llr = np.log(posterior / (1 - posterior)) - np.log(labels.sum() / (~labels).sum())
    expected = np.logaddexp(0, -llr[labels]).mean() + np.logaddexp(0, llr[~labels]).mean()
    assert min_cllr(scores, labels) == pytest.approx(expected / (2 * math.log(2)), abs=1e-9)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_ways_to_the_hull_agree(case, monkeypatch):
    """Points dropped pass by pass, or one after the other."""
    passes = error_curve(*trials(**case)).hull.tolist()
    monkeypatch.setattr("auricle.processing.scoring.verification.metrics._HULL_PASSES", 0)
    assert error_curve(*trials(**case)).hull.tolist() == passes
    assert passes[0] == 0 and passes[-1] == len(error_curve(*trials(**case)).misses) - 1


@pytest.mark.parametrize("seed", range(3))
def test_speechbrain_where_it_is_right(seed):
    """Its EER is our "average" but for its choice among equally near thresholds; its minDCF is not
    normalised (times 100 it is, at p_target 0.01)."""
    scores, labels = trials(301, distance=1.5, share=0.4, seed=seed)
    scores = scores.astype(np.float32)
    sides = torch.tensor(scores[labels]), torch.tensor(scores[~labels])
    assert speechbrain_eer(*sides)[0] == pytest.approx(eer(scores, labels, "average"), abs=1e-6)
    assert 100 * speechbrain_min_dcf(*sides)[0] == pytest.approx(min_dcf(scores, labels), rel=1e-5)


def test_speechbrain_where_it_is_wrong():
    """NaN scores: it has no false alarm for them and finds a perfect system; we refuse."""
    nan = torch.full((4,), math.nan)
    assert speechbrain_eer(nan, nan)[0] == 0.0
    refused("8 of 8", eer, torch.cat([nan, nan]), [1] * 4 + [0] * 4)


# ---- invariances ---------------------------------------------------------------------------------


def every_rate(scores, labels):
    curve = error_curve(scores, labels)
    rates = [curve.eer(name)[0] for name in CONVENTIONS]
    return [*rates, curve.min_dcf(0.01)[0], curve.min_dcf(0.05)[0], curve.min_cllr()]


@pytest.mark.parametrize("decimals", [None, 1])
def test_rising_maps_and_order_change_no_bit(decimals):
    scores, labels = trials(1500, decimals=decimals)
    expected = every_rate(scores, labels)
    for mapped in (3 * scores - 7, np.exp(scores), np.arctan(scores), scores**3):
        assert every_rate(mapped, labels) == expected
    order = np.random.default_rng(1).permutation(len(scores))
    assert every_rate(scores[order], labels[order]) == expected


def test_exchanged_sides_exchange_the_errors():
    scores, labels = trials(1500)
    assert eer(-scores, ~labels) == pytest.approx(eer(scores, labels), rel=1e-12)
    assert min_cllr(-scores, ~labels) == pytest.approx(min_cllr(scores, labels), rel=1e-12)
    assert min_dcf(-scores, ~labels, 0.9) == pytest.approx(min_dcf(scores, labels, 0.1), rel=1e-12)


def test_doubled_trials_change_nothing():
    scores, labels = trials(800, decimals=1)
    doubled = every_rate(np.repeat(scores, 2), np.repeat(labels, 2))
    assert doubled == pytest.approx(every_rate(scores, labels), rel=1e-12)


def test_tensors_lists_and_integers_are_alike():
    scores, labels = trials(200, decimals=0)
    expected = every_rate(scores, labels)
    assert every_rate(torch.tensor(scores), torch.tensor(labels)) == expected
    assert every_rate(torch.tensor(scores).bfloat16(), torch.tensor(labels).int()) == expected
    assert every_rate(scores.astype(int).tolist(), labels.astype(float).tolist()) == expected


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([], [], "no trials"),
        ([1.0, 2.0], [1, 1], "all 2.* target"),
        ([1.0, 2.0], [0, 0], "all 2.* non-target"),
        ([1.0, math.nan], [1, 0], r"1 of 2 .*trial 2"),
        ([math.inf, 1.0], [1, 0], r"trial 1 \(inf\)"),
        ([1.0, 2.0], [1], r"shape \(2,\) and labels \(1,\)"),
        ([1.0, 2.0], [1, 2], "labels must be True"),
        ([1.0, 2.0], ["target", "nontarget"], "labels must be True"),
        (["1", "2"], [1, 0], "real numbers"),
    ],
)
def test_refused(scores, labels, message):
    for score in (eer, min_dcf, min_cllr):
        refused(message, score, scores, labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p_target": 0.0}, "p_target is 0.0"),
        ({"p_target": math.nan}, "p_target is nan"),
        ({"c_miss": 0}, "c_miss is 0"),
        ({"c_false_alarm": -1}, "c_false_alarm is -1"),
    ],
)
def test_impossible_operating_points_are_refused(options, message):
    refused(message, min_dcf, [1.0, 0.0], [1, 0], **options)


def test_unknown_convention_is_refused():
    refused("EER convention must.*'mean'", eer, [1.0, 0.0], [1, 0], "mean")


# ---- intervals over speakers ---------------------------------------------------------------------


def spoken(n_speakers=20, per_speaker=4, speaker_deviation=0.0, seed=0, decimals=None):
    """All pairs of recordings; what is added to a speaker's target trials is the speaker's own."""
    generator = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(n_speakers), per_speaker)
    a, b = np.triu_indices(len(speaker), 1)
    enroll, test = speaker[a], speaker[b]
    labels = enroll == test
    own = generator.normal(2.0, speaker_deviation, n_speakers)
    scores = generator.normal(np.where(labels, own[enroll], 0.0), 1.0)
    return (scores if decimals is None else np.round(scores, decimals)), labels, enroll, test


@pytest.mark.parametrize("decimals", [None, 0, 1])
def test_weighted_curve_is_that_of_repeated_trials(decimals):
    scores, labels, enroll, test = spoken(8, 3, decimals=decimals)
    sorted_trials = _WeightedTrials(scores, labels, enroll, test)
    for seed in range(5):
        counts = np.random.default_rng(seed).multinomial(8, np.full(8, 1 / 8))
        repeats = np.where(labels, counts[enroll], counts[enroll] * counts[test])
        repeated = error_curve(np.repeat(scores, repeats), np.repeat(labels, repeats))
        weighted = sorted_trials.curve(counts)
        assert weighted.n_target == repeated.n_target
        assert weighted.eer()[0] == pytest.approx(repeated.eer()[0], rel=1e-12)
        for p in (0.01, 0.05, 0.5):
            assert weighted.min_dcf(p)[0] == pytest.approx(repeated.min_dcf(p)[0], rel=1e-12)
        assert weighted.min_cllr() == pytest.approx(repeated.min_cllr(), rel=1e-12)


def test_interval_holds_the_score_and_narrows_with_more_speakers():
    widths = []
    for n_speakers in (10, 60):
        scores, labels, enroll, test = spoken(n_speakers, 3, 0.5)
        intervals = speaker_intervals(scores, labels, enroll, test, n_resamples=200)
        low, high = intervals["eer"]
        assert low < eer(scores, labels) < high
        low_cost, high_cost = intervals["min_dcf_0.05"]
        assert low_cost < min_dcf(scores, labels, 0.05) <= high_cost
        widths.append(high - low)
    assert widths[1] < 0.65 * widths[0]


def test_speakers_who_differ_widen_the_interval():
    """The same number of trials says less when the speakers are unlike."""
    widths = []
    for deviation in (0.0, 2.0):
        scores, labels, enroll, test = spoken(30, 4, deviation)
        low, high = speaker_intervals(scores, labels, enroll, test, n_resamples=200)["eer"]
        widths.append(high - low)
    assert widths[1] > 1.5 * widths[0]


def test_names_and_numbers_of_speakers_are_alike():
    scores, labels, enroll, test = spoken(10, 3)
    names = np.array([f"id{i:03d}" for i in range(10)])
    by_number = speaker_intervals(scores, labels, enroll, test, n_resamples=50)
    by_name = speaker_intervals(scores, labels, names[enroll], names[test], n_resamples=50)
    assert by_number == by_name
    assert by_number != speaker_intervals(scores, labels, enroll, test, n_resamples=50, seed=1)


@pytest.mark.slow
def test_interval_covers_the_truth_about_as_often_as_it_says():
    """Speakers drawn anew 100 times: 90 % intervals hold the EER of all speakers in 80 to 96 of
    them, and are as wide as the EERs scatter."""
    truth = eer(*spoken(600, 3, 1.0, seed=1)[:2])
    rates, bounds = [], []
    for seed in range(100):
        draw = spoken(30, 3, 1.0, seed=100 + seed)
        rates.append(eer(*draw[:2]))
        bounds.append(speaker_intervals(*draw, n_resamples=200, seed=seed, confidence=0.9)["eer"])
    low, high = np.transpose(bounds)
    assert 80 <= ((low <= truth) & (truth <= high)).sum() <= 96
    scatter = 2 * 1.645 * np.std(rates)
    assert 0.8 * scatter < (high - low).mean() < 1.25 * scatter


def test_compare_sees_what_is_there_and_nothing_else():
    scores, labels, enroll, test = spoken(30, 4, 1.0)
    generator = np.random.default_rng(5)
    worse = scores + generator.normal(0, 1.5, len(scores))
    result = compare(scores, worse, labels, enroll, test, n_resamples=200)
    assert result.differ and result.interval[1] < 0 and result.p_value < 0.02
    assert result.a == eer(scores, labels) and result.b == eer(worse, labels)
    assert result.difference == result.a - result.b
    other_way = compare(worse, scores, labels, enroll, test, n_resamples=200)
    assert other_way.interval == pytest.approx((-result.interval[1], -result.interval[0]))
    same = compare(scores, np.exp(scores), labels, enroll, test, n_resamples=200)
    assert (same.difference, same.interval, same.differ, same.p_value) == (0, (0, 0), False, 1)
    near = [scores + np.random.default_rng(s).normal(0, 0.3, len(scores)) for s in (1, 2)]
    assert not compare(*near, labels, enroll, test, n_resamples=200).differ


def test_pairing_is_what_makes_small_differences_visible():
    """Two intervals that overlap widely, and a difference that is clear: the same speakers."""
    scores, labels, enroll, test = spoken(30, 4, 2.0)
    worse = scores + np.random.default_rng(5).normal(0, 0.8, len(scores))
    paired = compare(scores, worse, labels, enroll, test, n_resamples=200)
    alone = [
        speaker_intervals(s, labels, enroll, test, n_resamples=200)["eer"] for s in (scores, worse)
    ]
    assert alone[0][1] > alone[1][0]
    assert paired.differ


def test_refused_intervals():
    scores, labels, enroll, test = spoken(6, 3)
    refused("contradict each other", speaker_intervals, scores, ~labels, enroll, test)
    refused("both sides", speaker_intervals, scores, labels, enroll[1:], test[1:])
    refused("too few speakers", speaker_intervals, *spoken(2, 3), n_resamples=100)
    refused("confidence is 95", speaker_intervals, *spoken(6, 3), n_resamples=2, confidence=95)
    refused("NaN", compare, scores, scores * math.nan, labels, enroll, test)


# ---- picture -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_det_curve_is_drawn(tmp_path):
    curves = {f"system {d}": error_curve(*trials(3000, distance=d)) for d in (1.0, 2.0, 3.0)}
    curves["no error"] = error_curve([1.0, 2.0, 0.0, 0.5], [1, 1, 0, 0])
    path = save_figure(det_curve(curves), tmp_path / "a" / "det.png")
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n") and int.from_bytes(data[16:20], "big") >= 1000
    assert len(data) < 400_000
    refused("no system to draw", det_curve, {})


def test_normal_scores_are_a_straight_line_of_slope_minus_one():
    curve = error_curve(*trials(200_000, distance=2.0, share=0.5))
    alarms, misses = det_points(curve)
    assert len(alarms) <= 4000
    middle = (misses > 0.02) & (misses < 0.9) & (alarms > 0.02)
    slope, height = np.polyfit(ndtri(alarms[middle]), ndtri(misses[middle]), 1)
    assert slope == pytest.approx(-1, abs=0.02)
    assert height == pytest.approx(-2, abs=0.02)  # minus the distance in deviations
