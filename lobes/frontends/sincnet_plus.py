"""SincNet+: learned sinc filters, Gaussian pooling and PCEN."""

import torch
from torch import nn

from ...processing.filterbank.pcen import PCEN
from ...processing.filterbank.shapes import gaussian_lowpass
from ..options import choice, flag, number, takes_options_of
from ..registry import register_frontend
from ._filterbank import FilterbankFrontend
from ._sinc_cutoffs import SincCutoffs

RECTIFIERS = ("leaky_relu", "square")


@register_frontend(
    "sincnet_plus",
    paper="Zeghidour et al., LEAF: A Learnable Frontend for Audio Classification, ICLR 2021",
    source="google-research/leaf-audio@b130481",
)
class SincNetPlus(SincCutoffs, FilterbankFrontend):
    """SincNet+: sinc filters, LeakyReLU(0.2), Gaussian pooling and PCEN, all learned.

    Equal to the LEAF reference's `SincNetPlus` with `pcen_trainable=False, double_minimum=True,
    taper="hamming_periodic", frame_centre="tf_same"`, but for the rounding of its taps (float32
    phases; up to 5e-4 in a band that is 60 dB below a neighbour). Its PCEN is not trained, contrary
    to the paper; here it is by default.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Filters, F.
    window_ms, hop_ms : float
        Length of the filters and of the pooling window, and frame distance. In samples the
        window is made odd (401 at 16 kHz), the hop is rounded down (220 at 22.05 kHz).
    min_freq_hz, min_bandwidth_hz : float
        Lower cut-offs and bandwidths never fall below these.
    max_freq_hz : float or None
        Upper cut-off of the last initial filter; None is sample_rate / 2 - min_freq_hz -
        min_bandwidth_hz. The initial filters are adjacent and equally wide in mel.
    double_minimum : bool
        Add both minima to the initial values once more, as every published implementation does.
    taper : str
        "hamming" (symmetric), "hamming_periodic" (the reference's, slightly askew), "blackman".
        None is "hamming" for "leaky_relu" and "blackman" for "square".
    rectifier : str
        "leaky_relu": of the real filter's output, at the full rate, as published.
        "square": squared modulus of the filter and its odd (quadrature) twin, as in LEAF: no
        ripple at twice the frequency, and it can be decimated, which is several times faster.
    pcen_trainable : bool
        True as in the paper, False as in the released code.
    pcen_floor : float
        Added to PCEN's smoothed energy; the released code's 1e-6.
    frame_centre : str
        "centered": frame k is centred at sample hop * k, whatever the clip's length.
        "tf_same": as in the reference, up to half a hop later, depending on the (padded) length.
    backend : str
        How the energies are computed: "auto", "decimated" (squares only), "full_rate" (exact, by
        FFT), "direct" (exact, by convolution: the readable form).

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, ceil(T / hop), F) float32

    Notes
    -----
    Learned: lower cut-off and bandwidth (kHz), pooling width (relative to half the window) and
    PCEN's alpha, delta, root and smooth: 7 F values; 3 F with `pcen_trainable=False`. (The
    reference counts 120 of 3,440 at 40 filters: its fixed smoother is a recurrent layer with two
    dense 40 x 40 matrices that are multiples of the identity.)

    References
    ----------
    Zeghidour et al. (2021). Deviations from google-research/leaf-audio@b130481: projection instead
    of absolute values and a clip in forward; minima counted once, symmetric window and trained
    PCEN unless asked; every frequency scaled with the sample rate (the reference is at 16 kHz
    whatever it is told). "square" is auricle's own.

    Example
    -------
    >>> frontend = SincNetPlus(sample_rate=16000)
    >>> frontend(torch.zeros(2, 16000)).shape, sum(p.numel() for p in frontend.parameters())
    (torch.Size([2, 100, 40]), 280)
    """

    normalization = "none"

    @takes_options_of(SincCutoffs.add_cutoffs)
    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 40,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        taper: str | None = None,
        rectifier: str = "leaky_relu",
        pcen_trainable: bool = True,
        pcen_floor: float = 1e-6,
        frame_centre: str = "centered",
        backend: str = "auto",
        **cutoffs,
    ):
        choice("rectifier", rectifier, RECTIFIERS)
        pcen_floor = number("pcen_floor", pcen_floor, above=0, high=1e6)
        pcen_trainable = flag("pcen_trainable", pcen_trainable)
        super().__init__(
            sample_rate, num_features, window_ms, hop_ms, frame_centre, backend, rectifier
        )
        if taper is None:
            taper = "blackman" if rectifier == "square" else "hamming"
        square = rectifier == "square"
        self.add_cutoffs(num_features, self.taps, square, taper=taper, **cutoffs)
        self.pooling_width = nn.Parameter(torch.full((num_features,), 0.4))
        self.compression = PCEN(num_features, floor=pcen_floor, trainable=pcen_trainable)

    @torch.no_grad()
    def project_(self) -> None:
        """Put every filter, and PCEN where there is one, back into its range, in place."""
        super().project_()
        self.pooling_width.clamp_(2.0 / self.taps, 0.5)
        self.compression.project_()

    @torch.no_grad()
    def use_plain_operators_(self) -> None:
        SincCutoffs.use_plain_operators_(self)
        FilterbankFrontend.use_plain_operators_(self)

    def kernels(self) -> tuple[torch.Tensor, torch.Tensor]:
        taps = self.cutoff_taps()
        return taps, gaussian_lowpass(self.pooling_width.to(taps.dtype), self.taps)
