"""Windowed-sinc band-pass filters: taps, initial cut-off frequencies, and filtering by FFT."""

import math

import torch
from scipy.fft import next_fast_len
from torch.nn import functional

from ..system.operators import is_recorded
from ..system.rules import choice
from .scales import spaced_hz

#: "hamming": symmetric, as in SincNet. "hamming_periodic": one step longer period, as in the LEAF
#: reference, so that the taps are slightly askew. "blackman": a transition twice as
#: wide, and 20 dB less leakage.
TAPER_WINDOWS = ("hamming", "hamming_periodic", "blackman")


def taper_window(name: str, window: int, device: torch.device | None = None) -> torch.Tensor:
    """Window that the ideal filter is multiplied with, (W,) float64.

    Example
    -------
    >>> [round(taper_window(name, 401)[100].item(), 3) for name in TAPER_WINDOWS]
    [0.54, 0.538, 0.34]
    """
    choice("taper", name, TAPER_WINDOWS)
    make = torch.blackman_window if name == "blackman" else torch.hamming_window
    periodic = name == "hamming_periodic"
    return make(window, periodic=periodic, dtype=torch.float64, device=device)


def sinc_taps(
    low_hz: torch.Tensor,
    high_hz: torch.Tensor,
    window: int,
    sample_rate: float,
    taper: str = "hamming",
    quadrature: bool = False,
) -> torch.Tensor:
    """Band-pass filters: the inverse transform of a rectangle, cut by a window, peak 1.

    h[t] = sinc(band t) cos(2 pi centre t) w[t], t = -(W-1)/2 .. (W-1)/2 samples, which is the
    published difference of two low-pass filters over its value at 0, in a form that is never 0/0.

    Arguments
    ---------
    low_hz, high_hz : tensor (N,)
        Cut-off frequencies.
    window : int
        W, odd.
    sample_rate : float
        In Hz.
    taper : str
        One of `TAPER_WINDOWS`.
    quadrature : bool
        With the odd filter, sin in place of cos, as imaginary part: the filter passes positive
        frequencies only.

    Shape
    -----
    (N,), (N,) -> (N, 1, W), or (N, 2, W) with `quadrature`

    Raises
    ------
    ValueError
        W is even: the filter would have no sample in its middle.

    Example
    -------
    >>> taps = sinc_taps(torch.tensor([300.0]), torch.tensor([500.0]), 401, 16000)
    >>> taps.shape, taps[0, 0, 200].item()
    (torch.Size([1, 1, 401]), 1.0)
    """
    if window % 2 == 0 or window < 3:
        raise ValueError(f"a sinc filter needs an odd number of taps, at least 3; got {window}")
    # In float32 the phase after a hundred periods is off by 4e-5 rad: noise in the taps, 60 dB
    # below their band, which PCEN makes visible wherever another band is loud.
    low, high = low_hz.double(), high_hz.double()
    time = torch.arange(window, device=low.device, dtype=low.dtype) - (window - 1) / 2
    time = time / sample_rate
    envelope = torch.sinc((high - low)[:, None] * time)
    envelope = envelope * taper_window(taper, window, low.device)
    phase = math.pi * (low + high)[:, None] * time
    parts = [torch.cos(phase), torch.sin(phase)] if quadrature else [torch.cos(phase)]
    return torch.stack([envelope * part for part in parts], dim=1).to(low_hz.dtype)


def mel_cutoffs(
    num_filters: int,
    sample_rate: float,
    min_freq_hz: float,
    max_freq_hz: float,
    min_bandwidth_hz: float,
    double_minimum: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adjacent bands that are equally wide in mel.

    Arguments
    ---------
    num_filters : int
        N.
    sample_rate : float
        In Hz.
    min_freq_hz, max_freq_hz : float
        Lower edge of the first and upper edge of the last band.
    min_bandwidth_hz : float
        Narrower bands are widened upwards to this.
    double_minimum : bool
        As in every published implementation, whose layers add both minima to initial values that
        respect them already: each filter begins `min_freq_hz` higher and is `min_bandwidth_hz`
        wider, so that neighbours overlap. Upper edges stop at half the sample rate.

    Returns
    -------
    low_hz, high_hz, both (N,) float32.

    Example
    -------
    >>> for double in (False, True):
    ...     low, high = mel_cutoffs(40, 16000, 50.0, 7900.0, 50.0, double)
    ...     print([round(value.item()) for value in (low[0], high[0], low[-1], high[-1])])
    [50, 100, 7391, 7900]
    [100, 197, 7441, 8000]
    """
    edges = torch.from_numpy(spaced_hz(min_freq_hz, max_freq_hz, num_filters + 1))
    low, band = edges[:-1], edges.diff()
    if double_minimum:
        low, band = low + min_freq_hz, band + min_bandwidth_hz
    else:
        band = band.clamp(min=min_bandwidth_hz)
    low = low.clamp(max=sample_rate / 2 - min_bandwidth_hz)
    return low.float(), (low + band).clamp(max=sample_rate / 2).float()


def filtered(wavs: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Outputs of real filters at the full rate, by FFT: several times faster than convolution.

    Shape
    -----
    wavs (B, T), taps (N, W) as correlation taps, W odd, centred -> (B, N, T); the signal is zero
    outside the clip.

    Example
    -------
    >>> filtered(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[1.0, 2.0, 4.0]])).round()
    tensor([[[4., 2., 1.]]])
    """
    samples, window = wavs.shape[1], taps.shape[1]
    size = samples + window - 1
    # A compiler knows no size; the factors of a multiple of 1024 are small enough.
    size = -(-size // 1024) * 1024 if is_recorded() else next_fast_len(size, real=True)
    spectra = torch.fft.rfft(functional.pad(wavs, ((window - 1) // 2, 0)), n=size)
    responses = torch.fft.rfft(taps, n=size).conj()
    return torch.fft.irfft(spectra[:, None] * responses, n=size)[..., :samples]
