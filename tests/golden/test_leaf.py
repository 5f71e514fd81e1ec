"""LEAF against the reference implementation's output, and against SpeechBrain's port, live."""

import pytest
import torch
from sounds import golden
from speechbrain.lobes.features import Leaf as SpeechBrainLeaf

from auricle.lobes import build_frontend
from auricle.processing.filterbank.pcen import PCEN
from auricle.processing.filterbank.shapes import gaussian_lowpass, leaf_initial_values

#: (centre in rad/sample, width in samples) of the 40 initial filters, from the reference.
INITIAL_CENTRES = """
0.036816 0.061359 0.085903 0.098175 0.122718 0.147262 0.171806 0.208621 0.233165 0.257709
0.294524 0.331340 0.368155 0.404971 0.441786 0.490874 0.539961 0.589049 0.638136 0.699495
0.748583 0.809942 0.883573 0.957204 1.030835 1.104466 1.190369 1.276272 1.374447 1.472622
1.583068 1.693515 1.803962 1.938952 2.073942 2.208932 2.368466 2.528000 2.687534 2.871612
"""
INITIAL_WIDTHS = """
95.94399 63.96267 63.96267 63.96267 63.96267 63.96267 47.97200 47.97200 63.96267 47.97200
47.97200 38.37760 38.37760 38.37760 31.98133 38.37760 31.98133 27.41257 27.41257 27.41257
23.98600 23.98600 21.32089 21.32089 19.18880 19.18880 17.44436 17.44436 15.99067 14.76062
13.70628 12.79253 11.99300 11.99300 11.28753 10.66044 10.09937 9.594400 8.722180 8.342960
"""


@pytest.fixture(scope="module")
def reference_leaf():
    return build_frontend("leaf", options={"leaf": {"frame_centre": "tf_same"}})


@pytest.mark.parametrize("source, expected", [("x", "leaf"), ("chirp", "leaf_chirp")])
def test_equals_the_reference(reference_leaf, source, expected):
    with torch.no_grad():
        out = reference_leaf(golden(source)[:, 0])
    torch.testing.assert_close(out, golden(expected), atol=2e-5, rtol=0)


def test_initial_filters(reference_leaf):
    centres = torch.tensor([float(value) for value in INITIAL_CENTRES.split()])
    widths = torch.tensor([float(value) for value in INITIAL_WIDTHS.split()])
    torch.testing.assert_close(reference_leaf.centre.data, centres, atol=1e-6, rtol=0)
    torch.testing.assert_close(reference_leaf.width.data, widths, atol=2e-5, rtol=0)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 32000])
def test_initial_filters_at_other_rates_are_the_same_in_hz(sample_rate):
    """Read on a grid of 31.25 Hz at every rate; the widths are the same in seconds."""
    centre, width = leaf_initial_values(20, sample_rate, 60.0, 3900.0)
    expected_centre, expected_width = leaf_initial_values(20, 16000, 60.0, 3900.0)
    scale = sample_rate / 16000
    torch.testing.assert_close(centre * scale, expected_centre, rtol=1e-6, atol=0)
    torch.testing.assert_close(width / scale, expected_width, rtol=1e-6, atol=0)


def test_pooling_window():
    window = gaussian_lowpass(torch.tensor([0.4]), 401)[0]
    assert window.sum().item() == pytest.approx(198.08352661132812, rel=1e-6)
    assert window[0].item() == pytest.approx(0.04393693432211876, rel=1e-5)
    assert window[100].item() == pytest.approx(0.45783334970474243, rel=1e-6)
    assert window[200].item() == 1.0


def test_pcen_values():
    energy = torch.tensor([1.0, 2.0, 4.0, 8.0, 0.5, 1e-5])
    expected = torch.tensor(
        [0.31783724, 0.5672245, 0.92531812, 1.35475171, 0.12308347, 2.7418136e-06]
    )
    out = PCEN(1)(energy[None, :, None]).flatten()
    torch.testing.assert_close(out, expected, atol=5e-7, rtol=0)


def test_silence(reference_leaf):
    out = reference_leaf(torch.zeros(1, 16000))
    torch.testing.assert_close(out, torch.full_like(out, 0.20780905), atol=1e-6, rtol=0)


@pytest.mark.parametrize("num_samples", [16000, 12345])
def test_equals_speechbrain_without_its_bias(num_samples):
    """SpeechBrain's port centres frame k at sample 160 k, and adds 1 to every pooled energy."""
    ours = build_frontend("leaf")
    theirs = SpeechBrainLeaf(40, in_channels=1, max_freq=7800.0)
    with torch.no_grad():
        theirs.pooling._bias.zero_()
        ours.centre.copy_(theirs.complex_conv.kernel[:, 0])
        ours.width.copy_(theirs.complex_conv.kernel[:, 1])
        ours.compression.smooth.copy_(theirs.compression.ema._weights)
        wavs = 0.1 * torch.randn(2, num_samples, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(ours(wavs), theirs(wavs), atol=2e-5, rtol=1e-5)
