"""Sinc frontends: what physics, padding, training and the contract ask of them."""

import math

import pytest
import torch
from sounds import noise
from torch.nn import functional

from auricle.lobes import build_frontend
from auricle.lobes.contracts import project_after
from auricle.lobes.promises import check_subject, subject_of
from auricle.processing.filterbank.engine.plan import make_plan
from auricle.processing.filterbank.sinc import filtered, mel_cutoffs, sinc_taps

pytestmark = pytest.mark.usefixtures("one_thread")


def build(name, sample_rate=16000, **options):
    return build_frontend(name, sample_rate, {name: options})


def tone(frequency_hz, sample_rate=16000, seconds=0.5, phase=0.0):
    time = torch.arange(int(seconds * sample_rate), dtype=torch.float64) / sample_rate
    return torch.cos(2 * math.pi * frequency_hz * time + phase).float()[None]


def levels(frontend, wavs, lengths=None):
    """What the frontend measures in each band before compression and normalisation."""
    with torch.no_grad():
        for method in ("energy", "pooled", "bands"):
            if hasattr(frontend, method):
                return getattr(frontend, method)(wavs, lengths)


@pytest.mark.long
@pytest.mark.parametrize(
    "name, options",
    [
        ("sincnet", {"form": "original", "hop_ms": 10.0, "num_features": 16}),
        ("sincnet_plus", {"rectifier": "square", "num_features": 16}),
        ("sinc_conv", {"rectify": True, "num_features": 8}),
    ],
)
def test_other_forms_keep_every_promise(name, options):
    form = subject_of("frontend", name, {name: options})
    broken = check_subject(
        form, without=("compiled",)
    )  # that takes longer than the others together
    assert [r.detail for r in broken if not r.passed] == []


