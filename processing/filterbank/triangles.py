"""Filters over the bins of a spectrum: mel triangles, and shapes with a learned width."""

import numpy as np
import torch

from ..system.rules import choice, table
from .scales import MEL_SCALES, hz_to_mel, spaced_hz

#: Slopes of a mel filter: linear in "hz" or in "mel"; "symmetric": in Hz, on both sides as wide as
#: on the lower one, as in SpeechBrain.
SLOPES = ("hz", "mel", "symmetric")
#: "none": peak 1; "slaney": unit area over frequency.
NORMS = ("none", "slaney")
#: Shapes that have a gradient in their centre and in their width. A rectangle has none.
PARAMETRIC_SHAPES = ("triangular", "gaussian")
_MOST = 2**23  # values of a bank, of which several are held at once


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
    choice("mel_scale", mel_scale, MEL_SCALES)
    return spaced_hz(min_freq_hz, max_freq_hz, num_filters + 2, mel_scale)


def triangles(edges: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Triangles of peak 1 with slopes that are linear in the unit of their edges.

    Arguments
    ---------
    edges : array (N + 2,)
        As from `mel_edges_hz`.
    points : array (K,)
        Where they are evaluated, in the same unit.

    Shape
    -----
    -> (N, K) float64

    Example
    -------
    >>> triangles([0.0, 100.0, 300.0], [0.0, 50.0, 100.0, 200.0, 300.0])
    array([[0. , 0.5, 1. , 0.5, 0. ]])
    """
    edges = np.asarray(edges, dtype=np.float64)[:, None]
    lower, middle, upper = edges[:-2], edges[1:-1], edges[2:]
    points = np.asarray(points, dtype=np.float64)
    table("filters by points of the spectrum", len(middle), len(points), most=_MOST)
    rising = (points - lower) / (middle - lower)
    falling = (upper - points) / (upper - middle)
    return np.maximum(0.0, np.minimum(rising, falling))


def mel_triangles(
    num_filters: int, num_bins: int, sample_rate: int, min_freq_hz: float, max_freq_hz: float
) -> np.ndarray:
    """HTK mel filters with slopes that are linear in mel, peak 1, zero at DC.

    Arguments
    ---------
    num_filters : int
        N.
    num_bins : int
        Bins of the spectrum from 0 Hz to sample_rate / 2, both included.
    sample_rate : int
        In Hz.
    min_freq_hz, max_freq_hz : float
        Lower edge of the first and upper edge of the last filter.

    Shape
    -----
    -> (N, num_bins) float64

    References
    ----------
    The definition of `tf.signal.linear_to_mel_weight_matrix`; torchaudio's `melscale_fbanks`
    differs: its slopes are linear in Hz.
    """
    edges = np.linspace(hz_to_mel(min_freq_hz), hz_to_mel(max_freq_hz), num_filters + 2)
    bank = triangles(edges, hz_to_mel(np.linspace(0.0, sample_rate / 2, num_bins)))
    bank[:, 0] = 0.0
    return bank


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
        A filter holds no bin: it would always be silent.

    Example
    -------
    >>> mel_bank(40, 512, 16000, 0.0, 8000.0).shape
    torch.Size([257, 40])
    """
    choice("slopes", slopes, SLOPES)
    choice("norm", norm, NORMS)
    if mel_scale != "htk" and slopes != "hz":
        raise ValueError(f'slopes={slopes!r} needs mel_scale="htk", got {mel_scale!r}')
    edges_hz = mel_edges_hz(num_filters, min_freq_hz, max_freq_hz, mel_scale)
    table("num_features by n_fft", num_filters, n_fft + 1, most=_MOST)
    freqs_hz = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    if slopes == "hz":
        bank = triangles(edges_hz, freqs_hz)
    elif slopes == "mel":
        # Evaluated at twice the resolution: every second bin is one of the FFT's, for even and odd
        # n_fft.
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
