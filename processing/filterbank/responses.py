"""Centre frequency, bandwidth and amplitude response of filters, in Hz."""

import math
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class FilterSet:
    """Filters as amplitude responses over frequency.

    Arguments
    ---------
    centre_hz : array (F,)
        Centre frequency; for a filter without a parameter for it, the peak of its response.
    bandwidth_hz : array (F,)
        Full width at half maximum of the amplitude response (of a power, the quarter of it).
    freqs_hz : array (K,)
        Rising, from 0 Hz to half the sample rate.
    responses : array (F, K)
        Amplitudes, not negative.
    """

    centre_hz: np.ndarray
    bandwidth_hz: np.ndarray
    freqs_hz: np.ndarray
    responses: np.ndarray

    def __len__(self) -> int:
        return len(self.centre_hz)


def from_responses(
    responses, freqs_hz, centre_hz: np.ndarray | None = None, bandwidth_hz: np.ndarray | None = None
) -> FilterSet:
    """Filters from amplitude responses, and from centres and bandwidths measured on them or given.

    Arguments
    ---------
    responses : array or tensor (F, K)
        Amplitudes, not negative.
    freqs_hz : array or tensor (K,)
        In equal steps from 0 Hz.
    centre_hz, bandwidth_hz : array or tensor (F,) or None
        From the frontend's parameters; None: measured.

    Example
    -------
    >>> bank = from_responses([[0.0, 0.5, 1.0, 0.5, 0.0]], [0.0, 100.0, 200.0, 300.0, 400.0])
    >>> bank.centre_hz, bank.bandwidth_hz
    (array([200.]), array([200.]))
    """
    responses, freqs_hz = _array(responses), _array(freqs_hz)
    if centre_hz is None:
        centre_hz = freqs_hz[responses.argmax(1)]
    if bandwidth_hz is None:
        bandwidth_hz = _width_at_half(responses, freqs_hz)
    return FilterSet(_array(centre_hz), _array(bandwidth_hz), freqs_hz, responses)


def from_taps(
    taps: torch.Tensor, sample_rate: int, num_bins: int = 512, centre_hz=None, bandwidth_hz=None
) -> FilterSet:
    """Filters from their taps.

    Arguments
    ---------
    taps : tensor (F, 1, W) or (F, 2, W)
        Real filters, or real and imaginary parts.
    sample_rate : int
        In Hz.
    num_bins : int
        K, frequencies between 0 Hz and half the sample rate.
    centre_hz, bandwidth_hz : array or tensor (F,) or None
        As `from_responses`.
    """
    taps = taps.detach().double().cpu()
    time = torch.arange(taps.shape[2], dtype=torch.float64) - (taps.shape[2] - 1) / 2
    freqs = torch.linspace(0.0, math.pi, num_bins, dtype=torch.float64)
    wave = torch.exp(-1j * freqs[:, None] * time)
    values = torch.complex(taps[:, 0], taps[:, 1]) if taps.shape[1] == 2 else taps[:, 0] + 0j
    responses = (values @ wave.T).abs()
    return from_responses(responses, freqs * sample_rate / (2 * math.pi), centre_hz, bandwidth_hz)


def _width_at_half(responses: np.ndarray, freqs_hz: np.ndarray) -> np.ndarray:
    """Distance between the points around the peak where the response falls to half of it."""
    widths = []
    for response in responses:
        peak = response.argmax()
        half = response[peak] / 2
        ends = []
        for side in (response[peak::-1], response[peak:]):
            below = np.flatnonzero(side <= half)
            if len(below) == 0 or half == 0:
                ends.append(len(side) - 1.0)
                continue
            after = below[0]
            ends.append(after - (half - side[after]) / (side[after - 1] - side[after]))
        widths.append(sum(ends) * (freqs_hz[1] - freqs_hz[0]))
    return np.array(widths)


def _array(values) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
    return np.asarray(values, dtype=np.float64)
