"""Gabor filters, Gaussian pooling windows, and LEAF's initial values of both."""

import math

import numpy as np
import torch

from ..system.rules import choice
from .scales import spaced_hz
from .triangles import mel_triangles

#: sqrt(2 ln 2) / pi: a Gaussian of standard deviation WIDTH_UNIT * n / b samples has a spectrum
#: whose full width at half maximum is b bins of an n-point FFT, 2 pi b / n rad/sample.
WIDTH_UNIT = math.sqrt(2.0 * math.log(2.0)) / math.pi

#: Where the centres of untrained filters can lie, see `gabor_initial_values`.
INITIAL_SCALES = ("mel", "linear", "bark", "random")


def gabor_taps(centre: torch.Tensor, width: torch.Tensor, window: int) -> torch.Tensor:
    """Gabor filters: a Gaussian of unit area times a complex exponential.

    g[t] = exp(-t^2 / (2 width^2)) / (sqrt(2 pi) width) * exp(j centre t), t = -(W-1)/2 .. (W-1)/2

    Arguments
    ---------
    centre : tensor (N,)
        Centre frequency, in rad/sample.
    width : tensor (N,)
        Standard deviation of the Gaussian, in samples.
    window : int
        W, odd.

    Shape
    -----
    (N,), (N,) -> (N, 2, W): real part, imaginary part.

    Example
    -------
    >>> taps = gabor_taps(torch.tensor([0.5]), torch.tensor([20.0]), 401)
    >>> taps.shape, round(taps[0, 0, 200].item() * 20 * (2 * 3.14159265) ** 0.5, 5)
    (torch.Size([1, 2, 401]), 1.0)
    """
    time = torch.arange(window, device=centre.device, dtype=centre.dtype) - (window - 1) / 2
    envelope = torch.exp(-0.5 * (time / width[:, None]) ** 2)
    envelope = envelope / (math.sqrt(2.0 * math.pi) * width[:, None])
    phase = centre[:, None] * time
    return torch.stack([envelope * torch.cos(phase), envelope * torch.sin(phase)], dim=1)


