"""Windowed-sinc band-pass filters: taps, initial cut-offs, and cut-offs as parameters."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from .plan import fast_size
from .responses import FilterSet, from_taps
from .shapes import hz_to_mel, mel_to_hz

__all__ = ["TAPER_WINDOWS", "SincCutoffs", "filtered", "mel_cutoffs", "sinc_taps", "taper_window"]

#: "hamming": symmetric, as in SincNet. "hamming_periodic": one step longer period, as in the LEAF
#: reference, so that the taps are slightly askew. "blackman": twice as wide a transition, and what
#: is passed outside the band is 20 dB lower.
TAPER_WINDOWS = ("hamming", "hamming_periodic", "blackman")


def taper_window(name: str, window: int, device: torch.device | None = None) -> torch.Tensor:
    """Window that the ideal filter is multiplied with, (W,) float64.

    Example
    -------
    >>> [round(taper_window(name, 401)[100].item(), 3) for name in TAPER_WINDOWS]
    [0.54, 0.538, 0.34]
    """
    if name not in TAPER_WINDOWS:
        raise ValueError(f"taper must be one of {TAPER_WINDOWS}, got {name!r}")
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
    # A hundred periods in float32 are off by 4e-5 rad: noise in the taps, 60 dB below their band,
    # which PCEN shows wherever another band is loud.
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
    mel = torch.linspace(
        float(hz_to_mel(min_freq_hz)),
        float(hz_to_mel(max_freq_hz)),
        num_filters + 1,
        dtype=torch.float64,
    )
    edges = torch.from_numpy(mel_to_hz(mel.numpy()))
    low, band = edges[:-1], edges.diff()
    if double_minimum:
        low, band = low + min_freq_hz, band + min_bandwidth_hz
    else:
        band = band.clamp(min=min_bandwidth_hz)
    low = low.clamp(max=sample_rate / 2 - min_bandwidth_hz)
    return low.float(), (low + band).clamp(max=sample_rate / 2).float()


def filtered(wavs: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Signals behind real filters at the full rate, by FFT: several times faster than taps.

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
    size = fast_size(samples + window - 1)
    spectra = torch.fft.rfft(functional.pad(wavs, ((window - 1) // 2, 0)), n=size)
    responses = torch.fft.rfft(taps, n=size).conj()
    return torch.fft.irfft(spectra[:, None] * responses, n=size)[..., :samples]


class SincCutoffs:
    """Cut-off frequencies as two parameters of the module that inherits this.

    `low` is the lower cut-off and `band` the bandwidth, both in kHz: a step of Adam at a learning
    rate of 1e-3 moves a cut-off by about 1 Hz. (In Hz, as published, it is a thousandth of that,
    and filters stay where they were put.) `low` + `band` is the upper cut-off.
    """

    def add_cutoffs(
        self,
        num_filters: int,
        taps: int,
        min_freq_hz: float,
        max_freq_hz: float | None,
        min_bandwidth_hz: float,
        double_minimum: bool,
        taper: str,
    ) -> None:
        """Check the options and make the parameters; `self.sample_rate` is set before."""
        nyquist_hz = self.sample_rate / 2
        if taper not in TAPER_WINDOWS:
            raise ValueError(f"taper must be one of {TAPER_WINDOWS}, got {taper!r}")
        # Narrower than half of what the window resolves, a band changes its own taps by less than
        # a tenth: the filter is the window's, and the bandwidth has nothing to learn from.
        resolution_hz = self.sample_rate / (2 * taps)
        if not resolution_hz <= min_bandwidth_hz < nyquist_hz:
            raise ValueError(
                f"min_bandwidth_hz must be at least {resolution_hz:.4g} (half of what a window of "
                f"{taps} samples resolves) and below {nyquist_hz:g} (half the sample rate), got "
                f"{min_bandwidth_hz}; a longer window_ms allows narrower bands"
            )
        if not 0 < min_freq_hz <= nyquist_hz - min_bandwidth_hz:
            raise ValueError(
                f"min_freq_hz must be above 0 and at most {nyquist_hz - min_bandwidth_hz:g} (half "
                f"the sample rate less min_bandwidth_hz={min_bandwidth_hz:g}), got {min_freq_hz}"
            )
        if max_freq_hz is None:
            max_freq_hz = nyquist_hz - min_freq_hz - min_bandwidth_hz
        if not min_freq_hz < max_freq_hz <= nyquist_hz:
            raise ValueError(
                f"max_freq_hz must be above min_freq_hz={min_freq_hz:g} and at most "
                f"{nyquist_hz:g} (half the sample rate), got {max_freq_hz:g}"
            )
        self.taps, self.taper = taps, taper
        self.min_freq_hz, self.min_bandwidth_hz = float(min_freq_hz), float(min_bandwidth_hz)
        low_hz, high_hz = mel_cutoffs(
            num_filters,
            self.sample_rate,
            min_freq_hz,
            max_freq_hz,
            min_bandwidth_hz,
            double_minimum,
        )
        self.low = nn.Parameter(low_hz / 1e3)
        self.band = nn.Parameter((high_hz - low_hz) / 1e3)
        self.project_cutoffs_()

    @torch.no_grad()
    def project_cutoffs_(self) -> None:
        """min_freq_hz <= lower, lower + min_bandwidth_hz <= upper <= sample_rate / 2, in place.

        Taps are odd functions of a cut-off at 0 and at half the sample rate: there is a slope.
        """
        nyquist, least = self.sample_rate / 2e3, self.min_bandwidth_hz / 1e3
        self.low.clamp_(self.min_freq_hz / 1e3, nyquist - least)
        self.band.clamp_(min=least)
        self.band.copy_(torch.minimum(self.band, (nyquist - self.low).clamp(min=least)))

    def cutoff_taps(self, quadrature: bool = False) -> torch.Tensor:
        """Taps (N, C, W), see `sinc_taps`."""
        dtype = torch.promote_types(self.low.dtype, torch.float32)
        low, band = self.low.to(dtype), self.band.to(dtype)
        # In kHz and ms, which is the same.
        return sinc_taps(low, low + band, self.taps, self.sample_rate / 1e3, self.taper, quadrature)

    @torch.no_grad()
    def sinc_filters(self, num_bins: int = 512, quadrature: bool = False) -> FilterSet:
        """Filters in Hz; the width is read off the response, which is never below the window's."""
        centre_hz = 1e3 * (self.low.double() + 0.5 * self.band.double())
        taps = self.cutoff_taps(quadrature)
        return from_taps(taps, self.sample_rate, num_bins, centre_hz=centre_hz)
