"""Sinc frontends against the LEAF reference's output, and taps against two libraries, live.

sincnet*.npy are outputs of `SincNet` and `SincNetPlus` of google-research/leaf-audio@b130481 for
x.npy and chirp.npy, made as described in data/README.md.
"""

import math

import numpy as np
import pytest
import torch
from asteroid_filterbanks import ParamSincFB
from sounds import golden
from speechbrain.nnet.CNN import SincConv as SpeechBrainSincConv
from torch.nn import functional

from auricle.lobes import build_frontend
from auricle.processing.filterbank.sinc import mel_cutoffs, sinc_taps

REFERENCE = {"double_minimum": True, "taper": "hamming_periodic", "frame_centre": "tf_same"}


def build(name, sample_rate=16000, **options):
    return build_frontend(name, sample_rate, {name: options})


def build_reference(name):
    return build(name, **REFERENCE, **({"pcen_trainable": False} if name[-1] == "s" else {}))


def difference_of_low_passes(dtype):
    """The reference's initial taps (40, 1, 401) by the formula it writes, in its order."""
    mel = np.linspace(2595 * np.log10(1 + 50 / 700), 2595 * np.log10(1 + 7900 / 700), 41)
    edges = 700 * (10 ** (mel / 2595) - 1)
    low = 50 + torch.tensor(edges[:-1]).to(dtype)[:, None]
    high = (low + 50 + torch.tensor(np.diff(edges)).to(dtype)[:, None]).clamp(50, 8000)
    time = torch.arange(1, 201, dtype=dtype) / 16000

    def low_pass(cutoff):
        phase = 2 * math.pi * cutoff * time
        right = 2 * cutoff * (torch.sin(phase) / phase)
        return torch.cat([right.flip(1), 2 * cutoff, right], 1)

    taps = low_pass(high) - low_pass(low)
    taps = taps / taps.amax(1, keepdim=True)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(401) / 401)
    return (taps * torch.tensor(window).to(dtype))[:, None]


def signals():
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(8000) / 16000
    noise = 0.1 * torch.randn(8000, generator=generator)
    chirp = 0.5 * torch.sin(2 * math.pi * (200 * time + 3800 * time**2))
    # Pulses at 120 Hz through two resonances, with a pause.
    pulses = (torch.arange(8000) % 133 == 0).float()[None, None]
    decay = torch.exp(-time[:400] * 300)
    voice = decay * (torch.sin(2 * math.pi * 700 * time[:400]) + torch.sin(4400 * time[:400]))
    speech = functional.conv1d(functional.pad(pulses, (399, 0)), voice.flip(0)[None, None])[0, 0]
    speech[3000:5000] = 0
    return torch.stack([noise, chirp, speech])


@pytest.mark.parametrize(
    "name, source, suffix, tolerance",
    [
        ("sincnet", "x", "", 2e-5),
        ("sincnet", "chirp", "_chirp", 2e-5),
        ("sincnet_plus", "x", "", 2e-5),
        # 2.1e-5, the reference's own rounding: float32 convolutions next to a band 60 dB louder.
        ("sincnet_plus", "chirp", "_chirp", 2.5e-5),
    ],
)
def test_equals_the_reference_with_its_taps(name, source, suffix, tolerance, monkeypatch):
    """All but the taps in double precision, and the taps rounded as the reference rounds them."""
    frontend = build_reference(name).double()
    taps = difference_of_low_passes(torch.float32).double()
    monkeypatch.setattr(frontend, "cutoff_taps", lambda quadrature=False: taps)
    with torch.no_grad():
        out = frontend(golden(source)[:, 0].double()).float()
    torch.testing.assert_close(out, golden(name + suffix), atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    "name, source, suffix, tolerance",
    [
        ("sincnet", "x", "", 4e-5),
        ("sincnet", "chirp", "_chirp", 4e-5),
        ("sincnet_plus", "x", "", 2e-5),
        # The reference's taps are rounded to 4e-5 (phases of 600 rad in float32): noise, 60 dB
        # below the band. PCEN divides by each band's own level and shows it next to a chirp.
        ("sincnet_plus", "chirp", "_chirp", 1e-3),
    ],
)
def test_equals_the_reference_but_for_its_rounding(name, source, suffix, tolerance):
    with torch.no_grad():
        out = build_reference(name)(golden(source)[:, 0])
    torch.testing.assert_close(out, golden(name + suffix), atol=tolerance, rtol=0)


def test_initial_taps_are_the_reference_formula_in_double_precision():
    taps = build_reference("sincnet").cutoff_taps()
    # Cut-offs are parameters in float32: 3e-8 of 8 kHz over 12.5 ms is 2e-5 rad.
    torch.testing.assert_close(
        taps.double(), difference_of_low_passes(torch.float64), atol=2e-5, rtol=0
    )


