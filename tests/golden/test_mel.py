"""Log-mel against torchaudio's and nnAudio's own, live."""

import nnAudio.features
import pytest
import torch
import torchaudio

from auricle.lobes import build_frontend

WAVS = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))


def test_equals_torchaudio():
    banks = torchaudio.functional.melscale_fbanks(257, 60.0, 7800.0, 40, 16000)
    spectrum = torch.stft(
        WAVS, 512, 160, 400, torch.hann_window(400), pad_mode="constant", return_complex=True
    )
    power = spectrum.real**2 + spectrum.imag**2
    expected = torch.log(power.transpose(1, 2) @ banks + 1e-6)
    torch.testing.assert_close(build_frontend("mel")(WAVS), expected, atol=1e-5, rtol=1e-5)


def test_equals_nnaudio():
    """nnAudio computes the Fourier transform with convolutions.

    Its centred frames pad with half of n_fft and its window is centred in n_fft, as torch's. Its
    kernels are float32 cosines whose rounding (6e-8 of the frame's amplitude sum, 400 samples)
    reaches 1e-4 of the power in the weakest band of white noise; hence 2e-4 after the logarithm.
    """
    theirs = nnAudio.features.MelSpectrogram(
        sr=16000,
        n_fft=512,
        win_length=400,
        n_mels=40,
        hop_length=160,
        pad_mode="constant",
        htk=True,
        norm=None,
        fmin=60.0,
        fmax=7800.0,
        verbose=False,
    )
    expected = torch.log(theirs(WAVS) + 1e-6).transpose(1, 2)
    torch.testing.assert_close(build_frontend("mel")(WAVS), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("sample_rate, n_fft", [(8000, 256), (16000, 512), (22050, 1024)])
def test_scales_with_the_sample_rate(sample_rate, n_fft):
    mel = build_frontend("mel", sample_rate=sample_rate)
    assert mel.mel.n_fft == n_fft
    assert mel.window == int(0.025 * sample_rate)
    assert mel(torch.zeros(1, sample_rate)).shape == (1, mel.num_frames(sample_rate), 40)


def test_padding_changes_no_valid_frame():
    mel = build_frontend("mel")
    padded = WAVS.clone()
    padded[1, 9600:] = 7.0
    out = mel(padded, torch.tensor([1.0, 0.6]))
    alone = mel(WAVS[1:, :9600])
    assert alone.shape[1] == mel.num_frames(9600) == 61
    torch.testing.assert_close(out[1:, :61], alone, atol=0, rtol=0)
