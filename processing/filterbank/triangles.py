"""Filters over the bins of a spectrum: triangles between edges in Hz, and shapes with a slope."""

from __future__ import annotations

import math

import numpy as np
import torch

from .shapes import hz_to_mel, mel_to_hz, mel_triangles

__all__ = [
    "MEL_SCALES",
    "NORMS",
    "PARAMETRIC_SHAPES",
    "SLOPES",
    "hz_triangles",
    "mel_bank",
    "mel_edges_hz",
    "parametric_shape",
    "slaney_to_hz",
]

#: "slaney": linear up to 1 kHz, logarithmic above; "htk": 1127 ln(1 + f / 700).
MEL_SCALES = ("slaney", "htk")
#: Slopes of a mel filter: linear in "hz" or in "mel"; "symmetric": in Hz, on both sides as wide as
#: on the lower one, as in SpeechBrain.
SLOPES = ("hz", "mel", "symmetric")
#: "none": peak 1; "slaney": unit area over frequency.
NORMS = ("none", "slaney")
#: Shapes that have a gradient in their centre and in their width. A rectangle has none.
PARAMETRIC_SHAPES = ("triangular", "gaussian")

_LINEAR_HZ = 200.0 / 3.0  # per mel below the knee
_KNEE_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27.0  # per mel above it


