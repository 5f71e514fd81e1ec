"""How far filters moved, worked by hand."""

import math

import numpy as np
import pytest
import torch

from auricle.lobes import FRONTENDS, build_frontend
from auricle.processing.filterbank.displacement import displacement, per_filter
from auricle.processing.filterbank.responses import FilterSet
from auricle.processing.filterbank.scales import erb_hz, hz_to_erb

FREQS = np.linspace(0.0, 8000.0, 801)  # 10 Hz


def bank(centres_hz, bandwidths_hz, gain=1.0):
    """Gaussian responses with this full width at half maximum."""
    centres, widths = np.array(centres_hz, float), np.array(bandwidths_hz, float)
    far = (FREQS - centres[:, None]) / widths[:, None]
    return FilterSet(centres, widths, FREQS, gain * np.exp(-4 * math.log(2) * far**2))


def boxes(*edges_hz):
    """Filters that let one band pass and nothing else."""
    responses = np.array([(low <= FREQS) & (high > FREQS) for low, high in edges_hz], float)
    middle = np.array(edges_hz, float).mean(1)
    return FilterSet(middle, np.ptp(np.array(edges_hz, float), axis=1), FREQS, responses)


def test_erb_rate_and_bandwidth_at_published_points():
    assert hz_to_erb(0.0) == 0 and erb_hz(0.0) == 24.7
    assert erb_hz(1000.0) == pytest.approx(24.7 * 5.37)
    # The paper's form has rounded numbers.
    assert hz_to_erb(1000.0) == pytest.approx(21.4 * math.log10(5.37), rel=0.004)
    assert hz_to_erb(torch.tensor(1000.0)).item() == pytest.approx(hz_to_erb(1000.0))
    # The rate is the integral of 1 / bandwidth: one ERB further is one bandwidth further.
    step = (hz_to_erb(2001.0) - hz_to_erb(1999.0)) / 2
    assert step * erb_hz(2000.0) == pytest.approx(1, rel=1e-5)


def test_a_known_shift_is_found_exactly():
    before = bank([500, 1000, 4000], [100, 150, 400])
    after = bank([510, 970, 4000], [100, 170, 300])
    moved = displacement(before, after)
    assert moved["count"] == 3
    assert moved["centre_shift_hz"] == pytest.approx((10 + 30 + 0) / 3)
    assert moved["centre_shift_hz_max"] == 30
    assert moved["bandwidth_shift_hz"] == pytest.approx((0 + 20 + 100) / 3)
    assert moved["bandwidth_shift_hz_max"] == 100
    erb = [
        9.26449 * math.log((1 + 0.00437 * a) / (1 + 0.00437 * b))
        for a, b in ((510, 500), (1000, 970))
    ]
    assert moved["centre_shift_erb"] == pytest.approx(sum(erb) / 3, rel=1e-4)
    assert moved["centre_shift_erb_max"] == pytest.approx(max(erb), rel=1e-4)
    signed = per_filter(before, after)
    np.testing.assert_allclose(signed["centre_shift_hz"], [10, -30, 0])
    np.testing.assert_allclose(signed["bandwidth_shift_hz"], [0, 20, -100])
    assert signed["centre_shift_erb"][1] < 0 < signed["divergence"][1]


def test_equal_banks_have_not_moved_whatever_their_gain():
    one = bank([500, 4000], [100, 400])
    assert set(displacement(one, one).values()) == {2, 0.0}
    louder = bank([500, 4000], [100, 400], gain=1e-200)  # its square is 0 in float64
    assert displacement(one, louder)["divergence_max"] < 1e-12


def test_divergence_by_hand():
    disjoint = per_filter(boxes((0, 1000)), boxes((2000, 3000)))
    np.testing.assert_allclose(disjoint["divergence"], 1, rtol=1e-12)
    # p is even over 100 points, q over the 50 in its middle: with m = (p + q) / 2,
    # (p log2(p/m) + q log2(q/m)) / 2 = (1/2 log2(2/3) + 1/2 + log2(4/3)) / 2
    nested = per_filter(boxes((0, 1000)), boxes((250, 750)))["divergence"]
    expected = (0.5 * math.log2(2 / 3) + 0.5 * 1 + math.log2(4 / 3)) / 2
    np.testing.assert_allclose(nested, expected)
    assert nested == per_filter(boxes((250, 750)), boxes((0, 1000)))["divergence"]


def test_power_and_not_amplitude_is_compared():
    """One bin at 1 and one at 0.5 is 0.8 and 0.2 of the power."""
    freqs = np.array([0.0, 1.0])
    one = FilterSet(np.zeros(1), np.ones(1), freqs, np.array([[1.0, 0.5]]))
    other = FilterSet(np.zeros(1), np.ones(1), freqs, np.array([[0.5, 1.0]]))
    expected = 0.8 * math.log2(0.8 / 0.5) + 0.2 * math.log2(0.2 / 0.5)
    assert displacement(one, other)["divergence"] == pytest.approx(expected)


def test_it_is_symmetric():
    generator = np.random.default_rng(0)
    banks = [
        FilterSet(
            generator.uniform(0, 8000, 6),
            generator.uniform(50, 500, 6),
            FREQS,
            generator.uniform(0, 1, (6, len(FREQS))),
        )
        for _ in range(2)
    ]
    there, back = displacement(*banks), displacement(*banks[::-1])
    assert there == pytest.approx(back, rel=1e-12)
    assert 0 < there["divergence"] < there["divergence_max"] < 1


def test_a_filter_that_lets_nothing_pass():
    silent = FilterSet(np.array([500.0]), np.array([100.0]), FREQS, np.zeros((1, len(FREQS))))
    heard = bank([500], [100])
    assert displacement(silent, heard)["divergence"] == 1
    assert displacement(heard, silent)["divergence"] == 1
    assert displacement(silent, silent)["divergence"] == 0


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (bank([500], [100]), "2 filters cannot be compared with 1"),
        (FilterSet(np.ones(2), np.ones(2), FREQS / 2, np.ones((2, 801))), "up to 4000 Hz"),
        (FilterSet(np.ones(2), np.ones(2), FREQS[:9], np.ones((2, 9))), "9 up to 80 Hz"),
        (bank([500, math.nan], [100, 100]), "centre_hz after holds NaN"),
    ],
)
def test_what_cannot_be_compared_is_refused(other, message):
    with pytest.raises(ValueError, match=message):
        displacement(bank([500, 1000], [100, 100]), other)


def test_a_shift_of_leafs_centres_is_found_in_hz():
    before, leaf = build_frontend("leaf").filters(), build_frontend("leaf")
    with torch.no_grad():
        leaf.centre += 25.0 * 2 * math.pi / 16000
    moved = displacement(before, leaf.filters())
    assert moved["centre_shift_hz"] == pytest.approx(25, rel=1e-4)
    assert moved["bandwidth_shift_hz"] == 0 and 0 < moved["divergence"] < 1


@pytest.mark.long
def test_every_frontend_with_filters_has_not_moved_from_itself():
    names = [name for name in FRONTENDS.names() if hasattr(FRONTENDS.get(name), "filters")]
    assert {"leaf", "mel"} <= set(names)
    for name in names:
        frontend = build_frontend(name)
        moved = displacement(frontend.filters(), frontend.filters())
        assert moved.pop("count") > 0 and set(moved.values()) == {0.0}, name
