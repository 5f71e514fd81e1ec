"""Layers of networks that were written for full batches, on batches with padding.

Axis 1 is the channel. `inside` (B, N) says which frames are valid and is None where all are, which
leaves every layer as its author wrote it.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..contracts import valid_lengths

__all__ = [
    "batch_norm_inside",
    "even_weights",
    "frames_inside",
    "frames_up_to",
    "mean_inside",
    "moments",
    "norm_values",
    "reflected",
    "trimmed",
    "weights_inside",
    "zero_outside",
]

#: Far above any gradient of use, scaled for float16 or not; its square is still a float32.
LARGEST_GRADIENT = 1e12


def frames_inside(feats: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor | None:
    """Which frames of (B, N, F) are valid, (B, N); of an item without frames, the first one.

    Example
    -------
    >>> frames_inside(torch.zeros(2, 3, 1), torch.tensor([1.0, 0.0]))
    tensor([[ True,  True,  True],
            [ True, False, False]])
    """
    if lengths is None:
        return None
    frames = feats.shape[1]
    valid = valid_lengths(lengths.to(feats.device), frames).clamp(min=1)
    return frames_up_to(valid, frames)


def frames_up_to(valid: torch.Tensor | None, frames: int) -> torch.Tensor | None:
    """Which of the frames are valid, (B, frames), for counts (B,); None for None.

    Example
    -------
    >>> frames_up_to(torch.tensor([2, 1]), 2)
    tensor([[ True,  True],
            [ True, False]])
    """
    return None if valid is None else torch.arange(frames, device=valid.device) < valid[:, None]


def trimmed(
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
    >>> frames, valid = trimmed(torch.zeros(2, 4, 1), torch.tensor([0.75, 0.5]))
    >>> frames.shape, valid
    (torch.Size([2, 3, 1]), tensor([3, 2]))
    """
    if lengths is None or feats.device.type == "meta":
        return feats, None
    valid = valid_lengths(lengths.to(feats.device), feats.shape[1]).clamp(min=1)
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return feats, valid
    longest = int(valid.max())
    feats = feats[:, :longest]
    return feats, (None if bool((valid == longest).all()) else valid)


def _as(x: torch.Tensor, inside: torch.Tensor, axis: int) -> torch.Tensor:
    """`inside` with as many axes as `x`, for frames along `axis`."""
    shape = [1] * x.dim()
    shape[0], shape[axis] = inside.shape
    return inside.view(shape)


def zero_outside(x: torch.Tensor, inside: torch.Tensor | None, axis: int = -1) -> torch.Tensor:
    """Zero, as a convolution's own padding is, where no frame is valid; frames along `axis`."""
    return x if inside is None else x.masked_fill(~_as(x, inside, axis), 0.0)


def batch_norm_inside(
    norm: nn.Module, x: torch.Tensor, inside: torch.Tensor | None, axis: int = -1
) -> torch.Tensor:
    """Batch normalisation whose statistics, in training, are those of the valid frames.

    Arguments
    ---------
    norm : nn.BatchNorm1d or nn.BatchNorm2d
    x : tensor (B, C, N), (B, C, N, F) or (B, C, F, N)
    inside : bool tensor (B, N) or None
    axis : int
        Of the frames in `x`.

    Example
    -------
    >>> x = torch.tensor([[[1.0, 3.0, 99.0]]])
    >>> inside = torch.tensor([[True, True, False]])
    >>> batch_norm_inside(nn.BatchNorm1d(1), x, inside).round(decimals=3).tolist()
    [[[-1.0, 1.0, 0.0]]]
    """
    if not norm.training:
        return norm(x)
    if x.requires_grad:
        x.register_hook(_bounded)
    if inside is None:
        return norm(x)
    frames_first = x.movedim(axis, 1)  # (B, N, C) or (B, N, C, F)
    normed = norm(frames_first[inside].unsqueeze(-1)).squeeze(-1)
    filled = torch.zeros_like(frames_first, dtype=normed.dtype)
    return filled.index_put((inside,), normed).movedim(1, axis)


