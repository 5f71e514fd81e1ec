"""Log-mel filterbank in six published conventions: the baseline, not learned."""

import inspect
import math

import numpy as np
import torch

from ...processing.filterbank.responses import FilterSet
from ...processing.filterbank.scales import MEL_SCALES
from ...processing.filterbank.triangles import NORMS, SLOPES, mel_bank
from ...processing.system.names import nearest
from ..contracts import Frontend, check_batch
from ..options import choice, flag, number
from ..registry import register_frontend
from ._filterbank import filter_range
from ._spectral import SpectralFrontend, limit_range

#: Values of an option in each convention, where it is not given. `max_freq_hz` None: LEAF's range,
#: min(7800, 0.4875 sample_rate); infinity: half the sample rate. 25.0625 ms are 401 samples at
#: 16 kHz, one more than 25 ms.
DEFAULTS = {
    "convention": ("auricle", "leaf_audio", "nnaudio", "kaldi", "speechbrain", "essentia"),
    "window_ms": (25.0, 25.0625, 30.0, 25.0, 25.0, 32.0),
    "n_fft": ("power_of_two", "power_of_two", "window", "power_of_two", "window", "power_of_two"),
    "window_shape": ("hann", "hann_symmetric", "hann", "povey", "hamming", "hann_symmetric"),
    "padding": ("zeros", "end", "reflect", "none", "zeros", "none"),
    "preemphasis": (0.0, 0.0, 0.0, 0.97, 0.0, 0.0),
    "remove_dc": (False, False, False, True, False, False),
    "power": (2.0, 2.0, 2.0, 2.0, 2.0, 2.0),
    "min_freq_hz": (60.0, 60.0, 0.0, 20.0, 0.0, 0.0),
    "max_freq_hz": (None, None, math.inf, math.inf, math.inf, math.inf),
    "mel_scale": ("htk", "htk", "slaney", "htk", "htk", "slaney"),
    "slopes": ("hz", "mel", "hz", "mel", "symmetric", "hz"),
    "norm": ("none", "none", "slaney", "none", "none", "slaney"),
    "log": ("offset", "offset", "offset", "floor", "db", "log10"),
    "log_offset": (1e-6, 1e-5, 1e-10, float(np.finfo(np.float32).eps), 1e-10, 1e-4),
    "top_db": (math.inf, math.inf, math.inf, math.inf, 80.0, math.inf),
}
CONVENTIONS = {
    name: {option: values[column] for option, values in DEFAULTS.items() if option != "convention"}
    for column, name in enumerate(DEFAULTS["convention"])
}
CHOICES = {
    "mel_scale": MEL_SCALES,
    "slopes": SLOPES,
    "norm": NORMS,
    "log": ("offset", "floor", "db", "log10"),
    "power": (1.0, 2.0),
}