def test_batch_norm_of_sinc_conv_knows_nothing_of_padding():
    wavs = noise(2, 16000)
    short, padded = build("sinc_conv"), build("sinc_conv")
    padded.load_state_dict(short.state_dict())
    short(wavs[:, :8000])
    padded(wavs, torch.tensor([0.5, 0.5]))
    for one, other in zip(short.norms, padded.norms, strict=True):
        torch.testing.assert_close(one.running_mean, other.running_mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(one.running_var, other.running_var, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("taper", ["hamming", "blackman"])
def test_full_rate_and_decimated_equal_direct(taper):
    wavs = torch.cat([noise(1, 8000), 0.3 * tone(1234.0), noise(1, 8000, scale=1e-3)])
    for rectifier in ("leaky_relu", "square"):
        fast = build("sincnet_plus", rectifier=rectifier, taper=taper)
        direct = build("sincnet_plus", rectifier=rectifier, taper=taper, backend="direct")
        with torch.no_grad():
            for parameter in (fast.low, fast.band, fast.pooling_width):
                parameter.mul_(1 + 0.1 * noise(40, scale=1.0))
            fast.project_()
            direct.load_state_dict(fast.state_dict())
        got, want = levels(fast, wavs), levels(direct.double(), wavs.double())
        # Float32 is 120 dB below the loudest band, or a little more: squares show its square.
        rounding = {"square": 1e-10, "leaky_relu": 1e-6}[rectifier] * want.amax(
            (1, 2), keepdim=True
        )
        allowed = 1e-4 * want.abs() + rounding
        assert ((got - want).abs() <= allowed).all()


def test_squares_are_read_far_below_the_full_rate():
    rates = make_plan(build("sincnet_plus", rectifier="square").kernels()[0], 160).rates
    assert max(rates) <= 40 and sum(rates) / (40 * 160) < 0.1


def test_squares_of_a_tone_have_no_ripple_and_know_no_phase():
    frontend = build("sincnet_plus", rectifier="square")
    one, other = levels(frontend, tone(1000.0)), levels(frontend, tone(1000.0, phase=1.0))
    channel = one[0, 25].argmax()
    torch.testing.assert_close(one[0, 10:40, channel], other[0, 10:40, channel], rtol=1e-4, atol=0)
    assert one[0, 10:40, channel].std() < 1e-4 * one[0, 10:40, channel].mean()


@pytest.mark.slow
def test_squares_fold():
    frontend, wavs = (
        build("sincnet_plus", rectifier="square", num_features=6).eval(),
        noise(1, 4000),
    )
    with torch.no_grad():
        torch.testing.assert_close(frontend.fold()(wavs), frontend(wavs), atol=2e-3, rtol=1e-2)


def test_the_published_stride_aliases_and_rectified_bands_do_not():
    """Two tones beat at 5 Hz or at 105 Hz: at a stride of 10 ms these are the same samples."""
    slow = tone(6000.0) + tone(6005.0)
    fast = tone(6000.0) + tone(6105.0)
    inner = slice(5, 45)

    def top_band(rectify, wavs):
        frontend = build("sinc_conv", num_features=4, rectify=rectify)
        return levels(frontend, wavs)[0, inner, 3]

    published = top_band(False, slow)
    assert published.std() > 1.0
    assert (published - top_band(False, fast)).abs().max() < 0.05 * published.std()
    ours_slow, ours_fast = top_band(True, slow), top_band(True, fast)
    assert ours_slow.std() > 0.2 * ours_slow.mean()
    assert ours_fast.std() < 0.02 * ours_fast.mean()
    # And a tone whose zeros meet the stride is silence to the published form.
    assert top_band(False, tone(6000.0, phase=math.pi / 2)).abs().max() < 1e-2
    assert top_band(True, tone(6000.0, phase=math.pi / 2)).min() > 1.0


@pytest.mark.long
@pytest.mark.parametrize("name", ["sincnet", "sincnet_plus", "sinc_conv"])
def test_cutoffs_stay_in_range_at_a_high_learning_rate(name):
    frontend = build(name, num_features=4)
    optimizer = torch.optim.Adam(frontend.parameters(), lr=0.5)
    project_after(optimizer, frontend)
    wavs, seen = noise(2, 800), []
    for step in range(200):
        optimizer.zero_grad()
        # Every cut-off is pushed up first, then down.
        push = 10 * (frontend.low.sum() + frontend.band.sum())
        (frontend(wavs).square().mean() + (push if step >= 100 else -push)).backward()
        optimizer.step()
        assert all(parameter.isfinite().all() for parameter in frontend.parameters())
        low, high = frontend.low.detach(), (frontend.low + frontend.band).detach()
        assert (low >= 0.05).all() and (high - low >= 0.05 - 1e-6).all()
        assert (high <= 8.0 + 1e-6).all()
        seen.append([low.min(), low.max(), high.max(), frontend.band.detach().min()])
    seen = torch.tensor(seen)
    torch.testing.assert_close(seen.amin(0)[[0, 3]], torch.tensor([0.05, 0.05]))
    torch.testing.assert_close(seen.amax(0)[1:3], torch.tensor([7.95, 8.0]))


@pytest.mark.parametrize("name", ["sincnet", "sincnet_plus", "sinc_conv"])
@pytest.mark.parametrize("low, band", [(-1.0, -1.0), (-1.0, 99.0), (99.0, 99.0), (99.0, -1.0)])
def test_gradients_are_alive_at_every_bound(name, low, band):
    frontend = build(name, num_features=3)
    with torch.no_grad():
        frontend.low[1], frontend.band[1] = low, band
    frontend.project_()
    out = frontend(noise(2, 3200))
    (out * noise(*out.shape, seed=3)).sum().backward()
    assert frontend.low.grad[1].abs() > 1e-6 and frontend.band.grad[1].abs() > 1e-6
    assert frontend.low.grad.isfinite().all() and frontend.band.grad.isfinite().all()


def test_a_step_moves_a_cutoff_by_a_hertz():
    frontend = build("sincnet")
    before = frontend.filters().centre_hz
    optimizer = torch.optim.Adam(frontend.parameters(), lr=1e-3)
    frontend(noise(2, 8000)).square().mean().backward()
    optimizer.step()
    moved_hz = abs(frontend.filters().centre_hz - before).max()
    assert 0.4 < moved_hz < 1.6  # the centre is lower cut-off plus half the bandwidth


def test_gradient_of_the_taps_is_that_of_finite_differences():
    low = torch.tensor([50.0, 3000.0, 7000.0], dtype=torch.float64, requires_grad=True)
    high = torch.tensor([100.0, 3500.0, 8000.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, b: sinc_taps(a, b, 31, 16000, quadrature=True), (low, high), atol=1e-7, eps=1e-3
    )


def test_filtered_is_a_convolution():
    wavs, taps = noise(2, 700, scale=1.0), noise(3, 41, seed=1, scale=1.0)
    expected = functional.conv1d(wavs[:, None], taps[:, None], padding=20)
    torch.testing.assert_close(filtered(wavs, taps), expected, atol=2e-5, rtol=1e-5)


def test_a_leaky_rectifier_before_the_maximum_changes_nothing():
    """Why `sincnet` does not compute the LEAF paper's LeakyReLU."""
    frontend, wavs = build("sincnet"), noise(2, 8000)
    signal = functional.leaky_relu(filtered(wavs, frontend.cutoff_taps()[:, 0]), 0.2)
    signal = functional.pad(signal, (200, 200), value=-math.inf)
    maxima = functional.max_pool1d(signal, 401, 160).transpose(1, 2).clamp(min=1e-5)
    expected = functional.layer_norm(maxima, (40,), eps=1e-3)
    torch.testing.assert_close(frontend(wavs)[:, :49], expected[:, :49], atol=1e-6, rtol=0)


def test_silence_after_the_end_is_never_the_maximum():
    """The filters ring on behind an item's end; that is not in its last frame."""
    frontend, wavs = build("sincnet"), noise(1, 4000)
    padded = functional.pad(wavs, (0, 4000))
    whole = levels(frontend, padded)[:, :25]
    assert (levels(frontend, padded, torch.tensor([0.5]))[:, :25] <= whole + 1e-6).all()
    assert not torch.allclose(levels(frontend, padded, torch.tensor([0.5]))[:, :25], whole)


def test_initial_bands_are_adjacent_and_counted_once():
    low, high = mel_cutoffs(40, 16000, 50.0, 7900.0, 50.0)
    wide = high - low > 50.5
    torch.testing.assert_close(high[:-1][wide[:-1]], low[1:][wide[:-1]])
    assert low[0] == 50 and high[-1] == 7900 and (high - low).min() == 50
    twice_low, twice_high = mel_cutoffs(40, 16000, 50.0, 7900.0, 50.0, double_minimum=True)
    torch.testing.assert_close(twice_low, low + 50)
    torch.testing.assert_close(
        torch.stack([twice_low[0], twice_high[0], twice_low[-1], twice_high[-1]]),
        torch.tensor([100.0, 197.0, 7441.0, 8000.0]),
        atol=0.5,
        rtol=0,
    )


def test_hops_of_both_forms():
    assert build("sincnet").hop == 160 and build("sincnet", 22050).hop == 220
    assert [build("sincnet", rate, form="original").hop for rate in (16000, 22050)] == [3, 4]
    assert build("sincnet", form="original", hop_ms=10.0).hop == 160
    assert build("sinc_conv").hop == 1440 and build("sinc_conv", 8000).hop == 720


@pytest.mark.parametrize("window", [1, 250])
def test_an_even_number_of_taps_is_refused(window):
    with pytest.raises(ValueError, match="odd number of taps"):
        sinc_taps(torch.tensor([100.0]), torch.tensor([200.0]), window, 16000)
