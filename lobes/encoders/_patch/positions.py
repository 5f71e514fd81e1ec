"""Learned positions of patches, counted along an axis and adapted to another grid."""

import math

import torch
from torch.nn import functional as F

from ....processing.filterbank.framing import at_least
from ....processing.system.operators import is_recorded
from ...layers.masks import frame_mask, zero_padding


def patches_along(
    values: int | torch.Tensor, patch: int, stride: int, edges: str
) -> int | torch.Tensor:
    """Number of patches along an axis; at least one.

    Arguments
    ---------
    values : int or int tensor
        Features or frames along the axis.
    patch, stride : int
        Size of a patch, and from one to the next.
    edges : str
        "pad": the last patch is completed; "drop": what does not fill a patch is not read.

    Example
    -------
    >>> [patches_along(n, 16, 10, "pad") for n in (1, 16, 17, 27)]
    [1, 1, 2, 3]
    >>> patches_along(torch.tensor([1, 16, 17, 27]), 16, 10, "drop")
    tensor([1, 1, 1, 2])
    """
    behind = at_least(values - patch, 0)
    return 1 + (behind + stride - 1 if edges == "pad" else behind) // stride


def positions_of_items(
    table: torch.Tensor,
    columns: int,
    counts: torch.Tensor | None,
    rule: str,
    interpolation: str,
) -> torch.Tensor:
    """Learned positions for clips of any length, by each item's own columns.

    Arguments
    ---------
    table : tensor (1, rows, learned, D)
    columns : int
        Patches in time of the batch.
    counts : int tensor (B,) or None
        Of them, each item's own; None: all.
    rule : str
        "interpolate" stretches or shrinks the positions in time to the item's length; "cut" takes
        the first ones, and stretches for longer items only.
    interpolation : str
        "bicubic" (with a low-pass where it shrinks) or "bilinear".

    Shape
    -----
    -> (1 or B, rows * columns, D); zero behind an item's end, unless all have the same positions

    Example
    -------
    >>> table = torch.tensor([0.0, 4.0]).view(1, 1, 2, 1)
    >>> counts = torch.tensor([4, 2])
    >>> positions_of_items(table, 4, counts, "interpolate", "bilinear")[..., 0]
    tensor([[0., 1., 3., 4.],
            [0., 4., 0., 0.]])
    """
    learned = table.shape[2]
    if is_recorded():
        if counts is None:
            counts = torch.full((1,), columns, device=table.device)
        weights = _stretching(learned, columns, counts, rule, interpolation)
        return torch.einsum("bcl,zrld->brcd", weights, table).flatten(1, 2)
    if rule == "cut" and columns <= learned:
        return table[:, :, :columns].flatten(1, 2)
    if counts is None:
        return _stretched(table, columns, interpolation).flatten(1, 2)
    sizes = counts.tolist()
    made = {}
    for size in sorted(set(sizes)):
        short = rule == "cut" and size <= learned
        own = table[:, :, :size] if short else _stretched(table, size, interpolation)
        made[size] = F.pad(own, (0, 0, 0, columns - size))
    return torch.cat([made[size] for size in sizes]).flatten(1, 2)


def _stretching(
    learned: int, columns: int, counts: torch.Tensor, rule: str, interpolation: str
) -> torch.Tensor:
    """What `_stretched` multiplies learned positions with, for any number of columns an item has.

    Shape
    -----
    counts (B,) -> (B, columns, learned), zero behind an item's end
    """
    column = torch.arange(columns, device=counts.device)
    step = learned / counts
    if rule == "cut":
        step = step.clamp(max=1.0)
    source = (column + 0.5) * step[:, None] - 0.5
    place = torch.arange(learned, device=counts.device)
    if interpolation == "bilinear":
        source = source.clamp(0, learned - 1)
        weights = (1 - (place - source[..., None]).abs()).clamp(min=0)
    else:  # Keys' cubic with a = -1/2, wider where it is a low-pass
        x = (place - source[..., None]).abs() / step.clamp(min=1)[:, None, None]
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        weights = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
        weights = weights / weights.sum(2, keepdim=True)
    return zero_padding(weights, frame_mask(counts, columns), axis=1)


def _stretched(table: torch.Tensor, columns: int, interpolation: str) -> torch.Tensor:
    """(1, rows, learned, D) -> (1, rows, columns, D)"""
    if columns == table.shape[2]:
        return table
    return F.interpolate(
        table.movedim(3, 1),
        size=(table.shape[1], columns),
        mode=interpolation,
        align_corners=False,
        antialias=interpolation == "bicubic",
    ).movedim(1, 3)


def resized_positions(
    positions: torch.Tensor,
    prefix_tokens: int,
    old: tuple[int, int],
    new: tuple[int, int],
    rule: str,
) -> torch.Tensor:
    """Learned positions of one grid of patches for another.

    Arguments
    ---------
    positions : tensor (1, prefix_tokens + rows * columns, D)
    prefix_tokens : int
        Kept as they are.
    old, new : (int, int)
        Rows and columns.
    rule : str
        "bicubic", with a low-pass where it shrinks, as timm; "cut": the middle where the new grid
        is smaller, bilinear where it is larger, each axis for itself, as AST.

    Example
    -------
    >>> resized_positions(torch.ones(1, 2 + 24 * 24, 8), 2, (24, 24), (12, 101), "cut").shape
    torch.Size([1, 1214, 8])
    """
    prefix, table = positions[:, :prefix_tokens], positions[:, prefix_tokens:]
    table = table.float().unflatten(1, old).movedim(3, 1)
    if rule == "bicubic" and old != new:
        table = F.interpolate(table, new, mode="bicubic", antialias=True)
    elif rule == "cut":
        # Frames first and features second, as the published code does it.
        for axis in (3, 2):
            size, wanted = table.shape[axis], new[axis - 2]
            if wanted <= size:
                table = table.narrow(axis, size // 2 - wanted // 2, wanted)
            else:
                shape = (table.shape[2], wanted) if axis == 3 else (wanted, table.shape[3])
                table = F.interpolate(table, shape, mode="bilinear")
    table = table.movedim(1, 3).flatten(1, 2)
    return torch.cat([prefix, table.to(prefix.dtype)], dim=1)


def square_grid(path: str, places: int) -> tuple[int, int]:
    """Rows and columns of the positions of a square picture."""
    side = math.isqrt(places)
    if side * side != places:
        raise ValueError(
            f"path {str(path)!r} has positions for {places} patches, which is no square picture"
        )
    return side, side
