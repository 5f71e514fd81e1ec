"""Constant-Q transform against nnAudio's, live."""

import nnAudio.features
import pytest
import torch
from sounds import SIGNALS

from auricle.lobes import build_frontend


def build(sample_rate=16000, **options):
    return build_frontend("cqt", sample_rate=sample_rate, options={"cqt": options})


def nnaudio(**options):
    given = {"sr": 16000, "hop_length": 160, "fmin": 32.70, "n_bins": 84, "pad_mode": "constant"}
    return nnAudio.features.CQT1992v2(**{**given, **options}, verbose=False)


def assert_same_magnitude(lobe, model, wavs):
    """Both sum up to 8231 float32 products: 1e-5 of the band's mean is what noise shows."""
    with torch.no_grad():
        got, want = lobe.power(wavs).sqrt(), model(wavs).transpose(1, 2)
    assert got.shape == want.shape
    torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-6 * want.max().item())


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("padding, pad_mode", [("zeros", "constant"), ("reflect", "reflect")])
def test_equals_nnaudio(padding, pad_mode, signal):
    wavs = SIGNALS[signal].repeat(1, 2)
    lobe = build(padding=padding)
    assert_same_magnitude(lobe, nnaudio(pad_mode=pad_mode), wavs)


@pytest.mark.parametrize(
    "options, theirs",
    [
        ({"bins_per_octave": 24, "num_features": 100}, {"bins_per_octave": 24, "n_bins": 100}),
        ({"filter_scale": 0.5}, {"filter_scale": 0.5}),
        ({"min_freq_hz": 110.0, "num_features": 50}, {"fmin": 110.0, "n_bins": 50}),
    ],
)
def test_equals_nnaudio_with_other_options(options, theirs):
    lobe = build(**options)
    assert_same_magnitude(lobe, nnaudio(**theirs), SIGNALS["noise"][None])


@pytest.mark.parametrize("signal", SIGNALS)
def test_equals_nnaudio_with_other_kernels(signal):
    lobe = build(min_freq_hz=130.0, num_features=60)
    model = nnaudio(fmin=130.0, n_bins=60, trainable=True)
    middle, generator = model.kernel_width // 2, torch.Generator().manual_seed(3)
    with torch.no_grad():
        model.cqt_kernels_real.zero_()
        model.cqt_kernels_imag.zero_()
        row = 0
        for octave in lobe.kernels:
            octave.add_(0.5 * octave.std() * torch.randn(octave.shape, generator=generator))
            half = octave.shape[2] // 2
            for taps in octave:
                # They multiply by the root of the length after the convolution.
                taps = taps / model.lenghts[row].sqrt()
                model.cqt_kernels_real[row, 0, middle - half : middle + half + 1] = taps[0]
                model.cqt_kernels_imag[row, 0, middle - half : middle + half + 1] = taps[1]
                row += 1
    wavs = SIGNALS[signal][None]
    got = lobe.power(wavs).detach()
    # Under its square root nnAudio adds 1e-8.
    want = model(wavs).transpose(1, 2).detach().square() - 1e-8
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6 * want.max().item())


def test_learned_taps():
    """Each octave is as long as its longest kernel: a seventh of nnAudio's 2.75 million."""
    lobe = build()
    lengths = [8231, 4117, 2059, 1031, 517, 259, 131]
    assert [octave.shape for octave in lobe.kernels] == [(12, 2, length) for length in lengths]
    assert 24 * sum(lengths) == 392280
    fixed, wavs = build(learnable=False), SIGNALS["noise"][None]
    torch.testing.assert_close(fixed(wavs), lobe(wavs).detach(), rtol=0, atol=0)


def test_silence_has_a_gradient_here_and_none_in_nnaudio():
    for transform, finite in ((build(), True), (nnaudio(), False)):
        wavs = torch.zeros(1, 3200, requires_grad=True)
        transform(wavs).sum().backward()
        assert wavs.grad.isfinite().all() == finite


@pytest.mark.parametrize("most", [95, 96])
def test_as_many_bins_as_the_message_says(most):
    assert build(num_features=most).num_features == most
