"""SincNet: learned sinc filters and maximum pooling, in the LEAF paper's form and the original."""

import torch
from torch import nn
from torch.nn import functional

from ...processing.filterbank.framing import FRAME_CENTRES, frame_offset
from ...processing.filterbank.sinc import filtered
from ..contracts import Frontend
from ..layers.masks import batch_mask, strided_counts, zero_padding
from ..layers.statistics import standardized
from ..options import choice, hop, number, odd_window, takes_options_of, whole
from ..registry import register_frontend
from ._filterbank import waveform
from ._sinc_cutoffs import SincCutoffs

#: form -> filters, window in ms (401 and 251 samples at 16 kHz).
FORMS = {"leaf_paper": (40, 25.0), "original": (80, 15.625)}

#: Added to the variances of "original".
EPSILON = 1e-8


@register_frontend(
    "sincnet",
    paper="Ravanelli and Bengio, Speaker Recognition from Raw Waveform with SincNet, SLT 2018",
    source="google-research/leaf-audio@b130481",
)
class SincNet(SincCutoffs, Frontend):
    """SincNet: band-pass filters with learned cut-offs, the maximum over a window, normalised.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    form : str
        "leaf_paper": 40 filters of 25 ms, maximum over a window of the same length every 10 ms,
        floor, LayerNorm over the channels. "original": the clip to zero mean and unit variance,
        80 filters of 15.6 ms, absolute value, maximum over each hop, each channel to zero mean and
        unit variance over the clip with a learned gain and bias, LeakyReLU(0.2).
    num_features : int or None
        Filters, F; None is the form's.
    window_ms : float or None
        Length of the filters; in samples it is made odd (401 and 251 at 16 kHz). None is the
        form's.
    hop_ms : float or None
        Frame distance. None is 10 ms for "leaf_paper", and for "original" as published, 3 samples
        at 16 kHz (0.1875 ms): 5,333 frames of 80 values per second. 10.0 pools over 10 ms instead.
    min_freq_hz, min_bandwidth_hz : float
        Lower cut-offs and bandwidths never fall below these.
    max_freq_hz : float or None
        Upper cut-off of the last initial filter; None is sample_rate / 2 - min_freq_hz -
        min_bandwidth_hz. The initial filters are adjacent and equally wide in mel.
    double_minimum : bool
        Add both minima to the initial values once more, as every published implementation does.
    taper : str
        "hamming" (symmetric, the original's), "hamming_periodic" (the LEAF reference's, slightly
        askew), "blackman".
    frame_centre : str
        "centered": the window of frame k is centred at sample hop * k, whatever the clip's length.
        "tf_same": as in the LEAF reference, up to half a hop later, depending on the (padded)
        length.
    energy_floor : float
        "leaf_paper": maxima below this are raised to it.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, ceil(T / hop), F) float32

    Notes
    -----
    Learned: lower cut-off and bandwidth (kHz), gain and bias of the normalisation: 4 F values, 160
    and 320. Filter output behind an item's end is ignored. Both forms are normalised:
    recommended normalisation "none".
    The LEAF paper's LeakyReLU is not computed: it changes negative maxima only, and those are
    raised to the floor. The output and every gradient are the same.

    References
    ----------
    "leaf_paper": google-research/leaf-audio@b130481 `SincNet`, equal with `double_minimum=True,
    taper="hamming_periodic", frame_centre="tf_same"` but for the rounding of its taps (float32
    phases; 3e-5 of the output). "original": mravanelli/SincNet@d741648.
    Deviations: projection instead of absolute values and a clip in forward; minima counted once
    unless asked; every frequency scaled with the sample rate. Of the original, whose two layer
    norms have a gain and a bias for every sample of a chunk of 200 ms and so take no other length:
    none for the waveform and one of each per channel; zeros around the clip instead of 250 fewer
    samples, so that frame k pools what its frame k - 42 does (16 kHz).

    Example
    -------
    >>> for form in ("leaf_paper", "original"):
    ...     frontend = SincNet(16000, form)
    ...     print(frontend(torch.zeros(2, 16000)).shape, frontend.hop)
    torch.Size([2, 100, 40]) 160
    torch.Size([2, 5334, 80]) 3
    """

    normalization = "none"

    @takes_options_of(SincCutoffs.add_cutoffs)
    def __init__(
        self,
        sample_rate: int = 16000,
        form: str = "leaf_paper",
        num_features: int | None = None,
        window_ms: float | None = None,
        hop_ms: float | None = None,
        frame_centre: str = "centered",
        energy_floor: float = 1e-5,
        **cutoffs,
    ):
        filters, default_ms = FORMS[choice("form", form, tuple(FORMS))]
        choice("frame_centre", frame_centre, FRAME_CENTRES)
        sample_rate = whole("sample_rate", sample_rate)
        num_features = whole("num_features", filters if num_features is None else num_features)
        taps = odd_window(sample_rate, default_ms if window_ms is None else window_ms)
        if hop_ms is None and form == "original":
            hop_samples = max(1, round(sample_rate * 3 / 16000))
        else:
            hop_samples = hop(sample_rate, 10.0 if hop_ms is None else hop_ms)
        pool = taps if form == "leaf_paper" else hop_samples
        super().__init__(sample_rate, hop_samples, taps + pool - 1, num_features)
        self.add_cutoffs(num_features, taps, False, **cutoffs)
        self.form, self.pool = form, pool
        self.frame_centre = frame_centre
        self.energy_floor = number("energy_floor", energy_floor, above=0, high=1e6)
        self.gain = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))

    def pooled(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Largest value, at least 0, of each filter's output in each frame, (B, N, F).

        In the original form, of its modulus.
        """
        taps = self.cutoff_taps()
        if self.plain_taps is not None:
            signal = functional.conv1d(wavs[:, None], taps, padding=self.taps // 2)
        else:
            signal = filtered(wavs, taps[:, 0])
        signal = signal.relu() if self.form == "leaf_paper" else signal.abs()
        # No value is below zero any more: zeros behind the end are never the maximum.
        signal = zero_padding(signal, batch_mask(wavs, lengths, least=0))
        samples, frames = wavs.shape[1], self.num_frames(wavs.shape[1])
        before = frame_offset(samples, self.pool, self.hop, self.frame_centre)
        behind = (frames - 1) * self.hop + self.pool - samples - before
        signal = functional.pad(signal, (before, behind))
        return functional.max_pool1d(signal, self.pool, self.hop).transpose(1, 2)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        with torch.autocast(wavs.device.type, enabled=False):
            wavs, samples = waveform(wavs, lengths, self.low.dtype)
            gain, bias = self.gain.to(wavs.dtype), self.bias.to(wavs.dtype)
            if self.form == "leaf_paper":
                maxima = self.pooled(wavs, lengths).clamp(min=self.energy_floor)
                # 1e-3 is the reference's, Keras's default.
                return functional.layer_norm(maxima, (self.num_features,), gain, bias, 1e-3)
            wavs = standardized(wavs[..., None], samples, EPSILON)[..., 0]
            maxima = self.pooled(wavs, lengths)
            maxima = standardized(maxima, strided_counts(samples, self.hop), EPSILON)
            return functional.leaky_relu(maxima * gain + bias, 0.2)
