"""The plan in C against the torch operators that say the same."""

import math

import pytest
import torch

from auricle.processing.filterbank.engine import plan
from auricle.processing.filterbank.engine.backend import takes
from auricle.processing.filterbank.shapes import gabor_taps


def some_filters(window=401, count=37):
    """Gabor filters of all centres and widths, from below 0 to above pi, and noise."""
    generator = torch.Generator().manual_seed(window)
    centre = torch.linspace(-1.4, 4.6, count)
    width = torch.exp(torch.linspace(math.log(2.0), math.log(window / 3), count))
    width = width[torch.randperm(count, generator=generator)]
    taps = gabor_taps(centre, width, window)
    noise = torch.randn(3, 2, window, generator=generator)
    return torch.cat([taps, noise, torch.zeros(1, 2, window)])


def both(function, *args):
    """Results in C and by torch operators."""
    return function(*args, compiled=takes(torch.ones(1))), function(*args)


def apart(one, other):
    return abs(math.remainder(one - other, 2 * math.pi))


@pytest.mark.parametrize("window, hop", [(401, 160), (201, 160), (551, 220), (51, 25)])
def test_rates_and_centres(window, hop):
    taps = some_filters(window)
    found, expected = both(plan.make_plan, taps, hop)
    assert found.rates == expected.rates and len(set(found.rates)) > 1
    assert found.rates[-1] == hop  # zeros
    for one, other in zip(found.centres[:-4], expected.centres[:-4], strict=True):
        assert apart(one, other) < 1e-4
        assert -math.pi / 2 <= one < 1.5 * math.pi
    largest = expected.power.amax(1, keepdim=True)
    assert ((found.power - expected.power).abs() <= 1e-5 * largest).all()


@pytest.mark.parametrize("bands", [20, 7])
def test_lost_power(bands):
    taps = some_filters()
    made = plan.make_plan(taps, 160)
    found, expected = both(plan.lost_power, made, taps, bands)
    assert found.shape == expected.shape == (2, len(taps), bands)
    full = torch.tensor(made.rates) == 160
    assert not found[:, full].any() and not expected[:, full].any()
    assert (found[:, ~full].amax(2) > 0).all()
    # A filter's edge may fall on either side of a frequency: one of fifty of a band.
    largest = expected.amax(2, keepdim=True)
    assert ((found - expected).abs() <= 1e-3 * largest).all()


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_filters_that_are_no_numbers_get_the_full_rate(broken):
    taps = some_filters()
    expected = plan.make_plan(taps, 160).rates
    taps[5, 1, 200] = broken
    found, plain = both(plan.make_plan, taps, 160)
    assert found.rates == plain.rates == [*expected[:5], 160, *expected[6:]]
