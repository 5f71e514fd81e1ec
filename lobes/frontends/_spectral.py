"""Base of frontends that start from short-time Fourier spectra: framing, window, power spectrum."""

import torch
from torch.nn import functional

from ...processing.filterbank.framing import at_least, frame_count
from ...processing.filterbank.responses import FilterSet, from_responses
from ..contracts import Frontend, check_batch
from ..layers.masks import (
    frame_counts,
    frame_mask,
    mask_padding,
    reflect_items,
    zero_padding,
)
from ..options import MAX_MS, choice, flag, hop, number, whole

#: Window shapes, each a function of the number of samples. "periodic" windows have the period of
#: the window's length and suit a Fourier transform; "symmetric" ones begin and end alike.
WINDOWS = {
    "hann": lambda size: torch.hann_window(size, periodic=True),
    "hann_symmetric": lambda size: torch.hann_window(size, periodic=False),
    "hamming": lambda size: torch.hamming_window(size, periodic=True),
    "hamming_symmetric": lambda size: torch.hamming_window(size, periodic=False),
    "povey": lambda size: torch.hann_window(size, periodic=False) ** 0.85,
    "rectangular": torch.ones,
}

#: "zeros", "reflect": frame k is centred at sample hop * k; outside the clip the signal is zero or
#: mirrored at each item's own first and last sample (repeatedly where the clip is shorter than
#: half a window). "end": frame k starts at sample hop * k, zeros behind the end. "none": the same,
#: only windows that lie inside the clip; a clip shorter than a window is padded with zeros.
PADDINGS = ("zeros", "reflect", "end", "none")


