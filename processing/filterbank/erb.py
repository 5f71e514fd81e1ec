"""The ear's frequency scale (ERB) and gammatone filters."""

from __future__ import annotations

import math

import numpy as np
import torch

__all__ = [
    "EAR_Q",
    "MIN_BANDWIDTH_HZ",
    "bandwidth_per_erb",
    "erb_hz",
    "erb_to_hz",
    "gammatone_taps",
    "hz_to_erb",
]

#: Glasberg and Moore (1990), as in Slaney's Auditory Toolbox: ERB(f) = f / EAR_Q + 24.7 Hz.
EAR_Q = 9.26449
MIN_BANDWIDTH_HZ = 24.7


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


def bandwidth_per_erb(order: int) -> float:
    """Decay b of a gammatone of this order in Hz, per Hz of its equivalent rectangular bandwidth.

    Example
    -------
    >>> round(bandwidth_per_erb(4), 3), round(bandwidth_per_erb(2), 3)
    (1.019, 0.637)
    """
    twice = 2 * order - 2
    return math.factorial(order - 1) ** 2 * 2.0**twice / (math.pi * math.factorial(twice))


def gammatone_taps(
    centre_hz: torch.Tensor, decay_hz: torch.Tensor, order: int, window: int, sample_rate: int
) -> torch.Tensor:
    """Complex gammatone filters of gain 1 at their centre, as centred correlation taps.

    The impulse response is t^(n-1) exp(-2 pi b t) exp(j 2 pi f t) from t = 0 on, moved so that the
    peak of its envelope, at t = (n - 1) / (2 pi b), lies at the window's middle: all bands answer
    to a click at the same time.

    Arguments
    ---------
    centre_hz, decay_hz : tensors (N,)
        f and b.
    order : int
        n, at least 2.
    window : int
        W in samples, odd. What lies outside it is cut off.
    sample_rate : int
        In Hz.

    Shape
    -----
    -> (N, 2, W): real part, imaginary part.

    Example
    -------
    >>> taps = gammatone_taps(torch.tensor([1000.0]), torch.tensor([135.0]), 4, 801, 16000)
    >>> taps.shape, taps.square().sum(1).argmax().item()
    (torch.Size([1, 2, 801]), 400)
    """
    # Correlation runs against time: the last tap meets what was heard last, the onset.
    steps = torch.arange(window, device=centre_hz.device, dtype=centre_hz.dtype)
    middle_s = ((window - 1) / 2 - steps) / sample_rate
    decays = (2.0 * math.pi * decay_hz[:, None] * middle_s + (order - 1)).clamp(min=0.0)
    envelope = decays ** (order - 1) * torch.exp(-decays)
    envelope = envelope / envelope.sum(1, keepdim=True)
    # Of the phase at the middle, not of the onset: an energy does not see the difference, and the
    # smaller angles keep their digits.
    phase = 2.0 * math.pi * centre_hz[:, None] * middle_s
    return torch.stack([envelope * torch.cos(phase), -envelope * torch.sin(phase)], dim=1)
