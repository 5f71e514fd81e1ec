"""Mel energies with per-channel energy normalisation instead of a logarithm."""

import torch

from ...processing.filterbank.pcen import PCEN
from ..options import choice, flag, number, whole
from ..registry import register_frontend
from .mel import MelBased, inner_mel

#: Initial values of the compression. `time_constant_s` stands for the smoothing coefficient that
#: has this decay at the frame rate, as in librosa.
PRESETS = {
    "leaf": {"alpha": 0.96, "delta": 2.0, "root": 2.0, "smooth": 0.04, "floor": 1e-12},
    "wang": {"alpha": 0.98, "delta": 2.0, "root": 2.0, "smooth": 0.025, "floor": 1e-6},
    "librosa": {"alpha": 0.98, "delta": 2.0, "root": 2.0, "time_constant_s": 0.4, "floor": 1e-6},
}

RANGES = {
    "alpha": (0.0, 1.0),
    "delta": (PCEN.MIN_DELTA, 1e6),
    "root": (1.0, 1e6),
    "smooth": (0.0, 1.0),
    "floor": (1e-30, 1e6),
}


@register_frontend(
    "pcen_mel",
    paper="Wang et al., Trainable Frontend For Robust and Far-Field Keyword Spotting, ICASSP 2017",
    source="librosa.pcen 0.11",
)
class PcenMel(MelBased):
    """Fixed mel filterbank with PCEN, learned or fixed.

    `preset` sets every value below that is not given (None); each can also be set alone.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Mel bands, F.
    trainable : bool
        True: alpha, delta, root and smooth are learned per band, 4 F values. False: fixed.
    preset : str
        "leaf" (LEAF's initial values), "wang" (the paper's), "librosa" (librosa.pcen's defaults).
    alpha, delta, root, smooth, floor : float
        Gain exponent, bias, root, smoothing per frame, and floor added to the smoothed energy;
        see `PCEN`.
    time_constant_s : float
        Instead of smooth: decay of the smoothing in seconds.
    hop_ms : float
        Frame distance.
    mel : dict or None
        Options of the frontend `mel`, such as {convention: nnaudio}; its logarithm is not used.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, N, F) float32, N as `mel` (1 + floor(T / hop) by
    default).

    Raises
    ------
    ValueError
        For a value outside its range, both smooth and time_constant_s, and the errors of `mel`.

    References
    ----------
    Wang et al. (2017); librosa 0.11 `pcen`. Deviation: the smoothing starts at the first frame's
    energy, as in the paper and in LEAF; librosa's starts at 1.

    Example
    -------
    >>> PcenMel()(torch.zeros(2, 16000)).shape
    torch.Size([2, 101, 40])
    """

    normalization = "none"

    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 40,
        trainable: bool = True,
        preset: str = "leaf",
        alpha: float | None = None,
        delta: float | None = None,
        root: float | None = None,
        smooth: float | None = None,
        floor: float | None = None,
        time_constant_s: float | None = None,
        hop_ms: float = 10.0,
        mel: dict | None = None,
    ):
        choice("preset", preset, tuple(PRESETS))
        whole("num_features", num_features)
        trainable = flag("trainable", trainable)
        if smooth is not None and time_constant_s is not None:
            raise ValueError(
                f"give smooth or time_constant_s, not both; got {smooth} and {time_constant_s}"
            )
        inner = inner_mel(sample_rate, num_features, mel, **{"hop_ms": hop_ms})
        super().__init__(sample_rate, inner.hop, inner.window, num_features)
        values = dict(PRESETS[preset])
        default_s = values.pop("time_constant_s", None)
        chosen = {"alpha": alpha, "delta": delta, "root": root, "smooth": smooth, "floor": floor}
        values |= {name: value for name, value in chosen.items() if value is not None}
        if time_constant_s is None and smooth is None:
            time_constant_s = default_s
        if time_constant_s is not None:
            values["smooth"] = smoothing_of(time_constant_s, sample_rate / self.hop)
        for name, (low, high) in RANGES.items():
            number(name, values[name], low, high)
        self.mel = inner
        self.compression = PCEN(num_features, **values, trainable=trainable)
        self.fixed = not trainable

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return self.compression(self.mel.energy(wavs, lengths))


def smoothing_of(time_constant_s: float, frames_per_s: float) -> float:
    """librosa's smoothing coefficient per frame for a time constant.

    Example
    -------
    >>> round(smoothing_of(0.4, 100.0), 5)
    0.02469
    """
    number("time_constant_s", time_constant_s, above=0, high=1e6)
    frames = time_constant_s * frames_per_s
    return ((1 + 4 * frames**2) ** 0.5 - 1) / (2 * frames**2)
