"""stft_mel, fastaudio, gammatone, cqt: what physics, training, padding and the contract ask."""

import math

import numpy as np
import pytest
import torch
from sounds import noise, tone

from auricle.lobes import build_frontend
from auricle.lobes.contracts import project_after

#: What becomes four times as large with twice the amplitude; FastAudio sums magnitudes.
POWER = {"stft_mel": "mel_power", "fastaudio": "bands", "gammatone": "energy", "cqt": "power"}
#: Shorter kernels for tests in which the length does not matter.
SMALL_CQT = {"min_freq_hz": 130.0, "num_features": 60}


def build(name, sample_rate=16000, **options):
    return build_frontend(name, sample_rate=sample_rate, options={name: options})


def power(lobe, name, wavs):
    with torch.no_grad():
        return getattr(lobe, POWER[name])(wavs)


pytestmark = pytest.mark.usefixtures("one_thread")


def test_all_gammatones_answer_a_click_at_the_same_time():
    """Without the move to the peak a filter at 60 Hz would answer 15 ms after one at 7.8 kHz."""
    lobe = build("gammatone", pooling_ms=1.0, hop_ms=1.0)
    click = torch.zeros(1, 4800)
    click[0, 2400] = 1.0
    answer = power(lobe, "gammatone", click)[0].argmax(0)
    assert (answer - 150).abs().max() <= 1


@pytest.mark.long
@pytest.mark.parametrize("push", [1.0, -1.0], ids=["up", "down"])
@pytest.mark.parametrize("name", ["fastaudio", "gammatone"])
def test_filters_stay_filters_at_a_high_learning_rate(name, push):
    lobe = build(name, num_features=4)
    initial = lobe.filters().centre_hz
    optimizer = torch.optim.Adam(lobe.parameters(), lr=0.1 if name == "gammatone" else 0.01)
    project_after(optimizer, lobe)
    wavs = noise(1, 800)
    for step in range(200):
        optimizer.zero_grad()
        loss = lobe(wavs).std()
        if step > 100:  # every parameter to its bounds
            loss = loss + push * 1e3 * sum(p.sum() for p in lobe.parameters())
        loss.backward()
        optimizer.step()
        if step in (100, 199):
            found = lobe.filters()
            assert (found.bandwidth_hz > 0).all()
            assert ((found.centre_hz >= 0) & (found.centre_hz <= 8000)).all()
            if name == "fastaudio":
                assert (np.diff(found.centre_hz) >= 0).all()
            assert np.abs(found.centre_hz - initial).max() > 100
    # At the bounds each parameter still has a slope.
    optimizer.zero_grad()
    lobe(wavs).std().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in lobe.parameters())
    if name == "fastaudio":
        edge, band = (
            bounds[0 if push > 0 else 1] for bounds in (lobe.centre_range, lobe.band_range)
        )
        assert (lobe.centre - edge).abs().max() < 1e-6 and (lobe.band - band).abs().max() < 1e-6


@pytest.mark.parametrize("centre", [-1.0, 0.2501, 1.0])
@pytest.mark.parametrize("band", [-1.0, 1.0])
@pytest.mark.parametrize("shape", ["triangular", "gaussian"])
def test_every_band_is_alive_at_its_bounds(shape, centre, band):
    lobe = build("fastaudio", num_features=4, shape=shape, top_db=None)
    with torch.no_grad():
        lobe.centre.fill_(centre)
        lobe.band.fill_(band)
    lobe.project_()
    lobe(noise(1, 1600)).sum().backward()
    assert lobe.centre.grad.abs().min() > 0 and lobe.band.grad.abs().min() > 0


