"""Batch normalisation whose statistics are those of the valid frames."""

import torch
from torch import nn
from torch.nn import functional as F

from ...processing.system.operators import is_recorded
from .masks import frame_mask, zero_padding

#: Far above any gradient of use, scaled for float16 or not; its square is still a float32.
LARGEST_GRADIENT = 1e12


def masked_batch_norm(
    norm: nn.Module, x: torch.Tensor, mask: torch.Tensor | None, axis: int = -1
) -> torch.Tensor:
    """torch's batch normalisation whose statistics, in training, are those of the valid frames.

    Arguments
    ---------
    norm : nn.BatchNorm1d or nn.BatchNorm2d
    x : tensor (B, C, N), (B, C, N, F) or (B, C, F, N)
    mask : bool tensor (B, N) or None
    axis : int
        Of the frames in `x`.

    Example
    -------
    >>> x = torch.tensor([[[1.0, 3.0, 99.0]]])
    >>> mask = torch.tensor([[True, True, False]])
    >>> masked_batch_norm(nn.BatchNorm1d(1), x, mask).round(decimals=3).tolist()
    [[[-1.0, 1.0, 0.0]]]
    """
    if not norm.training:
        # Recorded by a compiler, the strides of batch_norm's gradient are not the real ones.
        return _running(norm, x) if is_recorded() else norm(x)
    if x.requires_grad:
        x = _Bounded.apply(x)
    if mask is None:
        return norm(x)
    if is_recorded():
        return _of_masked_statistics(norm, x, mask, axis)
    frames_first = x.movedim(axis, 1)  # (B, N, C) or (B, N, C, F)
    normed = norm(frames_first[mask].unsqueeze(-1)).squeeze(-1)
    filled = torch.zeros_like(frames_first, dtype=normed.dtype)
    return filled.index_put((mask,), normed).movedim(1, axis)


def norm_values(
    norm: nn.Module, x: torch.Tensor, mask: torch.Tensor | None = None, axis: int = -1
) -> torch.Tensor:
    """`masked_batch_norm`; a single value, which has no variance, is normed as in evaluation."""
    if norm.training and x.numel() == x.shape[1]:
        mean, variance = norm.running_mean, norm.running_var
        return F.batch_norm(x, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)
    return masked_batch_norm(norm, x, mask, axis)


def _running(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Batch norm in evaluation, by products and sums."""
    scale, shape = torch.rsqrt(norm.running_var + norm.eps), [-1, *[1] * (x.dim() - 2)]
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale + (norm.bias if norm.affine else 0)
    return (x * scale.view(shape) + shift.view(shape)).to(x.dtype)


def _of_masked_statistics(
    norm: nn.Module, x: torch.Tensor, mask: torch.Tensor, axis: int
) -> torch.Tensor:
    """What `masked_batch_norm` gives, by sums: a compiler knows no number of valid frames.

    `mask` may be (B, 1): items that count whole or not at all. A single valid value, which has no
    variance, is normed as in evaluation.
    """
    axes = [0, *range(2, x.dim())]
    count = mask.sum() * (x.numel() // (x.shape[1] * mask.numel()))
    dtype, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
    mean = zero_padding(x, mask, axis).sum(axes, keepdim=True) / count
    centred = x - mean
    variance = zero_padding(centred, mask, axis).square().sum(axes, keepdim=True) / count
    with torch.no_grad():
        step = norm.momentum * (count > 1).float()
        norm.running_mean.lerp_(mean.flatten(), step)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        norm.running_var.lerp_(unbiased.flatten(), step)
        norm.num_batches_tracked.add_(count > 1)
    shape = mean.shape
    mean = torch.where(count > 1, mean, norm.running_mean.view(shape))
    variance = torch.where(count > 1, variance, norm.running_var.view(shape))
    normed = (x - mean) * torch.rsqrt(variance + norm.eps)
    if norm.affine:
        normed = normed * norm.weight.view(shape) + norm.bias.view(shape)
    return zero_padding(normed, mask, axis).to(dtype)


class _Bounded(torch.autograd.Function):
    """The identity, whose gradient is finite whatever the batch.

    A batch of one repeated frame, silence say, has no variance: each normalisation multiplies
    its gradient by 1 / sqrt(epsilon) = 316, and a chain of thirty of them overflows.
    """

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.clamp(-LARGEST_GRADIENT, LARGEST_GRADIENT)


class TemporalBatchNorm(nn.Module):
    """Batch norm of each feature over the valid frames of a batch.

    `nn.BatchNorm1d` with its defaults, where every frame that counts is valid. A training batch
    with fewer than two valid frames, which that refuses, leaves the running statistics alone.

    Arguments
    ---------
    num_features : int
    epsilon, momentum : float

    Shape
    -----
    feats (B, N, F), counts (B,) valid frames of each item -> (B, N, F)

    Example
    -------
    >>> norm, feats = TemporalBatchNorm(1), torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> norm(feats, torch.tensor([2]))[0, :2, 0].round(decimals=3).tolist(), norm.running_mean
    ([-1.0, 1.0], tensor([0.2000]))
    """

    def __init__(self, num_features: int, epsilon: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.epsilon, self.momentum = epsilon, momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, feats: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        if self.training:
            mean, variance = self._statistics(feats, counts)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return (feats - mean) * scale + self.bias

    def _statistics(
        self, feats: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mask = frame_mask(counts, feats.shape[1])
        total = mask.sum()
        count = total.clamp(min=1)
        mean = zero_padding(feats, mask, axis=1).sum((0, 1)) / count
        variance = zero_padding(feats - mean, mask, axis=1).square().sum((0, 1)) / count
        with torch.no_grad():
            unbiased = variance * (count / (count - 1).clamp(min=1))
            step = self.momentum * (total > 1).to(self.running_mean.dtype)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), step)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), step)
        return mean, variance


def norm_frames(
    norm: TemporalBatchNorm, feats: torch.Tensor, counts: torch.Tensor | None
) -> torch.Tensor:
    """`norm` over the valid frames; where all are valid, by torch's own batch norm, in float32.

    Arguments
    ---------
    norm : TemporalBatchNorm
        Its parameters and running statistics are used, and in training updated.
    feats : tensor (B, N, F)
    counts : int tensor (B,) or None
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
    if counts is not None:
        return norm(feats, counts)
    if norm.training and items * size < 2:  # refused by torch's
        return norm(feats, torch.full((items,), size, device=feats.device))
    return F.batch_norm(
        feats.reshape(-1, features),
        norm.running_mean,
        norm.running_var,
        norm.weight,
        norm.bias,
        norm.training,
        norm.momentum,
        norm.epsilon,
    ).view(feats.shape)
