"""Time-domain filterbanks: free complex filters that start as Gabor filters."""

import math

import torch
from torch import nn

from ...processing.filterbank.framing import FRAME_CENTRES, at_least
from ...processing.filterbank.responses import FilterSet, from_taps
from ...processing.filterbank.shapes import gabor_taps, leaf_initial_values, leaf_triangles
from ..contracts import check_batch
from ..options import choice, flag, number
from ..registry import register_frontend
from ._filterbank import FilterbankFrontend, filter_range

POOLINGS = ("depthwise", "shared")
POOLING_SIGNS = ("positive", "free")
POOLING_WINDOWS = ("hann", "squared_hann")
COMPRESSIONS = ("log", "log1p")
PREEMPHASIS = (-0.97, 1.0)


@register_frontend(
    "tdfbanks",
    paper="Zeghidour et al., Learning Filterbanks from Raw Speech for Phone Recognition, 2018",
    source="facebookresearch/tdfbanks@cb32151, google-research/leaf-audio@b130481",
)
class TDFilterbanks(FilterbankFrontend):
    """Complex filters whose taps are all learned, squared modulus, a learned low-pass, a logarithm.

    The two published forms differ, and so do the options that give them: the original has a
    low-pass per filter, starts with a Hann window and takes log(1 + E); LEAF's has one low-pass
    for all filters, starts with a squared Hann window and takes log(E + 1e-5). In both only whole
    windows are frames (`frame_centre="valid"`, 98 frames per second); here frames lie as in every
    other frontend unless asked.

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
        Range of the initial mel filters; max_freq_hz None is min(7800, 0.4875 sample_rate). The
        original's range is 0 to 8000 Hz.
    pooling : str
        "depthwise": a low-pass per filter. "shared": one for all.
    pooling_window : str or None
        Initial low-pass, "hann" or "squared_hann"; None is the published one: "hann"
        for "depthwise", "squared_hann" for "shared".
    window_off_by_one : bool
        Start it one sample late, as both references do by mistake (zero at sample 1, peak at 201).
    pooling_sign : str
        "positive": `project_` keeps the weights of the low-pass at or above 0 and never all at 0,
        so that the result is an average of energies. "free": weights of either sign, and the
        absolute value of the result, as in the original.
    compression : str
        "log": log(E + log_offset). "log1p": log(1 + E).
    log_offset : float
    energy_floor : float
        Energies are raised to it before the compression (1e-5 in LEAF's form); below it they have
        no gradient.
    preemphasis : bool
        Learned y[t] = a x[t - 1] + b x[t] in front, a = -0.97 and b = 1 at the start.
    frame_centre : str
        "centered": frame k is centred at sample hop * k. "tf_same": up to half a hop later,
        depending on the (padded) length. "valid": the window of frame k starts at sample hop * k,
        and only windows that end inside the clip are frames; a clip shorter than a window is
        padded to one.
    backend : str
        "auto" and "full_rate": exact, by FFT. "direct": exact, by convolution. "decimated" assumes
        that filters stay narrow, which free filters need not.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, num_frames(T), F) float32, with ceil(T / hop) frames,
    or max(0, floor((T - window) / hop)) + 1 with "valid" (window: 401 samples at 16 kHz).

    Notes
    -----
    Learned: 2 F W taps (32,080) and F W (16,040) or W (401) weights of the low-pass: 48,120 or
    32,481 values, and 2 with pre-emphasis.

    References
    ----------
    Initial values as google-research/leaf-audio@b130481; the original's widths are one bin
    narrower. Deviations: the initial window is not off by one unless asked, and the weights of
    the low-pass are projected unless "free" (LEAF's form gives NaN once a pooled value is below
    -1e-5); pre-emphasis gives T samples and not T + 1, of which the last would be a click at
    the clip's end.

    Example
    -------
    >>> tdfbanks = TDFilterbanks(sample_rate=16000)
    >>> tdfbanks(torch.zeros(2, 16000)).shape, sum(p.numel() for p in tdfbanks.parameters())
    (torch.Size([2, 100, 40]), 48120)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 40,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        min_freq_hz: float = 60.0,
        max_freq_hz: float | None = None,
        pooling: str = "depthwise",
        pooling_window: str | None = None,
        window_off_by_one: bool = False,
        pooling_sign: str = "positive",
        compression: str = "log",
        log_offset: float = 1e-5,
        energy_floor: float = 0.0,
        preemphasis: bool = False,
        frame_centre: str = "centered",
        backend: str = "auto",
    ):
        if pooling_window is None:
            pooling_window = "hann" if pooling == "depthwise" else "squared_hann"
        choice("pooling", pooling, POOLINGS)
        choice("pooling_window", pooling_window, POOLING_WINDOWS)
        choice("pooling_sign", pooling_sign, POOLING_SIGNS)
        choice("compression", compression, COMPRESSIONS)
        choice("frame_centre", frame_centre, (*FRAME_CENTRES, "valid"))
        log_offset = number("log_offset", log_offset, above=0, high=1e6)
        number("energy_floor", energy_floor, low=0, high=1e6)
        preemphasis = flag("preemphasis", preemphasis)
        same = "centered" if frame_centre == "valid" else frame_centre
        super().__init__(
            sample_rate, num_features, window_ms, hop_ms, same, backend, energy_floor=energy_floor
        )
        self.frame_centre = frame_centre
        self.pooling_sign, self.compression, self.log_offset = pooling_sign, compression, log_offset
        low, high = filter_range(sample_rate, min_freq_hz, max_freq_hz)
        self.filter_taps = nn.Parameter(
            initial_taps(num_features, sample_rate, low, high, self.taps)
        )
        window = initial_pooling(
            self.taps, pooling_window, flag("window_off_by_one", window_off_by_one)
        )
        rows = num_features if pooling == "depthwise" else 1
        self.pooling_weights = nn.Parameter(window.repeat(rows, 1))
        self.preemphasis = nn.Parameter(torch.tensor(PREEMPHASIS)) if preemphasis else None

    @torch.no_grad()
    def project_(self) -> None:
        """Put the low-pass back to weights at or above 0, in place, unless they are free.

        One that has lost nearly all its weight (a sum below 0.5, where a Hann window of 401
        samples has 200) is raised to 1 / W: below the floor its filter would have no gradient.
        """
        if self.pooling_sign == "free":
            return
        self.pooling_weights.clamp_(min=0.0)
        lost = self.pooling_weights.sum(1, keepdim=True) < 0.5
        raised = self.pooling_weights.clamp(min=1.0 / self.taps)
        self.pooling_weights.copy_(torch.where(lost, raised, self.pooling_weights))

    def num_frames(self, num_samples: int) -> int:
        """Exact number of frames: ceil(T / hop), or that of whole windows with "valid"."""
        if self.frame_centre == "valid":
            return 1 + at_least(num_samples - self.taps, 0) // self.hop
        return super().num_frames(num_samples)

    def kernels(self) -> tuple[torch.Tensor, torch.Tensor]:
        dtype = torch.promote_types(self.filter_taps.dtype, torch.float32)
        # The parameter itself where it is float32: the engine reads leaves at the full rate.
        return self.filter_taps.to(dtype), self.pooling_weights.to(dtype).expand(
            self.num_features, -1
        )

    def pooling_offset(self, num_samples: int, pooling: int) -> int:
        if self.frame_centre == "valid":
            return 0
        return super().pooling_offset(num_samples, pooling)

    def energy(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Pooled band energies before the floor and the compression, (B, N, F)."""
        if self.preemphasis is None:
            return super().energy(wavs, lengths)
        check_batch(wavs, lengths)
        with torch.autocast(wavs.device.type, enabled=False):
            dtype = torch.promote_types(self.preemphasis.dtype, torch.float32)
            wavs, (before, now) = wavs.to(dtype), self.preemphasis.to(dtype)
            wavs = now * wavs + before * nn.functional.pad(wavs, (1, 0))[:, :-1]
            return super().energy(wavs, lengths)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        energy = self.energy(wavs, lengths)
        if self.pooling_sign == "free":
            energy = energy.abs()
        return self.compress(energy.clamp(min=self.energy_floor), lengths)

    def compress(self, energy: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        if self.compression == "log1p":
            return energy.log1p()
        return (energy + self.log_offset).log()

    @torch.no_grad()
    def filters(self, num_bins: int = 512) -> FilterSet:
        """The filters, with the pre-emphasis in front of them where there is one."""
        taps = self.kernels()[0]
        if self.preemphasis is not None:
            before, now = self.preemphasis
            pad = nn.functional.pad
            taps = before * pad(taps, (0, 1)) + now * pad(taps, (1, 0))
        return from_taps(taps, self.sample_rate, num_bins)


def initial_taps(
    num_filters: int, sample_rate: int, min_freq_hz: float, max_freq_hz: float, window: int
) -> torch.Tensor:
    """LEAF's initial Gabor filters, each scaled to the energy of its mel filter: (F, 2, W).

    A Gabor filter of unit area has a power response of area 2 sqrt(pi) / width in rad/sample,
    halved for a real signal; it is scaled to the area of the triangle.
    """
    centre, width = leaf_initial_values(num_filters, sample_rate, min_freq_hz, max_freq_hz)
    triangles, points = leaf_triangles(num_filters, sample_rate, min_freq_hz, max_freq_hz)
    triangles = torch.from_numpy(triangles).float()
    area = triangles.amax(1) * ((triangles > 0).sum(1) + 2) * (math.pi / points)
    scale = torch.sqrt(area * (2.0 * math.sqrt(math.pi)) * width)
    return gabor_taps(centre, width, window) * scale[:, None, None]


def initial_pooling(window: int, shape: str, off_by_one: bool) -> torch.Tensor:
    """Hann window or its square, (1, W)."""
    place = torch.arange(window, dtype=torch.float64) - float(off_by_one)
    hann = 0.5 - 0.5 * torch.cos(2.0 * math.pi * place / (window - 1))
    return (hann.square() if shape == "squared_hann" else hann).float()[None]
