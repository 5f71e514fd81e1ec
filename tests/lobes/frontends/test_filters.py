"""Every frontend with filters: where they are, and what tones, gains, shifts and padding do."""

import numpy as np
import pytest
import torch
from sounds import noise, tone
from torch.nn import functional

from auricle.lobes import FRONTENDS, build_frontend
from auricle.lobes.frontends.mel import CONVENTIONS

WITH_FILTERS = [name for name in FRONTENDS.names() if hasattr(FRONTENDS.get(name), "filters")]

#: The level of each filter, from a frontend and waveforms: (levels, power). With power 2 they
#: are squares of amplitudes. What is not named here has `energy`.
LEVELS = {
    "cqt": (lambda lobe, wavs: lobe.power(wavs), 2),
    "fastaudio": (lambda lobe, wavs: lobe.bands(wavs), 1),
    "pcen_mel": (lambda lobe, wavs: lobe.mel.energy(wavs), 2),
    "sinc_conv": (lambda lobe, wavs: lobe.bands(wavs), 1),
    "sincnet": (lambda lobe, wavs: lobe.pooled(wavs), 1),
    "sincnet_plus": (lambda lobe, wavs: lobe.energy(wavs), 1),
    "spectrogram_image": (lambda lobe, wavs: lobe.mel.energy(wavs), 2),
    "stft_mel": (lambda lobe, wavs: lobe.mel_power(wavs), 2),
}
#: Channels that are no filters, with the reason.
NO_CHANNELS = {
    "mfcc": "cosine transforms of the mel filters' levels",
    "wav2vec_conv": "seven layers behind the filters, which are random at first",
}
OPTIONS = {
    "cqt": {"min_freq_hz": 130.81, "num_features": 60},
    # Unrectified samples of a tone have no level.
    "sinc_conv": {"rectify": True},
}
CHANNELS = [name for name in WITH_FILTERS if name not in NO_CHANNELS]
FORMS = [(name, {}) for name in CHANNELS]
FORMS += [
    ("sincnet", {"form": "original", "hop_ms": 10.0}),
    ("sincnet_plus", {"rectifier": "square"}),
    ("tdfbanks", {"frame_centre": "valid"}),
]
forms = pytest.mark.parametrize(("name", "options"), FORMS, ids=str)


def build(name, sample_rate=16000, **options):
    torch.manual_seed(0)
    if name == "cqt" and sample_rate == 8000:
        options = {"num_features": 48, **options}
    options = {**OPTIONS.get(name, {}), **options}
    return build_frontend(name, sample_rate, {name: options}).eval()


def levels(name, lobe, wavs):
    """Level of each filter in each frame, and the power of an amplitude that it is."""
    measure, power = LEVELS.get(name, (lambda lobe, wavs: lobe.energy(wavs), 2))
    if name == "sincnet_plus" and lobe.engine.rectifier == "square":
        power = 2
    with torch.no_grad():
        return measure(lobe, wavs), power


def amplitudes(name, lobe, freqs_hz):
    """Amplitude of every channel, (tones, F), in the middle of 0.4 s of a tone."""
    wavs = torch.cat([tone(freq_hz, lobe.sample_rate, 0.4) for freq_hz in freqs_hz])
    found, power = levels(name, lobe, wavs)
    middle = found.shape[1] // 2
    # The mean of a few frames: a frame that is short against a period sees its phase.
    found = found[:, middle - 3 : middle + 4].double().mean(1)
    return found.numpy() ** (1 / power)


def test_every_frontend_with_filters_is_here():
    assert len(CHANNELS) >= 13 and set(NO_CHANNELS) < set(WITH_FILTERS)
    assert set(LEVELS) | set(OPTIONS) <= set(CHANNELS)


@pytest.mark.parametrize("sample_rate", [8000, 22050])
@pytest.mark.parametrize("name", WITH_FILTERS)
def test_filters_are_between_zero_and_half_the_sample_rate(name, sample_rate):
    found = build(name, sample_rate).filters()
    assert found.freqs_hz[0] == 0 and found.freqs_hz[-1] == pytest.approx(sample_rate / 2)
    assert (np.diff(found.freqs_hz) > 0).all()
    assert found.responses.shape == (len(found), len(found.freqs_hz))
    for values in (found.centre_hz, found.bandwidth_hz, found.responses):
        assert np.isfinite(values).all()
    assert (found.responses >= 0).all() and (found.responses.max(1) > 0).all()
    assert ((found.centre_hz >= 0) & (found.centre_hz <= sample_rate / 2)).all()
    assert (found.bandwidth_hz > 0).all() and found.bandwidth_hz.shape == found.centre_hz.shape


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050])
@forms
def test_a_tone_peaks_in_its_channel(name, options, sample_rate):
    """At a channel's centre its own answer, relative to its largest, is the largest.

    Relative, because filters of unit area are lower the wider they are.
    """
    lobe = build(name, sample_rate, **options)
    found = lobe.filters()
    channels = np.arange(2, len(found), 5)
    answers = amplitudes(name, lobe, found.centre_hz)
    answers = answers / answers.diagonal()
    assert (answers[channels].argmax(1) == channels).all()


