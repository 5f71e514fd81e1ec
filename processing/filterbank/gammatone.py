"""Gammatone filters: taps, and decay for a bandwidth on the ERB scale."""

import math

import torch


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
    peak of its envelope, at t = (n - 1) / (2 pi b), lies at the window's middle: all bands respond
    to a click at the same time.

    Arguments
    ---------
    centre_hz, decay_hz : tensors (N,)
        f and b.
    order : int
        n, at least 2.
    window : int
        W in samples, odd; the response is truncated to it.
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
    # Correlation reverses time: the onset of the impulse response is the last tap.
    steps = torch.arange(window, device=centre_hz.device, dtype=centre_hz.dtype)
    middle_s = ((window - 1) / 2 - steps) / sample_rate
    decays = (2.0 * math.pi * decay_hz[:, None] * middle_s + (order - 1)).clamp(min=0.0)
    envelope = decays ** (order - 1) * torch.exp(-decays)
    envelope = envelope / envelope.sum(1, keepdim=True)
    # Phase 0 at the middle, not at the onset: energies are the same, and smaller angles are more
    # precise.
    phase = 2.0 * math.pi * centre_hz[:, None] * middle_s
    return torch.stack([envelope * torch.cos(phase), -envelope * torch.sin(phase)], dim=1)
