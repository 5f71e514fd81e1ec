"""LEAF: learned Gabor filters, learned Gaussian pooling, learned PCEN."""

import math

import torch
from torch import nn

from ...processing.filterbank.pcen import PARAMETERS, PCEN
from ...processing.filterbank.responses import FilterSet, from_taps
from ...processing.filterbank.shapes import (
    INITIAL_SCALES,
    WIDTH_UNIT,
    gabor_in_hz,
    gabor_initial_values,
    gabor_taps,
    gaussian_lowpass,
)
from ..options import choice, flag
from ..registry import register_frontend
from ._filterbank import FilterbankFrontend, filter_range

COMPRESSIONS = ("pcen", "log")


@register_frontend(
    "leaf",
    paper="Zeghidour et al., LEAF: A Learnable Frontend for Audio Classification, ICLR 2021",
    source="google-research/leaf-audio@b130481",
)
class Leaf(FilterbankFrontend):
    """LEAF: Gabor filters, squared modulus, Gaussian pooling and PCEN, all learned.

    Equal to the reference implementation, with three repairs: parameters are projected after the
    optimiser step (`project_`) and not clamped in forward, PCEN's delta cannot become negative,
    and filters and windows scale with the sample rate. There is no bias after pooling unless
    asked for (the ports that have one bury the signal under it).

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Filters, F.
    window_ms, hop_ms : float
        Length of the filters and of the pooling window, and frame distance. In samples the
        window is made odd (401 at 16 kHz), the hop is rounded down (220 at 22.05 kHz).
    min_freq_hz, max_freq_hz : float
        Range of the initial filters; max_freq_hz None is min(7800, 0.4875 sample_rate).
    compression : str
        "pcen", or "log": the logarithm of the energy.
    frame_centre : str
        "centered": frame k is centred at sample hop * k, whatever the clip's length.
        "tf_same": as in the reference, up to half a hop later, depending on the (padded) length.
    backend : str
        How the energies are computed: "auto" or "decimated" (fast, within 1e-4 of the direct form),
        "full_rate" (exact, by FFT), "direct" (exact, by convolution: the readable form).
    pcen_parameters : str
        "linear": PCEN's four values are learned, as in the reference. "log": their logarithms, as
        in EfficientLEAF; the initial values are LEAF's (alpha 0.96, delta 2, root 2, smooth 0.04)
        in both.
    init : str
        How the initial filters are spaced: "mel" (as in the reference), "linear" (in Hz), "bark",
        or "random" (centres and widths, by the seed); see `gabor_initial_values`.
    pooling_bias : bool
        Add a learned value, 1 at first, to each filter's pooled energy, as leaf-pytorch and
        SpeechBrain do, of at least 0; for values that were trained with it.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, ceil(T / hop), F) float32

    Notes
    -----
    Learned: centre (rad/sample), width (samples, standard deviation), pooling width (relative to
    half the window) and, with PCEN, alpha, delta, root and smooth: 7 F values.
    Recommended normalisation: "none" after PCEN, which has already divided every channel by its
    running mean; "sentence" after the logarithm.

    Example
    -------
    >>> leaf = Leaf(sample_rate=16000)
    >>> leaf(torch.zeros(2, 16000)).shape, sum(p.numel() for p in leaf.parameters())
    (torch.Size([2, 100, 40]), 280)
    """

    normalization = "none"

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 40,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        min_freq_hz: float = 60.0,
        max_freq_hz: float | None = None,
        compression: str = "pcen",
        frame_centre: str = "centered",
        backend: str = "auto",
        pcen_parameters: str = "linear",
        init: str = "mel",
        pooling_bias: bool = False,
    ):
        choice("compression", compression, COMPRESSIONS)
        choice("pcen_parameters", pcen_parameters, PARAMETERS)
        choice("init", init, INITIAL_SCALES)
        super().__init__(sample_rate, num_features, window_ms, hop_ms, frame_centre, backend)
        low, high = filter_range(sample_rate, min_freq_hz, max_freq_hz)
        centre, width = gabor_initial_values(num_features, sample_rate, low, high, init)
        self.centre = nn.Parameter(centre)
        self.width = nn.Parameter(width)
        self.pooling_width = nn.Parameter(torch.full((num_features,), 0.4))
        biased = flag("pooling_bias", pooling_bias)
        self.pooling_bias = nn.Parameter(torch.ones(num_features)) if biased else None
        self.compression = None
        if compression == "pcen":
            self.compression = PCEN(num_features, parameters=pcen_parameters)
        if compression == "log":
            self.normalization = "sentence"
        self.project_()

    @torch.no_grad()
    def project_(self) -> None:
        """Put every filter, and PCEN where there is one, back into its range, in place."""
        # At 0 and at pi the output is even in the centre, which would have no gradient there.
        edge = math.pi / self.taps
        self.centre.clamp_(edge, math.pi - edge)
        self.width.clamp_(4.0 * WIDTH_UNIT, self.taps * WIDTH_UNIT)
        self.pooling_width.clamp_(2.0 / self.taps, 0.5)
        if self.pooling_bias is not None:  # below 0 it would take energies under the floor
            self.pooling_bias.clamp_(min=0.0)
        if isinstance(self.compression, PCEN):
            self.compression.project_()

    def kernels(self) -> tuple[torch.Tensor, torch.Tensor]:
        dtype = torch.promote_types(self.centre.dtype, torch.float32)
        taps = gabor_taps(self.centre.to(dtype), self.width.to(dtype), self.taps)
        return taps, gaussian_lowpass(self.pooling_width.to(dtype), self.taps)

    def energy(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        energy = super().energy(wavs, lengths)
        return energy if self.pooling_bias is None else energy + self.pooling_bias.to(energy.dtype)

    def folded_compression(self):
        if self.pooling_bias is not None:
            raise ValueError(
                "a frontend with pooling_bias cannot be folded; use the frontend itself"
            )
        return super().folded_compression()

    @torch.no_grad()
    def filters(self, num_bins: int = 512) -> FilterSet:
        in_hz = gabor_in_hz(self.centre, self.width, self.sample_rate)
        return from_taps(self.kernels()[0], self.sample_rate, num_bins, *in_hz)
