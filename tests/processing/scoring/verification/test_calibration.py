"""Calibration: Cllr and actual costs by hand, logistic regression against scikit-learn."""

import json
import math

import numpy as np
import pytest
import torch
from error_rates import eer, min_cllr, min_dcf
from refusals import refused
from sklearn.linear_model import LogisticRegression

from auricle.processing.scoring.verification.calibration import (
    Calibration,
    actual_dcf,
    bayes_threshold,
    cllr,
    fit_calibration,
)


def normal_llrs(size=4000, deviation=2.0, share=0.5, seed=0):
    """Calibrated by construction: normal with means +-d^2/2 and deviation d is its own llr."""
    generator = np.random.default_rng(seed)
    labels = generator.random(size) < share
    mean = np.where(labels, 1, -1) * deviation**2 / 2
    return generator.normal(mean, deviation), labels


# ---- by hand -------------------------------------------------------------------------------------


def test_cllr_by_hand():
    llrs, labels = [math.log(3), 0.0, -math.log(7), math.log(1)], [1, 1, 0, 0]
    targets = (math.log2(1 + 1 / 3) + 1) / 2
    nontargets = (math.log2(1 + 1 / 7) + 1) / 2
    assert cllr(llrs, labels) == pytest.approx((targets + nontargets) / 2, rel=1e-14)
    assert cllr([0, 0, 0], [1, 0, 0]) == 1


def test_large_ratios_neither_overflow_nor_vanish():
    assert cllr([1e4, -1e4], [1, 0]) == 0
    assert cllr([-1e4, 1e4], [1, 0]) == pytest.approx(1e4 / math.log(2), rel=1e-12)
    assert cllr(torch.tensor([-1e30, 1e30]), [1, 0]) == pytest.approx(1e30 / math.log(2), rel=1e-6)


def test_actual_cost_by_hand():
    llrs, labels = [5.0, 4.0, 3.0, 4.6, -1.0], [1, 1, 1, 0, 0]
    # p 0.01: accepted from log 99 = 4.595: 2 of 3 missed, 1 of 2 falsely accepted
    assert actual_dcf(llrs, labels, 0.01) == pytest.approx(2 / 3 + 99 / 2, rel=1e-12)
    # p 0.05: from log 19 = 2.944
    assert actual_dcf(llrs, labels, 0.05) == pytest.approx(19 / 2, rel=1e-12)
    # p 0.9: from log 1/9; misses weigh 9
    assert actual_dcf([-3.0, 5.0, 0.0], [1, 1, 0], 0.9) == pytest.approx(9 / 2 + 1, rel=1e-12)
    assert actual_dcf([0.0, -0.1], [1, 0], 0.5) == 0  # at the threshold is accepted


def test_bayes_threshold_is_where_the_expected_costs_are_equal():
    for p, c_miss, c_false_alarm in [(0.5, 1, 1), (0.01, 1, 1), (0.05, 10, 1), (0.9, 1, 3)]:
        ratio = math.exp(bayes_threshold(p, c_miss, c_false_alarm))
        assert ratio * p * c_miss == pytest.approx((1 - p) * c_false_alarm, rel=1e-12)


# ---- relations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [0.01, 0.05, 0.5])
def test_actual_is_never_below_minimum(prior):
    llrs, labels = normal_llrs()
    for offset in (-3, 0, 3):
        for scale in (0.3, 1, 3):
            moved = scale * llrs + offset
            assert actual_dcf(moved, labels, prior) >= min_dcf(llrs, labels, prior)
            assert cllr(moved, labels) > min_cllr(llrs, labels)
    assert cllr(llrs, labels) < min_cllr(llrs, labels) + 0.02
    assert actual_dcf(llrs, labels, 0.5) < min_dcf(llrs, labels, 0.5) + 0.02


def test_fit_undoes_a_distortion():
    llrs, labels = normal_llrs(20000)
    calibration = fit_calibration(0.05 * llrs + 0.4, labels, prior=0.05)
    assert calibration.scale == pytest.approx(20, rel=0.06)
    assert calibration.offset == pytest.approx(-8, rel=0.06)
    calibrated = calibration(0.05 * llrs + 0.4)
    assert cllr(calibrated, labels) == pytest.approx(cllr(llrs, labels), abs=2e-3)
    assert eer(calibrated, labels) == eer(llrs, labels)
    assert min_cllr(calibrated, labels) == min_cllr(llrs, labels)


