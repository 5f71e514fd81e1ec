"""Mel-frequency cepstral coefficients and their derivatives over time, not learned."""

import math

import torch
import torchaudio
from torch.nn import functional

from ..contracts import mask_padding
from ..options import choice, flag, number, whole
from ..registry import register_frontend
from .mel import MelBased, inner_mel


@register_frontend(
    "mfcc",
    paper="Davis and Mermelstein, Comparison of Parametric Representations, IEEE TASSP 1980",
    source="torchaudio.transforms.MFCC",
)
class MFCC(MelBased):
    """Mel levels, decorrelated over frequency by a DCT-II; nothing is learned.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_ceps : int
        Coefficients per frame, from the zeroth, not more than num_mels.
    num_mels : int
        Mel bands.
    log : str
        "db": 10 log10 above 1e-10, and nothing lower than 80 dB below the item's maximum, as
        torchaudio and nnAudio; "mel": the logarithm of the mel convention (with Kaldi's and
        lifter=22: Kaldi's MFCC, without energy).
    lifter : int
        Coefficient n times 1 + lifter / 2 sin(pi n / lifter), as in HTK and Kaldi; 0 is off.
    deltas : int
        0, 1 or 2 derivatives over time behind the coefficients.
    delta_frames : int
        Odd number of frames that a derivative is fitted over; edge frames are repeated at each
        item's own end.
    hop_ms : float
        Frame distance.
    mel : dict or None
        Options of the frontend `mel`, such as {convention: nnaudio}.
    dct : str
        "orthonormal"; or "htk": the zeroth coefficient is scaled like the others and so is the root
        of 2 larger, as in HTK and in TensorFlow's `mfccs_from_log_mel_spectrograms`.
    peak : bool
        Divide each item by its largest sample (not its largest magnitude) where that is above 0, as
        MLPerf Tiny's features do: loudness no longer counts.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, N, num_ceps * (1 + deltas)) float32, N as `mel`
    (1 + floor(T / hop) by default).

    Raises
    ------
    ValueError
        For more coefficients than bands, an even delta_frames, and the errors of `mel`.

    References
    ----------
    torchaudio 2.11 `transforms.MFCC`, nnAudio `MFCC`, Kaldi by `torchaudio.compliance.kaldi.mfcc`.
    Deviation: the 80 dB are counted per item, where torchaudio's transform counts per batch.

    Example
    -------
    >>> MFCC(num_ceps=13, deltas=2)(torch.zeros(2, 16000)).shape
    torch.Size([2, 101, 39])
    """

    fixed = True

    def __init__(
        self,
        sample_rate: int = 16000,
        num_ceps: int = 20,
        num_mels: int = 40,
        log: str = "db",
        lifter: int = 0,
        deltas: int = 0,
        delta_frames: int = 5,
        hop_ms: float = 10.0,
        mel: dict | None = None,
        dct: str = "orthonormal",
        peak: bool = False,
    ):
        if whole("num_ceps", num_ceps) > whole("num_mels", num_mels):
            raise ValueError(f"num_ceps must lie in 1 to num_mels={num_mels}, got {num_ceps}")
        choice("log", log, ("db", "mel"))
        choice("dct", dct, ("orthonormal", "htk"))
        number("lifter", lifter, low=0)
        whole("deltas", deltas, 0, 2)
        if whole("delta_frames", delta_frames, 3) % 2 == 0:
            raise ValueError(f"delta_frames must be odd and at least 3, got {delta_frames}")
        levels = {"log": "db", "log_offset": 1e-10, "top_db": 80.0} if log == "db" else {}
        inner = inner_mel(sample_rate, num_mels, mel, **{"hop_ms": hop_ms, **levels})
        super().__init__(sample_rate, inner.hop, inner.window, num_ceps * (1 + deltas))
        self.mel = inner
        self.peak = flag("peak", peak)
        self.deltas = deltas
        self.delta_frames = delta_frames
        basis = torchaudio.functional.create_dct(num_ceps, num_mels, norm="ortho")
        if dct == "htk":
            basis[:, 0] *= math.sqrt(2)
        if lifter:
            basis = basis * (1 + lifter / 2 * torch.sin(math.pi * torch.arange(num_ceps) / lifter))
        self.register_buffer("basis", basis, persistent=False)  # (num_mels, num_ceps)

    @property
    def reach(self) -> tuple[int, int]:
        """Samples that frame k reads: those of `mel`, and of the frames that derivatives take."""
        beside = self.deltas * (self.delta_frames // 2) * self.hop
        return self.mel.reach[0] + beside, self.mel.reach[1] + beside

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        with torch.autocast(wavs.device.type, enabled=False):
            if self.peak:
                largest = mask_padding(wavs, lengths).amax(1, keepdim=True)
                wavs = wavs / torch.where(largest > 0, largest, 1)
            levels = self.mel(wavs, lengths)
            parts = [levels @ self.basis.to(levels.dtype)]
            valid = self.mel.valid_frames(lengths, wavs.shape[1], wavs.device)
            for _ in range(self.deltas):
                parts.append(time_derivative(parts[-1], self.delta_frames, valid))
            return torch.cat(parts, dim=2)


def time_derivative(
    feats: torch.Tensor, num_frames: int = 5, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Slope over time, per frame: the straight line fitted over `num_frames` frames.

    Arguments
    ---------
    feats : tensor (B, N, F)
    num_frames : int
        Odd.
    valid : bool tensor (B, N) or None
        Frames of each item; its first and last are repeated beyond its ends.

    Shape
    -----
    (B, N, F) -> (B, N, F)

    Example
    -------
    >>> time_derivative(3.0 * torch.arange(7.0)[None, :, None])[0, 2:5, 0]
    tensor([3., 3., 3.])
    """
    half = num_frames // 2
    total = feats.shape[1]
    if valid is None:
        last = torch.full((feats.shape[0], 1), total - 1, device=feats.device)
    else:
        last = valid.sum(1, keepdim=True) - 1
    position = torch.arange(-half, total + half, device=feats.device)
    index = torch.minimum(position, last).clamp(min=0)  # (B, N + 2 half)
    padded = feats.gather(1, index[:, :, None].expand(-1, -1, feats.shape[2]))
    slope = torch.arange(-half, half + 1, dtype=feats.dtype, device=feats.device)
    slope = slope / slope.square().sum()
    flat = padded.transpose(1, 2).reshape(-1, 1, total + 2 * half)
    out = functional.conv1d(flat, slope[None, None])
    return out.view(feats.shape[0], feats.shape[2], total).transpose(1, 2)
