"""Gammatone filters against asteroid-filterbanks' and nnAudio's, live."""

import math

import numpy as np
import pytest
import torch
from asteroid_filterbanks import multiphase_gammatone_fb as asteroid
from nnAudio.librosa_functions import fft2gammatonemx
from sounds import SIGNALS

from auricle.lobes import build_frontend
from auricle.processing.filterbank.gammatone import bandwidth_per_erb
from auricle.processing.filterbank.scales import erb_hz, hz_to_erb

RATE_HZ = 16000
#: Samples from a filter's onset to its envelope's peak. Asteroid's filters are whole samples from
#: their onset, ours from their peak: the two grids are the same where this is whole.
TO_PEAK = np.array([6, 7, 9, 12, 17, 25, 38, 50, 70, 100])


def build(sample_rate=RATE_HZ, **options):
    return build_frontend("gammatone", sample_rate=sample_rate, options={"gammatone": options})


@pytest.fixture
def asteroid_response(monkeypatch):
    """Their impulse response as a complex one; written for NumPy 1, whose names it is given."""
    monkeypatch.setattr(np, "math", math, raising=False)

    def response(centre_hz, taps):
        real, imag = (
            asteroid.gammatone_impulse_response(RATE_HZ, taps / RATE_HZ, centre_hz, phase)
            for phase in (0.0, -math.pi / 2)
        )
        # Theirs begins one sample after the onset, where the response is zero.
        return np.concatenate([[0], real + 1j * imag])

    return response


def like_asteroids():
    """A frontend of order 2 with their bandwidths, and their centres in Hz."""
    decay_hz = RATE_HZ / (2 * math.pi * TO_PEAK)
    centre_hz = (decay_hz / bandwidth_per_erb(2) - 24.7) / 0.108
    lobe = build(order=2, num_features=len(TO_PEAK), window_ms=100.0, backend="direct").double()
    with torch.no_grad():
        lobe.centre_erb.copy_(hz_to_erb(torch.from_numpy(centre_hz)))
        lobe.bandwidth.copy_(torch.from_numpy(decay_hz / bandwidth_per_erb(2) / erb_hz(centre_hz)))
    return lobe, centre_hz


def test_taps_equal_asteroids(asteroid_response):
    """In double precision: equal up to the rounding of the angle."""
    lobe, centre_hz = like_asteroids()
    taps = lobe.kernels()[0].detach().numpy()
    middle = lobe.taps // 2
    for ours, centre, to_peak in zip(taps, centre_hz, TO_PEAK, strict=True):
        response = (ours[0] + 1j * ours[1])[middle + to_peak :: -1].conj()
        response = response * np.exp(2j * np.pi * centre * to_peak / RATE_HZ)
        want = asteroid_response(centre, len(response) - 1)
        want /= np.sum(want * np.exp(-2j * np.pi * centre * np.arange(len(want)) / RATE_HZ)).real
        np.testing.assert_allclose(response, want, atol=1e-9 * np.abs(want).max())


@pytest.mark.parametrize("signal", SIGNALS)
def test_energies_equal_asteroids_filters(asteroid_response, signal):
    lobe, centre_hz = like_asteroids()
    wavs = SIGNALS[signal].double()
    energy = lobe.energy(wavs[None])[0].detach().numpy()
    pool = lobe.pool[0].numpy()
    for channel, (centre, to_peak) in enumerate(zip(centre_hz, TO_PEAK, strict=True)):
        response = asteroid_response(centre, lobe.taps // 2 + to_peak)
        turned = response * np.exp(-2j * np.pi * centre * np.arange(len(response)) / RATE_HZ)
        filtered = np.convolve(wavs.numpy(), response / turned.sum().real)
        power = np.abs(filtered[to_peak : to_peak + 16000]) ** 2
        pooled = np.convolve(power, pool)[200:][:16000:160]
        np.testing.assert_allclose(energy[:, channel], pooled, rtol=1e-8, atol=1e-12)


def test_responses_are_slaneys():
    """Slaney's filters, which nnAudio's Gammatonegram applies to spectra, are real: they have a
    mirror image below 0 Hz, 1 / (1 + (2 f / b)^2)^2 of the peak, and a recursive form that folds at
    half the sample rate. Both are within 2% of the peak from 300 Hz to 5 kHz."""
    weights, centre_hz = fft2gammatonemx(
        sr=RATE_HZ, n_fft=1024, n_bins=20, fmin=300.0, fmax=5000.0, maxlen=513
    )
    lobe = build(num_features=20, window_ms=200.0)
    with torch.no_grad():
        lobe.centre_erb.copy_(hz_to_erb(torch.from_numpy(centre_hz.copy())))
    found = lobe.filters(513)
    np.testing.assert_allclose(found.responses, weights, atol=0.02)
    np.testing.assert_allclose(found.centre_hz, centre_hz, rtol=1e-5)


def test_initial_filters_are_the_ears():
    found = build().filters()
    erb = hz_to_erb(torch.from_numpy(found.centre_hz))
    torch.testing.assert_close(erb.diff(), erb.diff().mean().expand(39), rtol=1e-4, atol=0)
    assert found.centre_hz[[0, -1]] == pytest.approx([60.0, 7800.0], rel=1e-5)
    # Area under the power response of a gammatone of gain 1: its equivalent rectangular bandwidth.
    step_hz = found.freqs_hz[1]
    area_hz = (found.responses[5:35] ** 2).sum(1) * step_hz
    np.testing.assert_allclose(area_hz, erb_hz(found.centre_hz[5:35]), rtol=0.02)


def test_a_fixed_filterbank_follows_a_loaded_state():
    """What the engine has kept of a filterbank that is not trained must not outlive it."""
    wavs, fixed, learned = SIGNALS["noise"][None], build(learnable=False), build()
    before = fixed(wavs)
    torch.testing.assert_close(before, learned(wavs).detach(), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        learned.bandwidth.mul_(1.5)
        fixed.load_state_dict(learned.state_dict())
        torch.testing.assert_close(fixed(wavs), learned(wavs), rtol=0, atol=0)
    assert (fixed(wavs) - before).abs().max() > 0.1


@pytest.mark.parametrize("order", [2, 3, 4, 6])
@pytest.mark.parametrize("min_freq_hz", [0.0, 60.0, 1000.0])
def test_the_window_that_the_message_names_is_enough(order, min_freq_hz):
    with pytest.raises(ValueError, match="at least") as caught:
        build(order=order, min_freq_hz=min_freq_hz, window_ms=2.0)
    least_ms = float(str(caught.value).split("at least ")[1].split()[0])
    assert build(order=order, min_freq_hz=min_freq_hz, window_ms=max(least_ms, 1.0)).order == order
