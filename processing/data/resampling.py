"""Resample between any two sample rates in bounded memory."""

import functools
import math
from collections.abc import Callable

import torch
import torchaudio

# Of torchaudio's defaults: zero crossings of the sinc on each side, and the edge of the pass band
# relative to half the lower rate.
_ZERO_CROSSINGS, _ROLLOFF = 6, 0.99
# Elements of torchaudio's table of filters, one per phase (16 MiB); most in use is 16000 to 44100 Hz
# with 0.1 million. Above, filters are computed where they are used, so many elements at a time.
_MAX_ELEMENTS = 2**22


@functools.lru_cache(maxsize=16)
def resampler(from_hz: int, to_hz: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """As `torchaudio.functional.resample`, which computes its filters anew for every clip.

    Rates with a small common divisor would need one filter for each of up to `to_hz` phases, as
    long as `from_hz` (2.8 GB from 44101 to 16000 Hz): they get the same filters computed sample by
    sample, to rounding, in at most 200 MB.

    Shape
    -----
    (..., T) -> (..., ceil(T * to_hz / from_hz)), float32
    """
    divisor = math.gcd(from_hz, to_hz)
    old, new = from_hz // divisor, to_hz // divisor
    if new * (old + 2 * _half_width(old, new)) <= _MAX_ELEMENTS:
        return torchaudio.transforms.Resample(from_hz, to_hz, dtype=torch.float32)
    return functools.partial(_interpolate, old=old, new=new)


def _half_width(old, new):
    return math.ceil(_ZERO_CROSSINGS * old / (min(old, new) * _ROLLOFF))


def _interpolate(wav: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """(..., T) -> (..., ceil(T * new / old)): a windowed sinc around each new sample."""
    bandwidth = min(old, new) * _ROLLOFF / old  # relative to half of the old rate
    width = _half_width(old, new)
    num_new = -(-wav.shape[-1] * new // old)
    padded = torch.nn.functional.pad(wav, (width, width + 1))
    taps = torch.arange(-width, width + 2)
    pieces = []
    for numbers in torch.arange(num_new).split(max(1, _MAX_ELEMENTS // len(taps))):
        nearest, phase = numbers * old // new, (numbers * old % new).double() / new
        crossings = (
            (taps - phase[:, None]).mul_(bandwidth).clamp_(-_ZERO_CROSSINGS, _ZERO_CROSSINGS)
        )
        crossings = crossings.float()
        window = crossings.mul(math.pi / _ZERO_CROSSINGS / 2).cos_().square_()
        filters = torch.sinc(crossings).mul_(window).mul_(bandwidth)
        pieces.append((padded[..., nearest[:, None] + taps + width] * filters).sum(-1))
    return torch.cat(pieces, -1) if pieces else wav[..., :0]
