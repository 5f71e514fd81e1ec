"""What the frontends share that are a bank of filters, a rectifier, a pooling and a compression."""

from __future__ import annotations

import torch

from ...processing.filterbank.engine import EnergyEngine
from ...processing.filterbank.folded import FoldedFilterbank
from ...processing.filterbank.framing import FRAME_CENTRES, frame_offset
from ...processing.filterbank.responses import FilterSet, from_taps
from ..contracts import Frontend
from ..layers.masks import frame_counts, mask_padding
from ..options import check_batch, choice, frequency_range, hop, number, odd_window, whole

__all__ = ["FilterbankFrontend", "filter_range"]


def filter_range(
    sample_rate: int, min_freq_hz: float, max_freq_hz: float | None
) -> tuple[float, float]:
    """Range of the initial filters in Hz, checked; None is LEAF's, min(7800, 0.4875 sample_rate).

    Example
    -------
    >>> filter_range(16000, 60.0, None), filter_range(8000, 60.0, None)
    ((60.0, 7800.0), (60.0, 3900.0))
    """
    sample_rate = whole("sample_rate", sample_rate)
    if max_freq_hz is None:
        max_freq_hz = min(7800.0, 0.4875 * sample_rate)
    return frequency_range(sample_rate, min_freq_hz, max_freq_hz)


class FilterbankFrontend(Frontend):
    """Filters, a rectifier, a pooling window per filter, a floor and a compression.

    A subclass makes the parameters of its kernels (its own, not those of a sub-module), and writes
    `kernels()` and `compress(energy, lengths)`;
    framing, lengths, the fast engine, autocast, folding and `filters()` are here.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_features : int
        Filters, F.
    window_ms, hop_ms : float
        Length of the filters and of the pooling window, and frame distance. In samples the
        window is made odd (401 at 16 kHz), the hop is rounded down (220 at 22.05 kHz).
    frame_centre : str
        "centered": frame k is centred at sample hop * k, whatever the clip's length.
        "tf_same": as in the LEAF reference, up to half a hop later, depending on the (padded)
        length.
    backend : str
        How the energies are computed: "auto" (the fastest that is exact enough), "decimated",
        "full_rate" (exact, by FFT), "direct" (exact, by convolution: the readable form).
    rectifier : str
        "square", "abs" or "leaky_relu" of each filter's output.
    energy_floor : float
        Energies below this are raised to it.

    Shape
    -----
    wavs (B, T), lengths (B,) or None -> (B, ceil(T / hop), F) float32
    """

    def __init__(
        self,
        sample_rate: int,
        num_features: int,
        window_ms: float,
        hop_ms: float,
        frame_centre: str = "centered",
        backend: str = "auto",
        rectifier: str = "square",
        energy_floor: float = 1e-5,
    ):
        sample_rate = whole("sample_rate", sample_rate)
        num_features = whole("num_features", num_features)
        taps = odd_window(sample_rate, window_ms)
        # A frame pools `taps` filtered samples, each of which looks at `taps` samples.
        super().__init__(sample_rate, hop(sample_rate, hop_ms), 2 * taps - 1, num_features)
        self.taps = taps
        self.frame_centre = choice("frame_centre", frame_centre, FRAME_CENTRES)
        self.energy_floor = number("energy_floor", energy_floor, low=0)
        self.engine = EnergyEngine(self.hop, backend, rectifier)

    def kernels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Taps (F, C, W), C = 2 for complex filters and 1 for real ones, and pooling windows
        (F, P), both at least float32 and differentiable in the parameters."""
        raise TypeError(f"{type(self).__name__} does not define kernels()")

    def compress(self, energy: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(B, N, F) energies, not below the floor, to what the frontend returns."""
        raise TypeError(f"{type(self).__name__} does not define compress(energy, lengths)")

    def energy(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Pooled band energies before the floor and the compression, (B, N, F)."""
        check_batch(wavs, lengths)
        with torch.autocast(wavs.device.type, enabled=False):
            kernels = self.engine.frozen(
                [*self.parameters(recurse=False), *self.buffers(recurse=False)], self.kernels
            )
            wavs = mask_padding(wavs.to(kernels[0].dtype), lengths)
            num_samples = wavs.shape[1]
            offset = frame_offset(num_samples, kernels[1].shape[1], self.hop, self.frame_centre)
            counts = frame_counts(wavs, lengths, least=0)
            return self.engine(wavs, *kernels, offset, counts, self.energy_floor)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return self.compress(self.energy(wavs, lengths).clamp(min=self.energy_floor), lengths)

    @torch.no_grad()
    def fold(self, tolerance: float = 1e-4) -> FoldedFilterbank:
        """This frontend with its present filters, for use and not for training.

        Arguments
        ---------
        tolerance : float
            Relative error of the energies, at most.

        Returns
        -------
        A module (B, T) -> (B, N, F) of one strided convolution, a square, a sum and the
        compression: real numbers only, can be exported to ONNX and traced, and has `stream`.

        Raises
        ------
        ValueError
            Where the energies are no sum of squares, or the frames depend on the clip's length.
        """
        if self.frame_centre != "centered":
            raise ValueError(
                f'fold() needs frame_centre="centered", got {self.frame_centre!r}: where the '
                "frames lie must not depend on the length of the clip"
            )
        if self.engine.rectifier != "square":
            raise ValueError(
                f'fold() needs squares (rectifier "square"), this frontend has '
                f'"{self.engine.rectifier}"; use the frontend itself'
            )
        return FoldedFilterbank(
            *self.kernels(), self.hop, self.energy_floor, self.folded_compression(), tolerance
        )

    def folded_compression(self):
        """What `FoldedFilterbank` puts after the energies: a PCEN, or None for the logarithm."""
        raise ValueError(
            f"{type(self).__name__} cannot be folded: its compression has no such form"
        )

    @torch.no_grad()
    def filters(self, num_bins: int = 512) -> FilterSet:
        return from_taps(self.kernels()[0], self.sample_rate, num_bins)
