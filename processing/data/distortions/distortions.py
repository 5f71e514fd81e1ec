"""What happens to recordings, at a stated strength: noise, rooms, telephones, clipping, speed.

Each function takes a waveform (T,) whose full scale is 1 and gives a new one, float32, of the same
length and not delayed against the old (`change_speed` alone changes the length); what is random
comes from the generator that is given. Computed in float64, so that the strength is what was asked.
Coding is in `codecs`, the sounds that disturb in `backgrounds`.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
import torchaudio

from ..rooms import convolve, room_response

__all__ = [
    "active_speech_rms",
    "add_noise",
    "change_speed",
    "clip_loudest",
    "fit_length",
    "mu_law_8bit",
    "resample",
    "reverberate",
    "telephone_band",
    "telephone_mu_law",
]

_LEVEL_FRAME_S = 0.02
_LEVEL_MARGIN_DB = 15.9
_TELEPHONE_RATE_HZ = 8000
_MU = 255


def active_speech_rms(waveform, rate_hz: int) -> float:
    """RMS of a recording where somebody speaks: pauses do not count.

    A frame of 20 ms is active when its power is less than 15.9 dB below the mean power of the
    active frames; starting from all frames, the rule is applied until nothing changes. Of a steady
    sound it is the plain RMS.

    Arguments
    ---------
    waveform : (T,).
    rate_hz : sample rate.

    Raises
    ------
    ValueError
        Digital silence: it has no level.

    References
    ----------
    ITU-T P.56, method B: the margin of 15.9 dB is its own. Its envelope (two smoothings of 30 ms)
    and its hangover of 200 ms are replaced by frames, so short gaps inside words do not count as
    speech here, and levels come out some tenths of a dB higher.

    Example
    -------
    >>> tone = np.sin(np.arange(8000) * 0.3)
    >>> round(active_speech_rms(np.concatenate([tone, np.zeros(24000)]), 8000), 3)
    0.707
    """
    waveform = _checked(waveform)
    frame_samples = max(1, round(_LEVEL_FRAME_S * rate_hz))
    usable = len(waveform) // frame_samples * frame_samples
    frames = waveform[:usable].reshape(-1, frame_samples) if usable else waveform[None]
    power = np.mean(frames**2, axis=1)
    active = power > 0
    if not active.any():
        raise ValueError("the waveform is silence: it has no speech level to set a noise against")
    while True:
        level = power[active].mean()
        kept = active & (power > level * 10 ** (-_LEVEL_MARGIN_DB / 10))
        if kept.sum() == active.sum():
            return float(np.sqrt(level))
        active = kept  # fewer frames, a higher mean: it ends


def add_noise(waveform, noise, snr_db: float, rate_hz: int) -> np.ndarray:
    """Add noise at a ratio of active speech level to the noise's RMS.

    The sum is neither clipped nor scaled, so it may pass full scale.

    Arguments
    ---------
    waveform, noise : (T,) both.
    snr_db : 20 log10 of `active_speech_rms(waveform)` over the noise's RMS.
    rate_hz : sample rate.

    Raises
    ------
    ValueError
        Silence on either side, or other lengths.

    Example
    -------
    >>> tone = np.sin(np.arange(8000) * 0.3)
    >>> noisy = add_noise(tone, np.ones(8000), 20, 8000)
    >>> round(float(np.mean(noisy - tone)), 3)
    0.071
    """
    waveform, noise = _checked(waveform), _checked(noise)
    if len(noise) != len(waveform):
        raise ValueError(f"the noise has {len(noise)} samples, the waveform {len(waveform)}")
    rms = np.sqrt(np.mean(noise**2))
    if rms == 0:
        raise ValueError("the noise is silence: it cannot be brought to a level")
    gain = active_speech_rms(waveform, rate_hz) / rms * 10 ** (-snr_db / 20)
    return (waveform + gain * noise).astype(np.float32)


def reverberate(
    waveform,
    rate_hz: int,
    generator: np.random.Generator,
    reverberation_time_s: float,
    direct_to_reverberant_db: float = 0.0,
) -> np.ndarray:
    """Put a recording into a generated room; it keeps its RMS and is cut to its length.

    The response is the direct sound at sample 0 and exponentially decaying noise without separate
    early reflections (`mini.rooms.room_response`).

    Arguments
    ---------
    waveform : (T,).
    rate_hz : sample rate.
    generator : draws the room.
    reverberation_time_s : RT60, the time in which the sound decays by 60 dB.
    direct_to_reverberant_db : energy of the direct sound over that of all the rest; 0 is about the
        distance at which both are equally loud.
    """
    waveform = _checked(waveform)
    response = room_response(generator, rate_hz, reverberation_time_s, direct_to_reverberant_db)
    wet = convolve(waveform, response)
    energy = np.sum(wet**2)
    if energy > 0:
        wet *= np.sqrt(np.sum(waveform**2) / energy)
    return wet.astype(np.float32)


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
    waveform = _checked(waveform)
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
    waveform = torch.from_numpy(_checked(waveform)).clamp(-1, 1)
    codes = torchaudio.functional.mu_law_encoding(waveform, _MU + 1)
    return torchaudio.functional.mu_law_decoding(codes, _MU + 1).numpy().astype(np.float32)


def telephone_mu_law(waveform, rate_hz: int) -> np.ndarray:
    """Through 8-bit mu-law at 8 kHz and back to the own rate: nothing above 4 kHz is left."""
    waveform = _checked(waveform)
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
    waveform = _checked(waveform)
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
    waveform = _checked(waveform)
    if not 0.25 <= factor <= 4:
        raise ValueError(f"factor is {factor}: give a speed from 0.25 to 4, 1 is the own speed")
    ratio = Fraction(factor).limit_denominator(100)
    return resample(waveform, ratio.numerator, ratio.denominator)


def resample(waveform, from_hz: int, to_hz: int) -> np.ndarray:
    """The waveform at another rate, (T,) -> (ceil(T to_hz / from_hz),); not delayed.

    The low-pass is 32 zero crossings wide: 6, torchaudio's own, would shape the upper quarter of
    the band, which is not what is being measured.
    """
    waveform = torch.from_numpy(_checked(waveform))
    if from_hz != to_hz:
        waveform = torchaudio.functional.resample(
            waveform, from_hz, to_hz, lowpass_filter_width=32, rolloff=0.97
        )
    return waveform.numpy().astype(np.float32)


def fit_length(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    """Cut at the end, or fill it with zeros."""
    missing = num_samples - len(waveform)
    return np.pad(waveform, (0, missing)) if missing > 0 else waveform[:num_samples]


def _checked(waveform) -> np.ndarray:
    waveform = np.asarray(waveform, np.float64)
    if waveform.ndim != 1 or not len(waveform):
        raise ValueError(f"the waveform has shape {waveform.shape}: give (T,) with T at least 1")
    if not np.isfinite(waveform).all():
        raise ValueError("the waveform holds NaN or infinite samples")
    return waveform
