"""Raw-waveform stack of sinc filters at a stride of one frame and two convolutional blocks."""

import torch
from torch import nn
from torch.nn import functional

from ...processing.filterbank.engine import EnergyEngine
from ...processing.filterbank.engine.plain import PlainEnergy
from ...processing.filterbank.framing import frame_count, odd_window_samples
from ...processing.filterbank.shapes import gaussian_lowpass
from ..contracts import Frontend
from ..layers.batch_norm import TemporalBatchNorm
from ..layers.masks import frame_counts, frame_mask, strided_counts, zero_padding
from ..layers.statistics import standardized
from ..options import flag, hop, odd_window, takes_options_of, whole
from ..registry import register_frontend
from ._filterbank import waveform
from ._sinc_cutoffs import SincCutoffs

KERNEL_FRAMES = 5
POOL_FRAMES = 3
BLOCKS = 2


@register_frontend(
    "sinc_conv",
    paper="Ravanelli and Bengio, Speaker Recognition from Raw Waveform with SincNet, SLT 2018",
)
class SincConv(SincCutoffs, Frontend):
    """Sinc filters read every 10 ms, instance norm, and two blocks of convolution and pooling.

    As published, the outputs of the filters are read at a stride of 160 samples as they are,
    without a rectifier or a low-pass. A band-pass signal read at 100 Hz is aliased: a tone of f Hz
    and one of f + 100 Hz in the same band are the same numbers up to their level. `rectify=True`
    measures each band's amplitude instead: absolute value, Gaussian low-pass, then the stride.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Filters and channels of both blocks, F.
    window_ms, hop_ms : float
        Length of the filters and their stride. In samples the window is made odd (251 at 16 kHz),
        the hop is rounded down. Frames are 9 hops apart.
    min_freq_hz, min_bandwidth_hz : float
        Lower cut-offs and bandwidths never fall below these.
    max_freq_hz : float or None
        Upper cut-off of the last initial filter; None is sample_rate / 2 - min_freq_hz -
        min_bandwidth_hz. The initial filters are adjacent and equally wide in mel.
    double_minimum : bool
        Add both minima to the initial values once more, as published.
    taper : str
        "hamming" (symmetric), "hamming_periodic" or "blackman".
    rectify : bool
        Absolute value and Gaussian low-pass (25 ms, width learned) before the stride.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, ceil(T / (9 hop)), F) float32

    Notes
    -----
    Learned: lower cut-off and bandwidth (kHz), with `rectify` the low-pass's width (relative to
    half its window), and the blocks: 160 + 64,320 values, and 80 more with `rectify`.
    The instance norm uses the whole clip; `window` is the number of samples of a frame apart from
    that.
    Statistics, in training too, are over valid frames only. Recommended normalisation: "none".

    References
    ----------
    The stack in front of a 3.48-million-parameter mixer for speaker verification: 80 filters of 251
    taps at stride 160, InstanceNorm, twice Conv1d(5), BatchNorm, LeakyReLU(0.2), MaxPool(3).
    Deviations: frame k of the filters is centred at sample hop * k and there are ceil(T / hop) (200
    instead of 202 frames for 2 s), an incomplete pooling window at the end counts (23 instead of 22
    frames), minima counted once unless asked, projection, padding.

    Example
    -------
    >>> frontend = SincConv(sample_rate=16000)
    >>> frontend(torch.zeros(2, 16000)).shape, frontend.hop
    (torch.Size([2, 12, 80]), 1440)
    """

    normalization = "none"

    @takes_options_of(SincCutoffs.add_cutoffs)
    def __init__(
        self,
        sample_rate: int = 16000,
        num_features: int = 80,
        window_ms: float = 15.625,
        hop_ms: float = 10.0,
        rectify: bool = False,
        **cutoffs,
    ):
        sample_rate = whole("sample_rate", sample_rate)
        num_features, rectify = whole("num_features", num_features), flag("rectify", rectify)
        taps, stride = odd_window(sample_rate, window_ms), hop(sample_rate, hop_ms)
        lowpass = odd_window_samples(sample_rate, 2.5 * hop_ms) if rectify else 1
        frames, apart = 1, 1
        for _ in range(BLOCKS):
            frames += (KERNEL_FRAMES - 1 + POOL_FRAMES - 1) * apart
            apart *= POOL_FRAMES
        window = (frames - 1) * stride + taps + lowpass - 1
        super().__init__(sample_rate, apart * stride, window, num_features)
        self.add_cutoffs(num_features, taps, False, **cutoffs)
        self.stride, self.lowpass = stride, lowpass
        if rectify:
            self.pooling_width = nn.Parameter(torch.full((num_features,), 0.4))
            self.engine = EnergyEngine(stride, rectifier="abs")
        self.rectify = rectify
        self.convs = nn.ModuleList(
            nn.Conv1d(
                num_features, num_features, KERNEL_FRAMES, padding=KERNEL_FRAMES // 2, bias=False
            )
            for _ in range(BLOCKS)
        )
        self.norms = nn.ModuleList(TemporalBatchNorm(num_features) for _ in range(BLOCKS))

    @torch.no_grad()
    def project_(self) -> None:
        """Put every filter back into its range, in place."""
        super().project_()
        if self.rectify:
            self.pooling_width.clamp_(2.0 / self.lowpass, 0.5)

    @torch.no_grad()
    def use_plain_operators_(self) -> None:
        super().use_plain_operators_()
        if self.rectify:
            self.engine = PlainEnergy(*self.rectified_kernels(), self.stride, "abs")

    def rectified_kernels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Taps (F, 1, W) and pooling windows (F, P), with `rectify`."""
        taps = self.cutoff_taps()
        return taps, gaussian_lowpass(self.pooling_width.to(taps.dtype), self.lowpass)

    def bands(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Filter outputs every `stride` samples: (B, ceil(T / stride), F)."""
        with torch.autocast(wavs.device.type, enabled=False):
            taps = self.cutoff_taps()
            wavs, counts = waveform(wavs, lengths, taps.dtype)
            samples = wavs.shape[1]
            if self.rectify:
                kernels = self.rectified_kernels()
                return self.engine(wavs, *kernels, (self.lowpass - 1) // 2, counts)
            half = (self.taps - 1) // 2
            behind = (frame_count(samples, self.stride) - 1) * self.stride + half + 1 - samples
            wavs = functional.pad(wavs[:, None], (half, max(behind, 0)))
            return functional.conv1d(wavs, taps, stride=self.stride).transpose(1, 2)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        x = self.bands(wavs, lengths)
        counts = frame_counts(wavs, lengths, least=0)
        if counts is None:
            counts = torch.full(wavs.shape[:1], wavs.shape[1], device=wavs.device)
        counts = strided_counts(counts, self.stride)
        x = standardized(x, counts, 1e-5)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x.transpose(1, 2)).transpose(1, 2).float(), counts)
            padding = ~frame_mask(counts, x.shape[1])[..., None]
            x = functional.leaky_relu(x, 0.2).masked_fill(padding, -torch.inf)
            x = functional.max_pool1d(x.transpose(1, 2), POOL_FRAMES, ceil_mode=True)
            x = x.transpose(1, 2)
            counts = strided_counts(counts, POOL_FRAMES)
            x = zero_padding(x, frame_mask(counts, x.shape[1]), axis=1)
        return x.float()
