"""TD-filterbanks: what physics, framing, padding, training and bad input ask of it."""

import math

import pytest
import torch
from sounds import noise
from torch.nn import functional

from auricle.lobes import build_frontend
from auricle.lobes.contracts import project_after


def build(sample_rate=16000, **options):
    return build_frontend("tdfbanks", sample_rate=sample_rate, options={"tdfbanks": options})


def perturb(frontend, part=0.3):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in frontend.parameters():
            p.add_(part * p.std() * torch.randn(p.shape, generator=generator))
    frontend.project_()
    return frontend


@torch.no_grad()
def test_whole_windows_are_the_centred_ones_a_window_later():
    """Centred frames at hop 40 contain those of whole windows at hop 160: 5 * 40 = 200."""
    whole = perturb(build(num_features=4, frame_centre="valid"))
    centred = perturb(build(num_features=4, hop_ms=2.5))
    wavs = noise(1, 4000)
    torch.testing.assert_close(whole(wavs), centred(wavs)[:, 5::4][:, : whole.num_frames(4000)])


@torch.no_grad()
def test_a_clip_shorter_than_a_window_is_padded_to_one():
    tdfbanks, wavs = build(num_features=4, frame_centre="valid"), noise(2, 150)
    energy = tdfbanks.energy(wavs)
    assert energy.shape == (2, 1, 4)
    filtered = functional.conv1d(
        wavs[:, None], tdfbanks.filter_taps.flatten(0, 1)[:, None], None, 1, 200
    )
    squared = filtered.square().unflatten(1, (4, 2)).sum(2)
    expected = (squared * tdfbanks.pooling_weights[:, :150]).sum(2)
    torch.testing.assert_close(energy[:, 0], expected, rtol=1e-4, atol=1e-7)


@torch.no_grad()
def test_preemphasis_is_a_filter_of_two_taps():
    with_it, without = build(num_features=4, preemphasis=True), build(num_features=4)
    with_it.preemphasis.copy_(torch.tensor([-0.5, 0.8]))
    wavs = noise(2, 2000)
    by_hand = 0.8 * wavs
    by_hand[:, 1:] -= 0.5 * wavs[:, :-1]
    torch.testing.assert_close(with_it(wavs), without(by_hand))
    freqs = 2 * math.pi * torch.from_numpy(without.filters().freqs_hz) / 16000
    gain = (0.8 - 0.5 * torch.exp(-1j * freqs)).abs().numpy()
    torch.testing.assert_close(
        with_it.filters().responses, without.filters().responses * gain, rtol=1e-5, atol=1e-6
    )


def test_preemphasis_learns():
    tdfbanks = build(num_features=4, preemphasis=True)
    assert tdfbanks.preemphasis.tolist() == pytest.approx([-0.97, 1.0])
    tdfbanks(noise(1, 2000)).sum().backward()
    assert tdfbanks.preemphasis.grad.abs().min() > 0


@pytest.mark.parametrize("pooling", ["depthwise", "shared"])
def test_fast_form_equals_the_direct_one_with_gradients(pooling):
    fast, direct = (
        perturb(build(num_features=6, pooling=pooling, backend=backend))
        for backend in ("auto", "direct")
    )
    wavs, direction = noise(2, 4000), noise(2, 25, 6, seed=5)
    for frontend in (fast, direct):
        (frontend(wavs) * direction).sum().backward()
    with torch.no_grad():
        torch.testing.assert_close(fast(wavs), direct(wavs), atol=2e-5, rtol=1e-5)
    for got, want in zip(fast.parameters(), direct.parameters(), strict=True):
        scale = want.grad.abs().max().item()
        torch.testing.assert_close(got.grad, want.grad, atol=1e-4 * scale, rtol=0)


@pytest.mark.long
@pytest.mark.parametrize("pooling", ["depthwise", "shared"])
def test_the_low_pass_stays_positive_and_alive_at_a_high_learning_rate(pooling):
    tdfbanks = build(num_features=2, pooling=pooling, energy_floor=1e-5)
    optimizer = torch.optim.Adam(tdfbanks.parameters(), lr=0.1)
    project_after(optimizer, tdfbanks)
    wavs, weights = noise(1, 1600), tdfbanks.pooling_weights
    for step in range(200):
        optimizer.zero_grad()
        # Every weight is pushed below 0 first, then up again by the energies alone.
        loss = weights.sum() if step < 100 else -tdfbanks(wavs).mean()
        loss.backward()
        optimizer.step()
        assert (weights >= 0).all() and weights.sum(1).min() >= 0.5
        assert all(p.isfinite().all() for p in tdfbanks.parameters())
        if step == 99:
            torch.testing.assert_close(weights.detach(), torch.full_like(weights, 1 / 401))
    assert weights.min() > 2 / 401 and tdfbanks(wavs).isfinite().all()


def test_projection_leaves_a_good_low_pass_alone():
    """Its weights of exactly 0 at the window's ends too, and it does nothing the second time."""
    tdfbanks = build(num_features=2)
    start = tdfbanks.pooling_weights.detach().clone()
    tdfbanks.project_()
    assert torch.equal(tdfbanks.pooling_weights, start) and start[0, 0] == 0
    with torch.no_grad():
        tdfbanks.pooling_weights[0] = -1.0
    tdfbanks.project_()
    once = tdfbanks.pooling_weights.detach().clone()
    tdfbanks.project_()
    assert torch.equal(tdfbanks.pooling_weights, once) and torch.equal(once[1], start[1])


def test_a_free_low_pass_is_not_projected_and_gives_no_nan():
    tdfbanks = build(num_features=4, pooling_sign="free")
    with torch.no_grad():
        tdfbanks.pooling_weights.neg_()
    tdfbanks.project_()
    assert (tdfbanks.pooling_weights < 0).any()
    wavs, expected = noise(1, 2000), build(num_features=4)
    out = tdfbanks(wavs)
    torch.testing.assert_close(out, expected(wavs))
    out.sum().backward()
    assert tdfbanks.pooling_weights.grad.abs().min() > 0


@torch.no_grad()
def test_compressions():
    wavs = noise(1, 2000)
    energy = build(num_features=4).energy(wavs)
    log = build(num_features=4, log_offset=1e-3)(wavs)
    torch.testing.assert_close(log, torch.log(energy + 1e-3))
    torch.testing.assert_close(build(num_features=4, compression="log1p")(wavs), energy.log1p())


@torch.no_grad()
def test_silence_is_the_logarithm_of_the_offset():
    out = build(num_features=4)(torch.zeros(1, 2000))
    torch.testing.assert_close(out, torch.full_like(out, math.log(1e-5)))


@pytest.mark.parametrize("sample_rate", [8000, 32000])
def test_initial_filters_are_the_same_in_hz_at_other_rates(sample_rate):
    """A filter's gain at a frequency does not depend on the rate, up to the end of the window."""
    options = {"num_features": 10, "max_freq_hz": 3800.0}
    want, got = (build(rate, **options).filters(513) for rate in (16000, sample_rate))
    assert got.centre_hz == pytest.approx(want.centre_hz, abs=sample_rate / 512)
    power = [(f.responses**2).sum(1) * f.freqs_hz[1] for f in (want, got)]
    assert power[1] / power[0] == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("options", [{}, {"frame_centre": "valid"}])
def test_folding_is_refused_by_name(options):
    with pytest.raises(ValueError, match="fold"):
        build(num_features=4, **options).fold()
