"""Frequency scales of hearing: mel (HTK and Slaney), Bark and ERB."""

import math

import numpy as np
import torch

#: "slaney": linear up to 1 kHz, logarithmic above; "htk": 1127 ln(1 + f / 700).
MEL_SCALES = ("slaney", "htk")
#: Glasberg and Moore (1990), as in Slaney's Auditory Toolbox: ERB(f) = f / EAR_Q + 24.7 Hz.
EAR_Q = 9.26449
MIN_BANDWIDTH_HZ = 24.7

_LINEAR_HZ = 200.0 / 3.0  # per Slaney's mel below the knee
_KNEE_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27.0  # per Slaney's mel above it


def hz_to_mel(frequency_hz):
    """HTK mel scale."""
    return 1127.0 * np.log1p(np.asarray(frequency_hz, dtype=np.float64) / 700.0)


def mel_to_hz(mel):
    """Inverse of `hz_to_mel`."""
    return 700.0 * np.expm1(np.asarray(mel, dtype=np.float64) / 1127.0)


def _hz_to_slaney(frequency_hz):
    """Slaney's mel scale (Auditory Toolbox, 1998)."""
    frequency_hz = np.asarray(frequency_hz, dtype=np.float64)
    above = np.log(np.maximum(frequency_hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.minimum(frequency_hz, _KNEE_HZ) / _LINEAR_HZ + above


def _slaney_to_hz(mel):
    knee = _KNEE_HZ / _LINEAR_HZ
    return np.minimum(mel, knee) * _LINEAR_HZ * np.exp(_LOG_STEP * np.maximum(mel - knee, 0.0))


def hz_to_bark(frequency_hz):
    """Bark scale after Traunmueller (1990), without his corrections below 2 and above 20 Bark."""
    return 26.81 * np.asarray(frequency_hz, dtype=np.float64) / (1960.0 + frequency_hz) - 0.53


def bark_to_hz(bark):
    """Inverse of `hz_to_bark`."""
    return 1960.0 * (bark + 0.53) / (26.28 - bark)


_SCALES = {
    "htk": (hz_to_mel, mel_to_hz),
    "slaney": (_hz_to_slaney, _slaney_to_hz),
    "bark": (hz_to_bark, bark_to_hz),
    "linear": (lambda hz: hz, lambda hz: hz),
}


def spaced_hz(low_hz: float, high_hz: float, count: int, scale: str = "htk") -> np.ndarray:
    """Frequencies in Hz from `low_hz` to `high_hz`, equally spaced on a scale, (count,) float64.

    Arguments
    ---------
    low_hz, high_hz : float
    count : int
    scale : str
        "htk" or "slaney" (mel), "bark" or "linear".

    Example
    -------
    >>> spaced_hz(0.0, 1000.0, 4, "slaney").round()
    array([   0.,  333.,  667., 1000.])
    """
    to_scale, to_hz = _SCALES[scale]
    return to_hz(np.linspace(to_scale(low_hz), to_scale(high_hz), count))


def erb_hz(frequency_hz):
    """Equivalent rectangular bandwidth of the ear at a frequency, in Hz.

    Example
    -------
    >>> round(erb_hz(1000.0), 1)
    132.6
    """
    return frequency_hz / EAR_Q + MIN_BANDWIDTH_HZ


def hz_to_erb(frequency_hz):
    """Number of ERBs below a frequency: the integral of 1 / `erb_hz`, of a tensor or an array.

    (The paper's 21.4 log10(1 + 0.00437 f) is this with rounded numbers, 0.3% more.)

    Example
    -------
    >>> hz_to_erb(torch.tensor([0.0, 1000.0])).round(decimals=2)
    tensor([ 0.0000, 15.5700])
    """
    log1p = torch.log1p if isinstance(frequency_hz, torch.Tensor) else np.log1p
    return EAR_Q * log1p(frequency_hz / (EAR_Q * MIN_BANDWIDTH_HZ))


def erb_to_hz(erb: torch.Tensor) -> torch.Tensor:
    """Inverse of `hz_to_erb`."""
    return EAR_Q * MIN_BANDWIDTH_HZ * torch.expm1(erb / EAR_Q)
