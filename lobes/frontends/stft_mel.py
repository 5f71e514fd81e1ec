"""Log-mel with trainable Fourier kernels, trainable mel basis, or both (nnAudio)."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...processing.filterbank.responses import FilterSet
from ...processing.filterbank.scales import MEL_SCALES
from ...processing.filterbank.triangles import mel_bank
from ...processing.system.rules import table
from ..options import choice, flag, frequency_range, number
from ..registry import register_frontend
from ._spectral import SpectralFrontend

#: (trainable_stft, trainable_mel)
SETTINGS = {"A": (False, False), "B": (False, True), "C": (True, False), "D": (True, True)}
MEL_INITS = (*MEL_SCALES, "random")


@register_frontend(
    "stft_mel",
    paper="Cheuk et al., Understanding Audio Features via Trainable Basis Functions, 2022",
    source="KinWaiCheuk/nnAudio@ad2d887, heungky/trainable-STFT-Mel@1fc500e",
)
class StftMel(SpectralFrontend):
    """Log-mel whose Fourier kernels, mel basis, or both are learned.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Mel bands, F.
    setting : str or None
        "A": nothing is learned; "B": the mel basis; "C": the Fourier kernels; "D": both. None:
        by `trainable_stft` and `trainable_mel`, which are True unless given.
    trainable_stft, trainable_mel : bool or None
        The same, one by one; must not contradict `setting`.
    mel_init : str
        "slaney" or "htk": triangles of unit area in Hz. "random": uniform in [-b, b] with
        b = sqrt(6 / bins), negative values set to zero; needs a trainable mel basis.
    mask_bins : (int, int) or None
        Bins of the spectrum (start, end), the end not included, that no band may use. Bin k is at
        k * sample_rate / window Hz.
    window_ms, hop_ms : float
        Hann window, which is also the size of the transform (480 samples at 16 kHz), and frame
        distance, in whole samples (rounded down).
    min_freq_hz, max_freq_hz : float
        Range of the initial bands; max_freq_hz None is half the sample rate.
    padding : str
        "reflect" mirrors each item at its own ends, "zeros" puts zeros there; see
        `SpectralFrontend` for the others.
    log_offset : float
        Added to the mel power before the logarithm.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, 1 + floor(T / hop), F) float32.

    Raises
    ------
    ValueError
        Besides wrong values: when "random" would never be learned, and when an initial band holds
        no bin.

    Notes
    -----
    Learned at 16 kHz: 2 * 241 * 480 = 231,360 values of the kernels and 241 F of the mel basis.
    `project_` keeps the mel basis in [0, 1].

    References
    ----------
    Equal to nnAudio's MelSpectrogram. On purpose otherwise: the power is used directly (nnAudio
    takes a square root of power + 1e-8, or of the power itself, whose gradient in silence is NaN,
    and squares it again); a random mel basis that is not trainable is refused (the study's code
    left it out of the optimiser); masked bins keep the power of 2 (the study's masked model fell
    back to magnitudes) and can be learned around (its write in place broke the gradient).

    Example
    -------
    >>> frontend = StftMel(sample_rate=16000)
    >>> frontend(torch.zeros(2, 16000)).shape, sum(p.numel() for p in frontend.parameters())
    (torch.Size([2, 101, 40]), 241000)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 40,
        setting: str | None = None,
        trainable_stft: bool | None = None,
        trainable_mel: bool | None = None,
        mel_init: str = "slaney",
        mask_bins: tuple[int, int] | None = None,
        window_ms: float = 30.0,
        hop_ms: float = 10.0,
        min_freq_hz: float = 0.0,
        max_freq_hz: float | None = None,
        padding: str = "reflect",
        log_offset: float = 1e-10,
    ):
        super().__init__(
            sample_rate, num_features, window_ms, hop_ms, n_fft="window", padding=padding
        )
        self.trainable_stft, self.trainable_mel = _trainable_parts(
            setting, trainable_stft, trainable_mel
        )
        self.fixed = not (self.trainable_stft or self.trainable_mel)
        self.log_offset = number("log_offset", log_offset, above=0)
        basis = self._initial_basis(mel_init, min_freq_hz, max_freq_hz)
        if self.trainable_mel:
            self.mel_basis = nn.Parameter(basis)
        else:
            self.register_buffer("mel_basis", basis)
        if self.trainable_stft:
            cosines, sines = self._fourier_kernels()
            self.cosines = nn.Parameter(cosines)
            self.sines = nn.Parameter(sines)
        self.register_buffer("kept_bins", self._kept_bins(mask_bins), persistent=False)

    def _initial_basis(self, mel_init: str, min_freq_hz, max_freq_hz) -> torch.Tensor:
        choice("mel_init", mel_init, MEL_INITS)
        range_hz = frequency_range(self.sample_rate, min_freq_hz, max_freq_hz)
        if mel_init == "random":
            if not self.trainable_mel:
                raise ValueError(
                    'mel_init="random" with a mel basis that is not trainable would stay noise; '
                    'use setting "B" or "D", or another mel_init'
                )
            basis = torch.empty(self.num_features, self.num_bins)
            return nn.init.kaiming_uniform_(basis, mode="fan_in").relu_()
        sizes = self.num_features, self.n_fft, self.sample_rate
        return mel_bank(*sizes, *range_hz, mel_init, norm="slaney").T.contiguous()

    def _fourier_kernels(self) -> tuple[torch.Tensor, torch.Tensor]:
        table("bins by n_fft", self.num_bins, self.n_fft)
        # k t is reduced to whole periods before it is scaled: exact in any precision.
        turns = np.outer(np.arange(self.num_bins), np.arange(self.n_fft)) % self.n_fft
        phase = torch.from_numpy(2.0 * np.pi * turns / self.n_fft)
        window = self.window_values.double()
        return (window * phase.cos()).float(), (window * phase.sin()).float()

    def _kept_bins(self, mask_bins) -> torch.Tensor:
        kept = torch.ones(self.num_bins)
        if mask_bins is not None:
            pair = tuple(mask_bins) if isinstance(mask_bins, (list, tuple)) else ()
            start, end = pair if [type(bin_) for bin_ in pair] == [int, int] else (0, 0)
            if not 0 <= start < end <= self.num_bins:
                raise ValueError(
                    f"mask_bins must be whole numbers (start, end) with 0 <= start < end <= "
                    f"{self.num_bins} (bins of the spectrum), got {mask_bins}"
                )
            if end - start == self.num_bins:
                raise ValueError(f"mask_bins={mask_bins} leaves none of the {end} bins")
            kept[start:end] = 0
        return kept

    @torch.no_grad()
    def project_(self) -> None:
        """Keep the mel basis in [0, 1], in place."""
        self.mel_basis.clamp_(0.0, 1.0)

    def mel_power(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Mel power before the logarithm, (B, N, F), in at least float32."""
        with torch.autocast(wavs.device.type, enabled=False):
            basis = self.mel_basis * self.kept_bins
            basis = basis.to(torch.promote_types(basis.dtype, torch.float32))
            if not self.trainable_stft:
                return self.power_spectrum(wavs, lengths).to(basis.dtype) @ basis.T
            # Measured on one CPU thread, 16 x 1 s, forward and backward: a strided convolution
            # 10 ms; unfolded frames times a matrix 15 ms, also in blocks of a hop.
            kernels = torch.cat([self.cosines, self.sines])[:, None].to(basis.dtype)
            signal = self.padded(wavs.to(basis.dtype), lengths)[:, None]
            spectrum = functional.conv1d(signal, kernels, stride=self.hop)
            real, imag = spectrum.split(self.num_bins, dim=1)
            return (basis @ (real.square() + imag.square())).transpose(1, 2)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return torch.log(self.mel_power(wavs, lengths) + self.log_offset)

    @torch.no_grad()
    def filters(self, num_bins: int = 1025) -> FilterSet:
        """Amplitude of each band for a tone, through the learned kernels if any."""
        basis = self.mel_basis * self.kept_bins
        if not self.trainable_stft:
            return self.tone_filters(basis, 2, num_bins)
        cosines, sines = (part.double().cpu() for part in (self.cosines, self.sines))
        return self.kernel_filters(cosines - 1j * sines, basis, 2, num_bins)


def _trainable_parts(setting, trainable_stft, trainable_mel) -> tuple[bool, bool]:
    given = {"trainable_stft": trainable_stft, "trainable_mel": trainable_mel}
    for name, value in given.items():
        if value is not None:
            flag(name, value)
    if setting is None:
        return tuple(value is not False for value in given.values())
    choice("setting", setting, tuple(SETTINGS))
    for (name, value), meant in zip(given.items(), SETTINGS[setting], strict=True):
        if value is not None and value != meant:
            raise ValueError(f"{name}={value} contradicts setting={setting!r}, which has {meant}")
    return SETTINGS[setting]