@forms
def test_twice_the_amplitude(name, options):
    lobe, wavs = build(name, **options), noise(1, 4000)
    level, power = levels(name, lobe, wavs)
    torch.testing.assert_close(levels(name, lobe, 2 * wavs)[0], 2**power * level)


@forms
def test_one_hop_of_shift_moves_one_frame(name, options):
    lobe, wavs = build(name, **options), noise(1, 8000)
    hop = getattr(lobe, "stride", lobe.hop)
    want, _ = levels(name, lobe, wavs)
    got, _ = levels(name, lobe, functional.pad(wavs, (hop, 0)))
    atol = 1e-6 * want.max().item()
    torch.testing.assert_close(got[:, 16:36], want[:, 15:35], rtol=1e-4, atol=atol)


#: Frontends, and the rounding (absolute, relative) of frames of a padded clip.
PADDED = [
    ("leaf", {}, 1e-6, 1e-5),
    ("efficientleaf", {}, 1e-4, 1e-4),
    ("efficientleaf", {"compression": "pcen"}, 1e-4, 1e-4),
    *(
        ("tdfbanks", {"frame_centre": centre, "preemphasis": preemphasis}, 1e-4, 1e-5)
        for centre in ("centered", "valid")
        for preemphasis in (False, True)
    ),
    *((name, {}, 2e-3, 1e-4) for name in ("stft_mel", "fastaudio", "gammatone", "cqt")),
    *(("mel", {"convention": convention}, 1e-4, 1e-5) for convention in CONVENTIONS),
    ("mfcc", {"deltas": 2}, 2e-3, 1e-5),
    ("spectrogram_image", {"num_features": 64, "num_mels": 80}, 1e-4, 0),
    ("sincnet", {}, 2e-4, 1e-4),
    ("sincnet", {"form": "original"}, 2e-4, 1e-4),
    ("sincnet", {"form": "original", "hop_ms": 10.0}, 2e-4, 1e-4),
    ("sincnet_plus", {}, 2e-4, 1e-4),
    ("sincnet_plus", {"rectifier": "square"}, 2e-4, 1e-4),
    ("sinc_conv", {"rectify": False}, 2e-4, 1e-4),
    ("sinc_conv", {"rectify": True}, 2e-4, 1e-4),
]


@pytest.mark.parametrize(("name", "options", "atol", "rtol"), PADDED, ids=str)
@torch.no_grad()
def test_padding_changes_no_valid_frame(name, options, atol, rtol):
    lobe, wavs = build(name, **options), noise(2, 8000)
    for p in lobe.parameters():
        p.mul_(1 + noise(*p.shape))
    if hasattr(lobe, "project_"):
        lobe.project_()
    other = lobe(wavs[:1])
    for num_valid in (1, 150, 401, 801, 1601, 4001, 7999):
        padded = wavs.clone()
        padded[1, num_valid:] = 3.0
        out = lobe(padded, torch.tensor([1.0, num_valid / 8000]))
        alone, frames = lobe(wavs[1:, :num_valid]), lobe.num_frames(num_valid)
        assert alone.shape[1] == frames
        torch.testing.assert_close(out[1:, :frames], alone, atol=atol, rtol=rtol)
        torch.testing.assert_close(out[:1], other, atol=atol, rtol=rtol)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("stft_mel", "fastaudio", "gammatone", "cqt", "efficientleaf")),
        ("efficientleaf", {"num_groups": 8, "stride_factor": 16.0}),
        *(("leaf", {"frame_centre": centre}) for centre in ("centered", "tf_same")),
        *(("tdfbanks", {"frame_centre": centre}) for centre in ("centered", "tf_same", "valid")),
    ],
    ids=str,
)
@torch.no_grad()
def test_any_length_gives_the_declared_frames(name, options):
    lobe = build(name, **options)
    for num_samples in (1, 100, 160, 161, 240, 241, 400, 401, 402, 560, 561, 1600, 1601, 4001):
        out = lobe(noise(2, num_samples))
        assert out.shape == (2, lobe.num_frames(num_samples), lobe.num_features)
        assert out.isfinite().all()
        if options.get("frame_centre") == "valid":
            assert out.shape[1] == (max(num_samples, 401) - 401) // 160 + 1
        elif name in ("efficientleaf", "tdfbanks"):
            assert out.shape[1] == -(-num_samples // 160)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELS)
def test_bandwidths_are_those_of_a_tone_sweep(name):
    """Full width at half maximum of the amplitude, of a narrow, a middle and a wide filter."""
    lobe = build(name)
    found = lobe.filters()
    bin_hz = lobe.sample_rate / 512
    for channel in (len(found) // 6, len(found) // 2, len(found) - 3):
        centre_hz, width_hz = found.centre_hz[channel], found.bandwidth_hz[channel]
        freqs_hz = np.linspace(max(20, centre_hz - width_hz), centre_hz + width_hz, 81)
        freqs_hz = freqs_hz[freqs_hz < lobe.sample_rate / 2 - 20]
        answer = amplitudes(name, lobe, freqs_hz)[:, channel]
        above = freqs_hz[answer >= answer.max() / 2]
        assert above[-1] - above[0] == pytest.approx(width_hz, abs=bin_hz)
        assert (above[-1] + above[0]) / 2 == pytest.approx(centre_hz, abs=bin_hz)