def gabor_in_hz(
    centre: torch.Tensor, width: torch.Tensor, sample_rate: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Centre frequencies, and full widths at half maximum of the amplitude responses, in Hz.

    Arguments
    ---------
    centre, width : tensors (N,)
        As of `gabor_taps`.
    sample_rate : int
        In Hz.

    Example
    -------
    >>> centre_hz, bandwidth_hz = gabor_in_hz(torch.tensor([0.5]), torch.tensor([20.0]), 16000)
    >>> round(centre_hz.item(), 1), round(bandwidth_hz.item(), 1)
    (1273.2, 299.8)
    """
    to_hz = sample_rate / (2.0 * math.pi)
    return centre.double() * to_hz, WIDTH_UNIT * sample_rate / width.double()


def gaussian_lowpass(width: torch.Tensor, window: int) -> torch.Tensor:
    """Gaussian pooling windows with peak 1 (not unit sum), as in LEAF.

    Arguments
    ---------
    width : tensor (N,)
        Standard deviation relative to half the window, (W - 1) / 2 samples.
    window : int
        W, odd.

    Shape
    -----
    (N,) -> (N, W)

    Example
    -------
    >>> round(gaussian_lowpass(torch.tensor([0.4]), 401).sum().item(), 3)
    198.084
    """
    half = (window - 1) / 2
    time = torch.arange(window, device=width.device, dtype=width.dtype) - half
    return torch.exp(-0.5 * (time / (width[:, None] * half)) ** 2)


def leaf_triangles(
    num_filters: int, sample_rate: int, min_freq_hz: float, max_freq_hz: float
) -> tuple[np.ndarray, int]:
    """Mel triangles on the grid on which LEAF's initial values are read, and its FFT points.

    The grid has 512 points at 16 kHz, and the same spacing (31.25 Hz) at other rates; where a
    triangle would fall between two bins (many filters), it is doubled until none does.

    Example
    -------
    >>> triangles, points = leaf_triangles(40, 16000, 60.0, 7800.0)
    >>> triangles.shape, points
    ((40, 257), 512)
    """
    points = 2 * round(256 * sample_rate / 16000)
    while True:
        triangles = mel_triangles(
            num_filters, points // 2 + 1, sample_rate, min_freq_hz, max_freq_hz
        )
        if triangles.max(1).min() > 0:
            return triangles, points
        points *= 2


def leaf_initial_values(
    num_filters: int, sample_rate: int, min_freq_hz: float, max_freq_hz: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gabor filters that approximate mel filters: LEAF's initial values at any sample rate.

    The square root of each of the `leaf_triangles` is read on their grid: its largest bin is the centre,
    the number of bins at or above half its peak is the full width at half maximum.

    Arguments
    ---------
    num_filters : int
        N.
    sample_rate : int
        In Hz.
    min_freq_hz, max_freq_hz : float
        Lower edge of the first and upper edge of the last mel triangle.

    Returns
    -------
    centre (N,) in rad/sample and width (N,) in samples, float32.

    References
    ----------
    google-research/leaf-audio@b130481 `melfilters.py`, equal at 16 kHz for 40 filters.

    Example
    -------
    >>> centre, width = leaf_initial_values(40, 16000, 60.0, 7800.0)
    >>> round(centre[0].item(), 6), round(width[0].item(), 3)
    (0.036816, 95.944)
    """
    if not 0 <= min_freq_hz < max_freq_hz <= sample_rate / 2:
        raise ValueError(
            f"need 0 <= min_freq_hz < max_freq_hz <= {sample_rate / 2:g} (half the sample rate), "
            f"got {min_freq_hz} and {max_freq_hz}"
        )
    triangles, points = leaf_triangles(num_filters, sample_rate, min_freq_hz, max_freq_hz)
    root = np.sqrt(triangles)
    peak = root.max(1, keepdims=True)
    # Rounded to float32 before the division, as the reference does: one unit in the last place of
    # a centre moves the phase at the filter's end by 2e-5, which shows 55 dB below a loud band.
    centre = np.float32(2.0 * math.pi) * root.argmax(1).astype(np.float32) / np.float32(points)
    width = WIDTH_UNIT * points / (root >= peak / 2).sum(1)
    return torch.from_numpy(centre), torch.tensor(width, dtype=torch.float32)


def gabor_initial_values(
    num_filters: int, sample_rate: int, min_freq_hz: float, max_freq_hz: float, scale: str = "mel"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gabor filters from min_freq_hz to max_freq_hz, spaced on a scale.

    Arguments
    ---------
    num_filters : int
        N.
    sample_rate, min_freq_hz, max_freq_hz
        As in `leaf_initial_values`.
    scale : str
        "mel": `leaf_initial_values`. "linear", "bark": centres equally spaced in Hz or Bark;
        each filter's full width at half maximum is half the distance between its neighbours,
        so that adjacent filters cross near half their peak. "random": centres and widths drawn
        uniformly in Hz, widths between those of the narrowest and the widest mel filter, in rising
        order of the centres, by torch's random numbers: the seed decides.

    Returns
    -------
    centre (N,) in rad/sample and width (N,) in samples, float32.

    References
    ----------
    Bark scale: Traunmueller, Analytical expressions for the tonotopic sensory scale, JASA 1990,
    without its corrections at the ends.

    Example
    -------
    >>> centre, width = gabor_initial_values(3, 16000, 0.0, 8000.0, "linear")
    >>> [round(hz) for hz in (centre * 16000 / (2 * math.pi)).tolist()]
    [2000, 4000, 6000]
    """
    choice("initial scale", scale, INITIAL_SCALES)
    mel = leaf_initial_values(num_filters, sample_rate, min_freq_hz, max_freq_hz)  # checks
    if scale == "mel":
        return mel
    if scale == "random":
        span_hz = max_freq_hz - min_freq_hz
        centre_hz = (min_freq_hz + span_hz * torch.rand(num_filters).double()).sort().values
        mel_hz = WIDTH_UNIT * sample_rate / mel[1].double()
        drawn = torch.rand(num_filters).double()
        bandwidth_hz = mel_hz.min() + (mel_hz.max() - mel_hz.min()) * drawn
    else:
        edges_hz = torch.from_numpy(spaced_hz(min_freq_hz, max_freq_hz, num_filters + 2, scale))
        centre_hz = edges_hz[1:-1]
        bandwidth_hz = (edges_hz[2:] - edges_hz[:-2]) / 2
    centre = centre_hz * (2.0 * math.pi / sample_rate)
    width = WIDTH_UNIT * sample_rate / bandwidth_hz
    return centre.float(), width.float()
