"""Weights of image and spectrogram transformers from a local safetensors file, checked by name.

A file of timm (`patch_embed.proj.weight`, `blocks.0.attn.qkv.weight`, ...) or of transformers
(`embeddings.patch_embeddings.projection.weight`, `encoder.layer.0. ...`) becomes timm's names; what
belongs to another network is refused, and the error says what it is and what was expected.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import torch
from torch.nn import functional as F

from .frontends.spectrogram_image import fold_channels

__all__ = [
    "check_against",
    "fold_patches",
    "patch_transformer_weights",
    "read_safetensors",
    "resized_positions",
    "square_grid",
]

Weights = dict[str, torch.Tensor]

#: transformers' name of a part of a block, and timm's.
BLOCK_PARTS = {
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
EMBEDDINGS = {
    "cls_token": "cls_token",
    "distillation_token": "dist_token",
    "position_embeddings": "pos_embed",
    "patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "patch_embeddings.projection.bias": "patch_embed.proj.bias",
}
PREFIXES = ("vit.", "deit.", "audio_spectrogram_transformer.", "module.v.", "v.", "model.")


def read_safetensors(path: str) -> tuple[Weights, dict]:
    """Every tensor of a file, or of the one file in a folder, and the folder's `config.json`.

    Arguments
    ---------
    path : str
        A `.safetensors` file, or a folder with one.

    Raises
    ------
    ValueError
        Nothing there, several files, a damaged one, or pickles only.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    given = Path(path).expanduser()
    file = given
    if given.is_dir():
        files = sorted(given.glob("*.safetensors"))
        if len(files) != 1:
            found = ", ".join(file.name for file in files) or "none"
            raise ValueError(
                f"path must be one *.safetensors file or a folder with one, got {str(path)!r} "
                f"with: {found}"
            )
        file = files[0]
    if not file.is_file():
        raise ValueError(f"path {str(path)!r} does not exist; nothing is downloaded")
    if file.suffix != ".safetensors":
        raise ValueError(
            f"path must be a *.safetensors file, got {str(path)!r}; pickles (.bin, .pth, .pt) can "
            'run code and are not read. Where you trust one, convert it once: python -c "import '
            'torch, safetensors.torch as s; s.save_file(torch.load(OLD, weights_only=True), NEW)"'
        )
    try:
        weights = load_file(str(file))
    except SafetensorError as error:
        raise ValueError(f"path {str(path)!r} is no readable safetensors file: {error}") from error
    config = file.parent / "config.json"
    if not config.is_file():
        return weights, {}
    try:
        about = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{config} is no JSON: {error}") from error
    return weights, about if isinstance(about, dict) else {}


def patch_transformer_weights(path: str) -> tuple[Weights, dict]:
    """A Vision Transformer, DeiT or AST in a file, under timm's names, without its classifier.

    Raises
    ------
    ValueError
        The file holds another architecture; says which, as far as its config or its names tell.
    """
    weights, about = read_safetensors(path)
    renamed: Weights = {}
    for name, value in weights.items():
        renamed.update(_timm_names(name, value))
    joined = _joined_qkv(renamed)
    needed = ("patch_embed.proj.weight", "cls_token", "pos_embed", "blocks.0.attn.qkv.weight")
    missing = [name for name in needed if name not in joined]
    if missing:
        raise ValueError(
            f"path {str(path)!r} holds no Vision Transformer but {_described(weights, about)}; "
            f"expected, in timm's or transformers' names, {', '.join(missing)}"
        )
    heads = (
        "head.",
        "head_dist.",
        "classifier.",
        "fc_norm.",
        "pre_logits.",
        "pooler.",
        "mlp_head.",
    )
    return {name: v for name, v in joined.items() if not name.startswith(heads)}, about


def check_against(path: str, weights: Weights, expected: Weights, names: dict) -> None:
    """Refuse a file whose tensors are not those of the network that was asked for.

    Arguments
    ---------
    path : str
        For the message.
    weights, expected : dict of tensors
        From the file; of the network.
    names : dict
        What the network is called and how big it is, for the message, e.g. {"size": "tiny"}.

    Raises
    ------
    ValueError
        Names the tensors that lack, are too many, or have another shape.
    """
    lack = sorted(set(expected) - set(weights))
    extra = sorted(set(weights) - set(expected))
    shapes = [
        f"{name} {tuple(weights[name].shape)} where {tuple(expected[name].shape)} is expected"
        for name in sorted(set(expected) & set(weights))
        if weights[name].shape != expected[name].shape
    ]
    if not (lack or extra or shapes):
        return
    wanted = ", ".join(f"{key} {value}" for key, value in names.items())
    problems = []
    for what, found in (("lacks", lack), ("has, too many,", extra), ("has", shapes)):
        if found:
            problems.append(f"{what} {_some(found)}")
    raise ValueError(
        f"path {str(path)!r} is of another architecture than {wanted}: it {'; '.join(problems)}"
    )


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


def fold_patches(weights: Weights, mean, std) -> None:
    """The patch embedding of three channels as one, in place; of one channel, unchanged."""
    weight, bias = weights["patch_embed.proj.weight"], weights.get("patch_embed.proj.bias")
    if weight.dim() != 4 or weight.shape[1] != 3:
        return
    means = [mean] * 3 if not isinstance(mean, (list, tuple)) else list(mean)
    stds = [std] * 3 if not isinstance(std, (list, tuple)) else list(std)
    weight, bias = fold_channels(
        weight, bias, mean, std, image_mean=sum(means) / 3, image_std=sum(stds) / 3
    )
    weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"] = weight, bias


def square_grid(path: str, places: int) -> tuple[int, int]:
    """Rows and columns of the positions of a square picture."""
    side = math.isqrt(places)
    if side * side != places:
        raise ValueError(
            f"path {str(path)!r} has positions for {places} patches, which is no square picture"
        )
    return side, side


def _timm_names(name: str, value: torch.Tensor) -> Weights:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    if name.startswith("embeddings.") and name[11:] in EMBEDDINGS:
        return {EMBEDDINGS[name[11:]]: value}
    if name.startswith(("encoder.layer.", "layers.")):
        index, _, part = name.removeprefix("encoder.layer.").removeprefix("layers.").partition(".")
        part, _, kind = part.rpartition(".")
        if part in BLOCK_PARTS:
            return {f"blocks.{index}.{BLOCK_PARTS[part]}.{kind}": value}
        for long, letter in (("query", "q"), ("key", "k"), ("value", "v")):
            if part in (f"attention.attention.{long}", f"attention.{letter}_proj"):
                return {f"blocks.{index}.attn.{letter}.{kind}": value}
    if name in ("layernorm.weight", "layernorm.bias"):
        return {f"norm.{name.rsplit('.', 1)[1]}": value}
    return {name: value}


def _joined_qkv(weights: Weights) -> Weights:
    """Query, key and value of a block as timm's one matrix."""
    joined = dict(weights)
    for name in weights:
        if ".attn.q." in name:
            parts = [joined.pop(name.replace(".q.", f".{x}."), None) for x in "qkv"]
            if all(part is not None for part in parts):
                joined[name.replace(".q.", ".qkv.")] = torch.cat(parts)
    return joined


def _described(weights: Weights, about: dict) -> str:
    """What a file is, from its config or from the names in it."""
    for key in ("architecture", "model_type", "architectures"):
        if about.get(key):
            return f"{key} {about[key]!r}"
    first = Counter(name.split(".")[0] for name in weights)
    return f"tensors called {_some(sorted(first))}.*"


def _some(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
