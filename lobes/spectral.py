"""What the frontends share that start from short-time Fourier spectra."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torchaudio
from torch.nn import functional

from ..processing.filterbank.framing import frame_count, hop_samples
from ..processing.filterbank.shapes import hz_to_mel, mel_to_hz, mel_triangles
from .contracts import Frontend, mask_padding, valid_lengths

__all__ = ["PADDINGS", "WINDOWS", "SpectralFrontend", "mel_bank"]

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

#: "zeros", "reflect": frame k is centred at sample hop * k; outside the clip the signal is zero,
#: or mirrored at each item's own first and last sample (repeatedly where the clip is shorter than
#: half a window). "end": frame k starts at sample hop * k, zeros behind the end. "none": the same,
#: only windows that lie inside the clip; a clip shorter than a window is filled up with zeros.
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
        One of `PADDINGS`. What lies behind an item's end (`lengths`) never enters its frames.
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
        window = int(sample_rate * window_ms / 1000)
        if window < 2:
            raise ValueError(
                f"window_ms={window_ms} gives {window} samples at {sample_rate} Hz; "
                "at least 2 are needed"
            )
        super().__init__(sample_rate, hop_samples(sample_rate, hop_ms), window, num_features)
        if window_shape not in WINDOWS:
            raise ValueError(f"window_shape must be one of {tuple(WINDOWS)}, got {window_shape!r}")
        if padding not in PADDINGS:
            raise ValueError(f"padding must be one of {PADDINGS}, got {padding!r}")
        if not 0 <= preemphasis <= 1:
            raise ValueError(f"preemphasis must lie in [0, 1], got {preemphasis}")
        if n_fft is None or n_fft == "power_of_two":
            n_fft = 2 ** (window - 1).bit_length()
        elif n_fft == "window":
            n_fft = window
        elif isinstance(n_fft, str) or int(n_fft) != n_fft:
            raise ValueError(
                f'n_fft must be a whole number, "power_of_two" or "window", got {n_fft!r}'
            )
        if n_fft < window:
            raise ValueError(
                f"n_fft={n_fft} is shorter than the window of {window} samples "
                f"({window_ms} ms at {sample_rate} Hz); give a larger n_fft or a shorter window_ms"
            )
        self.n_fft = int(n_fft)
        self.padding = padding
        self.remove_dc = bool(remove_dc)
        self.preemphasis = float(preemphasis)
        # A centred window lies in the middle of n_fft points, as in torch.stft: what matters when
        # n_fft and the window differ by an odd number.
        centred = self.n_fft // 2 - (self.n_fft - window) // 2
        #: Samples by which frame 0 reaches in front of sample 0.
        self.offset = centred if padding in ("zeros", "reflect") else 0
        # Not persistent: it follows from the options, and is not to be replaced by a checkpoint's.
        self.register_buffer("window_values", WINDOWS[window_shape](window), persistent=False)

    @property
    def num_bins(self) -> int:
        """Bins of the spectrum, n_fft // 2 + 1."""
        return self.n_fft // 2 + 1

    @property
    def freqs_hz(self) -> torch.Tensor:
        """Frequency of each bin in Hz, (num_bins,) float64."""
        return torch.arange(self.num_bins, dtype=torch.float64) * self.sample_rate / self.n_fft

    def num_frames(self, num_samples: int) -> int:
        """Exact number of frames, by the padding rule."""
        if self.padding == "end":
            return frame_count(num_samples, self.hop)
        if self.padding == "none":
            return max(1, 1 + (int(num_samples) - self.window) // self.hop)
        return 1 + int(num_samples) // self.hop

    def padded(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The signal that frames are cut from: frame k is `[:, hop * k : hop * k + window]`.

        Shape
        -----
        (B, T), (B,) -> (B, (N - 1) * hop + window)
        """
        wavs = mask_padding(wavs, lengths)
        num_samples = wavs.shape[1]
        total = (self.num_frames(num_samples) - 1) * self.hop + self.window
        if self.padding == "reflect":
            return self._reflected(wavs, lengths, total)
        return functional.pad(wavs, (self.offset, total - self.offset - num_samples))

    def _reflected(self, wavs, lengths, total: int) -> torch.Tensor:
        """Mirrored at sample 0 and at each item's last sample, neither of which is doubled."""
        batch, num_samples = wavs.shape
        valid = valid_lengths(lengths, num_samples)
        if valid is None:
            valid = torch.tensor([num_samples])
        valid = valid.to(wavs.device)[:, None]
        position = torch.arange(total, device=wavs.device) - self.offset
        last = (valid - 1).clamp(min=0)
        index = position.remainder((2 * last).clamp(min=1))
        index = torch.minimum(index, 2 * last - index)
        beyond = position >= valid + self.window - self.offset
        return wavs.gather(1, index.expand(batch, -1)).masked_fill(beyond, 0)

    def frames(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Frames before the window, without their mean and pre-emphasised where asked for.

        Shape
        -----
        (B, T), (B,) -> (B, N, window), at least float32
        """
        wavs = wavs.to(torch.promote_types(self.window_values.dtype, torch.float32))
        frames = self.padded(wavs, lengths).unfold(1, self.window, self.hop)
        if self.remove_dc:
            frames = frames - frames.mean(2, keepdim=True)
        if self.preemphasis:
            before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
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
            frames = self.frames(wavs, lengths)
            spectrum = torch.fft.rfft(frames * self.window_values.to(frames.dtype), self.n_fft)
            return spectrum.real.square() + spectrum.imag.square()

    def valid_frames(
        self, lengths: torch.Tensor | None, num_samples: int, device=None
    ) -> torch.Tensor | None:
        """Which frames belong to each item, bool (B, N); None when `lengths` is None."""
        if lengths is None:
            return None
        total = self.num_frames(num_samples)
        valid = valid_lengths(self.frame_lengths(lengths, num_samples), total)
        return torch.arange(total, device=device) < valid.to(device)[:, None]


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
        Where a filter holds no bin: it would be silent for ever.

    Example
    -------
    >>> mel_bank(40, 512, 16000, 0.0, 8000.0).shape
    torch.Size([257, 40])
    """
    if mel_scale != "htk" and slopes != "hz":
        raise ValueError(f'slopes={slopes!r} needs mel_scale="htk", got {mel_scale!r}')
    edges_hz = mel_to_hz(
        np.linspace(hz_to_mel(min_freq_hz), hz_to_mel(max_freq_hz), num_filters + 2)
    )
    if slopes == "hz":
        # Read on a grid twice as fine, of which every second bin is one of the FFT's, whether
        # n_fft is even or odd.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="At least one mel filterbank")
            bank = torchaudio.functional.melscale_fbanks(
                n_fft + 1,
                min_freq_hz,
                max_freq_hz,
                num_filters,
                sample_rate,
                norm=None if norm == "none" else norm,
                mel_scale=mel_scale,
            )[::2]
    else:
        if slopes == "mel":
            fine = mel_triangles(num_filters, n_fft + 1, sample_rate, min_freq_hz, max_freq_hz)
            bank = fine[:, ::2]
        else:
            freqs_hz = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
            centre, width = edges_hz[1:-1, None], np.diff(edges_hz)[:-1, None]
            bank = np.maximum(0.0, 1.0 - np.abs(freqs_hz - centre) / width)
        if norm == "slaney":
            bank = bank * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
        bank = torch.from_numpy(bank.T.copy()).float()
    empty = (bank.amax(0) <= 0).nonzero().flatten().tolist()
    if empty and not allow_empty:
        raise ValueError(
            f"num_features={num_filters} with n_fft={n_fft}: {len(empty)} band(s), the first one "
            f"number {empty[0] + 1}, lie between two bins of the FFT ({sample_rate / n_fft:g} Hz "
            "apart) and would be silent; give a larger n_fft or fewer num_features"
        )
    return bank
