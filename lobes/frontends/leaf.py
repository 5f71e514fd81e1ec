"""LEAF: learned Gabor filters, learned Gaussian pooling, learned PCEN."""

from __future__ import annotations

import math

import torch
from torch import nn

from ...processing.filterbank.engine import EnergyEngine
from ...processing.filterbank.folded import FoldedFilterbank
from ...processing.filterbank.framing import (
    FRAME_CENTRES,
    frame_offset,
    hop_samples,
    odd_window_samples,
)
from ...processing.filterbank.pcen import PCEN
from ...processing.filterbank.shapes import (
    WIDTH_UNIT,
    gabor_taps,
    gaussian_lowpass,
    leaf_initial_values,
)
from ..contracts import Frontend, mask_padding, valid_lengths
from ..registry import register_frontend

#: Energies below this are raised to it, as in the reference.
ENERGY_FLOOR = 1e-5
COMPRESSIONS = ("pcen", "log")


@register_frontend(
    "leaf",
    paper="Zeghidour et al., LEAF: A Learnable Frontend for Audio Classification, ICLR 2021",
    source="google-research/leaf-audio@b130481",
)
class Leaf(Frontend):
    """LEAF: Gabor filters, squared modulus, Gaussian pooling and PCEN, all learned.

    Equal to the reference implementation, with three repairs: parameters are projected after the
    optimiser step (`project_`) and not clamped in forward, PCEN's delta cannot become negative,
    and filters and windows scale with the sample rate. There is no bias after pooling (the ports
    that have one bury the signal under it).

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
        Range of the initial mel filters; max_freq_hz None is min(7800, 0.4875 sample_rate).
    compression : str
        "pcen", or "log": the logarithm of the energy.
    frame_centre : str
        "centered": frame k is centred at sample hop * k, whatever the clip's length.
        "tf_same": as in the reference, up to half a hop later, depending on the (padded) length.
    backend : str
        How the energies are computed: "auto" or "decimated" (fast, within 1e-4 of the direct form),
        "full_rate" (exact, by FFT), "direct" (exact, by convolution: the readable form).

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
    ):
        if compression not in COMPRESSIONS:
            raise ValueError(f"compression must be one of {COMPRESSIONS}, got {compression!r}")
        if frame_centre not in FRAME_CENTRES:
            raise ValueError(f"frame_centre must be one of {FRAME_CENTRES}, got {frame_centre!r}")
        taps = odd_window_samples(sample_rate, window_ms)
        # A frame pools `taps` filtered samples, each of which looks at `taps` samples.
        super().__init__(sample_rate, hop_samples(sample_rate, hop_ms), 2 * taps - 1, num_features)
        if taps < 5:
            raise ValueError(f"window_ms={window_ms} gives {taps} samples; at least 5 are needed")
        self.taps = taps
        self.engine = EnergyEngine(self.hop, backend)
        self.frame_centre = frame_centre
        if max_freq_hz is None:
            max_freq_hz = min(7800.0, 0.4875 * sample_rate)
        centre, width = leaf_initial_values(num_features, sample_rate, min_freq_hz, max_freq_hz)
        self.centre = nn.Parameter(centre)
        self.width = nn.Parameter(width)
        self.pooling_width = nn.Parameter(torch.full((num_features,), 0.4))
        self.compression = PCEN(num_features) if compression == "pcen" else None
        if compression == "log":
            self.normalization = "sentence"
        self.project_()

    @torch.no_grad()
    def project_(self) -> None:
        """Put every filter back into its range, in place (PCEN has a `project_` of its own)."""
        # At 0 and at pi the output is even in the centre: a filter put there would have no slope.
        edge = math.pi / self.taps
        self.centre.clamp_(edge, math.pi - edge)
        self.width.clamp_(4.0 * WIDTH_UNIT, self.taps * WIDTH_UNIT)
        self.pooling_width.clamp_(2.0 / self.taps, 0.5)

    def filters(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Gabor taps (F, 2, W) and pooling windows (F, W), never below float32."""
        dtype = torch.promote_types(self.centre.dtype, torch.float32)
        taps = gabor_taps(self.centre.to(dtype), self.width.to(dtype), self.taps)
        return taps, gaussian_lowpass(self.pooling_width.to(dtype), self.taps)

    def energy(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Pooled band energies before the floor and the compression, (B, N, F)."""
        with torch.autocast(wavs.device.type, enabled=False):
            filters = self.engine.frozen(
                (self.centre, self.width, self.pooling_width), self.filters
            )
            dtype = torch.promote_types(self.centre.dtype, torch.float32)
            wavs = mask_padding(wavs.to(dtype), lengths)
            num_samples = wavs.shape[1]
            offset = frame_offset(num_samples, self.taps, self.hop, self.frame_centre)
            if lengths is not None:
                lengths = valid_lengths(lengths.to(wavs.device), num_samples)
            return self.engine(wavs, *filters, offset, lengths, ENERGY_FLOOR)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        energy = self.energy(wavs, lengths).clamp(min=ENERGY_FLOOR)
        return energy.log() if self.compression is None else self.compression(energy)

    @torch.no_grad()
    def fold(self, tolerance: float = 1e-4) -> FoldedFilterbank:
        """This frontend with its present filters, for use and not for training.

        Arguments
        ---------
        tolerance : float
            Relative error of the energies, at most.

        Returns
        -------
        A module (B, T) -> (B, N, F) of one strided convolution, a square, a sum and the
        compression: real numbers only, can be exported to ONNX and traced, and has `stream`.
        """
        if self.frame_centre != "centered":
            raise ValueError(
                f'fold() needs frame_centre="centered", got {self.frame_centre!r}: where the '
                "frames lie must not depend on the length of the clip"
            )
        return FoldedFilterbank(
            *self.filters(), self.hop, ENERGY_FLOOR, self.compression, tolerance
        )

    @torch.no_grad()
    def describe_filters(self, num_bins: int = 512) -> dict:
        """Centre and bandwidth of each filter, and its response, for pictures.

        Arguments
        ---------
        num_bins : int
            Points of the responses between 0 Hz and half the sample rate.

        Returns
        -------
        dict of float arrays: centre_hz (F,), bandwidth_hz (F,) full width at half maximum of the
        amplitude response, freqs_hz (num_bins,), responses (F, num_bins) amplitudes.
        """
        rad_to_hz = self.sample_rate / (2.0 * math.pi)
        taps, _ = self.filters()
        time = torch.arange(self.taps, dtype=torch.float64) - (self.taps - 1) / 2
        freqs = torch.linspace(0.0, math.pi, num_bins, dtype=torch.float64)
        wave = torch.exp(-1j * freqs[:, None] * time)
        complex_taps = torch.complex(*taps.double().cpu().unbind(1))
        responses = (complex_taps @ wave.T).abs()
        bandwidth = 2.0 * math.sqrt(2.0 * math.log(2.0)) / self.width.double().cpu()
        return {
            "centre_hz": (self.centre.double().cpu() * rad_to_hz).numpy(),
            "bandwidth_hz": (bandwidth * rad_to_hz).numpy(),
            "freqs_hz": (freqs * rad_to_hz).numpy(),
            "responses": responses.numpy(),
        }
