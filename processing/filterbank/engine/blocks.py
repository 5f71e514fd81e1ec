"""Cut clips into overlapping blocks, and pooling windows into segments of one hop."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy.fft import next_fast_len

from ..framing import frame_count
from .backend import keep_tensors

#: Frames per block. In C a third of a second, whose bands fit the processor's first cache; for torch
#: operators, which go through the memory in any case, about a second: more work per call.
BLOCK_FRAMES, OPERATOR_FRAMES = 33, 101
#: Samples around the pooling window over which its edges are interpolated, as a multiple of the hop.
MIN_SLACK = 1.1
#: Shape of the interpolation's Kaiser window: its ripples must stay below a quiet frame after a burst
#: that is 60 dB louder.
KAISER_BETA = 20.0


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


@keep_tensors(maxsize=64)
def interpolation(
    pool: int, hop: int, span: int, slack: int, rate: int, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """Interpolation from reduced samples to samples of the pooling window, (pool, span * rate).

    The first reduced sample lies `slack` samples in front of the window. A Kaiser-windowed sinc
    that cuts at half the reduced rate, as long as the slack allows, which matters because the
    pooling window ends with a step (4% of its peak in LEAF).
    """
    step = hop / rate
    time = torch.arange(pool, dtype=torch.float64)[:, None]
    apart = time - (torch.arange(span * rate, dtype=torch.float64) * step - slack)
    half = float(min(slack, span * hop - pool - slack + 1))
    bell = torch.special.i0(KAISER_BETA * (1 - (apart / half) ** 2).clamp(min=0).sqrt())
    weights = torch.sinc(apart / step) * bell * (apart.abs() <= half)
    weights = weights / weights.sum(1, keepdim=True)
    return weights.to(device=device, dtype=dtype)


def pooling_weights(pool: torch.Tensor, blocks: Blocks, rate: int) -> torch.Tensor:
    """Pooling windows at a reduced rate, cut into segments of one hop.

    Arguments
    ---------
    pool : tensor (N, P)
    blocks : Blocks
    rate : int
        Samples per hop; `hop` is exact.

    Shape
    -----
    (N, P) -> (N, span, rate): segment j of the window, sample i of a segment.
    """
    if rate == blocks.hop:
        behind = blocks.span * blocks.hop - blocks.pool - blocks.slack
        weights = torch.nn.functional.pad(pool, (blocks.slack, behind))
    else:
        kernel = interpolation(
            blocks.pool, blocks.hop, blocks.span, blocks.slack, rate, pool.device, pool.dtype
        )
        weights = pool @ kernel
    return weights.view(len(pool), blocks.span, rate)
