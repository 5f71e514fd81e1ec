"""Cepstral coefficients against torchaudio's, nnAudio's and Kaldi's own."""

import math

import nnAudio.features
import pytest
import torch
import torchaudio
from sounds import over_noise

from auricle.lobes import build_frontend
from auricle.lobes.frontends.mfcc import time_derivative


def build(sample_rate=16000, **options):
    return build_frontend("mfcc", sample_rate, {"mfcc": options})


MEL = {
    "n_fft": 512,
    "win_length": 400,
    "hop_length": 160,
    "f_min": 60.0,
    "f_max": 7800.0,
    "n_mels": 40,
    "pad_mode": "constant",
}


@pytest.mark.parametrize("log_mels", [False, True])
@pytest.mark.parametrize("num_ceps", [1, 13, 20, 40])
def test_equals_torchaudio(num_ceps, log_mels):
    """torchaudio counts the 80 dB over the batch, hence one item at a time. Tolerance: float32
    levels of up to 100 dB, summed over 40 bands."""
    theirs = torchaudio.transforms.MFCC(16000, num_ceps, log_mels=log_mels, melkwargs=MEL)
    ours = build(num_ceps=num_ceps, log="mel" if log_mels else "db")
    wavs = over_noise(12345)
    expected = torch.stack([theirs(wav).T for wav in wavs])
    torch.testing.assert_close(ours(wavs), expected, atol=1e-3, rtol=1e-5)


def test_equals_torchaudio_with_other_bands():
    mel = {**MEL, "f_min": 100.0, "f_max": 6000.0, "n_mels": 26, "norm": "slaney", "n_fft": 1024}
    theirs = torchaudio.transforms.MFCC(16000, 12, melkwargs=mel)
    options = {"min_freq_hz": 100.0, "max_freq_hz": 6000.0, "norm": "slaney", "n_fft": 1024}
    ours, wavs = build(num_ceps=12, num_mels=26, mel=options), over_noise(12345)
    expected = torch.stack([theirs(wav).T for wav in wavs])
    torch.testing.assert_close(ours(wavs), expected, atol=1e-3, rtol=1e-5)


def test_equals_nnaudio():
    """nnAudio counts the 80 dB per item, as we do. Its Fourier kernels round at 6e-8 of a frame's
    amplitude sum: 0.01 dB in bands 60 dB down."""
    theirs = nnAudio.features.MFCC(
        sr=16000, n_mfcc=20, n_fft=480, win_length=480, hop_length=160, n_mels=40, verbose=False
    )
    ours, wavs = build(num_ceps=20, mel={"convention": "nnaudio"}), over_noise(12345)
    torch.testing.assert_close(ours(wavs), theirs(wavs).transpose(1, 2), atol=1e-2, rtol=0)


@pytest.mark.parametrize("lifter", [0, 22])
def test_equals_kaldi(lifter):
    """Tolerance: the liftered coefficients are up to 12 times the log energies, which agree to
    5e-4 (see test_mel.py)."""
    ours = build(num_ceps=13, num_mels=23, log="mel", lifter=lifter, mel={"convention": "kaldi"})
    wavs = over_noise(12345)
    expected = torch.stack(
        [
            torchaudio.compliance.kaldi.mfcc(
                wav[None], num_ceps=13, num_mel_bins=23, cepstral_lifter=float(lifter)
            )
            for wav in wavs
        ]
    )
    torch.testing.assert_close(ours(wavs), expected, atol=2e-3, rtol=1e-5)


@pytest.mark.parametrize("delta_frames", [3, 5, 9])
def test_derivatives_equal_torchaudio(delta_frames):
    ours, wavs = build(num_ceps=13, deltas=2, delta_frames=delta_frames), over_noise(12345)
    plain = build(num_ceps=13)(wavs).transpose(1, 2)
    first = torchaudio.functional.compute_deltas(plain, delta_frames)
    second = torchaudio.functional.compute_deltas(first, delta_frames)
    expected = torch.cat([plain, first, second], dim=1).transpose(1, 2)
    assert ours.num_features == 39
    torch.testing.assert_close(ours(wavs), expected, atol=1e-4, rtol=1e-5)


def test_derivatives_end_with_each_item():
    feats = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(0))
    valid = torch.arange(30) < torch.tensor([[30], [11]])
    got = time_derivative(feats, 5, valid)
    torch.testing.assert_close(got[0], time_derivative(feats[:1])[0])
    torch.testing.assert_close(got[1, :11], time_derivative(feats[1:, :11])[0])


def test_gain_moves_the_zeroth_coefficient_only():
    """10 dB more in 40 bands: 10 sqrt(40) in the orthonormal transform's first coefficient."""
    ours, wavs = build(num_ceps=20), over_noise(12345)[:1]
    change = ours(math.sqrt(10) * wavs) - ours(wavs)
    torch.testing.assert_close(
        change[..., 0], torch.full_like(change[..., 0], 10 * math.sqrt(40)), atol=1e-3, rtol=0
    )
    assert change[..., 1:].abs().max() < 1e-3


def test_all_coefficients_give_the_levels_back():
    ours, wavs = build(num_ceps=40), over_noise(12345)
    torch.testing.assert_close(ours(wavs) @ ours.basis.T, ours.mel(wavs), atol=1e-3, rtol=0)


def test_filters_are_those_of_the_mel():
    assert len(build().filters()) == 40


def test_the_scale_of_htk_changes_the_zeroth_coefficient_alone():
    """All rows of HTK's and TensorFlow's transform have the scale sqrt(2 / M); the orthonormal one's
    zeroth has sqrt(1 / M)."""
    wavs = over_noise(12345)
    orthonormal, htk = build(log="mel")(wavs), build(log="mel", dct="htk")(wavs)
    levels = build_frontend("mel")(wavs)
    torch.testing.assert_close(
        htk[..., 0], math.sqrt(2 / 40) * levels.sum(-1), atol=1e-3, rtol=1e-5
    )
    torch.testing.assert_close(htk[..., 1:], orthonormal[..., 1:])


def test_peak_divides_each_item_by_its_largest_sample():
    """Not by its largest magnitude; padding does not count, and silence stays silence."""
    wavs = over_noise(12345)[:2]
    wavs[1] = -0.1 * wavs[1].abs() + 1e-3
    options = {"log": "mel", "num_ceps": 12}
    got = build(**options, peak=True)(wavs)
    expected = build(**options)(wavs / wavs.amax(1, keepdim=True))
    torch.testing.assert_close(got, expected)
    padded = torch.cat([wavs, torch.full_like(wavs, 9.0)], 1)
    half = build(**options, peak=True)(padded, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(half[:, : got.shape[1] - 2], got[:, :-2])
    assert build(**options, peak=True)(torch.zeros(1, 4000)).isfinite().all()
