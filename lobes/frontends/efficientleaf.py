"""EfficientLEAF: Gabor filters in groups with their own lengths and strides."""

import math

import torch
from torch import nn
from torch.nn import functional

from ...processing.filterbank.pcen import PARAMETERS, PCEN
from ...processing.filterbank.responses import FilterSet, from_taps
from ...processing.filterbank.scales import spaced_hz
from ...processing.filterbank.shapes import WIDTH_UNIT, gabor_in_hz, gabor_taps, gaussian_lowpass
from ..contracts import Frontend
from ..layers.batch_norm import TemporalBatchNorm
from ..layers.masks import frame_counts, frame_mask, strided_counts, zero_padding
from ..layers.statistics import masked_median
from ..options import MAX_MS, choice, hop, number, odd_window, whole, wholes
from ..registry import register_frontend
from ._filterbank import filter_range, waveform

COMPRESSIONS = ("log_tbn", "pcen")
CHANNELS = ("both", "level", "difference")
#: Narrowest pooling window, standard deviation in samples at the group's rate.
MIN_POOLING = 0.2
#: EfficientLEAF's initial values of PCEN and the floor under its mean.
PCEN_START = {"alpha": 1.0, "delta": 1.0, "root": 1.0, "smooth": 0.025, "floor": 1e-6}


