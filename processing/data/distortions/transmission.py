"""Telephone band, mu-law, clipping, speed and sample rate of recordings.

Each function takes a waveform (T,) whose full scale is 1 and gives a new one, float32, of the same
length (but for `change_speed` and `resample`) and not delayed against the old. Codecs are in
`codecs`.
"""

from fractions import Fraction

import numpy as np
import torch
import torchaudio

from ..rooms import convolve

_TELEPHONE_RATE_HZ = 8000
_MU = 255


def telephone_band(waveform, rate_hz: int) -> np.ndarray:
    """Keep what a telephone line keeps: 300 to 3400 Hz.

    A linear-phase filter, its delay taken out: level within 0.1 dB from 300 to 3400 Hz, and at
    least 50 dB down below 100 Hz and above 3600 Hz (that is inside G.712's mask and steeper than
    its lower edge). The sample rate stays.

    Arguments
    ---------
    waveform : (T,).
    rate_hz : sample rate, at least 7200 Hz.

    References
    ----------
    ITU-T G.712, transmission performance of pulse code modulation channels.
    """
    waveform = check_waveform(waveform)
    if rate_hz < 7200:
        raise ValueError(f"rate_hz is {rate_hz}: the telephone band needs at least 7200 Hz")
    # Kaiser: 60 dB over a transition of 200 Hz, around the half-amplitude points 200 and 3500 Hz
    half = int(np.ceil((60 - 8) / (2.285 * 2 * np.pi * 200 / rate_hz) / 2))
    time = np.arange(-half, half + 1)

    def low_pass(edge_hz):
        return 2 * edge_hz / rate_hz * np.sinc(2 * edge_hz / rate_hz * time)

    taps = (low_pass(3500.0) - low_pass(200.0)) * np.kaiser(2 * half + 1, 5.653)
    padded = np.concatenate([waveform, np.zeros(half)])
    return convolve(padded, taps)[half:].astype(np.float32)


def mu_law_8bit(waveform) -> np.ndarray:
    """Quantise to the 256 steps of the mu-law (mu 255); what passes full scale is clipped.

    The error of a sample x is at most 0.022 (|x| + 1/255).

    References
    ----------
    ITU-T G.711; here its smooth law and not the approximation by segments.

    Example
    -------
    >>> mu_law_8bit([0.5, -0.001]).round(4).tolist()
    [0.4966999888420105, -0.0010999999940395355]
    """
    waveform = torch.from_numpy(check_waveform(waveform)).clamp(-1, 1)
    codes = torchaudio.functional.mu_law_encoding(waveform, _MU + 1)
    return torchaudio.functional.mu_law_decoding(codes, _MU + 1).numpy().astype(np.float32)


def telephone_mu_law(waveform, rate_hz: int) -> np.ndarray:
    """Through 8-bit mu-law at 8 kHz and back to the own rate: nothing above 4 kHz is left."""
    waveform = check_waveform(waveform)
    narrow = mu_law_8bit(resample(waveform, rate_hz, _TELEPHONE_RATE_HZ))
    return fit_length(resample(narrow, _TELEPHONE_RATE_HZ, rate_hz), len(waveform))


def clip_loudest(waveform, share: float) -> np.ndarray:
    """Limit a recording so that a share of all its samples stands at the limit.

    The level is not brought back to what it was.

    Arguments
    ---------
    waveform : (T,).
    share : of the samples, from 0 to below 1.

    Example
    -------
    >>> clip_loudest([0.1, -0.4, 0.3, 0.2], 0.5).round(3).tolist()
    [0.10000000149011612, -0.30000001192092896, 0.30000001192092896, 0.20000000298023224]
    """
    waveform = check_waveform(waveform)
    if not 0 <= share < 1:
        raise ValueError(f"share is {share}: give the share of clipped samples, 0 to below 1")
    clipped = round(share * len(waveform))
    if clipped:
        at = len(waveform) - clipped
        limit = np.partition(np.abs(waveform), at)[at]
        waveform = np.clip(waveform, -limit, limit)
    return waveform.astype(np.float32)


def change_speed(waveform, factor: float) -> np.ndarray:
    """Play a recording faster or slower, as a tape would: all frequencies times the factor.

    Shape
    -----
    (T,) -> (ceil(T / factor),): the one distortion that changes the length.

    Example
    -------
    >>> change_speed(np.ones(900), 0.9).shape
    (1000,)
    """
    waveform = check_waveform(waveform)
    if not 0.25 <= factor <= 4:
        raise ValueError(f"factor is {factor}: give a speed from 0.25 to 4, 1 is the own speed")
    ratio = Fraction(factor).limit_denominator(100)
    return resample(waveform, ratio.numerator, ratio.denominator)


def resample(waveform, from_hz: int, to_hz: int) -> np.ndarray:
    """The waveform at another rate, (T,) -> (ceil(T to_hz / from_hz),); not delayed.

    The low-pass is 32 zero crossings wide: 6, torchaudio's own, would shape the upper quarter of
    the band, which is not what is being measured.
    """
    waveform = torch.from_numpy(check_waveform(waveform))
    if from_hz != to_hz:
        waveform = torchaudio.functional.resample(
            waveform, from_hz, to_hz, lowpass_filter_width=32, rolloff=0.97
        )
    return waveform.numpy().astype(np.float32)


def fit_length(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    """Cut at the end, or fill it with zeros."""
    missing = num_samples - len(waveform)
    return np.pad(waveform, (0, missing)) if missing > 0 else waveform[:num_samples]


def check_waveform(waveform) -> np.ndarray:
    """The waveform in float64; refuses what is not (T,) with T at least 1, or not finite."""
    waveform = np.asarray(waveform, np.float64)
    if waveform.ndim != 1 or not len(waveform):
        raise ValueError(f"the waveform has shape {waveform.shape}: give (T,) with T at least 1")
    if not np.isfinite(waveform).all():
        raise ValueError("the waveform holds NaN or infinite samples")
    return waveform
