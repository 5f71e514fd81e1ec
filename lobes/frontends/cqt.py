"""Constant-Q transform: kernels of equal width in octaves, learned or fixed."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...processing.filterbank.responses import FilterSet, from_taps
from ...processing.system.rules import table
from ..options import MAX_MS, choice, flag, number, whole
from ..registry import register_frontend
from ._spectral import SpectralFrontend

CENTRED_PADDINGS = ("zeros", "reflect")


@register_frontend(
    "cqt",
    paper="Brown, Calculation of a Constant Q Spectral Transform, JASA 1991",
    source="KinWaiCheuk/nnAudio@ad2d887 (CQT1992v2)",
)
class CQT(SpectralFrontend):
    """Log power of a constant-Q transform; every tap of its kernels may be learned.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Bins, F: bin k is at min_freq_hz * 2^(k / bins_per_octave) Hz, below half the sample rate.
    learnable : bool
        False: fixed at the initial values.
    bins_per_octave : int
    min_freq_hz : float
        Lowest bin; 32.70 is the note C1.
    filter_scale : float
        Length of the kernels; 1 makes them as wide as the distance of the bins, Q =
        1 / (2^(1 / bins_per_octave) - 1) periods long. Shorter kernels see shorter events.
    hop_ms : float
        Frame distance, rounded down to samples.
    padding : str
        "zeros", or "reflect": mirrored at each item's own ends, repeatedly where the clip is
        shorter than half the longest kernel (0.51 s for 32.7 Hz).
    log_offset : float
        Added to the power before the logarithm.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, 1 + floor(T / hop), F) float32.
    Frame k is centred at sample hop * k in every bin.

    Raises
    ------
    ValueError
        Besides wrong values: when the highest bin is not below half the sample rate, or its kernel
        has fewer than 4 samples.

    Notes
    -----
    Learned at 16 kHz: 392,280 taps. Each octave's kernels are as long as its longest one; a bin
    may also grow into the zeros beside it.

    References
    ----------
    The magnitude is that of nnAudio's CQT1992v2 (Hann, unit sum of moduli, times the square root
    of the length); its kernels are padded to a power of two and trained in the padding too
    (2.75 million values). The power is used directly: the square root has no slope in silence.

    Example
    -------
    >>> frontend = CQT(sample_rate=16000)
    >>> frontend(torch.zeros(1, 16000)).shape
    torch.Size([1, 101, 84])
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 84,
        learnable: bool = True,
        bins_per_octave: int = 12,
        min_freq_hz: float = 32.70,
        filter_scale: float = 1.0,
        hop_ms: float = 10.0,
        padding: str = "zeros",
        log_offset: float = 1e-10,
    ):
        sample_rate = whole("sample_rate", sample_rate)
        num_features = whole("num_features", num_features)
        bins_per_octave = whole("bins_per_octave", bins_per_octave)
        min_freq_hz = number("min_freq_hz", min_freq_hz, above=0, below=sample_rate / 2)
        filter_scale = number("filter_scale", filter_scale, above=0)
        log_offset = number("log_offset", log_offset, above=0)
        learnable = flag("learnable", learnable)
        choice("padding", padding, CENTRED_PADDINGS)
        with np.errstate(over="ignore"):
            freqs_hz = min_freq_hz * 2.0 ** (np.arange(num_features) / bins_per_octave)
        if freqs_hz[-1] >= sample_rate / 2:
            most = math.ceil(bins_per_octave * math.log2(sample_rate / 2 / min_freq_hz))
            raise ValueError(
                f"num_features={num_features} puts the highest bin at {freqs_hz[-1]:.0f} Hz, not "
                f"below {sample_rate / 2:g} Hz (half the sample rate); with min_freq_hz="
                f"{min_freq_hz:g} and bins_per_octave={bins_per_octave} at most {max(most, 0)} fit"
            )
        quality = filter_scale / (2.0 ** (1.0 / bins_per_octave) - 1.0)
        if not quality / min_freq_hz <= MAX_MS / 1000:
            raise ValueError(
                f"filter_scale={filter_scale:g} makes kernels of {quality / min_freq_hz:.3g} s at "
                f"min_freq_hz={min_freq_hz:g}; at most {MAX_MS / 1000:g} s: take a smaller "
                "filter_scale, fewer bins_per_octave or a higher min_freq_hz"
            )
        lengths = np.ceil(quality * sample_rate / freqs_hz).astype(int)
        if lengths[-1] < 4:
            raise ValueError(
                f"filter_scale={filter_scale:g} makes kernels of {lengths[-1]} samples at "
                f"{freqs_hz[-1]:.0f} Hz; at least 4 are needed: take a larger filter_scale or "
                "more bins_per_octave"
            )
        table("num_features by samples of the longest kernel", 2 * num_features, int(lengths[0]))
        kernels = [
            _octave(freqs_hz[low : low + bins_per_octave] / sample_rate, lengths[low:])
            for low in range(0, num_features, bins_per_octave)
        ]
        longest = kernels[0].shape[2]
        super().__init__(
            sample_rate,
            num_features,
            # Half a sample more, so that rounding down gives exactly the longest kernel.
            window_ms=1000.0 * (longest + 0.5) / sample_rate,
            hop_ms=hop_ms,
            n_fft="window",
            window_shape="rectangular",
            padding=padding,
        )
        self.log_offset = log_offset
        self.fixed = not learnable
        self.kernels = nn.ParameterList(
            nn.Parameter(octave, requires_grad=learnable) for octave in kernels
        )

    def use_plain_operators_(self) -> None:
        """Nothing to change: its kernels are convolutions already, and no spectrum is computed."""

    def power(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Squared magnitude of the transform, (B, N, F), in at least float32."""
        with torch.autocast(wavs.device.type, enabled=False):
            dtype = torch.promote_types(self.kernels[0].dtype, torch.float32)
            signal = self.padded(wavs.to(dtype), lengths)[:, None]
            powers = []
            for octave in self.kernels:
                bins, parts, size = octave.shape
                beside = (self.window - size) // 2
                value = functional.conv1d(
                    signal[..., beside : signal.shape[2] - beside],
                    octave.to(dtype).reshape(bins * parts, 1, size),
                    stride=self.hop,
                )
                powers.append(value.unflatten(1, (bins, parts)).square().sum(2))
            return torch.cat(powers, dim=1).transpose(1, 2)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return torch.log(self.power(wavs, lengths) + self.log_offset)

    @torch.no_grad()
    def filters(self, num_bins: int = 2048) -> FilterSet:
        taps = [
            functional.pad(octave.detach().double(), 2 * [(self.window - octave.shape[2]) // 2])
            for octave in self.kernels
        ]
        return from_taps(torch.cat(taps), self.sample_rate, num_bins)


def _octave(freqs: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
    """Kernels (bins, 2, W) at these frequencies (cycles per sample), as centred correlation taps.

    A kernel of `length` samples covers the samples -ceil(length / 2) to floor(length / 2) - 1 about
    the middle.
    """
    half = -(-int(lengths[0]) // 2)
    taps = np.zeros((len(freqs), 2, 2 * half + 1))
    for row, freq, length in zip(taps, freqs, lengths[: len(freqs)], strict=True):
        time = np.arange(length) - -(-length // 2)
        hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
        hann *= math.sqrt(length) / hann.sum()
        row[0, half + time] = hann * np.cos(2.0 * np.pi * freq * time)
        row[1, half + time] = hann * np.sin(2.0 * np.pi * freq * time)
    return torch.from_numpy(taps).float()
