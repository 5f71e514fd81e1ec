"""Filters over the bins of a spectrum: triangles between edges in Hz, and shapes with a slope."""

from __future__ import annotations

import math

import numpy as np
import torch

from .shapes import hz_to_mel, mel_to_hz

__all__ = [
    "MEL_SCALES",
    "PARAMETRIC_SHAPES",
    "hz_triangles",
    "mel_edges_hz",
    "parametric_shape",
    "slaney_to_hz",
]

#: "slaney": linear up to 1 kHz, logarithmic above; "htk": 1127 ln(1 + f / 700).
MEL_SCALES = ("slaney", "htk")
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


def hz_triangles(edges_hz: np.ndarray, freqs_hz: np.ndarray, norm: str | None = None) -> np.ndarray:
    """Triangles with slopes that are linear in Hz.

    Arguments
    ---------
    edges_hz : array (N + 2,)
        As from `mel_edges_hz`.
    freqs_hz : array (K,)
        Frequencies of the bins.
    norm : str or None
        "area": unit area in Hz (Slaney). None: peak 1.

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
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return triangles * 2.0 / (upper - lower) if norm == "area" else triangles


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
