"""Base of frontends that filter, rectify, pool and compress; the waveform that all of them read."""

import torch
from torch.nn import functional

from ...processing.filterbank.engine import EnergyEngine
from ...processing.filterbank.engine.plain import PlainEnergy
from ...processing.filterbank.folded import FoldedFilterbank
from ...processing.filterbank.framing import FRAME_CENTRES, frame_offset
from ...processing.filterbank.responses import FilterSet, from_taps
from ...processing.filterbank.strided import StridedBank
from ..contracts import Frontend, check_batch
from ..layers.masks import frame_counts, mask_padding
from ..options import choice, frequency_range, hop, number, odd_window, whole


def waveform(
    wavs: torch.Tensor, lengths: torch.Tensor | None, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A checked batch in at least float32, zero behind each item's end, and samples per item.

    Arguments
    ---------
    wavs : tensor (B, T)
    lengths : tensor (B,) or None
        Relative lengths.
    dtype : torch.dtype
        Of the parameters; half precision is raised to float32.

    Returns
    -------
    tensor (B, T), and int64 tensor (B,) or None.

    Example
    -------
    >>> waveform(torch.ones(1, 2), torch.tensor([0.5]), torch.bfloat16)
    (tensor([[1., 0.]]), tensor([1]))
    """
    check_batch(wavs, lengths)
    wavs = mask_padding(wavs.to(torch.promote_types(dtype, torch.float32)), lengths)
    return wavs, frame_counts(wavs, lengths, least=0)


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

    A subclass makes the parameters of its kernels (its own, not those of a sub-module) and writes
    `kernels()`; it sets `compression`, a PCEN or None for the logarithm, or writes
    `compress(energy, lengths)`. Framing, lengths, the fast engine, autocast, folding and
    `filters()` are here.

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
        How the energies are computed: "auto" (the fastest that is exact enough), "decimated" (each
        filter at a reduced rate, within 1e-4), "full_rate" (exact, by FFT), "direct" (exact, by
        convolution: the readable form).
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
        # A frame pools `taps` filtered samples, each of which depends on `taps` samples.
        super().__init__(sample_rate, hop(sample_rate, hop_ms), 2 * taps - 1, num_features)
        self.taps = taps
        self.frame_centre = choice("frame_centre", frame_centre, FRAME_CENTRES)
        self.energy_floor = number("energy_floor", energy_floor, low=0)
        self.engine = EnergyEngine(self.hop, backend, rectifier)

    @property
    def reach(self) -> tuple[int, int]:
        """Samples that frame k reads before and behind sample hop * k, where it is centred."""
        return self.taps - 1, self.taps - 1

    def kernels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Taps (F, C, W), C = 2 for complex filters and 1 for real ones, and pooling windows
        (F, P), both at least float32 and differentiable in the parameters."""
        raise TypeError(f"{type(self).__name__} does not define kernels()")

    def compress(self, energy: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """Features from energies (B, N, F) that are not below the floor."""
        return energy.log() if self.compression is None else self.compression(energy)

    @torch.no_grad()
    def use_plain_operators_(self) -> None:
        """Compute the energies by convolutions from now on, with the present filters."""
        self.engine = PlainEnergy(*self.kernels(), self.hop, self.engine.rectifier)

    def pooling_offset(self, num_samples: int, pooling: int) -> int:
        """Samples by which the first pooling window reaches in front of sample 0."""
        return frame_offset(num_samples, pooling, self.hop, self.frame_centre)

    def energy(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Pooled band energies before the floor and the compression, (B, N, F)."""
        with torch.autocast(wavs.device.type, enabled=False):
            kernels = self.engine.frozen(
                [*self.parameters(recurse=False), *self.buffers(recurse=False)], self.kernels
            )
            wavs, counts = waveform(wavs, lengths, kernels[0].dtype)
            offset = self.pooling_offset(wavs.shape[1], kernels[1].shape[1])
            energy = self.engine(wavs, *kernels, offset, counts, self.energy_floor)
            return energy[:, : self.num_frames(wavs.shape[1])]

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return self.compress(self.energy(wavs, lengths).clamp(min=self.energy_floor), lengths)

    @torch.no_grad()
    def frames_inside(self):
        """Strided products in the place of the engine, for complex filters that are squared."""
        taps, pool = self.kernels()
        square = self.engine.rectifier == "square" and taps.shape[1] == 2
        if not square or self.frame_centre != "centered" or self.engine.backend == "direct":
            return None
        bank = StridedBank(
            taps.float(), pool.float().expand(len(taps), -1), self.hop, self.energy_floor
        )

        def frames(piece: torch.Tensor, inside: slice) -> torch.Tensor:
            count = inside.stop - inside.start
            energy = bank.energy(piece[0], inside.start, count)[None].clamp(min=self.energy_floor)
            energy = functional.pad(energy, (0, 0, inside.start, 0), value=self.energy_floor)
            return self.compress(energy, None)

        return frames

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
            The energies are no sum of squares, or the frames depend on the clip's length.
        """
        if self.frame_centre != "centered":
            raise ValueError(
                f'fold() needs frame_centre="centered", got {self.frame_centre!r}: the positions of '
                "the frames must not depend on the length of the clip"
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
        """The compression of a `FoldedFilterbank`: a PCEN, or None for the logarithm."""
        if type(self).compress is not FilterbankFrontend.compress:
            raise ValueError(
                f"{type(self).__name__} cannot be folded: its compression is neither PCEN nor log(E)"
            )
        return self.compression

    @torch.no_grad()
    def filters(self, num_bins: int = 512) -> FilterSet:
        return from_taps(self.kernels()[0], self.sample_rate, num_bins)
