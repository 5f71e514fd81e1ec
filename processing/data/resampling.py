"""Resample between any two sample rates in bounded memory."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator

import torch
import torchaudio

from .pieces import Pieces

# Of torchaudio's defaults: zero crossings of the sinc on each side, and the edge of the pass band
# relative to half the lower rate.
_ZERO_CROSSINGS, _ROLLOFF = 6, 0.99
# Elements of torchaudio's table of filters, one per phase (16 MiB); most in use is 16000 to 44100 Hz
# with 0.1 million. Above, there are filters of so many phases, and those between are interpolated,
# for some of the new samples at a time.
_MAX_ELEMENTS = 2**22
_PHASES = 1024
_BLOCK_ELEMENTS = 2**18


@functools.lru_cache(maxsize=16)
def resampler(from_hz: int, to_hz: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """As `torchaudio.functional.resample`, which computes its filters anew for every clip.

    Rates with a small common divisor would need one filter for each of up to `to_hz` phases, as
    long as `from_hz` (2.8 GB from 44101 to 16000 Hz). Theirs are interpolated between those of
    1024 phases, which is off by less than 1e-5 of full scale (-100 dB) and takes 40 MB at most.

    Shape
    -----
    (..., T) -> (..., ceil(T * to_hz / from_hz)), float32
    """
    divisor = math.gcd(from_hz, to_hz)
    old, new = from_hz // divisor, to_hz // divisor
    if new * (old + 2 * _half_width(old, new)) <= _MAX_ELEMENTS:
        return torchaudio.transforms.Resample(from_hz, to_hz, dtype=torch.float32)
    return functools.partial(_interpolate, old=old, new=new)


def resampled_blocks(
    blocks: Iterable[torch.Tensor], from_hz: int, to_hz: int
) -> Iterator[torch.Tensor]:
    """Blocks (n,) of one signal at another rate; together they are what `resampler` makes of it.

    Example
    -------
    >>> [len(block) for block in resampled_blocks([torch.zeros(900), torch.zeros(700)], 8000, 16000)]
    [1600, 1600]
    """
    if from_hz == to_hz:
        yield from blocks
        return
    divisor = math.gcd(from_hz, to_hz)
    old, new = from_hz // divisor, to_hz // divisor
    convert, width = resampler(from_hz, to_hz), _half_width(old, new)
    pieces = Pieces(old, width, width + old, group=max(1, from_hz // 10 // old))

    def converted(samples, last):
        for piece, steps in pieces.feed(samples, last):
            stop = None if steps.stop is None else new * steps.stop
            yield convert(piece)[new * steps.start : stop]

    for block in blocks:
        yield from converted(block, False)
    yield from converted(torch.zeros(0), True)


def _half_width(old, new):
    return math.ceil(_ZERO_CROSSINGS * old / (min(old, new) * _ROLLOFF))


def _interpolate(wav: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """(..., T) -> (..., ceil(T * new / old)): a windowed sinc around each new sample."""
    bandwidth = min(old, new) * _ROLLOFF / old  # relative to half of the old rate
    width = _half_width(old, new)
    # One filter per phase, with a further one for the end of the last.
    phases = torch.arange(_PHASES + 1)[:, None] / _PHASES
    crossings = (torch.arange(-width, width + 2) - phases) * bandwidth
    crossings = crossings.clamp(-_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = (crossings * (math.pi / _ZERO_CROSSINGS / 2)).cos().square()
    filters = torch.sinc(crossings) * window * bandwidth
    taps = filters.shape[1]
    around = torch.nn.functional.pad(wav, (width, width + 1)).unfold(-1, taps, 1)
    pieces = [wav[..., :0]]
    for numbers in torch.arange(-(-wav.shape[-1] * new // old)).split(_BLOCK_ELEMENTS // taps + 1):
        places = numbers * old
        phase = (places % new).double() * (_PHASES / new)
        below = phase.long()
        between = (phase - below).float()[:, None]
        filter = torch.lerp(filters[below], filters[below + 1], between)
        pieces.append((around.index_select(-2, places // new) * filter).sum(-1))
    return torch.cat(pieces, -1)
