"""Valid part of a padded batch: steps per item from relative lengths, and masks from steps."""

from __future__ import annotations

import torch

__all__ = ["frame_mask", "valid_lengths"]


def valid_lengths(lengths: torch.Tensor | None, size: int) -> torch.Tensor | None:
    """Number of valid steps per item, from SpeechBrain's relative lengths.

    Arguments
    ---------
    lengths : tensor (B,) or None
        Valid part of each item, relative to `size`, in [0, 1]. None: everything is valid.
    size : int
        Length of the padded axis, in samples or frames.

    Returns
    -------
    int64 tensor (B,), or None when `lengths` is None.

    Example
    -------
    >>> valid_lengths(torch.tensor([1.0, 0.5]), 4)
    tensor([4, 2])
    """
    if lengths is None:
        return None
    return torch.round(lengths.double() * size).clamp(0, size).long()


def frame_mask(counts: torch.Tensor | None, size: int) -> torch.Tensor | None:
    """True on the valid steps: bool (B, size) from the number of steps (B,); None for None.

    Example
    -------
    >>> frame_mask(torch.tensor([2, 1]), 2)
    tensor([[ True,  True],
            [ True, False]])
    """
    return None if counts is None else torch.arange(size, device=counts.device) < counts[:, None]