@register_frontend(
    "mel",
    paper="Davis and Mermelstein, Comparison of Parametric Representations, IEEE TASSP 1980",
    source="torchaudio.transforms.MelSpectrogram",
)
class Mel(SpectralFrontend):
    """Fixed log-mel filterbank: nothing is learned.

    `convention` sets every option below that is not given (None), to reproduce another library's
    mel; each option can also be set alone.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Mel bands, F.
    window_ms, hop_ms : float
        Window and frame distance, in whole samples (rounded down).
    n_fft : int or str or None
        Points of the FFT; "power_of_two": the smallest that holds the window (512 at 16 kHz);
        "window": as many as the window.
    min_freq_hz, max_freq_hz : float
        Range of the filters. auricle and leaf_audio: 60 to min(7800, 0.4875 sample_rate), LEAF's
        range; nnaudio, speechbrain and essentia: 0, kaldi: 20, to half the sample rate.
    mel_scale : str
        "htk" (logarithmic), or "slaney" (linear below 1 kHz).
    norm : str
        "none": filters with peak 1; "slaney": with unit area over frequency.
    log_offset : float
        Added before the logarithm, or the floor below which it does not go, see `log`.
    convention : str
        "auricle"; "leaf_audio" (MelFilterbanks of the LEAF reference); "nnaudio"
        (MelSpectrogram, n_fft = window = 480 at 16 kHz, and the logarithm of the trainable-STFT
        experiments); "kaldi" (fbank without dither, for waveforms in the range they are given
        in: Kaldi itself takes 16-bit numbers); "speechbrain" (lobes.features.Fbank); "essentia"
        (TensorflowInputMusiCNN, for which hop_ms is 16 and num_features 96).
    window_shape, padding, remove_dc, preemphasis
        As `SpectralFrontend`.
    power : float
        2: power spectrum; 1: magnitudes.
    slopes : str
        Triangles linear in "hz" or in "mel"; "symmetric": linear in Hz and on both sides as wide
        as on the lower one, as in SpeechBrain.
    log : str
        "offset": ln(x + log_offset); "floor": ln(max(x, log_offset)); "db": 10 log10(max(x,
        log_offset)), for magnitudes 20 log10; "log10": log10(1 + x / log_offset).
    top_db : float
        With "db": levels further below the maximum of the item's own frames are raised to that
        bound; infinity is off.
    allow_empty : bool
        True admits bands that hold no bin of the FFT and are always silent: some published models
        were trained with them (AST: 128 Kaldi bands on 512 points, one of them empty).

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, N, F) float32. N by padding: 1 + floor(T / hop) for
    auricle, nnaudio and speechbrain; ceil(T / hop) for leaf_audio;
    max(1, 1 + floor((T - window) / hop)) for kaldi and essentia.

    Raises
    ------
    ValueError
        For an unknown choice, a range beyond half the sample rate, or a band so narrow that it
        lies between two bins of the FFT.

    References
    ----------
    google-research/leaf-audio@b130481, KinWaiCheuk/nnAudio@ad2d887, torchaudio 2.11
    `compliance.kaldi.fbank`, SpeechBrain 1.1.2, TensorflowInputMusiCNN of essentia-tensorflow.
    Deviations: a mirrored edge is each item's own; top_db looks at valid frames only; bins of an odd n_fft lie at k sample_rate / n_fft
    (torchaudio and nnAudio put the last one at half the sample rate); where Kaldi returns no
    frame for a clip shorter than the window, here is one, padded with zeros.

    Example
    -------
    >>> Mel(sample_rate=16000)(torch.zeros(2, 16000)).shape
    torch.Size([2, 101, 40])
    >>> Mel(convention="kaldi", num_features=80)(torch.zeros(2, 16000)).shape
    torch.Size([2, 98, 80])
    """

    fixed = True

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 40,
        window_ms: float | None = None,
        hop_ms: float = 10.0,
        n_fft: int | str | None = None,
        min_freq_hz: float | None = None,
        max_freq_hz: float | None = None,
        mel_scale: str | None = None,
        norm: str | None = None,
        log_offset: float | None = None,
        convention: str = "auricle",
        window_shape: str | None = None,
        padding: str | None = None,
        remove_dc: bool | None = None,
        preemphasis: float | None = None,
        power: float | None = None,
        slopes: str | None = None,
        log: str | None = None,
        top_db: float | None = None,
        allow_empty: bool = False,
    ):
        choice("convention", convention, tuple(CONVENTIONS))
        given = locals()
        chosen = {
            name: default if given[name] is None else given[name]
            for name, default in CONVENTIONS[convention].items()
        }
        for name, allowed in CHOICES.items():
            choice(name, chosen[name], allowed)
        log_offset = number("log_offset", chosen["log_offset"], above=0)
        top_db = chosen["top_db"]
        if top_db != math.inf:  # which is off
            top_db = number("top_db", top_db, above=0)
        framing = ("window_ms", "n_fft", "window_shape", "padding", "remove_dc", "preemphasis")
        super().__init__(
            sample_rate, num_features, hop_ms=hop_ms, **{name: chosen[name] for name in framing}
        )
        highest = chosen["max_freq_hz"]
        if highest == math.inf:
            highest = sample_rate / 2
        range_hz = filter_range(sample_rate, chosen["min_freq_hz"], highest)
        self.convention = convention
        self.power, self.log = float(chosen["power"]), chosen["log"]
        self.log_offset, self.top_db = log_offset, top_db
        sizes = self.num_features, self.n_fft, self.sample_rate
        shape = {name: chosen[name] for name in ("mel_scale", "slopes", "norm")}
        empty = flag("allow_empty", allow_empty)
        bank = mel_bank(*sizes, *range_hz, **shape, allow_empty=empty)
        self.register_buffer("bank", bank, persistent=False)

    def energy(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Mel energies (magnitudes for power=1) before the logarithm, (B, N, F)."""
        with torch.autocast(wavs.device.type, enabled=False):
            spectrum = self.spectrum(wavs, lengths, self.power)
            return spectrum @ self.bank.to(spectrum.dtype)

    def compress(self, energy: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
        """Logarithm of energies (B, N, F); `valid` (B, N) or None says which frames count."""
        if self.log == "offset":
            return torch.log(energy + self.log_offset)
        if self.log == "floor":
            return torch.log(energy.clamp(min=self.log_offset))
        if self.log == "log10":
            return torch.log10(1 + energy / self.log_offset)
        level = (20 / self.power) * torch.log10(energy.clamp(min=self.log_offset))
        return limit_range(level, self.top_db, valid)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        check_batch(wavs, lengths)
        with torch.autocast(wavs.device.type, enabled=False):
            valid = self.valid_frames(lengths, wavs.shape[1], wavs.device)
            return self.compress(self.energy(wavs, lengths), valid)

    def filters(self) -> FilterSet:
        """Amplitude of each band for a tone."""
        return self.tone_filters(self.bank.T, int(self.power))


class MelBased(Frontend):
    """A frontend that computes with the frames of a `Mel`, its attribute `mel`."""

    @property
    def reach(self) -> tuple[int, int]:
        """Samples that frame k reads, as `mel` does."""
        return self.mel.reach

    def num_frames(self, num_samples: int) -> int:
        """Exact number of frames, by the padding rule of `mel`."""
        return self.mel.num_frames(num_samples)

    def filters(self) -> FilterSet:
        """The filters of `mel`, in front of everything else."""
        return self.mel.filters()


def inner_mel(sample_rate: int, num_mels: int, options: dict | None, **defaults) -> Mel:
    """The mel filterbank inside another frontend, from its option `mel`.

    Arguments
    ---------
    sample_rate, num_mels : int
    options : dict or None
        Options of `Mel` by name, without sample_rate, num_features and hop_ms.
    defaults
        Values that the frontend sets unless `options` has them.
    """
    if not isinstance(options, (dict, type(None))):
        raise ValueError(f"mel must map options of the frontend mel to values, got {options!r}")
    allowed = set(inspect.signature(Mel.__init__).parameters)
    allowed -= {"self", "sample_rate", "num_features", "hop_ms"}
    for name in options or {}:
        if name not in allowed:
            raise ValueError(
                f"mel.{name}: no such option{nearest(name, allowed)} Options: {sorted(allowed)}"
            )
    return Mel(sample_rate, num_mels, **{**defaults, **(options or {})})
