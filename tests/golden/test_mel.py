"""Log-mel against torchaudio's, nnAudio's, Kaldi's, SpeechBrain's and the LEAF reference's own."""

import nnAudio.features
import pytest
import torch
import torchaudio
from sounds import golden, over_noise
from speechbrain.lobes.features import Fbank

from auricle.lobes import build_frontend

WAVS = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))


def test_equals_torchaudio():
    banks = torchaudio.functional.melscale_fbanks(257, 60.0, 7800.0, 40, 16000)
    spectrum = torch.stft(
        WAVS, 512, 160, 400, torch.hann_window(400), pad_mode="constant", return_complex=True
    )
    power = spectrum.real**2 + spectrum.imag**2
    expected = torch.log(power.transpose(1, 2) @ banks + 1e-6)
    # torchaudio computes its filters in float32, from frequencies that are rounded too.
    torch.testing.assert_close(build_frontend("mel")(WAVS), expected, atol=2e-5, rtol=1e-5)


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
    assert mel.n_fft == n_fft
    assert mel.window == int(0.025 * sample_rate)
    assert mel(torch.zeros(1, sample_rate)).shape == (1, mel.num_frames(sample_rate), 40)


def test_equals_essentia_s_input_of_musicnn():
    """Frames of 512 every 256, a symmetric Hann window, Slaney's mel in unit areas, log10(1 + 1e4 x)."""
    options = {"convention": "essentia", "num_features": 96, "hop_ms": 16.0}
    mel = build_frontend("mel", options={"mel": options})
    window = torch.hann_window(512, periodic=False)
    power = torch.fft.rfft(WAVS.unfold(1, 512, 256) * window).abs().square()
    bank = torchaudio.functional.melscale_fbanks(257, 0.0, 8000.0, 96, 16000, "slaney", "slaney")
    expected = torch.log10(1 + 1e4 * (power @ bank))
    assert expected.shape[1] == mel.num_frames(16000) == 61
    torch.testing.assert_close(mel(WAVS), expected, atol=2e-5, rtol=1e-5)


# -- one convention per library ------------------------------------------------------------------


def build(convention, sample_rate=16000, **options):
    return build_frontend("mel", sample_rate, {"mel": {"convention": convention, **options}})


def test_equals_the_leaf_reference():
    mel = build("leaf_audio")
    out = mel(golden("x")[:, 0])
    assert out.shape[1] == mel.num_frames(16000) == 100
    torch.testing.assert_close(out, golden("mel"), atol=2e-5, rtol=0)


def test_equals_the_leaf_reference_on_a_chirp():
    """A chirp puts a frame's energy into one or two bins, often where a triangle is nearly zero.
    The reference computes the triangles in float32 from mel values of up to 2840 (steps of
    2.4e-4) on bands 69 mel wide: weights are off by up to 7e-6. Hence compared before the
    logarithm, relative to each frame's loudest band; and after it on average."""
    out, expected = build("leaf_audio")(golden("chirp")[:, 0]), golden("mel_chirp")
    loudest = expected.exp().amax(2, keepdim=True)
    torch.testing.assert_close(out.exp() / loudest, expected.exp() / loudest, atol=7e-6, rtol=0)
    assert (out - expected).abs().mean() < 1e-4


@pytest.mark.parametrize(
    "sample_rate, theirs, options",
    [
        (16000, {}, {}),
        (16000, {"n_mels": 80, "fmin": 40.0}, {"num_features": 80, "min_freq_hz": 40.0}),
        (16000, {"htk": True, "norm": None}, {"mel_scale": "htk", "norm": "none"}),
        (16000, {"power": 1.0}, {"power": 1.0}),
        (16000, {"pad_mode": "constant"}, {"padding": "zeros"}),
        (16000, {"n_fft": 1024}, {"n_fft": 1024}),
        (22050, {"hop_length": 220, "n_fft": 662, "win_length": 661}, {"n_fft": 662}),
    ],
)
def test_equals_nnaudio_by_convention(sample_rate, theirs, options):
    """Tolerance: nnAudio's kernels round at 6e-8 of a frame's amplitude sum, against which the
    quietest bands of the chirp and of the speech's pauses are 60 dB down; so on energies, relative
    to each item's loudest."""
    window = {"n_fft": 480, "win_length": 480, "hop_length": 160, "n_mels": 40}
    reference = nnAudio.features.MelSpectrogram(
        sr=sample_rate, verbose=False, **{**window, **theirs}
    )
    ours, wavs = build("nnaudio", sample_rate, **options), over_noise(16000, sample_rate)
    expected = reference(wavs).transpose(1, 2)
    scale = expected.amax((1, 2), keepdim=True)
    torch.testing.assert_close(ours.energy(wavs) / scale, expected / scale, atol=2e-6, rtol=2e-5)
    noise = wavs[:1]  # and after the logarithm where nothing is near its floor
    torch.testing.assert_close(ours(noise), torch.log(expected[:1] + 1e-10), atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    "sample_rate, theirs, options",
    [
        (16000, {}, {}),
        (16000, {"num_mel_bins": 23}, {"num_features": 23}),
        (
            16000,
            {"num_mel_bins": 80, "high_freq": 7600.0},
            {"num_features": 80, "max_freq_hz": 7600},
        ),
        (16000, {"window_type": "hamming"}, {"window_shape": "hamming_symmetric"}),
        (16000, {"window_type": "hanning"}, {"window_shape": "hann_symmetric"}),
        (16000, {"window_type": "rectangular"}, {"window_shape": "rectangular"}),
        (16000, {"preemphasis_coefficient": 0.0}, {"preemphasis": 0.0}),
        (16000, {"remove_dc_offset": False}, {"remove_dc": False}),
        (16000, {"use_power": False}, {"power": 1.0}),
        (8000, {"num_mel_bins": 30}, {"num_features": 30}),
        (16000, {"low_freq": 100.0, "frame_length": 32.0}, {"min_freq_hz": 100, "window_ms": 32.0}),
    ],
)
def test_equals_kaldi_by_convention(sample_rate, theirs, options):
    """Tolerance: torchaudio computes the triangles' sides in float32 from mel values of up to 2840
    (steps of 2.4e-4), which moves a small weight at the edge of a narrow band by up to 2e-5; after
    the logarithm of a band that holds one such bin alone, 5e-4."""
    ours, wavs = build("kaldi", sample_rate, **options), over_noise(12345, sample_rate)
    given = {"num_mel_bins": 40, **theirs}
    expected = torch.stack(
        [
            torchaudio.compliance.kaldi.fbank(wav[None], sample_frequency=sample_rate, **given)
            for wav in wavs
        ]
    )
    assert expected.shape[1] == ours.num_frames(12345)
    torch.testing.assert_close(ours(wavs), expected, atol=5e-4, rtol=0)
    assert (ours(wavs) - expected).abs().mean() < 1e-5


