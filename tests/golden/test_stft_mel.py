"""Trainable STFT and mel basis against nnAudio and torch.stft, live."""

import math

import nnAudio.features
import pytest
import torch
from sounds import SIGNALS

from auricle.lobes import build_frontend
from auricle.lobes.contracts import project_after


def build(**options):
    return build_frontend("stft_mel", options={"stft_mel": options})


def theirs(setting="D", **options):
    return nnAudio.features.MelSpectrogram(
        **{"sr": 16000, "n_fft": 480, "hop_length": 160, "n_mels": 40, **options},
        trainable_STFT=setting in "CD",
        trainable_mel=setting in "BD",
        verbose=False,
    )


def assert_same_power(got, want):
    """Each value sums 480 products in float32, once for each implementation: an error of 1e-7 of
    the frame's amplitudes, which a quiet band beside a loud one shows relative to the loud one."""
    torch.testing.assert_close(got, want, rtol=2e-5, atol=1e-7 * want.max().item())


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("setting", "ABCD")
def test_equals_nnaudio(setting, signal):
    ours, model, wavs = build(setting=setting), theirs(setting), SIGNALS[signal][None]
    want = model(wavs).transpose(1, 2)
    if setting in "CD":  # what nnAudio adds under its square root
        want = want - 1e-8 * model.mel_basis.sum(1)
    assert_same_power(ours.mel_power(wavs).detach(), want.detach())


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("padding, pad_mode", [("reflect", "reflect"), ("zeros", "constant")])
def test_equals_nnaudio_with_other_kernels_and_another_basis(padding, pad_mode, signal):
    ours, model = build(setting="D", padding=padding), theirs("D", pad_mode=pad_mode)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for mine, other in (
            (ours.cosines, model.stft.wcos),
            (ours.sines, model.stft.wsin),
            (ours.mel_basis, model.mel_basis),
        ):
            mine.add_(0.3 * mine.std() * torch.randn(mine.shape, generator=generator))
            ours.project_()
            other.copy_(mine.view(other.shape))
        wavs = SIGNALS[signal][None]
        want = model(wavs).transpose(1, 2) - 1e-8 * model.mel_basis.sum(1)
        assert_same_power(ours.mel_power(wavs), want)
        expected = torch.log(model(wavs) + 1e-10).transpose(1, 2)
    # Under noise in the kernels no band is quiet, and the logarithm agrees as well.
    torch.testing.assert_close(ours(wavs).detach(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("padding, pad_mode", [("reflect", "reflect"), ("zeros", "constant")])
@pytest.mark.parametrize("setting", "ABCD")
def test_equals_torch_stft(setting, padding, pad_mode):
    ours, wavs = build(setting=setting, padding=padding), torch.stack(list(SIGNALS.values()))
    spectrum = torch.stft(
        wavs, 480, 160, 480, torch.hann_window(480), pad_mode=pad_mode, return_complex=True
    )
    want = (ours.mel_basis @ spectrum.abs().square()).transpose(1, 2)
    assert_same_power(ours.mel_power(wavs).detach(), want.detach())
    assert ours(wavs).shape == (3, 101, 40)


@pytest.mark.parametrize("padding", ["zeros", "reflect", "end", "none"])
@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050])
def test_the_four_settings_start_equal(sample_rate, padding):
    wavs, lengths = SIGNALS["noise"][:8001].view(3, 2667), torch.tensor([1.0, 0.7, 0.3])
    powers = [
        build_frontend(
            "stft_mel", sample_rate, options={"stft_mel": {"setting": setting, "padding": padding}}
        ).mel_power(wavs, lengths)
        for setting in "ABCD"
    ]
    for other in powers[1:]:
        assert_same_power(other.detach(), powers[0])


@pytest.mark.parametrize(
    "mel_init, htk, num_features",
    [(*scale, f) for scale in (("slaney", False), ("htk", True)) for f in (10, 40, 80)]
    + [("slaney", False, 128)],
)
def test_initial_basis_for_any_number_of_bands(mel_init, htk, num_features):
    model = theirs("A", n_mels=num_features, htk=htk)
    basis = build(setting="A", num_features=num_features, mel_init=mel_init).mel_basis
    # Values up to 0.05, whose float32 rounding is 4e-9.
    torch.testing.assert_close(basis, model.mel_basis, atol=5e-9, rtol=0)


def test_silence_has_a_gradient_here_and_none_in_nnaudio():
    silence = torch.zeros(1, 1600)
    for setting in "ABCD":
        wavs = silence.clone().requires_grad_()
        lobe = build(setting=setting)
        lobe(wavs).sum().backward()
        assert wavs.grad.isfinite().all()
        assert all(p.grad.isfinite().all() for p in lobe.parameters())
    wavs = silence.clone().requires_grad_()
    torch.log(theirs("A")(wavs) + 1e-10).sum().backward()
    assert wavs.grad.isnan().any()


@pytest.mark.parametrize("setting", "BD")
def test_a_random_basis_is_as_in_the_study_and_is_learned(setting):
    torch.manual_seed(0)
    lobe = build(setting=setting, mel_init="random")
    basis = lobe.mel_basis.detach().clone()
    assert 0.99 < basis.max().item() / math.sqrt(6 / 241) <= 1
    assert 0.48 < (basis == 0).float().mean().item() < 0.52
    assert basis.mean().item() == pytest.approx(0.039, abs=5e-4)
    optimizer = torch.optim.SGD(lobe.parameters(), lr=1e-3)
    project_after(optimizer, lobe)
    lobe(SIGNALS["noise"][None]).square().sum().backward()
    optimizer.step()
    assert not torch.equal(lobe.mel_basis, basis)
    # What was zero is at the bound, not dead.
    assert lobe.mel_basis.grad[basis == 0].abs().min() > 0


@pytest.mark.parametrize("setting", "ABCD")
def test_masked_bins_are_silent_at_the_power_of_the_unmasked_model(setting):
    wavs = SIGNALS["noise"][None]
    masked, full = build(setting=setting, mask_bins=(25, 50)), build(setting=setting)
    spectrum = torch.stft(wavs, 480, 160, 480, torch.hann_window(480), return_complex=True)
    power = spectrum.abs().square()
    power[:, 25:50] = 0
    want = (full.mel_basis @ power).transpose(1, 2)
    assert_same_power(masked.mel_power(wavs).detach(), want.detach())
    outside = masked.mel_basis[:, 25:50].sum(1) == 0
    assert 10 < outside.sum() < 40
    torch.testing.assert_close(masked(wavs)[..., outside], full(wavs)[..., outside], rtol=0, atol=0)
    if setting != "A":
        masked(wavs).sum().backward()
        assert all(p.grad.isfinite().all() and p.grad.any() for p in masked.parameters())
    if setting in "BD":
        assert not masked.mel_basis.grad[:, 25:50].any()


def test_the_booleans_are_the_settings():
    for setting, (stft, mel) in {"A": (0, 0), "B": (0, 1), "C": (1, 0), "D": (1, 1)}.items():
        lobe = build(trainable_stft=bool(stft), trainable_mel=bool(mel))
        assert [n for n, _ in lobe.named_parameters()] == [
            n for n, _ in build(setting=setting).named_parameters()
        ]
