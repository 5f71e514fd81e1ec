"""Means, moments and medians over the valid frames of a padded batch."""

import math

import torch

from .masks import frame_mask, zero_padding


def masked_mean(
    x: torch.Tensor, mask: torch.Tensor | None, axes: tuple[int, ...], axis: int = -1
) -> torch.Tensor:
    """Mean over `axes`, of which `axis` holds the frames, of the valid frames; axes are kept."""
    mean = zero_padding(x, mask, axis).mean(axes, keepdim=True)
    if mask is None:
        return mean
    part = mask.to(x.dtype).mean(1)
    return mean / part.view(-1, *[1] * (x.dim() - 1))


def masked_softmax(scores: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Softmax over the valid frames of (B, C, N), in float32 or wider; exactly 0 behind the end."""
    scores = _at_least_float32(scores)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    return scores.softmax(2)


def even_weights(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The same weight for every valid frame of (B, C, N), as (B, 1, N)."""
    return masked_softmax(torch.zeros_like(x[:, :1]), mask)


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


def mean_and_deviation(
    x: torch.Tensor, weights: torch.Tensor, least_variance: float
) -> torch.Tensor:
    """Weighted mean and standard deviation over the frames: (B, C, N) -> (B, 2 C, 1).

    The variance has a floor: the root of exactly 0 has an infinite slope.
    """
    mean, variance = moments(x, weights)
    return torch.cat([mean, variance.clamp(min=least_variance).sqrt()], dim=1)


def standardized(feats: torch.Tensor, counts: torch.Tensor | None, epsilon: float) -> torch.Tensor:
    """Each feature of each item to zero mean and unit variance over its valid frames, else zero.

    Arguments
    ---------
    feats : tensor (B, N, F)
    counts : int tensor (B,) or None
        Valid frames of each item; None: all.
    epsilon : float
        Added to the variance.

    Shape
    -----
    (B, N, F) -> (B, N, F)

    Example
    -------
    >>> feats = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> standardized(feats, torch.tensor([2]), 0.0)[0, :, 0]
    tensor([-1.,  1.,  0.])
    """
    mask = frame_mask(counts, feats.shape[1])
    size = feats.shape[1] if counts is None else counts.clamp(min=1)[:, None, None]
    mean = zero_padding(feats, mask, axis=1).sum(1, keepdim=True) / size
    centred = zero_padding(feats - mean, mask, axis=1)
    return centred * torch.rsqrt(centred.square().sum(1, keepdim=True) / size + epsilon)


def masked_median(feats: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Median of each feature over each item's valid frames, the lower one of an even number.

    Shape
    -----
    (B, N, F), (B,) -> (B, 1, F); 0 for an item without frames.

    Example
    -------
    >>> masked_median(torch.tensor([[[3.0], [1.0], [2.0], [9.0]]]), torch.tensor([3])).item()
    2.0
    """
    padding = ~frame_mask(counts, feats.shape[1])[..., None]
    in_order = feats.masked_fill(padding, math.inf).sort(1).values
    middle = torch.div(counts - 1, 2, rounding_mode="floor").clamp(min=0)
    place = middle[:, None, None].expand(-1, 1, feats.shape[2])
    return in_order.gather(1, place).masked_fill((counts == 0)[:, None, None], 0)


def _at_least_float32(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
