"""Attention rollout: how much each patch of a spectrogram contributes to the output."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...options import choice, number, whole
from .transformer import PatchTransformer

HEADS = ("mean", "max", "min")


def attention_rollout(
    attentions: Sequence[torch.Tensor],
    heads: str = "mean",
    discard: float = 0.0,
    prefix_tokens: int = 1,
) -> torch.Tensor:
    """Attention followed through all layers, from the prefix tokens back to the input.

    Per layer 0.5 A + 0.5 I, which stands for the way around the layer, rows normalised; the
    product of all.

    Arguments
    ---------
    attentions : list of tensor (B, heads, T, T)
        First layer first; a row is a query and sums to 1.
    heads : str
        How heads are joined: "mean", "max" or "min".
    discard : float
        Share of the smallest weights of a layer, per item, that is set to 0 before; those to
        prefix tokens stay.
    prefix_tokens : int
        Class token, and distillation token, at the front; the mean of their rows is returned.

    Shape
    -----
    -> (B, T), at least 0, each row sums to 1

    Raises
    ------
    ValueError
        No layer, shapes that differ, an option out of range.

    References
    ----------
    Abnar and Zuidema 2020, Quantifying Attention Flow in Transformers, arXiv:2005.00928; joining by
    max and min and the share to discard after jacobgil/vit-explain, which spares the first entry of
    the matrix only.

    Example
    -------
    >>> even = torch.full((1, 2, 4, 4), 0.25)
    >>> attention_rollout([even])
    tensor([[0.6250, 0.1250, 0.1250, 0.1250]])
    """
    choice("heads", heads, HEADS)
    discard = number("discard", discard, low=0, below=1)
    whole("prefix_tokens", prefix_tokens)
    if not len(attentions):
        raise ValueError("attentions must hold at least one layer, got none")
    shape = tuple(attentions[0].shape)
    if len(shape) != 4 or shape[2] != shape[3] or any(a.shape != shape for a in attentions):
        raise ValueError(
            "attentions must all be (B, heads, T, T) of one shape, got "
            f"{sorted({tuple(a.shape) for a in attentions})}"
        )
    if prefix_tokens >= shape[2]:
        raise ValueError(f"prefix_tokens {prefix_tokens} leaves none of {shape[2]} tokens")
    tokens = shape[2]
    way_around = torch.eye(tokens, device=attentions[0].device)
    rollout = way_around.expand(shape[0], -1, -1)
    for layer in attentions:
        layer = layer.detach().float()
        joined = layer.mean(1) if heads == "mean" else getattr(layer, f"a{heads}")(1)
        if discard:
            patches = joined[:, :, prefix_tokens:].flatten(1)
            count = int(discard * patches.shape[1])
            smallest = patches.topk(count, dim=1, largest=False).indices
            patches = patches.scatter(1, smallest, 0.0).view(*joined.shape[:2], -1)
            joined = torch.cat([joined[:, :, :prefix_tokens], patches], dim=2)
        joined = 0.5 * joined + 0.5 * way_around
        rollout = joined / joined.sum(2, keepdim=True) @ rollout
    return rollout[:, :prefix_tokens].mean(1)


def attentions_of(
    encoder: PatchTransformer, feats: torch.Tensor, lengths: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """Attention matrices of every block of `vit` or `ast`, in eval mode, without gradients.

    Arguments
    ---------
    encoder : PatchTransformer
        Left as it is.
    feats : tensor (B, N, F)
    lengths : tensor (B,) or None

    Shape
    -----
    -> list of (B, heads, T, T), first block first, T = `encoder.tokens(N)`; each row sums to 1,
    nothing goes to patches behind an item's end.

    Example
    -------
    >>> from auricle.lobes import build_encoder
    >>> vit = build_encoder("vit", 40, options={"vit": {"depth": 2}})
    >>> [tuple(a.shape) for a in attentions_of(vit, torch.randn(1, 101, 40))]
    [(1, 3, 22, 22), (1, 3, 22, 22)]
    """
    if not isinstance(encoder, PatchTransformer):
        raise ValueError(
            f"attentions_of takes the encoders vit and ast, got {type(encoder).__name__}"
        )
    seen: list[torch.Tensor] = []
    fused = [block.attn.fused_attn for block in encoder.blocks]
    training = {part: part.training for part in encoder.modules()}
    hooks = [
        block.attn.attn_drop.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        for block in encoder.blocks
    ]
    try:
        encoder.eval()
        for block in encoder.blocks:
            block.attn.fused_attn = False
        with torch.no_grad():
            encoder(feats, lengths)
    finally:
        for hook in hooks:
            hook.remove()
        for block, was in zip(encoder.blocks, fused, strict=True):
            block.attn.fused_attn = was
        for part, was in training.items():
            part.training = was
    return seen


@dataclass(frozen=True)
class PatchGrid:
    """Places of a clip's patches in time and frequency.

    Arguments
    ---------
    start_s, end_s : tensor (columns,)
        In seconds.
    low_hz, high_hz : tensor (rows,)
        In Hz; rows of features alone where no frequencies were given.
    """

    start_s: torch.Tensor
    end_s: torch.Tensor
    low_hz: torch.Tensor
    high_hz: torch.Tensor


def patch_grid(
    encoder: PatchTransformer,
    frames: int,
    frame_s: float,
    edges_hz: Sequence[float] | torch.Tensor,
) -> PatchGrid:
    """Seconds and Hz of the patches of a clip.

    Arguments
    ---------
    encoder : PatchTransformer
    frames : int
        N of the clip.
    frame_s : float
        Seconds per frame: the frontend's hop / sample_rate; the clip's length / N where the
        frontend resizes.
    edges_hz : F + 1 numbers
        Limits of the features, rising; of triangular mel filters the points between the centres.

    Shape
    -----
    Rows from low to high, columns in time, as `rollout_picture`. A last patch that is completed
    with zeros ends where the clip ends.

    Example
    -------
    >>> from auricle.lobes import build_encoder
    >>> vit = build_encoder("vit", 40, options={"vit": {"depth": 1}})
    >>> grid = patch_grid(vit, 40, 0.01, torch.linspace(0, 8000, 41))
    >>> grid.end_s, grid.low_hz
    (tensor([0.1600, 0.3200, 0.4000]), tensor([   0., 3200., 6400.]))
    """
    whole("frames", frames)
    number("frame_s", frame_s, above=0)
    edges = torch.as_tensor(edges_hz, dtype=torch.float32)
    if edges.shape != (encoder.in_features + 1,) or not (edges.diff() > 0).all():
        raise ValueError(
            f"edges_hz must be {encoder.in_features + 1} rising numbers, the limits of "
            f"{encoder.in_features} features, got shape {tuple(edges.shape)}"
        )
    rows = torch.arange(encoder.grid[0]) * encoder.patch_stride[0]
    columns = torch.arange(encoder.columns(frames)) * encoder.patch_stride[1]
    return PatchGrid(
        start_s=columns * frame_s,
        end_s=(columns + encoder.patch).clamp(max=frames) * frame_s,
        low_hz=edges[rows],
        high_hz=edges[(rows + encoder.patch).clamp(max=encoder.in_features)],
    )


def rollout_picture(
    encoder: PatchTransformer,
    feats: torch.Tensor,
    lengths: torch.Tensor | None = None,
    heads: str = "mean",
    discard: float = 0.0,
) -> torch.Tensor:
    """Rollout of an encoder's attention to the patches, prefix tokens left out.

    Shape
    -----
    feats (B, N, F) -> (B, rows, columns), rows from low to high frequency, columns in time, on the
    grid of `patch_grid`; 0 behind an item's end; an item sums to 1 less what stays in its prefix
    tokens.

    Example
    -------
    >>> from auricle.lobes import build_encoder
    >>> ast = build_encoder("ast", 40, options={"ast": {"depth": 1}})
    >>> rollout_picture(ast, torch.randn(1, 101, 40)).shape
    torch.Size([1, 3, 9])
    """
    weights = attention_rollout(
        attentions_of(encoder, feats, lengths), heads, discard, encoder.prefix_tokens
    )
    return weights[:, encoder.prefix_tokens :].unflatten(1, (encoder.grid[0], -1))