class SpectralFrontend(Frontend):
    """Framing, window and power spectrum, with exact lengths.

    A subclass writes `forward(wavs, lengths)` with `frames` or `power_spectrum`.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        F, values per frame of the subclass.
    window_ms, hop_ms : float
        Window and frame distance, in whole samples (rounded down).
    n_fft : int or str or None
        Points of the FFT, not fewer than the window has samples. "power_of_two" (or None): the
        smallest power of two that holds the window; "window": as many as the window.
    window_shape : str
        One of `WINDOWS`.
    padding : str
        One of `PADDINGS`. Samples behind an item's end (`lengths`) never enter its frames.
    remove_dc : bool
        Subtract each frame's mean.
    preemphasis : float
        x[t] - preemphasis * x[t - 1] inside each frame, as in Kaldi; 0 is off.

    Shape
    -----
    N = num_frames(T): 1 + floor(T / hop) for "zeros" and "reflect", ceil(T / hop) for "end",
    max(1, 1 + floor((T - window) / hop)) for "none".

    Raises
    ------
    ValueError
        For an unknown window_shape or padding, an n_fft shorter than the window, a window of
        fewer than 2 samples, a preemphasis outside [0, 1].

    Example
    -------
    >>> spectral = SpectralFrontend(16000, 257)
    >>> spectral.power_spectrum(torch.zeros(2, 16000)).shape
    torch.Size([2, 101, 257])
    """

    def __init__(
        self,
        sample_rate: int,
        num_features: int,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        n_fft: int | str | None = None,
        window_shape: str = "hann",
        padding: str = "zeros",
        remove_dc: bool = False,
        preemphasis: float = 0.0,
    ):
        sample_rate = whole("sample_rate", sample_rate)
        num_features = whole("num_features", num_features)
        window = int(sample_rate * number("window_ms", window_ms, above=0, high=MAX_MS) / 1000)
        if window < 2:
            raise ValueError(
                f"window_ms={window_ms} gives {window} samples at {sample_rate} Hz; "
                "at least 2 are needed"
            )
        super().__init__(sample_rate, hop(sample_rate, hop_ms), window, num_features)
        choice("window_shape", window_shape, tuple(WINDOWS))
        if n_fft is None or n_fft == "power_of_two":
            n_fft = 2 ** (window - 1).bit_length()
        elif n_fft == "window":
            n_fft = window
        elif isinstance(n_fft, str):
            raise ValueError(
                f'n_fft must be a whole number, "power_of_two" or "window", got {n_fft!r}'
            )
        if whole("n_fft", n_fft) < window:
            raise ValueError(
                f"n_fft={n_fft} is shorter than the window of {window} samples "
                f"({window_ms} ms at {sample_rate} Hz); give a larger n_fft or a shorter window_ms"
            )
        self.n_fft = int(n_fft)
        self.padding = choice("padding", padding, PADDINGS)
        self.remove_dc = flag("remove_dc", remove_dc)
        self.preemphasis = number("preemphasis", preemphasis, 0.0, 1.0)
        # A centred window lies in the middle of n_fft points, as in torch.stft, which matters when
        # n_fft and the window differ by an odd number.
        centred = self.n_fft // 2 - (self.n_fft - window) // 2
        #: Samples by which frame 0 reaches in front of sample 0.
        self.offset = centred if padding in ("zeros", "reflect") else 0
        # Not persistent: it follows from the options, and is not to be replaced by a checkpoint's.
        self.register_buffer("window_values", WINDOWS[window_shape](window), persistent=False)
        #: Cosines and sines (2 * num_bins, 1, window) in place of the FFT in the exported form.
        self.register_buffer("plain_kernels", None, persistent=False)

    @property
    def num_bins(self) -> int:
        """Bins of the spectrum, n_fft // 2 + 1."""
        return self.n_fft // 2 + 1

    @property
    def freqs_hz(self) -> torch.Tensor:
        """Frequency of each bin in Hz, (num_bins,) float64."""
        return torch.arange(self.num_bins, dtype=torch.float64) * self.sample_rate / self.n_fft

    @property
    def reach(self) -> tuple[int, int]:
        """Samples that frame k reads before and behind sample hop * k, also where it is mirrored."""
        return self.window, max(self.offset, self.window - 1 - self.offset)

    def num_frames(self, num_samples: int) -> int:
        """Exact number of frames, by the padding rule."""
        if self.padding == "end":
            return frame_count(num_samples, self.hop)
        if self.padding == "none":
            return 1 + at_least(num_samples - self.window, 0) // self.hop
        return 1 + num_samples // self.hop

    def padded(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The signal that frames are cut from: frame k is `[:, hop * k : hop * k + window]`.

        Shape
        -----
        (B, T), (B,) -> (B, (N - 1) * hop + window)
        """
        check_batch(wavs, lengths)
        wavs = mask_padding(wavs, lengths)
        num_samples = wavs.shape[1]
        total = (self.num_frames(num_samples) - 1) * self.hop + self.window
        if self.padding == "reflect":
            return self._reflected(wavs, lengths, total)
        return functional.pad(wavs, (self.offset, total - self.offset - num_samples))

    def _reflected(self, wavs, lengths, total: int) -> torch.Tensor:
        """Mirrored at sample 0 and at each item's last sample, neither of which is doubled."""
        counts = frame_counts(wavs, lengths, least=0)
        behind = total - self.offset - wavs.shape[1]
        mirrored = reflect_items(wavs, counts, self.offset, behind)
        if counts is None:
            counts = torch.tensor([wavs.shape[1]], device=wavs.device)
        # Up to where a window that is centred in the item reaches; zeros behind that.
        return zero_padding(mirrored, frame_mask(counts + self.window, total))

    def frames(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Frames before the window, without their mean and pre-emphasised where asked for.

        Shape
        -----
        (B, T), (B,) -> (B, N, window), at least float32
        """
        wavs = wavs.to(torch.promote_types(self.window_values.dtype, torch.float32))
        return self._conditioned(self.padded(wavs, lengths).unfold(1, self.window, self.hop))

    def _conditioned(self, frames: torch.Tensor) -> torch.Tensor:
        if self.remove_dc:
            frames = frames - frames.mean(-1, keepdim=True)
        if self.preemphasis:
            before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
            frames = frames - self.preemphasis * before
        return frames

    def power_spectrum(
        self, wavs: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Squared modulus of the windowed frames' Fourier transform, in at least float32.

        Shape
        -----
        (B, T), (B,) -> (B, N, num_bins)
        """
        with torch.autocast(wavs.device.type, enabled=False):
            if self.plain_kernels is not None:
                signal = self.padded(wavs.to(self.plain_kernels.dtype), lengths)[:, None]
                parts = functional.conv1d(signal, self.plain_kernels, stride=self.hop).square()
                return parts.unflatten(1, (2, self.num_bins)).sum(1).transpose(1, 2)
            frames = self.frames(wavs, lengths)
            spectrum = torch.fft.rfft(frames * self.window_values.to(frames.dtype), self.n_fft)
            return spectrum.real.square() + spectrum.imag.square()

    def use_plain_operators_(self) -> None:
        """Compute the Fourier transform by a strided convolution from now on."""
        kernels = self._fourier_of_frames()
        kernels = torch.cat([kernels.real, kernels.imag])[:, None]
        self.plain_kernels = kernels.to(self.window_values).float()

    def spectrum(
        self, wavs: torch.Tensor, lengths: torch.Tensor | None, power: float
    ) -> torch.Tensor:
        """Power spectrum for power 2, magnitudes for power 1, (B, N, num_bins)."""
        spectrum = self.power_spectrum(wavs, lengths)
        # The gradient of the square root is infinite at 0.
        return spectrum.clamp(min=1e-30).sqrt() if power == 1 else spectrum

    def valid_frames(
        self, lengths: torch.Tensor | None, num_samples: int, device=None
    ) -> torch.Tensor | None:
        """Which frames belong to each item, bool (B, N); None when `lengths` is None."""
        if lengths is None:
            return None
        counts = self.frames_of_items(lengths, num_samples).to(device)
        return frame_mask(counts, self.num_frames(num_samples))

    @torch.no_grad()
    def tone_filters(
        self, weights: torch.Tensor, power: int = 2, num_bins: int = 1025, centre_hz=None
    ) -> FilterSet:
        """Bands over the spectrum as filters: the amplitude of each for a tone.

        It includes the window's response: no band is narrower than the window resolves.

        Arguments
        ---------
        weights : tensor (F, self.num_bins)
            Of the bins in the bands.
        power : int
            2: the bands sum powers, and the amplitude is the root of that; 1: magnitudes.
        num_bins : int
            Frequencies between 0 Hz and half the sample rate.
        centre_hz : tensor (F,) or None
            From the frontend's parameters.
        """
        return self.kernel_filters(self._fourier_of_frames(), weights, power, num_bins, centre_hz)

    def _fourier_of_frames(self) -> torch.Tensor:
        """The complex kernels (bins, window) that condition, window and transform a frame."""
        values = self.window_values.double().cpu()
        # Row t: the conditioned frame for an impulse at sample t.
        impulses = self._conditioned(torch.eye(self.window, dtype=torch.float64)) * values
        return torch.fft.rfft(impulses, self.n_fft, dim=1).T

    @torch.no_grad()
    def kernel_filters(
        self,
        kernels: torch.Tensor,
        weights: torch.Tensor,
        power: int,
        num_bins: int,
        centre_hz=None,
    ) -> FilterSet:
        """`tone_filters` of any complex kernels (self.num_bins, window) in place of the FFT's."""
        # For a real tone of any phase: the mean power of the real and of the imaginary part.
        turns = torch.linspace(0.0, torch.pi, num_bins, dtype=torch.float64)
        tones = torch.exp(1j * torch.outer(torch.arange(self.window).double(), turns))
        gains = (kernels.real + 0j) @ tones, (kernels.imag + 0j) @ tones
        level = 2 * (gains[0].abs().square() + gains[1].abs().square())
        level = level / self.window_values.double().cpu().sum().square()
        bands = weights.detach().double().cpu() @ level ** (power / 2)
        freqs_hz = torch.linspace(0.0, self.sample_rate / 2, num_bins, dtype=torch.float64)
        return from_responses(bands ** (1 / power), freqs_hz, centre_hz)


def limit_range(
    level: torch.Tensor, top_db: float, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Raise levels further than `top_db` below each item's maximum to that bound.

    Arguments
    ---------
    level : tensor (B, N, F)
        In dB.
    top_db : float
        Infinity is off.
    valid : bool tensor (B, N) or None
        Frames that count for the maximum.

    Example
    -------
    >>> limit_range(torch.tensor([[[0.0, -90.0]]]), 80.0)
    tensor([[[  0., -80.]]])
    """
    if top_db == float("inf"):
        return level
    counted = level if valid is None else level.masked_fill(~valid[..., None], float("-inf"))
    return torch.maximum(level, counted.amax((1, 2), keepdim=True) - top_db)
