"""Which frames of a padded batch count: steps per item, masks, and padding set to zero.

A count (B,) or a mask (B, N) is None where everything is valid, and a function that is given None
leaves its input as it is.
"""

import torch
from torch.nn import functional as F

from ...processing.filterbank.framing import frame_mask
from ...processing.filterbank.framing import valid_lengths as valid_lengths
from ...processing.system.operators import is_recorded


def frame_counts(
    feats: torch.Tensor, lengths: torch.Tensor | None, least: int = 1
) -> torch.Tensor | None:
    """Valid frames of each item of (B, N, ...), on its device; at least `least`.

    Example
    -------
    >>> frame_counts(torch.zeros(2, 4, 1), torch.tensor([0.75, 0.0]))
    tensor([3, 1])
    """
    if lengths is None:
        return None
    return valid_lengths(lengths.to(feats.device), feats.shape[1]).clamp(min=least)


def batch_mask(
    feats: torch.Tensor, lengths: torch.Tensor | None, least: int = 1
) -> torch.Tensor | None:
    """Which frames of (B, N, ...) are valid, bool (B, N); of each item at least `least`.

    Example
    -------
    >>> batch_mask(torch.zeros(2, 3, 1), torch.tensor([1.0, 0.0]))
    tensor([[ True,  True,  True],
            [ True, False, False]])
    """
    return frame_mask(frame_counts(feats, lengths, least), feats.shape[1])


def counts_of_mask(mask: torch.Tensor | None) -> torch.Tensor | None:
    """Valid frames of each item from a mask: (B, N) -> (B,); None for None."""
    return None if mask is None else mask.sum(1)


def strided_counts(counts: torch.Tensor | None, stride: int) -> torch.Tensor | None:
    """Valid steps behind a layer of this stride, ceil(count / stride)."""
    return None if counts is None else (counts + stride - 1) // stride


def trim_padding(
    feats: torch.Tensor, lengths: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Frames up to the end of the longest item, and each item's count; None where all are alike.

    A layer that is told that all frames are valid needs no mask, whose results would have to be
    kept beside those of the layer. On the meta device no count is known: all are taken as valid.

    Shape
    -----
    feats (B, N, F), lengths (B,) or None -> (B, N', F), (B,) of at least 1 or None

    Example
    -------
    >>> frames, counts = trim_padding(torch.zeros(2, 4, 1), torch.tensor([0.75, 0.5]))
    >>> frames.shape, counts
    (torch.Size([2, 3, 1]), tensor([3, 2]))
    """
    if lengths is None or feats.device.type == "meta":
        return feats, None
    counts = frame_counts(feats, lengths)
    if is_recorded():
        return feats, counts
    longest = int(counts.max())
    feats = feats[:, :longest]
    return feats, (None if bool((counts == longest).all()) else counts)


def zero_padding(
    x: torch.Tensor, mask: torch.Tensor | None, axis: int = -1, value: float = 0.0
) -> torch.Tensor:
    """Zero, or `value`, where no frame is valid; frames along `axis` of (B, ...), mask (B, N) or None.

    Filled and not multiplied: what is infinite in the padding would become NaN.
    """
    if mask is None:
        return x
    shape = [1] * x.dim()
    shape[0], shape[axis] = mask.shape
    return x.masked_fill(~mask.view(shape), value)


def mask_padding(x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Set what lies behind each item's end to zero.

    Arguments
    ---------
    x : tensor (B, T) or (B, N, F)
        Padded batch; axis 1 is time.
    lengths : tensor (B,) or None
        Relative lengths. None returns `x` itself.

    Example
    -------
    >>> mask_padding(torch.ones(2, 4), torch.tensor([1.0, 0.5]))
    tensor([[1., 1., 1., 1.],
            [1., 1., 0., 0.]])
    """
    return zero_padding(x, batch_mask(x, lengths, least=0), axis=1)


def reflect_items(
    x: torch.Tensor, counts: torch.Tensor | None, before: int, behind: int
) -> torch.Tensor:
    """Each item mirrored at its first and last valid step, neither of which is doubled.

    Arguments
    ---------
    x : tensor (B, ..., N)
        Steps along the last axis.
    counts : int tensor (B,) or None
        Valid steps of each item.
    before, behind : int
        Steps in front of the first and behind the N-th; an item that is shorter is mirrored to and
        fro. A negative `behind` cuts.

    Shape
    -----
    (B, ..., N) -> (B, ..., before + N + behind)

    Example
    -------
    >>> reflect_items(torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([2]), 2, 2)
    tensor([[1., 2., 1., 2., 1., 2., 1.]])
    """
    size = x.shape[-1]
    if counts is None and not is_recorded() and 0 <= before < size and 0 <= behind < size:
        return F.pad(x, (before, behind), mode="reflect")
    if counts is None:
        counts = torch.full((1,), size, device=x.device)
    last = (counts[:, None] - 1).clamp(min=0)
    place = torch.arange(-before, size + behind, device=x.device)
    place = place.remainder((2 * last).clamp(min=1))
    place = torch.minimum(place, 2 * last - place)  # a triangle wave
    place = place.view(place.shape[0], *[1] * (x.dim() - 2), -1)
    return x.gather(-1, place.expand(*x.shape[:-1], -1))


def reversed_items(x: torch.Tensor, counts: torch.Tensor | None) -> torch.Tensor:
    """Each item's valid frames in reverse order; the padding stays where it is.

    Example
    -------
    >>> reversed_items(torch.tensor([[[1.0], [2.0], [9.0]]]), torch.tensor([2])).flatten()
    tensor([2., 1., 9.])
    """
    if counts is None:
        return x.flip(1)
    frame = torch.arange(x.shape[1], device=x.device).expand(x.shape[0], -1)
    mirrored = counts[:, None] - 1 - frame
    source = torch.where(mirrored >= 0, mirrored, frame)
    return x.gather(1, source[:, :, None].expand_as(x))