def test_map_of_the_scores_changes_no_calibrated_score():
    scores, labels = normal_llrs(500, share=0.2)
    expected = fit_calibration(scores, labels)(scores)
    for scale, offset in [(1e-4, 0.9), (1e5, -3e6), (2, 100)]:
        moved = scale * scores + offset
        np.testing.assert_allclose(fit_calibration(moved, labels)(moved), expected, atol=1e-6)


def test_prior_weighs_the_sides_and_not_their_numbers():
    scores, labels = normal_llrs(600, share=0.3)
    fifty = fit_calibration(scores, labels, prior=0.5)
    repeats = np.where(labels, 3, 1)
    again = fit_calibration(np.repeat(scores, repeats), np.repeat(labels, repeats), prior=0.5)
    assert again.scale == pytest.approx(fifty.scale, rel=1e-8)
    assert again.offset == pytest.approx(fifty.offset, abs=1e-8)
    assert fit_calibration(scores, labels, prior=0.01).scale != pytest.approx(fifty.scale, rel=1e-4)


@pytest.mark.parametrize("prior", [0.001, 0.01, 0.5, 0.9])
@pytest.mark.parametrize("share", [0.5, 0.05])
def test_equal_to_scikit_learn(prior, share):
    scores, labels = normal_llrs(1500, share=share, seed=3)
    scores = np.tanh(scores / 4)  # so that an affine map is not right and the prior matters
    weight = np.where(labels, prior / labels.sum(), (1 - prior) / (~labels).sum())
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000, solver="newton-cholesky")
    model.fit(scores[:, None], labels, sample_weight=weight * len(labels))
    calibration = fit_calibration(scores, labels, prior)
    assert calibration.scale == pytest.approx(model.coef_[0, 0], rel=1e-5)
    offset = model.intercept_[0] - math.log(prior / (1 - prior))
    assert calibration.offset == pytest.approx(offset, abs=1e-4)


def test_probability_and_threshold_belong_together():
    calibration = Calibration(scale=12.0, offset=-5.0, prior=0.01)
    for p_target, c_miss, c_false_alarm in [(0.01, 1, 1), (0.3, 5, 1)]:
        threshold = calibration.threshold(p_target, c_miss, c_false_alarm)
        probability = float(calibration.probability(threshold, p_target))
        assert probability * c_miss == pytest.approx((1 - probability) * c_false_alarm, rel=1e-9)
    assert calibration.probability([-100.0, 100.0], 0.5).tolist() == [0.0, 1.0]
    assert Calibration(**json.loads(json.dumps(calibration.to_dict()))) == calibration


def test_calibrated_probabilities_are_frequencies():
    scores, labels = normal_llrs(40000, share=0.2)
    calibration = fit_calibration(scores / 9 + 0.3, labels, prior=0.2)
    probability = calibration.probability(scores / 9 + 0.3, p_target=0.2)
    for low in (0.1, 0.4, 0.7):
        within = (probability >= low) & (probability < low + 0.2)
        assert labels[within].mean() == pytest.approx(probability[within].mean(), abs=0.04)


# ---- what is refused -----------------------------------------------------------------------------


def test_separated_scores_need_a_penalty():
    scores, labels = [1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1]
    refused("do not overlap.*penalty", fit_calibration, scores, labels)
    weak, strong = (fit_calibration(scores, labels, penalty=p) for p in (1e-3, 1e-1))
    assert 0 < strong.scale < weak.scale < math.inf
    assert 2 < weak.threshold(0.5) < 3


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([0.5, 0.5, 0.5, 0.5], {}, "all scores are equal"),
        ([0.5, 0.5, 0.5, 0.5], {"penalty": 1.0}, "all scores are equal"),
        ([0.1, 0.4, 0.3, 0.9], {"penalty": 1e-3}, "non-target trials score higher"),
        ([0.1, 0.4, 0.3, 0.9], {}, "non-target trials score higher"),
        ([0.4, math.nan, 0.3, 0.9], {}, "NaN or infinite"),
        ([0.9, 0.2, 0.3, 0.1], {"prior": 1.0}, "p_target is 1.0"),
        ([0.9, 0.2, 0.3, 0.1], {"penalty": -1.0}, "penalty is -1.0"),
    ],
)
def test_refused(scores, options, message):
    refused(message, fit_calibration, scores, [1, 1, 0, 0], **options)


def test_one_sided_is_refused():
    for score in (cllr, actual_dcf, fit_calibration):
        refused("one-sided", score, [0.1, 0.2], [1, 1])


def test_a_map_that_does_not_rise_is_no_calibration():
    refused("scale", Calibration, scale=-1.0, offset=0.0, prior=0.5)
