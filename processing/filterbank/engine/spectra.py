"""Cut clips into overlapping blocks and compute their spectra, once for all bands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from scipy.fft import next_fast_len

from ..framing import frame_count
from . import backend

#: Frames per block. In C a third of a second, whose bands fit the processor's first cache; for torch
#: operators, which go through the memory in any case, about a second: more work per call.
BLOCK_FRAMES, OPERATOR_FRAMES = 33, 101
#: Samples around the pooling window over which its edges are interpolated, as a multiple of the hop.
MIN_SLACK = 1.1


@dataclass(frozen=True)
class Blocks:
    """Overlapping blocks of a clip, in samples unless the name says otherwise.

    Arguments
    ---------
    hop, window, pool : int
        Hop, length of the filters and of the pooling windows.
    frames : int
        Frames of the clip.
    offset : int
        Samples by which frame 0's pooling window reaches in front of sample 0.
    block_frames, num_blocks : int
        Frames per block, blocks per clip.
    segments : int
        Hops per block: the FFT has `segments * hop` points.
    span : int
        Hops that one pooling window covers, with its slack.
    slack : int
        Samples in front of the pooling window inside its span.
    """

    hop: int
    window: int
    pool: int
    frames: int
    offset: int
    block_frames: int
    num_blocks: int
    segments: int
    span: int
    slack: int

    @property
    def size(self) -> int:
        """Points of the FFT."""
        return self.segments * self.hop

    @property
    def step(self) -> int:
        """Samples from a block to the next."""
        return self.block_frames * self.hop

    @property
    def in_front(self) -> int:
        """Samples of the first block in front of sample 0."""
        return self.slack + self.offset + (self.window - 1) // 2

    def windows(self, wavs: torch.Tensor) -> torch.Tensor:
        """(B, T) -> (B, num_blocks, size), a view of what overlaps."""
        total = self.step * (self.num_blocks - 1) + self.size
        behind = total - self.in_front - wavs.shape[1]
        padded = torch.nn.functional.pad(wavs, (self.in_front, behind))
        return padded.unfold(1, self.size, self.step)

    def cut(self, wavs: torch.Tensor) -> torch.Tensor:
        """(B, T) -> (B * num_blocks, size); a view where it can be."""
        return self.windows(wavs).reshape(-1, self.size)

    def valid_samples(
        self, clips: int, num_samples: int, num_valid: torch.Tensor | None
    ) -> torch.Tensor:
        """First and last + 1 valid sample of each block, (clips * blocks, 2), for clips of
        `num_samples` samples or of `num_valid` (B,)."""
        if num_valid is None:
            num_valid = torch.full((clips,), num_samples)
        block = torch.arange(self.num_blocks, device=num_valid.device)
        begin = self.slack + self.offset - self.block_frames * self.hop * block
        ends = begin + num_valid[:, None]
        both = torch.stack([begin.expand_as(ends), ends], dim=-1)
        return both.clamp(0, self.size).view(-1, 2)


@lru_cache(maxsize=256)
def make_blocks(
    num_samples: int,
    hop: int,
    window: int,
    pool: int,
    offset: int,
    block_frames: int = OPERATOR_FRAMES,
) -> Blocks:
    """Cut clips of `num_samples` samples into equal blocks of at most `block_frames` frames."""
    frames = frame_count(num_samples, hop)
    span = math.ceil((pool + 2 * MIN_SLACK * hop) / hop)
    slack = (span * hop - pool + 1) // 2
    num_blocks = -(-frames // block_frames)
    per_block = -(-frames // num_blocks)
    # The last window - 1 samples of a block's output have wrapped around.
    segments = next_fast_len(per_block + span - 1 + -(-(window - 1) // hop), real=True)
    return Blocks(hop, window, pool, frames, offset, per_block, num_blocks, segments, span, slack)


class Spectra:
    """Spectra of R rows, in the layout of torch (`rows`) and of the C functions (`packed`).

    Arguments
    ---------
    half : complex tensor (R, K)
        Bins from 0 on.
    size : int or None
        Points of the FFT of real rows, of which `half` has K = size // 2 + 1 bins; None: `half`
        has every bin.
    lowest, highest : int or None
        First (at most 0) and last bin that is needed; those below 0 and above size / 2 are the
        conjugates of others. None: the first or last of `half`.
    """

    #: Indices of the rows of `half` that are used; None: all of them.
    picked: torch.Tensor | None = None

    def __init__(
        self,
        half: torch.Tensor,
        size: int | None = None,
        lowest: int = 0,
        highest: int | None = None,
    ):
        self.half, self.lowest = half, lowest
        self.size = 2 * half.shape[1] if size is None else size
        self.highest = half.shape[1] - 1 if highest is None else highest

    def __len__(self) -> int:
        return len(self.half)

    @property
    def bins(self) -> int:
        """Number of bins that are needed."""
        return self.highest - self.lowest + 1

    def detach(self) -> Spectra:
        if not self.half.requires_grad:
            return self
        return Spectra(self.half.detach(), self.size, self.lowest, self.highest)

    def pick(self, rows: torch.Tensor) -> Spectra:
        """A selection of the rows, by an int64 tensor; C reads them without a copy."""
        return _PickedSpectra(self, rows)

    @cached_property
    def rows(self) -> torch.Tensor:
        """The bins that are needed, (R, highest - lowest + 1)."""
        half, size = self.half, self.size
        parts = [half[:, : self.highest + 1]]
        if self.lowest < 0:
            parts.insert(0, half[:, 1 : 1 - self.lowest].flip(1).conj())
        if self.highest > size // 2:
            parts.append(half[:, size - self.highest : size - size // 2].flip(1).conj())
        whole = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return whole.resolve_conj()

    @cached_property
    def packed(self) -> torch.Tensor:
        """The same, eight rows side by side: (R / 8 rounded up, bins, 2, 8) float32."""
        half, packed = self.half.resolve_conj().contiguous(), self._new_packed()
        backend.call(
            "pack_spectra",
            **{"spectra": half, "rows": len(half), "half": half.shape[1], "size": self.size},
            **{"lowest": self.lowest, "bins": self.bins, "packed": packed},
        )
        return packed

    def _new_packed(self) -> torch.Tensor:
        shape = -(-len(self) // backend.LANES), self.bins, 2, backend.LANES
        return torch.empty(shape, dtype=torch.float32, device="cpu")


class _PickedSpectra(Spectra):
    def __init__(self, whole: Spectra, rows: torch.Tensor):
        half = whole.half.resolve_conj().contiguous()
        super().__init__(half, whole.size, whole.lowest, whole.highest)
        assert len(rows) == 0 or 0 <= int(rows.min()) <= int(rows.max()) < len(whole)
        self.whole, self.picked = whole, rows.contiguous()

    def __len__(self) -> int:
        return len(self.picked)

    @cached_property
    def rows(self) -> torch.Tensor:
        return self.whole.rows[self.picked]


class BlockSpectra(Spectra):
    """Spectra of overlapping blocks of clips.

    Arguments
    ---------
    wavs : tensor (B, T)
    blocks : Blocks
    lowest, highest : int
        As for `Spectra`.
    """

    def __init__(self, wavs: torch.Tensor, blocks: Blocks, lowest: int, highest: int):
        self.wavs, self.blocks = wavs, blocks
        self.size, self.lowest, self.highest = blocks.size, lowest, highest

    def __len__(self) -> int:
        return len(self.wavs) * self.blocks.num_blocks

    @cached_property
    def half(self) -> torch.Tensor:
        return torch.fft.rfft(self.blocks.cut(self.wavs))

    def detach(self) -> Spectra:
        return super().detach() if self.wavs.requires_grad else self

    @cached_property
    def packed(self) -> torch.Tensor:
        blocks, size = self.blocks, self.size
        if size % 2 or not backend.has_fast_fft(size // 2):
            return super().packed
        packed, wavs = self._new_packed(), self.wavs.contiguous()
        backend.call(
            "block_spectra",
            wavs=wavs,
            clips=len(wavs),
            samples=wavs.shape[1],
            roots=backend.roots(size),
            half_roots=backend.roots(size // 2),
            packed=packed,
            blocks=blocks.num_blocks,
            size=size,
            step=blocks.step,
            in_front=blocks.in_front,
            lowest=self.lowest,
            bins=self.bins,
        )
        return packed
