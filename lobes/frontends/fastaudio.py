"""FastAudio: a spectrogram under triangles or Gaussians whose centre and width are learned."""

import torch
from torch import nn

from ...processing.filterbank.responses import FilterSet
from ...processing.filterbank.triangles import PARAMETRIC_SHAPES, mel_edges_hz, parametric_shape
from ..options import choice, flag, frequency_range, number
from ..registry import register_frontend
from ._spectral import SpectralFrontend, limit_range

#: Least `band` in bins: a triangle then weighs the nearest bin with a third at least.
NARROWEST_BINS = 0.75
#: Least distance of a centre from 0 Hz and half the sample rate in bins: exactly at the bin, a
#: narrow triangle has no other bin on its slopes and so no gradient.
EDGE_BINS = 0.25
#: A learned band may grow to this many times the widest initial one.
WIDEST = 2.0
#: Bands below this are raised to it before the logarithm, as in the reference.
FLOOR = 1e-10


@register_frontend(
    "fastaudio",
    paper="Fu et al., FastAudio: A Learnable Audio Front-End for Spoof Speech Detection, 2022",
    source="magnumresearchgroup/Fastaudio@ef173ba, speechbrain/speechbrain@9c826ef39",
)
class FastAudio(SpectralFrontend):
    """Learned centre frequency and width of every band over a fixed spectrogram, in dB.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Bands, F.
    shape : str
        "triangular": symmetric, from 0 at centre - band over 1 to 0 at centre + band;
        "gaussian": standard deviation band / 2.
    power : int
        1: the bands sum magnitudes, as in the reference; 2: powers. Both become 10 log10 of it.
    top_db : float or None
        Values more than this below an item's own largest are raised to there. None: not.
    sort : bool
        Bands leave in the order of their centres, each with its own width.
    learnable : bool
        False: fixed at the initial values.
    window_ms, hop_ms : float
        Hann window and frame distance, in whole samples (rounded down).
    n_fft : int or str or None
        Points of the FFT: "window" (480 at 16 kHz), "power_of_two" or a number.
    min_freq_hz, max_freq_hz : float
        Range of the initial bands, equally spaced in HTK mel; max_freq_hz None is half the sample
        rate. The initial `band` is the distance to the centre on the left.
    padding : str
        "reflect" or "zeros", at each item's own ends; see `SpectralFrontend`.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, 1 + floor(T / hop), F) float32, in dB.

    Raises
    ------
    ValueError
        Besides wrong values: for rectangles, which have no gradient, and when an initial band is
        narrower than 0.75 bins.

    Notes
    -----
    Learned: centre and band in cycles per sample (Hz / sample rate), 2 F values.

    References
    ----------
    On purpose otherwise than the reference: parameters are projected after the step and not
    clamped in forward; centres stay a quarter of a bin inside 0 Hz and half the sample rate, bands
    between 0.75 bins and twice the widest initial band (the reference's 3.1 Hz and 603.7 Hz suit
    40 bands at 16 kHz; of 10 bands they silently narrow the upper four); centres and widths are
    sorted together (sorted one by one they swap partners); `top_db` counts from the item's maximum
    over its valid frames, not from the batch's.

    Example
    -------
    >>> frontend = FastAudio(sample_rate=16000)
    >>> frontend(torch.zeros(2, 16000)).shape, sum(p.numel() for p in frontend.parameters())
    (torch.Size([2, 101, 40]), 80)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 40,
        shape: str = "triangular",
        power: int = 1,
        top_db: float | None = 80.0,
        sort: bool = True,
        learnable: bool = True,
        window_ms: float = 30.0,
        hop_ms: float = 10.0,
        n_fft: int | str | None = "window",
        min_freq_hz: float = 0.0,
        max_freq_hz: float | None = None,
        padding: str = "reflect",
    ):
        super().__init__(sample_rate, num_features, window_ms, hop_ms, n_fft=n_fft, padding=padding)
        if shape == "rectangular":
            raise ValueError(
                f"shape must be one of {PARAMETRIC_SHAPES}, got 'rectangular' (a rectangle has no "
                "gradient in its edges)"
            )
        self.shape = choice("shape", shape, PARAMETRIC_SHAPES)
        self.power = choice("power", power, (1, 2))
        self.top_db = None if top_db is None else number("top_db", top_db, above=0)
        self.sort, learnable = flag("sort", sort), flag("learnable", learnable)
        self.fixed = not learnable
        min_freq_hz, max_freq_hz = frequency_range(sample_rate, min_freq_hz, max_freq_hz)
        edges = torch.from_numpy(mel_edges_hz(num_features, min_freq_hz, max_freq_hz, "htk"))
        band_hz = edges.diff()[:-1]
        least_hz = NARROWEST_BINS * sample_rate / self.n_fft
        if band_hz.min() < least_hz:
            raise ValueError(
                f"num_features={num_features} between min_freq_hz={min_freq_hz:g} and "
                f"max_freq_hz={max_freq_hz:g} makes bands of {band_hz.min():.1f} Hz, narrower than "
                f"{NARROWEST_BINS} bins or {least_hz:.1f} Hz; take fewer bands, a longer window_ms "
                f"(got {window_ms:g}) or a larger n_fft (got {self.n_fft})"
            )
        self.register_buffer("plain_basis", None, persistent=False)
        #: Ranges of `centre` and `band`, in cycles per sample.
        self.centre_range = (EDGE_BINS / self.n_fft, 0.5 - EDGE_BINS / self.n_fft)
        self.band_range = (NARROWEST_BINS / self.n_fft, WIDEST * band_hz.max().item() / sample_rate)
        self.centre = nn.Parameter((edges[1:-1] / sample_rate).float(), requires_grad=learnable)
        self.band = nn.Parameter((band_hz / sample_rate).float(), requires_grad=learnable)

    @torch.no_grad()
    def project_(self) -> None:
        """Put centres and widths back into their ranges, in place."""
        self.centre.clamp_(*self.centre_range)
        self.band.clamp_(*self.band_range)

    def _sorted(self) -> tuple[torch.Tensor, torch.Tensor]:
        dtype = torch.promote_types(self.centre.dtype, torch.float32)
        centre, band = self.centre.to(dtype), self.band.to(dtype)
        if self.sort:
            order = centre.detach().argsort(stable=True)
            centre, band = centre[order], band[order]
        return centre, band

    @torch.no_grad()
    def use_plain_operators_(self) -> None:
        super().use_plain_operators_()
        self.plain_basis = self.basis()

    def basis(self) -> torch.Tensor:
        """Weight of every bin in every band, (F, bins)."""
        if self.plain_basis is not None:
            return self.plain_basis
        centre, band = self._sorted()
        freqs = (self.freqs_hz / self.sample_rate).to(centre)
        return parametric_shape(freqs, centre, band, self.shape)

    def bands(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Bands before the logarithm, (B, N, F), in at least float32."""
        with torch.autocast(wavs.device.type, enabled=False):
            basis = self.basis()
            spectrum = self.spectrum(wavs, lengths, self.power)
            return spectrum.to(basis.dtype) @ basis.T

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        decibels = 10.0 * self.bands(wavs, lengths).clamp(min=FLOOR).log10()
        if self.top_db is None:
            return decibels
        valid = self.valid_frames(lengths, wavs.shape[1], wavs.device)
        return limit_range(decibels, self.top_db, valid)

    @torch.no_grad()
    def filters(self) -> FilterSet:
        """Amplitude of each band for a tone, and the centres of the parameters."""
        centre_hz = self._sorted()[0].double() * self.sample_rate
        return self.tone_filters(self.basis(), self.power, centre_hz=centre_hz)