def norm_values(
    norm: nn.Module, x: torch.Tensor, inside: torch.Tensor | None = None, axis: int = -1
) -> torch.Tensor:
    """`batch_norm_inside`; a single value, which has no variance, is normed as in evaluation."""
    if norm.training and x.numel() == x.shape[1]:
        mean, variance = norm.running_mean, norm.running_var
        return F.batch_norm(x, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)
    return batch_norm_inside(norm, x, inside, axis)


def _bounded(gradient: torch.Tensor) -> torch.Tensor:
    """Finite, whatever the batch.

    A batch of one repeated frame, silence say, has no variance: each normalisation multiplies
    its gradient by 1 / sqrt(epsilon) = 316, and a chain of thirty of them overflows.
    """
    return gradient.clamp(-LARGEST_GRADIENT, LARGEST_GRADIENT)


def mean_inside(
    x: torch.Tensor, inside: torch.Tensor | None, axes: tuple[int, ...], axis: int = -1
) -> torch.Tensor:
    """Mean over `axes`, of which `axis` holds the frames, of the valid frames."""
    mean = zero_outside(x, inside, axis).mean(axes, keepdim=True)
    if inside is None:
        return mean
    part = inside.to(x.dtype).mean(1)
    return mean / part.view(-1, *[1] * (x.dim() - 1))


def reflected(x: torch.Tensor, inside: torch.Tensor | None, pad: int) -> torch.Tensor:
    """Each item reflected at its own first and last valid frame, however short it is.

    Shape
    -----
    (B, C, N) -> (B, C, N + 2 pad)

    Example
    -------
    >>> x, inside = torch.tensor([[[1.0, 2.0, 9.0]]]), torch.tensor([[True, True, False]])
    >>> reflected(x, inside, 2)
    tensor([[[1., 2., 1., 2., 1., 2., 1.]]])
    """
    frames = x.shape[2]
    if inside is None and frames > pad:
        return F.pad(x, (pad, pad), mode="reflect")
    if inside is None:
        last = torch.full((len(x), 1), frames - 1, device=x.device)
    else:
        last = inside.sum(1, keepdim=True) - 1
    # A triangle wave, so that clips shorter than the padding are reflected to and fro.
    target = torch.arange(-pad, frames + pad, device=x.device).abs()
    period = (2 * last).clamp(min=1)
    source = torch.minimum(target % period, period - target % period)
    return x.gather(2, source[:, None].expand(-1, x.shape[1], -1))


def even_weights(x: torch.Tensor, inside: torch.Tensor | None) -> torch.Tensor:
    """The same weight for every valid frame of (B, C, N), as (B, 1, N)."""
    return weights_inside(torch.zeros_like(x[:, :1]), inside)


def weights_inside(scores: torch.Tensor, inside: torch.Tensor | None) -> torch.Tensor:
    """Softmax over the valid frames of (B, C, N), in float32 or wider; exactly 0 behind the end."""
    scores = _at_least_float32(scores)
    if inside is not None:
        scores = scores.masked_fill(~inside[:, None], -torch.inf)
    return scores.softmax(2)


def moments(x: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted mean and variance over the frames, in float32 or wider.

    The variance can be exactly 0, where its root has an infinite slope: raise it to a floor first.

    Arguments
    ---------
    x : tensor (B, C, N)
        Finite where the weight is 0, too.
    weights : tensor (B, C, N) or (B, 1, N)
        Sum to 1 over the frames.

    Shape
    -----
    -> two of (B, C, 1)
    """
    x = _at_least_float32(x)
    mean = (weights * x).sum(2, keepdim=True)
    return mean, (weights * (x - mean).square()).sum(2, keepdim=True)


def _at_least_float32(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
