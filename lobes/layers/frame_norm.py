"""Batch norm of frames by the faster of two ways."""

from __future__ import annotations

import torch
from torch.nn import functional

from .valid_frames import TemporalBatchNorm

__all__ = ["norm_frames"]


def norm_frames(
    norm: TemporalBatchNorm, feats: torch.Tensor, frames: torch.Tensor | None
) -> torch.Tensor:
    """`norm` over the valid frames; where all are valid, by torch's own batch norm, in float32.

    Arguments
    ---------
    norm : TemporalBatchNorm
        Its parameters and running statistics are used, and in training updated.
    feats : tensor (B, N, F)
    frames : int tensor (B,) or None
        Valid frames of each item; None: all.

    Shape
    -----
    (B, N, F) -> (B, N, F)

    Example
    -------
    >>> norm_frames(TemporalBatchNorm(1), torch.tensor([[[1.0], [3.0]]]), None)[0, :, 0]
    tensor([-1.0000,  1.0000], grad_fn=<SelectBackward0>)
    """
    feats = feats.float()
    items, size, features = feats.shape
    if frames is not None:
        return norm(feats, frames)
    if norm.training and items * size < 2:  # refused by torch's
        return norm(feats, torch.full((items,), size, device=feats.device))
    return functional.batch_norm(
        feats.reshape(-1, features),
        norm.running_mean,
        norm.running_var,
        norm.weight,
        norm.bias,
        norm.training,
        norm.momentum,
        norm.epsilon,
    ).view(feats.shape)
