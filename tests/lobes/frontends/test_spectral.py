"""Framing, padding and spectra of the STFT-based frontends, and PCEN on mel energies."""

import math

import numpy as np
import pytest
import torch
from sounds import noise

from auricle.lobes import build_frontend
from auricle.lobes.contracts import project_after
from auricle.lobes.frontends._spectral import PADDINGS, WINDOWS, SpectralFrontend
from auricle.lobes.frontends.mel import CONVENTIONS
from auricle.processing.filterbank.triangles import mel_bank


@pytest.mark.parametrize("padding, mode", [("zeros", "constant"), ("reflect", "reflect")])
@pytest.mark.parametrize(
    "window, n_fft", [(400, 512), (400, 400), (400, 511), (401, 512), (401, 401), (399, 513)]
)
def test_spectrum_equals_torch(padding, mode, window, n_fft):
    spectral = SpectralFrontend(16000, 1, window / 16, n_fft=n_fft, padding=padding)
    wavs = noise(2, 3001)
    expected = torch.stft(
        wavs, n_fft, 160, window, torch.hann_window(window), pad_mode=mode, return_complex=True
    )
    expected = expected.abs().square().transpose(1, 2)
    # Relative to the loudest bin (about 20): the rounding of a float32 FFT.
    torch.testing.assert_close(spectral.power_spectrum(wavs), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("num_samples", [1, 2, 3, 150, 199, 200, 201, 1000])
def test_reflection_equals_numpy_even_on_short_clips(num_samples):
    spectral, wavs = SpectralFrontend(16000, 1, padding="reflect"), noise(1, num_samples)
    mirrored = np.pad(wavs[0].numpy(), (200, 200), mode="reflect")
    frames = 1 + num_samples // 160
    expected = np.stack([mirrored[160 * k : 160 * k + 400] for k in range(frames)])
    np.testing.assert_array_equal(spectral.frames(wavs)[0].numpy(), expected)


@pytest.mark.parametrize("num_samples", [1, 399, 400, 401, 559, 560, 561, 1600])
def test_frames_from_the_first_sample(num_samples):
    wavs = noise(1, num_samples)
    behind = torch.nn.functional.pad(wavs, (0, 400))
    for padding, frames in {
        "end": -(-num_samples // 160),
        "none": max(1, 1 + (num_samples - 400) // 160),
    }.items():
        got = SpectralFrontend(16000, 1, padding=padding).frames(wavs)
        assert got.shape[1] == frames
        for k in range(frames):
            assert torch.equal(got[0, k], behind[0, 160 * k : 160 * k + 400])


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("num_samples", [1, 150, 160, 399, 400, 401, 560, 1601])
def test_any_length_gives_the_declared_frames(padding, num_samples):
    spectral = SpectralFrontend(16000, 257, padding=padding)
    out = spectral.power_spectrum(noise(2, num_samples))
    assert out.shape == (2, spectral.num_frames(num_samples), 257)
    assert out.isfinite().all()


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("num_valid", [0, 1, 100, 399, 400, 1601, 3999])
def test_padding_changes_no_valid_frame(padding, num_valid):
    spectral, wavs = SpectralFrontend(16000, 257, padding=padding), noise(2, 4000)
    padded = wavs.clone()
    padded[1, num_valid:] = 5.0
    lengths = torch.tensor([1.0, num_valid / 4000])
    out = spectral.power_spectrum(padded, lengths)
    assert torch.equal(out[:1], spectral.power_spectrum(wavs[:1]))
    frames = spectral.num_frames(num_valid) if num_valid else 0
    valid = spectral.valid_frames(lengths, 4000)
    assert valid.sum(1).tolist() == [spectral.num_frames(4000), frames]
    if num_valid:
        alone = spectral.power_spectrum(wavs[1:, :num_valid])
        assert torch.equal(out[1:, :frames], alone)


@pytest.mark.parametrize("window_shape", WINDOWS)
def test_a_tone_peaks_in_its_bin(window_shape):
    spectral = SpectralFrontend(16000, 1, window_shape=window_shape)
    time = torch.arange(4000, dtype=torch.float64) / 16000
    for k in (8, 100, 200):
        wavs = torch.sin(2 * math.pi * spectral.freqs_hz[k] * time).float()[None]
        assert spectral.power_spectrum(wavs)[0, 10].argmax() == k


def test_frames_lose_their_mean_and_are_pre_emphasised_inside_the_frame():
    wavs = noise(1, 2000) + 0.5
    plain = SpectralFrontend(16000, 1, padding="none").frames(wavs)
    both = SpectralFrontend(16000, 1, padding="none", remove_dc=True, preemphasis=0.9).frames(wavs)
    centred = plain - plain.mean(2, keepdim=True)
    torch.testing.assert_close(both[..., 1:], centred[..., 1:] - 0.9 * centred[..., :-1])
    torch.testing.assert_close(both[..., 0], 0.1 * centred[..., 0])


def test_twice_the_amplitude_is_four_times_the_power():
    spectral, wavs = SpectralFrontend(16000, 1), noise(1, 2000)
    torch.testing.assert_close(
        spectral.power_spectrum(2 * wavs), 4 * spectral.power_spectrum(wavs), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    "options, says",
    [
        ({"window_shape": "sine"}, "window_shape .*'sine'"),
        ({"padding": "same"}, "padding .*'same'"),
        ({"n_fft": 256}, "n_fft=256 .*400 samples"),
        ({"n_fft": "auto"}, "n_fft .*'auto'"),
        ({"n_fft": 512.5}, "n_fft .*512.5"),
        ({"window_ms": 0.1}, "window_ms=0.1 gives 1 samples"),
        ({"hop_ms": 0.01}, "hop_ms=0.01"),
        ({"preemphasis": 1.5}, "preemphasis .*1.5"),
    ],
)
def test_bad_options_are_named(options, says):
    with pytest.raises(ValueError, match=says):
        SpectralFrontend(16000, 1, **options)


# -- mel filters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_tone_at_a_filters_centre_peaks_in_its_band(convention, sample_rate):
    mel = build_frontend("mel", sample_rate, {"mel": {"convention": convention, "norm": "none"}})
    filters = mel.filters()
    assert (np.diff(filters.centre_hz) >= 0).all() and (filters.bandwidth_hz > 0).all()
    time = torch.arange(sample_rate // 2, dtype=torch.float64) / sample_rate
    # Below 1 kHz neighbours share bins; above, each band has its own.
    high = [k for k in range(0, mel.num_features, 3) if filters.centre_hz[k] > 1000]
    for channel in high:
        tone = torch.sin(2 * math.pi * filters.centre_hz[channel] * time).float()[None]
        assert mel.energy(tone)[0, 20].argmax().item() == channel


@pytest.mark.parametrize("slopes", ["hz", "mel"])
def test_neighbouring_triangles_add_up_to_one(slopes):
    bank = mel_bank(30, 1024, 16000, 0.0, 8000.0, slopes=slopes).double()
    peaks = bank.argmax(0)
    inside = bank[peaks[0] + 2 : peaks[-1] - 2].sum(1)
    torch.testing.assert_close(inside, torch.ones_like(inside), atol=1e-5, rtol=0)


def test_filters_of_an_odd_fft_lie_where_its_bins_are():
    """Bin k of 401 points is at 16000 k / 401 Hz, the last one below half the sample rate."""
    odd = mel_bank(20, 401, 16000, 100.0, 7000.0, norm="slaney").double()
    fine = mel_bank(20, 401 * 8, 16000, 100.0, 7000.0, norm="slaney").double()
    torch.testing.assert_close(odd, fine[::8], atol=1e-7, rtol=1e-3)


def test_an_area_of_one_on_a_fine_grid():
    for slopes in ("hz", "mel", "symmetric"):
        bank = mel_bank(20, 65536, 16000, 100.0, 7000.0, slopes=slopes, norm="slaney")
        area = bank.double().sum(0) * 16000 / 65536
        # Exact for straight sides; those that are straight in mel bulge a little, symmetric ones
        # lack what the wider upper side would add.
        tolerance = {"hz": 1e-3, "mel": 0.02, "symmetric": 0.15}[slopes]
        torch.testing.assert_close(area, torch.ones_like(area), atol=tolerance, rtol=0)


def test_bands_between_two_bins_are_silent_where_they_are_admitted():
    mel = build_frontend("mel", options={"mel": {"num_features": 160, "allow_empty": True}})
    assert (mel.bank.amax(0) == 0).any()
    assert (mel_bank(160, 1024, 16000, 60.0, 7800.0).amax(0) > 0).all()


# -- PCEN on mel energies ------------------------------------------------------------------------


def pcen_loop(energy, alpha, delta, root, smooth, floor):
    """The formula of Wang et al., frame by frame, in float64."""
    energy = energy.double()
    smoothed, frames = energy[:, 0], []
    for t in range(energy.shape[1]):
        smoothed = smooth * energy[:, t] + (1 - smooth) * smoothed
        gain = (floor + smoothed) ** -alpha
        frames.append((energy[:, t] * gain + delta) ** (1 / root) - delta ** (1 / root))
    return torch.stack(frames, dim=1)


@pytest.mark.parametrize(
    "options, values",
    [
        ({}, (0.96, 2.0, 2.0, 0.04, 1e-12)),
        ({"preset": "wang"}, (0.98, 2.0, 2.0, 0.025, 1e-6)),
        # librosa.pcen: gain 0.98, bias 2, power 0.5, time constant 0.4 s, eps 1e-6; at 100 frames
        # per second b = (sqrt(1 + 4 * 40^2) - 1) / (2 * 40^2).
        ({"preset": "librosa"}, (0.98, 2.0, 2.0, 0.0246894482, 1e-6)),
        ({"alpha": 0.5, "smooth": 0.3, "root": 3.0, "delta": 0.7}, (0.5, 0.7, 3.0, 0.3, 1e-12)),
        ({"time_constant_s": 0.1}, (0.96, 2.0, 2.0, 0.0951249220, 1e-12)),
    ],
)
def test_pcen_equals_its_formula(options, values):
    frontend, wavs = build_frontend("pcen_mel", options={"pcen_mel": options}), noise(2, 8000)
    expected = pcen_loop(frontend.mel.energy(wavs), *values)
    torch.testing.assert_close(frontend(wavs).double(), expected, atol=1e-5, rtol=1e-5)


def test_pcen_equals_its_formula_on_perturbed_parameters():
    frontend, wavs = build_frontend("pcen_mel"), noise(2, 8000)
    drawn = torch.rand(4, 40, generator=torch.Generator().manual_seed(1))
    parts = frontend.compression
    with torch.no_grad():
        for name, value in {
            "alpha": drawn[0],
            "delta": 0.1 + 3 * drawn[1],
            "root": 1 + 3 * drawn[2],
            "smooth": drawn[3],
        }.items():
            getattr(parts, name).copy_(value)
        perturbed = [p.detach().double() for p in (parts.alpha, parts.delta, parts.root)]
        expected = pcen_loop(
            frontend.mel.energy(wavs), *perturbed, parts.smooth.detach().double(), 1e-12
        )
    torch.testing.assert_close(frontend(wavs).double(), expected, atol=1e-4, rtol=1e-5)


def test_pcen_makes_loud_and_quiet_alike():
    """With alpha = 1 the gain cancels the level, up to the floor."""
    options = {"pcen_mel": {"alpha": 1.0}}
    frontend, wavs = build_frontend("pcen_mel", options=options), noise(1, 8000)
    torch.testing.assert_close(frontend(10 * wavs), frontend(wavs), atol=1e-4, rtol=1e-4)
    changed = build_frontend("pcen_mel", options={"pcen_mel": {"alpha": 0.5}})
    assert (changed(10 * wavs) - changed(wavs)).abs().mean() > 0.5


@pytest.mark.slow
def test_pcen_stays_in_range_at_a_high_learning_rate():
    frontend, wavs = (
        build_frontend("pcen_mel", options={"pcen_mel": {"num_features": 8}}),
        noise(2, 3200),
    )
    optimizer = torch.optim.Adam(frontend.parameters(), lr=2.0)
    project_after(optimizer, frontend)
    target = torch.randn(2, 21, 8, generator=torch.Generator().manual_seed(2))
    for _ in range(200):
        optimizer.zero_grad()
        (frontend(wavs) * target).sum().backward()
        optimizer.step()
        parts = frontend.compression
        assert parts.delta.min() > 0 and parts.root.min() >= 1
        assert 0 <= parts.alpha.min() and parts.alpha.max() <= 1
        assert 0 <= parts.smooth.min() and parts.smooth.max() <= 1
    assert frontend(wavs).isfinite().all()
