"""Log-mel filterbank: the fixed frontend everything else is compared with."""

from __future__ import annotations

import torch
import torchaudio

from ...processing.filterbank.framing import hop_samples
from ...processing.filterbank.responses import FilterSet, from_responses
from ..contracts import Frontend, mask_padding
from ..filterbank import filter_range
from ..registry import register_frontend


@register_frontend(
    "mel",
    paper="Davis and Mermelstein, Comparison of Parametric Representations, IEEE TASSP 1980",
    source="torchaudio.transforms.MelSpectrogram",
)
class Mel(Frontend):
    """Fixed log-mel filterbank: nothing is learned.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Mel bands, F.
    window_ms, hop_ms : float
        Hann window and frame distance, in whole samples (rounded down).
    n_fft : int or None
        Points of the FFT; None is the smallest power of two that holds the window (512 at
        16 kHz).
    min_freq_hz, max_freq_hz : float
        Range of the filters; max_freq_hz None is min(7800, 0.4875 sample_rate), LEAF's range.
    mel_scale, norm : str, str or None
        "htk" with None (peak 1), or "slaney" with "slaney" (unit area); as in torchaudio.
    log_offset : float
        Added to the mel power before the logarithm.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, 1 + floor(T / hop), F) float32.
    Frame k is centred at sample hop * k; outside the clip the signal is zero, so a padded clip
    has the same frames as the clip alone.

    Example
    -------
    >>> Mel(sample_rate=16000)(torch.zeros(2, 16000)).shape
    torch.Size([2, 101, 40])
    """

    fixed = True
    normalization = "sentence"

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 40,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        n_fft: int | None = None,
        min_freq_hz: float = 60.0,
        max_freq_hz: float | None = None,
        mel_scale: str = "htk",
        norm: str | None = None,
        log_offset: float = 1e-6,
    ):
        window = int(sample_rate * window_ms / 1000)
        super().__init__(sample_rate, hop_samples(sample_rate, hop_ms), window, num_features)
        if n_fft is None:
            n_fft = 2 ** (window - 1).bit_length()
        if n_fft < window:
            raise ValueError(
                f"n_fft={n_fft} is shorter than the window of {window} samples "
                f"({window_ms} ms at {sample_rate} Hz); give a larger n_fft or a shorter window_ms"
            )
        min_freq_hz, max_freq_hz = filter_range(sample_rate, min_freq_hz, max_freq_hz)
        self.log_offset = log_offset
        self.mel = torchaudio.transforms.MelSpectrogram(
            sample_rate=sample_rate,
            n_fft=n_fft,
            win_length=window,
            hop_length=self.hop,
            f_min=min_freq_hz,
            f_max=max_freq_hz,
            n_mels=num_features,
            power=2.0,
            center=True,
            pad_mode="constant",
            norm=norm,
            mel_scale=mel_scale,
        )

    def num_frames(self, num_samples: int) -> int:
        """Exact number of frames: 1 + floor(T / hop)."""
        return 1 + int(num_samples) // self.hop

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        with torch.autocast(wavs.device.type, enabled=False):
            wavs = mask_padding(wavs.to(self.mel.mel_scale.fb.dtype), lengths)
            return torch.log(self.mel(wavs) + self.log_offset).transpose(1, 2)

    @torch.no_grad()
    def filters(self) -> FilterSet:
        bank = self.mel.mel_scale.fb.double().T
        return from_responses(bank, torch.linspace(0, self.sample_rate / 2, bank.shape[1]))
