"""FastAudio against SpeechBrain's Filterbank, live, and against the published formula."""

import numpy as np
import pytest
import torch
from sounds import SIGNALS
from speechbrain.processing.features import Filterbank

from auricle.lobes import build_frontend


def build(sample_rate=16000, **options):
    return build_frontend("fastaudio", sample_rate=sample_rate, options={"fastaudio": options})


def magnitudes(wavs):
    window = torch.hann_window(480)
    return torch.stft(wavs, 480, 160, 480, window, return_complex=True).abs().transpose(1, 2)


def perturb(lobe, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in lobe.parameters():
            p.mul_(0.8 + 0.4 * torch.rand(p.shape, generator=generator))
    lobe.project_()


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("perturbed", [False, True], ids=["initial", "perturbed"])
@pytest.mark.parametrize("shape", ["triangular", "gaussian"])
def test_equals_speechbrain(shape, perturbed, signal):
    """The steepest slope is 1 per band of 46 Hz; a centre of 3000 Hz is known to 2e-4 Hz in
    float32 (their parameters are multiplied by the rate): 1e-5 of the weights. Where a quiet band
    lies beside a loud one that is 1e-3 of what the band holds, 4e-3 dB."""
    ours = build(shape=shape, sort=False)
    theirs = Filterbank(n_mels=40, filter_shape=shape, n_fft=480, power_spectrogram=2, freeze=False)
    if perturbed:
        perturb(ours)
        theirs.f_central.data.copy_(ours.centre)
        theirs.band.data.copy_(ours.band)
    else:
        torch.testing.assert_close(ours.centre, theirs.f_central, atol=1e-7, rtol=0)
        torch.testing.assert_close(ours.band, theirs.band, atol=1e-7, rtol=0)
    wavs = SIGNALS[signal][None]
    torch.testing.assert_close(ours(wavs), theirs(magnitudes(wavs)), atol=4e-3, rtol=0)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("shape", ["triangular", "gaussian"])
def test_equals_the_formula(shape, power, signal):
    ours, wavs = build(shape=shape, power=power), SIGNALS[signal][None]
    perturb(ours, seed=2)
    centre, band = (p.detach().double().numpy() * 16000 for p in (ours.centre, ours.band))
    order = np.argsort(centre)
    distance = (np.arange(241) * 100 / 3 - centre[order, None]) / band[order, None]
    if shape == "triangular":
        basis = np.maximum(0, 1 - np.abs(distance))
    else:
        basis = np.exp(-0.5 * (2 * distance) ** 2)
    sums = magnitudes(wavs).double().numpy() ** power @ basis.T
    decibels = 10 * np.log10(np.maximum(sums, 1e-10))
    want = np.maximum(decibels, decibels.max() - 80)
    torch.testing.assert_close(
        ours(wavs).detach().double(), torch.from_numpy(want), atol=4e-3, rtol=0
    )


@pytest.mark.parametrize("num_features", [10, 20, 40])
@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050])
def test_projection_leaves_the_initial_bands_alone(sample_rate, num_features):
    """The reference clamps every band to 603.7 Hz, which narrows the upper 4 of 10 mel bands."""
    lobe = build(sample_rate, num_features=num_features)
    before = [p.detach().clone() for p in lobe.parameters()]
    lobe.project_()
    assert all(torch.equal(a, b) for a, b in zip(before, lobe.parameters(), strict=True))
    if (sample_rate, num_features) == (16000, 10):
        assert (lobe.band * 16000 > 603.7).sum() == 4


def test_the_floor_is_an_items_own_over_its_valid_frames():
    loud, quiet = SIGNALS["noise"], 1e-6 * SIGNALS["noise"]
    lobe = build(top_db=30.0)
    together = lobe(torch.stack([loud, quiet]))
    torch.testing.assert_close(together[1:], lobe(quiet[None]), rtol=0, atol=1e-4)
    # A click on the last sample is in the middle of the first frame that is not valid any more.
    quiet[8158] = 1e-3
    padded = quiet.clone()
    padded[8159:] = 1.0
    alone = lobe(quiet[None, :8159])
    out = lobe(torch.stack([loud, padded]), torch.tensor([1.0, 8159 / 16000]))
    out = out[1:, : alone.shape[1]]
    torch.testing.assert_close(out, alone, rtol=0, atol=1e-4)
    assert (together.amax((1, 2)) - together.amin((1, 2))).max() <= 30 + 1e-4
    spread = build(top_db=None)(SIGNALS["chirp"][None])
    assert spread.max() - spread.min() > 30


def test_sorting_keeps_each_centre_with_its_width():
    """The reference sorts centres and widths one by one, which gives bands that never were."""
    lobe, unsorted = build(num_features=10), build(num_features=10, sort=False)
    for each in (lobe, unsorted):
        with torch.no_grad():
            each.centre[2], each.centre[7] = each.centre[7].clone(), each.centre[2].clone()
    order = [0, 1, 7, 3, 4, 5, 6, 2, 8, 9]
    wavs = SIGNALS["noise"][None]
    torch.testing.assert_close(lobe(wavs), unsorted(wavs)[..., order], rtol=0, atol=0)
    assert (np.diff(lobe.filters().centre_hz) > 0).all()
    swapped = lobe.filters().bandwidth_hz
    assert swapped[2] == pytest.approx(lobe.band[7].item() * 16000, rel=0.02)
