"""Gammatone filters on the ear's frequency scale, learned or fixed."""

import math

import torch
from scipy.special import lambertw
from torch import nn

from ...processing.filterbank.gammatone import bandwidth_per_erb, gammatone_taps
from ...processing.filterbank.pcen import PCEN
from ...processing.filterbank.responses import FilterSet, from_taps
from ...processing.filterbank.scales import erb_hz, erb_to_hz, hz_to_erb
from ...processing.filterbank.shapes import gaussian_lowpass
from ..options import choice, flag, odd_window, whole
from ..registry import register_frontend
from ._filterbank import FilterbankFrontend, filter_range

COMPRESSIONS = ("log", "pcen")
#: Largest bandwidth, in equivalent rectangular bandwidths of the ear at that frequency.
WIDEST_ERB = 8.0
#: Largest level of a filter's envelope, relative to its peak, at the window's end. The decay that
#: gives this level is the lower bound of the bandwidth.
CUT_OFF = 0.05


@register_frontend(
    "gammatone",
    paper="Patterson et al., An Efficient Auditory Filterbank Based on the Gammatone Function, "
    "IOC Speech Group 1987",
    source="asteroid-team/asteroid-filterbanks@ddecf6b",
)
class Gammatone(FilterbankFrontend):
    """Complex gammatone filters, squared modulus, Gaussian pooling and compression.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Filters, F.
    learnable : bool
        False: fixed at the initial values.
    order : int
        Of the gammatone, 2 to 8; 4 fits the ear.
    window_ms : float
        Length of the filters; a low filter rings long. In samples it is made odd.
    hop_ms : float
        Frame distance, rounded down to samples.
    pooling_ms : float
        Length of the pooling window, a Gaussian as LEAF's initial one.
    min_freq_hz, max_freq_hz : float
        First and last initial centre, equally spaced on the ERB scale between them; max_freq_hz
        None is min(7800, 0.4875 sample_rate).
    compression : str
        "log" of the energy, or "pcen" (learned).
    frame_centre, backend : str
        As in `FilterbankFrontend`.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, ceil(T / hop), F) float32

    Raises
    ------
    ValueError
        Besides wrong values: an initial filter that decays too slowly for the window.

    Notes
    -----
    Learned: centre (on the ERB scale) and bandwidth (1 is the ear's own at that centre, so that it
    follows a centre that moves), 2 F values; with PCEN 4 F more.

    References
    ----------
    The impulse response is that of asteroid-filterbanks' MultiphaseGammatoneFB (order 2, fixed),
    with its phases replaced by a quadrature pair, and of Slaney's filters (order 4), whose
    magnitude responses nnAudio's Gammatonegram applies to a spectrogram. On purpose otherwise:
    gain 1 at each centre, and filters moved so that their envelopes peak together.

    Example
    -------
    >>> frontend = Gammatone(sample_rate=16000)
    >>> frontend(torch.zeros(2, 16000)).shape, sum(p.numel() for p in frontend.parameters())
    (torch.Size([2, 100, 40]), 80)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 40,
        learnable: bool = True,
        order: int = 4,
        window_ms: float = 80.0,
        hop_ms: float = 10.0,
        pooling_ms: float = 25.0,
        min_freq_hz: float = 60.0,
        max_freq_hz: float | None = None,
        compression: str = "log",
        frame_centre: str = "centered",
        backend: str = "auto",
    ):
        choice("compression", compression, COMPRESSIONS)
        learnable, order = flag("learnable", learnable), whole("order", order, 2, 8)
        super().__init__(sample_rate, num_features, window_ms, hop_ms, frame_centre, backend)
        pooling = odd_window(sample_rate, pooling_ms, least=3, name="pooling_ms")
        self.window = self.taps + pooling - 1
        self.order = order
        low, high = (
            hz_to_erb(torch.tensor(edge, dtype=torch.float64)).item()
            for edge in filter_range(sample_rate, min_freq_hz, max_freq_hz)
        )
        least_hz = _least_decay_hz(order, (self.taps - 1) / 2 / sample_rate)
        initial_hz = bandwidth_per_erb(order) * erb_hz(min_freq_hz)
        if initial_hz < least_hz:
            # Half a window is rounded down to samples: one more on each side.
            enough_ms = math.ceil(window_ms * least_hz / initial_hz + 2000.0 / sample_rate)
            raise ValueError(
                f"window_ms={window_ms:g} cuts off filters that decay slower than {least_hz:.1f} "
                f"Hz, the filter at min_freq_hz={min_freq_hz:g} decays with {initial_hz:.1f} Hz; "
                f"take window_ms of at least {enough_ms} or a higher min_freq_hz"
            )
        self.least_decay_hz = least_hz
        centres = torch.linspace(low, high, num_features, dtype=torch.float64)
        self.centre_erb = nn.Parameter(centres.float(), requires_grad=learnable)
        self.bandwidth = nn.Parameter(torch.ones(num_features), requires_grad=learnable)
        self.register_buffer("pool", gaussian_lowpass(torch.tensor([0.4]), pooling))
        self.compression = PCEN(num_features) if compression == "pcen" else None
        if compression == "pcen":
            self.normalization = "none"
        self.fixed = not learnable and self.compression is None
        self.project_()

    @torch.no_grad()
    def project_(self) -> None:
        """Put every filter, and PCEN where there is one, back into its range, in place."""
        # At 0 Hz and half the sample rate the output is even in the centre: no gradient there.
        edge_hz = self.sample_rate / (2 * self.taps)
        ends_hz = torch.tensor([edge_hz, self.sample_rate / 2 - edge_hz], dtype=torch.float64)
        low, high = hz_to_erb(ends_hz).tolist()
        self.centre_erb.clamp_(low, high)
        ear_hz = bandwidth_per_erb(self.order) * erb_hz(erb_to_hz(self.centre_erb))
        self.bandwidth.copy_(
            torch.minimum(
                torch.maximum(self.bandwidth, self.least_decay_hz / ear_hz),
                torch.full_like(ear_hz, WIDEST_ERB),
            )
        )
        if isinstance(self.compression, PCEN):
            self.compression.project_()

    def _centre_and_decay_hz(self) -> tuple[torch.Tensor, torch.Tensor]:
        dtype = torch.promote_types(self.centre_erb.dtype, torch.float32)
        centre_hz = erb_to_hz(self.centre_erb.to(dtype))
        decay_hz = bandwidth_per_erb(self.order) * erb_hz(centre_hz) * self.bandwidth.to(dtype)
        return centre_hz, decay_hz

    def kernels(self) -> tuple[torch.Tensor, torch.Tensor]:
        centre_hz, decay_hz = self._centre_and_decay_hz()
        taps = gammatone_taps(centre_hz, decay_hz, self.order, self.taps, self.sample_rate)
        return taps, self.pool.to(taps.dtype).expand(self.num_features, -1)

    @torch.no_grad()
    def filters(self, num_bins: int = 512) -> FilterSet:
        centre_hz, decay_hz = (value.double() for value in self._centre_and_decay_hz())
        # |1 / (1 + j (f - centre) / b)^n| is a half at b sqrt(4^(1 / n) - 1) from the centre.
        width_hz = 2.0 * decay_hz * math.sqrt(4.0 ** (1.0 / self.order) - 1.0)
        return from_taps(self.kernels()[0], self.sample_rate, num_bins, centre_hz, width_hz)


def _least_decay_hz(order: int, after_peak_s: float) -> float:
    """Decay in Hz of an envelope that falls to `CUT_OFF` of its peak in `after_peak_s`."""
    # The envelope, (x e^(1 - x))^(n - 1) with x = 1 + 2 pi b t / (n - 1), solved for b.
    peak = order - 1.0
    x = -lambertw(-math.exp(math.log(CUT_OFF) / peak - 1.0), -1).real
    return float(peak * (x - 1.0) / (2.0 * math.pi * after_peak_s))
