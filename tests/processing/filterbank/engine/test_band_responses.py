"""Responses on a coarse grid of bins against a plain FFT in float64."""

from functools import partial

import pytest
import torch

from auricle.processing.filterbank.engine import band_responses as module
from auricle.processing.filterbank.engine.backend import takes
from auricle.processing.filterbank.engine.band_responses import GRID_POINTS, band_responses

SIZES = [17280, 9600, 4320, 2400, 23760]
WINDOWS = [401, 201, 51]
#: (filters, bins) of each part, narrow ones first as the engine has them.
PARTS = [(3, 24), (1, 96), (2, 432)]
#: Sizes and windows that leave room for no grid of steps of 4 or more.
TOO_SHORT = {(2400, 401)}


FORMS = {  # type, largest error, and whether in C
    "float": (torch.complex64, 1e-6, False),
    "double": (torch.complex128, 1e-12, False),
}
if takes(torch.ones(1)):
    FORMS["compiled"] = (torch.complex64, 1e-6, True)


@pytest.fixture(params=FORMS.values(), ids=FORMS)
def form(request):
    return request.param


def noise(*shape, seed=0, dtype=torch.complex128):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def first_bins_of(size):
    """Below 0, at 0, around the middle, up to the last, and beyond half the size."""
    return [-17, 0, size // 2 - 40, size - 96, size // 3, size // 2]


def filters(window, dtype=torch.complex128):
    """Noise, which has no middle and no band: the worst that a response can be."""
    taps = noise(6, window) / window**0.5
    taps[1, : window // 2] = 0.0  # far off the middle
    taps[2] *= torch.hann_window(window, dtype=torch.float64)
    taps[3] = 0.0
    taps[3, 0] = taps[3, -1] = 1.0  # the fastest change that there is
    return taps.to(dtype)


def plain(taps, starts, size, parts):
    whole = torch.fft.ifft(taps.to(torch.complex128), n=size)
    found, n = [], 0
    for count, bins in parts:
        rows = range(n, n + count)
        found.append(torch.stack([whole[i, (starts[i] + torch.arange(bins)) % size] for i in rows]))
        n += count
    return found


def has_grid(size, window, parts, dtype):
    return module._grid_step(size, window, max(b for _, b in parts), GRID_POINTS[dtype]) > 1


def worst(found, expected):
    """Largest difference, relative to each filter's largest response at any bin of the FFT."""
    assert [one.shape for one in found] == [one.shape for one in expected]
    return torch.cat([(f - e).abs().amax(1) for f, e in zip(found, expected, strict=True)])


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("turned", [True, False])
def test_responses_are_those_of_a_plain_fft(turned, size, window, form):
    dtype, bound, compiled = form
    taps = filters(window, dtype)
    starts = first_bins_of(size) if turned else [0] * 6
    found = band_responses(taps, starts, size, PARTS, compiled)
    assert {one.dtype for one in found} == {dtype}
    assert has_grid(size, window, PARTS, dtype) == ((size, window) not in TOO_SHORT)
    expected = plain(taps, starts, size, PARTS)
    largest = torch.fft.ifft(taps.to(torch.complex128), n=size).abs().amax(1)
    assert (worst(found, expected) < bound * largest).all()


@pytest.mark.parametrize("parts", [[(6, 1)], [(1, 5), (5, 4)], [(2, 300), (4, 7)], [(6, 999)]])
def test_parts_of_any_width(parts, form):
    """Of one bin, of no whole cell of the grid, and the wider ones first."""
    dtype, bound, compiled = form
    taps, starts = filters(201, dtype), first_bins_of(9600)
    assert has_grid(9600, 201, parts, dtype)
    found = band_responses(taps, starts, 9600, parts, compiled)
    largest = torch.fft.ifft(taps.to(torch.complex128), n=9600).abs().amax(1)
    assert (worst(found, plain(taps, starts, 9600, parts)) < bound * largest).all()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", SIZES)
def test_gradients_of_the_taps(size, window, form):
    dtype, bound, compiled = form
    starts = first_bins_of(size)

    def gradient(responses):
        taps = filters(window, dtype).requires_grad_()
        outputs = responses(taps, starts, size, PARTS)
        above = [noise(*one.shape, seed=i) for i, one in enumerate(outputs)]
        loss = sum((a * one).real.sum() for a, one in zip(above, outputs, strict=True))
        return torch.autograd.grad(loss, taps)[0]

    found, expected = gradient(partial(band_responses, compiled=compiled)), gradient(plain)
    assert found.dtype == dtype
    for one, exact in zip(found, expected, strict=True):  # of each filter
        assert (one - exact).norm() < bound * exact.norm()


@pytest.mark.parametrize(
    "size, window, parts",
    [
        (4801, 201, PARTS),  # a prime
        (1600, 401, PARTS),  # too short
        (2 * 4789, 51, PARTS),  # no divisor from 4 to 64
        (4320, 401, [(5, 40), (1, 4320)]),  # all bins: there is nothing to be saved
    ],
)
def test_sizes_without_a_grid(size, window, parts, form):
    dtype, bound, compiled = form
    taps = filters(window, dtype)
    assert not has_grid(size, window, parts, dtype)
    largest = torch.fft.ifft(taps.to(torch.complex128), n=size).abs().amax(1)
    for starts in ([0] * 6, first_bins_of(size)):
        found = band_responses(taps, starts, size, parts, compiled)
        assert (worst(found, plain(taps, starts, size, parts)) < bound * largest).all()