@pytest.mark.parametrize(
    "sample_rate, theirs, options",
    [
        (16000, {}, {}),
        (
            16000,
            {"n_mels": 60, "f_min": 50, "n_fft": 512},
            {"num_features": 60, "min_freq_hz": 50, "n_fft": 512},
        ),
        (8000, {"n_fft": 200, "f_max": 3500}, {"max_freq_hz": 3500}),
    ],
)
def test_equals_speechbrain_by_convention(sample_rate, theirs, options):
    """In dB; torch.stft and we round alike up to 1e-7 of a frame's loudest bin, 80 dB below which
    the floor lies: 1e-3 dB there, 1e-5 dB on average."""
    ours, wavs = build("speechbrain", sample_rate, **options), over_noise(8000, sample_rate)
    expected = Fbank(sample_rate=sample_rate, **theirs)(wavs)
    torch.testing.assert_close(ours(wavs), expected, atol=2e-3, rtol=0)
    assert (ours(wavs) - expected).abs().mean() < 2e-5


def test_the_floor_below_the_maximum_is_each_items_own():
    """SpeechBrain looks at the padded frames too, which are its loudest where the padding is."""
    mel, wavs = build("speechbrain", top_db=20.0), over_noise(8000)
    padded = wavs.clone()
    padded[1, 4000:] = 1.0
    lengths = torch.tensor([1.0, 0.5, 1.0])
    together, alone = mel(padded, lengths), mel(wavs[1:2, :4000])
    frames = mel.num_frames(4000)
    torch.testing.assert_close(together[1:2, :frames], alone, atol=1e-4, rtol=0)
    assert alone.max() - alone.min() == pytest.approx(20.0, abs=1e-4)
    assert together[0].max() - together[0].min() == pytest.approx(20.0, abs=1e-4)


def test_the_maximum_is_that_of_valid_frames_only():
    """A click behind the last whole window is in no frame of its clip; in a longer batch it is in
    one that does not count."""
    mel = build("kaldi", log="db", top_db=20.0)
    wavs = over_noise(8000)[:2].clone()
    wavs[1] *= 1e-2
    wavs[1, 3990] = 1.0  # 4000 samples hold 23 windows, the last of which ends at 3920
    together, alone = mel(wavs, torch.tensor([1.0, 0.5])), mel(wavs[1:, :4000])
    assert alone.shape[1] == mel.num_frames(4000) == 23
    torch.testing.assert_close(together[1:, :23], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("power, kind", [(2.0, "power"), (1.0, "magnitude")])
def test_levels_in_db_equal_torchaudio(power, kind):
    mel, wavs = build("auricle", log="db", log_offset=1e-10, power=power), over_noise(8000)
    expected = torchaudio.transforms.AmplitudeToDB(kind)(mel.energy(wavs))
    torch.testing.assert_close(mel(wavs), expected)


def test_magnitudes_of_silence_have_a_finite_gradient():
    wavs = torch.zeros(1, 1600, requires_grad=True)
    build("auricle", power=1.0)(wavs).sum().backward()
    assert wavs.grad.isfinite().all()


@pytest.mark.parametrize(
    "convention, frames",
    [
        ("auricle", [1, 3, 101, 101]),
        ("leaf_audio", [1, 3, 100, 101]),
        ("nnaudio", [1, 3, 101, 101]),
        ("kaldi", [1, 1, 98, 98]),
        ("speechbrain", [1, 3, 101, 101]),
    ],
)
def test_frames_of_each_convention(convention, frames):
    mel = build(convention)
    for num_samples, count in zip([1, 399, 16000, 16001], frames, strict=True):
        assert mel.num_frames(num_samples) == count
        assert mel(torch.zeros(1, num_samples)).shape == (1, count, 40)