@register_frontend(
    "efficientleaf",
    paper="Schlueter and Gutenbrunner, EfficientLEAF, EUSIPCO 2022",
    source="CPJKU/EfficientLEAF@5e87fcd",
)
class EfficientLeaf(Frontend):
    """LEAF with short filters where they suffice, read at a reduced rate where that suffices.

    Filters are taken in groups of neighbours. A group's filters are as long as its widest needs
    (`window_factor` times its standard deviation), and are evaluated every n-th sample only, n the
    largest divisor of the hop that the group's highest centre allows (`stride_factor`).

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_filters : int
        N; the number of features follows from `compression` and `channels`.
    window_ms, hop_ms : float
        Length of the pooling window and frame distance. In samples the window is made odd (401 at
        16 kHz), the hop is rounded down.
    min_freq_hz, max_freq_hz : float
        Range of the initial mel filters; max_freq_hz None is min(7800, 0.4875 sample_rate).
    num_groups : int
        Groups of filters; as equal in size as can be.
    window_factor : float
        Length of a group's filters over its largest standard deviation.
    stride_factor : float
        A group's stride is at most stride_factor * pi / (its highest centre in rad/sample).
    compression : str
        "log_tbn": log(1 + 10^a E) with a learned a per filter, and a batch norm over time.
        "pcen": PCEN with EfficientLEAF's initial values (alpha, delta and root 1, smooth 0.025).
    channels : str
        Features with "log_tbn": "both": N levels, then N differences of each
        level from its median over time (F = 2 N, as in the reference, whose two channels here
        stand side by side). "level" or "difference": one of them, F = N.
    pcen_parameters : str
        "log" or "linear", see `PCEN`.
    group_samples, group_strides : sequences of int or None
        Length (odd) and stride (a divisor of the hop) of each group's filters, in samples, in place
        of those of `window_factor` and `stride_factor`; for values that were trained elsewhere.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, ceil(T / hop), F) float32; frame k is centred at
    sample hop * k.

    Notes
    -----
    Learned: centre (rad/sample), width (samples), pooling width: 3 N; a, and scale and shift of
    the batch norm: N + 4 N with "both" (320 values for 40 filters), or 4 N with PCEN (280).
    In training, the batch norm uses the valid frames of the batch (of this process), and keeps
    running statistics for evaluation, as `nn.BatchNorm1d` with its defaults does.
    A group's energies shrink with its stride, as in the reference; the batch norm absorbs that.

    References
    ----------
    CPJKU/EfficientLEAF@5e87fcd. Deviations: lengths and strides are chosen once, from the initial
    filters, and not anew in every forward pass, so that shapes are static and no value is read
    back from the device; for that, a filter may widen up to LEAF's bound for its group's length
    (0.375 times it) and not for 401 samples. Parameters are projected after the optimiser step, a
    to 0 ... 8 and pooling windows to a standard deviation of 0.2 samples at the group's rate or
    more (in the reference one can shrink to a single sample, without a slope). The median
    (the lower one of an even number) and the batch norm look at valid frames only: in the
    reference, padding changes every frame.

    Example
    -------
    >>> frontend = EfficientLeaf(sample_rate=16000)
    >>> frontend(torch.zeros(2, 16000)).shape, sum(p.numel() for p in frontend.parameters())
    (torch.Size([2, 100, 80]), 320)
    >>> frontend.strides, frontend.filter_samples
    ([10, 4, 2, 1], [401, 223, 123, 69])
    """

    normalization = "none"

    def __init__(
        self,
        sample_rate: int = 16000,
        num_filters: int = 40,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        min_freq_hz: float = 60.0,
        max_freq_hz: float | None = None,
        num_groups: int = 4,
        window_factor: float = 4.77,
        stride_factor: float = 1.0,
        compression: str = "log_tbn",
        channels: str = "both",
        pcen_parameters: str = "log",
        group_samples: list[int] | None = None,
        group_strides: list[int] | None = None,
    ):
        choice("compression", compression, COMPRESSIONS)
        choice("channels", channels, CHANNELS)
        choice("pcen_parameters", pcen_parameters, PARAMETERS)
        sample_rate = whole("sample_rate", sample_rate)
        num_filters = whole("num_filters", num_filters)
        num_groups = whole("num_groups", num_groups, 1, num_filters)
        window_factor = number("window_factor", window_factor, 1 / WIDTH_UNIT, 1000.0)
        stride_factor = number("stride_factor", stride_factor, 0.0, 1000.0)
        low, high = filter_range(sample_rate, min_freq_hz, max_freq_hz)
        hop_samples, window = hop(sample_rate, hop_ms), odd_window(sample_rate, window_ms)
        centre, width = initial_values(num_filters, sample_rate, low, high)
        sizes = [len(part) for part in torch.arange(num_filters).tensor_split(num_groups)]
        strides = [
            largest_divisor(hop_samples, stride_factor * math.pi / part.max().item())
            for part in centre.split(sizes)
        ]
        lengths = [
            max(5, odd(window_factor * part.max().item())) for part in width.double().split(sizes)
        ]
        if group_strides is not None:
            strides = wholes("group_strides", group_strides, num_groups)
            if any(hop_samples % stride for stride in strides):
                raise ValueError(f"group_strides must divide {hop_samples}, got {group_strides}")
        if group_samples is not None:
            lengths = wholes("group_samples", group_samples, num_groups)
            if any(length % 2 == 0 or length < 5 for length in lengths):
                raise ValueError(f"group_samples must be odd, from 5 on, got {group_samples}")
        if max(lengths) > MAX_MS / 1000 * sample_rate:
            raise ValueError(
                f"window_factor={window_factor:g} makes filters of {max(lengths)} samples, more "
                f"than {MAX_MS / 1000:g} s; take a smaller one or a wider range of frequencies"
            )
        pooled = [max(3, odd(window / stride)) for stride in strides]
        reach = max(
            length + (pool - 1) * stride
            for length, pool, stride in zip(lengths, pooled, strides, strict=True)
        )
        both = compression == "log_tbn" and channels == "both"
        super().__init__(sample_rate, hop_samples, reach, (1 + both) * num_filters)
        self.num_filters, self.pool_samples, self.channels = num_filters, window, channels
        self.group_sizes, self.strides = sizes, strides
        self.filter_samples, self.pool_sizes = lengths, pooled
        self.centre = nn.Parameter(centre)
        self.width = nn.Parameter(width)
        self.pooling_width = nn.Parameter(torch.full((num_filters,), 0.4))
        self.compression = None
        if compression == "pcen":
            self.compression = PCEN(num_filters, **PCEN_START, parameters=pcen_parameters)
        else:
            self.log_gain = nn.Parameter(torch.full((num_filters,), 5.0))
            self.batch_norm = TemporalBatchNorm(self.num_features)
        self.project_()

    @torch.no_grad()
    def project_(self) -> None:
        """Put every filter, and PCEN where there is one, back into its range, in place."""
        # At 0 and at pi the output is even in the centre, which would have no gradient there.
        edge = math.pi / max(self.filter_samples)
        self.centre.clamp_(edge, math.pi - edge)
        for width, pooling_width, length, pool, stride in self._groups(
            self.width, self.pooling_width
        ):
            width.clamp_(2.0 * WIDTH_UNIT, length * WIDTH_UNIT)
            # A window that is zero except in its middle has no gradient.
            narrowest = MIN_POOLING / self._relative_pooling((pool - 1) / 2, pool, stride)
            pooling_width.clamp_(max(2.0 / self.pool_samples, narrowest), 0.5)
        if self.compression is None:
            # At 8, all but silence is in the logarithm's straight part, where a is a shift only.
            self.log_gain.clamp_(0.0, 8.0)
        else:
            self.compression.project_()

    def kernels(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Taps (n, 2, W) and pooling windows (n, P) of each group, at the group's rate."""
        dtype = torch.promote_types(self.centre.dtype, torch.float32)
        kernels = []
        for centre, width, pooling_width, length, pool, stride in self._groups(
            self.centre.to(dtype), self.width.to(dtype), self.pooling_width.to(dtype)
        ):
            relative = self._relative_pooling(pooling_width, pool, stride)
            kernels.append((gabor_taps(centre, width, length), gaussian_lowpass(relative, pool)))
        return kernels

    def _groups(self, *values: torch.Tensor):
        """For each group its part of the values, filter length, pooling length and stride."""
        parts = (value.split(self.group_sizes) for value in values)
        return zip(*parts, self.filter_samples, self.pool_sizes, self.strides, strict=True)

    def _relative_pooling(self, width, pool: int, stride: int):
        """A width relative to half of LEAF's pooling window, relative to half of a group's."""
        return width * (self.pool_samples / (stride * pool))

    def energy(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Pooled band energies before the compression, (B, N, num_filters)."""
        with torch.autocast(wavs.device.type, enabled=False):
            kernels = self.kernels()
            wavs, samples = waveform(wavs, lengths, kernels[0][0].dtype)
            energies = []
            for (taps, pool), stride in zip(kernels, self.strides, strict=True):
                filters, _, window = taps.shape
                filtered = functional.conv1d(
                    wavs[:, None], taps.flatten(0, 1)[:, None], None, stride, window // 2
                )
                energy = filtered.square().unflatten(1, (filters, 2)).sum(2)
                # Filter output behind an item's end does not count.
                counts = strided_counts(samples, stride)
                energy = zero_padding(energy, frame_mask(counts, energy.shape[2]))
                hop = self.hop // stride
                pooled = functional.conv1d(
                    energy, pool[:, None], None, hop, pool.shape[1] // 2, groups=filters
                )
                energies.append(pooled)
            return torch.cat(energies, 1).transpose(1, 2)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        energy = self.energy(wavs, lengths)
        if self.compression is not None:
            return self.compression(energy)
        with torch.autocast(wavs.device.type, enabled=False):
            level = torch.log1p(10.0 ** self.log_gain.to(energy.dtype) * energy)
            frames = strided_counts(frame_counts(wavs, lengths, least=0), self.hop)
            if frames is None:
                frames = torch.full(level.shape[:1], level.shape[1], device=level.device)
            chosen = [level] if self.channels != "difference" else []
            if self.channels != "level":
                chosen.append(level - masked_median(level, frames))
            return self.batch_norm(torch.cat(chosen, 2), frames)

    @torch.no_grad()
    def filters(self, num_bins: int = 512) -> FilterSet:
        """The filters at the full rate."""
        longest = max(self.filter_samples)
        taps = [
            functional.pad(taps, [(longest - taps.shape[2]) // 2] * 2) for taps, _ in self.kernels()
        ]
        in_hz = gabor_in_hz(self.centre, self.width, self.sample_rate)
        return from_taps(torch.cat(taps), self.sample_rate, num_bins, *in_hz)


def initial_values(
    num_filters: int, sample_rate: int, min_freq_hz: float, max_freq_hz: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres in rad/sample and widths in samples of filters spaced evenly in mel.

    A filter's bandwidth (full width at half maximum of the amplitude) is 0.75 times the distance
    between its neighbours' centres.
    """
    edges = torch.from_numpy(spaced_hz(min_freq_hz, max_freq_hz, num_filters + 2))
    centre = edges[1:-1] * (2.0 * math.pi / sample_rate)
    width = (sample_rate / 2) / (edges[2:] - edges[:-2])
    return centre.float(), width.float()


def largest_divisor(number: int, limit: float) -> int:
    """Largest divisor of `number` that is at most `limit`, at least 1."""
    return max(n for n in range(1, number + 1) if number % n == 0 and (n <= limit or n == 1))


def odd(value: float) -> int:
    """`value` rounded down, and then up to an odd number."""
    return int(value) | 1