@pytest.mark.parametrize("name", ["fastaudio", "gammatone"])
def test_a_filter_moves_towards_a_tone(name):
    """The sign of the gradient: more energy of a tone a little above the centre is further up."""
    lobe = build(name)
    centre_hz, width_hz = (getattr(lobe.filters(), n)[20] for n in ("centre_hz", "bandwidth_hz"))
    for side in (1, -1):
        lobe.zero_grad()
        lobe(tone(centre_hz + side * width_hz / 4, seconds=0.3))[0, 15, 20].backward()
        parameter = lobe.centre if name == "fastaudio" else lobe.centre_erb
        assert side * parameter.grad[20] > 0


def test_a_mel_basis_stays_in_range_and_alive():
    lobe, wavs = build("stft_mel", setting="B"), noise(2, 3200)
    optimizer = torch.optim.Adam(lobe.parameters(), lr=0.1)
    project_after(optimizer, lobe)
    for step in range(200):
        optimizer.zero_grad()
        # All the way up, then all the way down.
        push = 1e3 * lobe.mel_basis.sum()
        (lobe(wavs).mean() + (push if step >= 100 else -push)).backward()
        optimizer.step()
        assert lobe.mel_basis.min() >= 0 and lobe.mel_basis.max() <= 1
        if step in (99, 199):
            assert (lobe.mel_basis == (1.0 if step == 99 else 0.0)).all()
    assert lobe(wavs).isfinite().all()
    for bound in (0.0, 1.0):
        lobe.mel_basis.data.fill_(bound)
        optimizer.zero_grad()
        lobe(wavs).sum().backward()
        assert lobe.mel_basis.grad.abs().min() > 0 and lobe.mel_basis.grad.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name, options", [("stft_mel", {"setting": "D"}), ("cqt", SMALL_CQT)])
def test_free_kernels_stay_finite_at_a_high_learning_rate(name, options):
    lobe, wavs = build(name, **options), noise(2, 1600)
    before = power(lobe, name, wavs)
    optimizer = torch.optim.Adam(lobe.parameters(), lr=0.1)
    project_after(optimizer, lobe)
    for _ in range(50):
        optimizer.zero_grad()
        lobe(wavs).std().backward()
        optimizer.step()
    after = power(lobe, name, wavs)
    assert after.isfinite().all() and not torch.allclose(after, before, rtol=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("setting", "ABCD")
def test_filters_are_the_same_bands_in_every_setting(setting):
    lobe = build("stft_mel", setting=setting)
    found, fixed = lobe.filters(), build("stft_mel", setting="A").filters()
    assert found.responses.shape == (40, 1025)
    np.testing.assert_allclose(found.responses, fixed.responses, atol=1e-6)


@pytest.mark.slow
def test_bandwidths_are_those_of_the_responses():
    """What frontends report, against their own responses and parameters."""
    lobe = build("gammatone")
    found = lobe.filters(num_bins=4001)
    step_hz = found.freqs_hz[1]
    measured = (found.responses >= 0.5 * found.responses.max(1, keepdims=True)).sum(1) * step_hz
    np.testing.assert_allclose(found.bandwidth_hz[5:36], measured[5:36], rtol=0.03)
    # Where a band is much wider than what the window resolves, its own width is what a tone sees.
    for shape, width in (("triangular", 1.0), ("gaussian", math.sqrt(2 * math.log(2)))):
        lobe = build("fastaudio", shape=shape)
        band_hz = 16000 * lobe.band.detach().numpy()
        found_hz, bin_hz = lobe.filters().bandwidth_hz[30:], 16000 / 480
        np.testing.assert_allclose(found_hz, width * band_hz[30:], atol=bin_hz)
    # A Hann window's response is half its peak one bin of its length from the middle.
    transform = build("cqt", min_freq_hz=500.0, num_features=36).filters(num_bins=8001)
    centres_hz = 500.0 * 2 ** (np.arange(36) / 12)
    np.testing.assert_allclose(transform.centre_hz, centres_hz, atol=1.0)
    expected_hz = 2.0 * centres_hz * (2 ** (1 / 12) - 1)
    np.testing.assert_allclose(transform.bandwidth_hz, expected_hz, rtol=0.02)
