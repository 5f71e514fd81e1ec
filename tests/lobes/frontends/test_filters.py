"""Every frontend that has filters says truly where they are and how wide, in Hz."""

import math

import numpy as np
import pytest
import torch

from auricle.lobes import FRONTENDS, build_frontend

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


def build(name, sample_rate=16000):
    torch.manual_seed(0)
    return build_frontend(name, sample_rate, {name: OPTIONS.get(name, {})}).eval()


def amplitudes(name, lobe, freqs_hz):
    """Amplitude of every channel, (tones, F), in the middle of 0.4 s of a tone."""
    time_s = torch.arange(int(0.4 * lobe.sample_rate), dtype=torch.float64) / lobe.sample_rate
    phase = 2 * math.pi * torch.as_tensor(freqs_hz, dtype=torch.float64)[:, None] * time_s
    levels, power = LEVELS.get(name, (lambda lobe, wavs: lobe.energy(wavs), 2))
    with torch.no_grad():
        found = levels(lobe, torch.sin(phase).float())
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
    OPTIONS_AT_8_KHZ = {"cqt": {"num_features": 48}}
    options = {**OPTIONS.get(name, {}), **OPTIONS_AT_8_KHZ.get(name, {})}
    found = build_frontend(name, sample_rate, {name: options}).filters()
    assert found.freqs_hz[0] == 0 and found.freqs_hz[-1] == pytest.approx(sample_rate / 2)
    assert (np.diff(found.freqs_hz) > 0).all()
    assert found.responses.shape == (len(found), len(found.freqs_hz))
    for values in (found.centre_hz, found.bandwidth_hz, found.responses):
        assert np.isfinite(values).all()
    assert (found.responses >= 0).all() and (found.responses.max(1) > 0).all()
    assert ((found.centre_hz >= 0) & (found.centre_hz <= sample_rate / 2)).all()
    assert (found.bandwidth_hz > 0).all() and found.bandwidth_hz.shape == found.centre_hz.shape


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELS)
def test_a_tone_peaks_in_its_channel(name):
    """At a channel's centre its own answer, relative to its largest, is above all but neighbours'.

    Relative, because filters of unit area are lower the wider they are.
    """
    lobe = build(name)
    found = lobe.filters()
    channels = np.arange(2, len(found), 5)
    answers = amplitudes(name, lobe, found.centre_hz)
    answers = answers / answers.diagonal()
    assert np.abs(answers[channels].argmax(1) - channels).max() <= 1


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