def hz_to_slaney(frequency_hz):
    """Slaney's mel scale (Auditory Toolbox, 1998)."""
    frequency_hz = np.asarray(frequency_hz, dtype=np.float64)
    above = np.log(np.maximum(frequency_hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.minimum(frequency_hz, _KNEE_HZ) / _LINEAR_HZ + above


def slaney_to_hz(mel):
    """Inverse of `hz_to_slaney`.

    Example
    -------
    >>> slaney_to_hz([3.0, 15.0, 42.0])
    array([ 200., 1000., 6400.])
    """
    mel = np.asarray(mel, dtype=np.float64)
    knee = _KNEE_HZ / _LINEAR_HZ
    return np.minimum(mel, knee) * _LINEAR_HZ * np.exp(_LOG_STEP * np.maximum(mel - knee, 0.0))


def mel_edges_hz(
    num_filters: int, min_freq_hz: float, max_freq_hz: float, mel_scale: str = "slaney"
) -> np.ndarray:
    """Edges of `num_filters` triangles that are equally spaced in mel.

    Shape
    -----
    -> (N + 2,) float64 in Hz: triangle n rises from edge n to n + 1 and falls to n + 2.

    Example
    -------
    >>> mel_edges_hz(2, 0.0, 1000.0).round()
    array([   0.,  333.,  667., 1000.])
    """
    if mel_scale not in MEL_SCALES:
        raise ValueError(f"mel_scale must be one of {MEL_SCALES}, got {mel_scale!r}")
    forth, back = (hz_to_slaney, slaney_to_hz) if mel_scale == "slaney" else (hz_to_mel, mel_to_hz)
    return back(np.linspace(forth(min_freq_hz), forth(max_freq_hz), num_filters + 2))


def hz_triangles(edges_hz: np.ndarray, freqs_hz: np.ndarray) -> np.ndarray:
    """Triangles of peak 1 with slopes that are linear in Hz.

    Arguments
    ---------
    edges_hz : array (N + 2,)
        As from `mel_edges_hz`.
    freqs_hz : array (K,)
        Frequencies of the bins.

    Shape
    -----
    -> (N, K) float64

    Example
    -------
    >>> hz_triangles([0.0, 100.0, 300.0], [0.0, 50.0, 100.0, 200.0, 300.0])
    array([[0. , 0.5, 1. , 0.5, 0. ]])
    """
    edges = np.asarray(edges_hz, dtype=np.float64)[:, None]
    lower, middle, upper = edges[:-2], edges[1:-1], edges[2:]
    freqs = np.asarray(freqs_hz, dtype=np.float64)
    rising = (freqs - lower) / (middle - lower)
    falling = (upper - freqs) / (upper - middle)
    return np.maximum(0.0, np.minimum(rising, falling))


def mel_bank(
    num_filters: int,
    n_fft: int,
    sample_rate: int,
    min_freq_hz: float,
    max_freq_hz: float,
    mel_scale: str = "htk",
    slopes: str = "hz",
    norm: str = "none",
    allow_empty: bool = False,
) -> torch.Tensor:
    """Mel filters over the bins of an FFT; for any frontend that starts from a spectrum.

    Arguments
    ---------
    num_filters, n_fft, sample_rate : int
    min_freq_hz, max_freq_hz : float
        Lower edge of the first and upper edge of the last filter.
    mel_scale : str
        "htk" or "slaney".
    slopes : str
        Triangles linear in "hz" or in "mel"; "symmetric": in Hz, on both sides as wide as on the
        lower one. The last two need "htk".
    norm : str
        "none": peak 1; "slaney": unit area over frequency.
    allow_empty : bool
        True admits filters that lie between two bins.

    Shape
    -----
    -> (n_fft // 2 + 1, num_filters) float32

    Raises
    ------
    ValueError
        Where a filter holds no bin: it would be silent for ever.

    Example
    -------
    >>> mel_bank(40, 512, 16000, 0.0, 8000.0).shape
    torch.Size([257, 40])
    """
    if slopes not in SLOPES:
        raise ValueError(f"slopes must be one of {SLOPES}, got {slopes!r}")
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {NORMS}, got {norm!r}")
    if mel_scale != "htk" and slopes != "hz":
        raise ValueError(f'slopes={slopes!r} needs mel_scale="htk", got {mel_scale!r}')
    edges_hz = mel_edges_hz(num_filters, min_freq_hz, max_freq_hz, mel_scale)
    freqs_hz = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    if slopes == "hz":
        bank = hz_triangles(edges_hz, freqs_hz)
    elif slopes == "mel":
        # Read on a grid twice as fine, of which every second bin is one of the FFT's, whether
        # n_fft is even or odd.
        bank = mel_triangles(num_filters, n_fft + 1, sample_rate, min_freq_hz, max_freq_hz)[:, ::2]
    else:
        centre, width = edges_hz[1:-1, None], np.diff(edges_hz)[:-1, None]
        bank = np.maximum(0.0, 1.0 - np.abs(freqs_hz - centre) / width)
    empty = np.flatnonzero(bank.max(1) <= 0)
    if len(empty) and not allow_empty:
        raise ValueError(
            f"num_features={num_filters} with n_fft={n_fft}: {len(empty)} band(s) between "
            f"min_freq_hz={min_freq_hz:g} and max_freq_hz={max_freq_hz:g}, the first one number "
            f"{empty[0] + 1}, are narrower than a bin of {sample_rate / n_fft:.1f} Hz and would "
            "hold none; give a larger n_fft, a longer window_ms or fewer bands"
        )
    if norm == "slaney":
        bank = bank * (2.0 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
    return torch.from_numpy(bank.T.copy()).float()


def parametric_shape(
    freqs: torch.Tensor, centre: torch.Tensor, band: torch.Tensor, shape: str
) -> torch.Tensor:
    """Filters of peak 1 that have a gradient in their centre and width.

    "triangular": max(0, 1 - |f - centre| / band); "gaussian": exp(-2 ((f - centre) / band)^2), a
    standard deviation of half the band.

    Arguments
    ---------
    freqs : tensor (K,)
    centre, band : tensors (N,)
        In the unit of `freqs`; a triangle is 2 band wide at its foot.
    shape : str
        One of `PARAMETRIC_SHAPES`.

    Shape
    -----
    -> (N, K)

    Example
    -------
    >>> freqs, centre, band = torch.arange(5.0), torch.tensor([2.0]), torch.tensor([2.0])
    >>> parametric_shape(freqs, centre, band, "triangular")
    tensor([[0.0000, 0.5000, 1.0000, 0.5000, 0.0000]])
    """
    distance = (freqs - centre[:, None]) / band[:, None]
    if shape == "triangular":
        return torch.minimum(1 + distance, 1 - distance).clamp(min=0)
    return torch.exp(-2.0 * distance.square())