def test_taps_are_not_rounded_in_their_phase():
    low, high = torch.tensor([50.0, 7000.0]), torch.tensor([100.0, 7500.0])
    for quadrature in (False, True):
        taps = sinc_taps(low, high, 401, 16000, quadrature=quadrature)
        exact = sinc_taps(low.double(), high.double(), 401, 16000, quadrature=quadrature)
        torch.testing.assert_close(taps.double(), exact, atol=1e-7, rtol=0)


def perturbed_cutoffs(num_filters, seed):
    """Cut-offs that both libraries take as they are: 50 Hz and more, 50 Hz apart and more."""
    low, high = mel_cutoffs(num_filters, 16000, 50.0, 7900.0, 50.0, double_minimum=True)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        low = 50 + low * torch.rand(num_filters, generator=generator)
        high = low + 50 + (high - low) * torch.rand(num_filters, generator=generator)
    return low, high.clamp(max=8000.0)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_taps_and_outputs_equal_speechbrain(seed):
    low, high = perturbed_cutoffs(80, seed)
    theirs = SpeechBrainSincConv(80, 251, in_channels=1, padding="valid")
    ours = build("sincnet", form="original")
    with torch.no_grad():
        theirs.low_hz_.copy_(low[:, None] - 50)
        theirs.band_hz_.copy_((high - low)[:, None] - 50)
        ours.low.copy_(low / 1e3)
        ours.band.copy_((high - low) / 1e3)
        theirs.device = torch.device("cpu")
        # Their phases are rounded in float32 (4e-5) and their half window is off by 1e-5.
        taps = theirs._get_sinc_filters()
        torch.testing.assert_close(ours.cutoff_taps(), taps, atol=1e-4, rtol=0)
        wavs = signals()
        # The original: no padding, modulus, maximum of 3. Our frame k is its frame k - 42.
        expected = functional.max_pool1d(theirs(wavs).transpose(1, 2).abs(), 3).transpose(1, 2)
        out = ours.pooled(wavs)[:, 42 : 42 + expected.shape[1]]
    torch.testing.assert_close(out, expected, atol=2e-4 * expected.max().item(), rtol=0)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_quadrature_taps_equal_asteroid(seed):
    low, high = perturbed_cutoffs(40, seed)
    theirs = ParamSincFB(80, 401, sample_rate=16000.0)
    ours = build("sincnet_plus", rectifier="square", taper="hamming")
    with torch.no_grad():
        theirs.low_hz_.copy_(low[:, None] - 50)
        theirs.band_hz_.copy_((high - low)[:, None] - 50)
        ours.low.copy_(low / 1e3)
        ours.band.copy_((high - low) / 1e3)
        even, odd = theirs.filters().view(2, 40, 401)
        torch.testing.assert_close(
            ours.kernels()[0], torch.stack([even, odd], 1), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050])
def test_taps_are_a_band_pass(sample_rate):
    """Half the amplitude at the cut-offs, all of it between, 50 dB less outside."""
    band_hz, low = 0.1 * sample_rate, torch.tensor([0.2 * sample_rate])
    taps = sinc_taps(low, low + band_hz, 401, sample_rate)[0, 0]
    response = torch.fft.rfft(taps.double(), 4010).abs() / (sample_rate / (2 * band_hz))
    assert response[802].item() == pytest.approx(0.5, abs=0.01)
    assert response[1203].item() == pytest.approx(0.5, abs=0.01)
    torch.testing.assert_close(response[850:1150], torch.ones(300).double(), atol=4e-3, rtol=0)
    assert torch.cat([response[:780], response[1230:]]).max() < 10 ** (-50 / 20)


def test_sinc_conv_is_the_published_stack():
    """The same layers from torch and SpeechBrain, on the frames that both have."""
    low, high = perturbed_cutoffs(80, 0)
    ours = build("sinc_conv").eval()
    sinc = SpeechBrainSincConv(80, 251, in_channels=1, stride=160, padding="valid")
    wavs = signals()[:, :7200]
    with torch.no_grad():
        sinc.low_hz_.copy_(low[:, None] - 50)
        sinc.band_hz_.copy_((high - low)[:, None] - 50)
        ours.low.copy_(low / 1e3)
        ours.band.copy_((high - low) / 1e3)
        for norm in ours.norms:
            norm.running_mean.normal_(generator=torch.Generator().manual_seed(1))
            norm.running_var.fill_(0.7)
        x = sinc(functional.pad(wavs, (125, 125))).transpose(1, 2)
        assert x.shape[2] == 45
        x = functional.instance_norm(x)
        for conv, norm in zip(ours.convs, ours.norms, strict=True):
            x = functional.batch_norm(
                conv(x), norm.running_mean, norm.running_var, norm.weight, norm.bias
            )
            x = functional.max_pool1d(functional.leaky_relu(x, 0.2), 3)
        torch.testing.assert_close(ours(wavs), x.transpose(1, 2), atol=2e-3, rtol=0)
