"""Weights of image and spectrogram transformers from a local file, under timm's names.

A file of timm (`patch_embed.proj.weight`, `blocks.0.attn.qkv.weight`, ...) or of transformers
(`embeddings.patch_embeddings.projection.weight`, `encoder.layer.0. ...`) becomes timm's names; what
belongs to another network is refused, and the error says what it is and what was expected.
"""

from collections import Counter

import torch
from torch import nn

from ....processing.system.listing import first_of
from ...frontends.spectrogram_image import fold_channels
from .._pretrained_weights import Weights, check_against, read_safetensors

#: Width, heads, blocks.
SIZES = {
    "tiny": (192, 3, 12),
    "small": (384, 6, 12),
    "base": (768, 12, 12),
    "large": (1024, 16, 24),
}

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


def load_weights(encoder: nn.Module, path: str, mean, std) -> None:
    """Put the weights of a file into `vit` or `ast`, adapted to its patches and positions.

    Arguments
    ---------
    encoder : PatchTransformer
    path : str
        A `.safetensors` file, or a folder with one.
    mean, std : float or three floats
        Of the channels of a picture, folded into the one channel of a spectrogram.

    Raises
    ------
    ValueError
        The file holds another architecture, or a transformer of another size.
    """
    weights, about = _read_weights(path)
    weights["pos_embed"] = encoder.positions_in(path, weights, about)
    _fold_patches(weights, mean, std)
    _take_weights(encoder, path, weights, about)


def _read_weights(path: str) -> tuple[Weights, dict]:
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


def _fold_patches(weights: Weights, mean, std) -> None:
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


def _take_weights(encoder: nn.Module, path: str, weights: Weights, about: dict) -> None:
    """Put weights under the names of its `state_dict` into an encoder, after checking them.

    Of a deeper network of the same width the first blocks are taken.

    Arguments
    ---------
    encoder : PatchTransformer
    path : str
        For the messages.
    weights, about : dict
        Of the file, and its config.

    Raises
    ------
    ValueError
        The file holds a transformer of another size; says which sizes were found and expected.
    """
    depth = len(encoder.blocks)
    patch = weights["patch_embed.proj.weight"].shape
    sizes = {
        "width": weights["cls_token"].shape[-1],
        "blocks": 1 + max(map(_block_of, weights)),
        "patch": patch[-1],
    }
    if (
        sizes["width"] != encoder.out_features
        or sizes["blocks"] < depth
        or patch[-2:] != (encoder.patch, encoder.patch)
    ):
        known = {widths[0]: name for name, widths in SIZES.items()}
        size = known.get(sizes["width"], "unknown")
        raise ValueError(
            f"path {str(path)!r} holds a transformer of width {sizes['width']} "
            f"(size {size!r}), {sizes['blocks']} blocks and patches "
            f"of {patch[-2]} x {patch[-1]}; size {encoder.size!r} as asked for expects width "
            f"{encoder.out_features}, {depth} blocks and patches of "
            f"{encoder.patch} x {encoder.patch}"
        )
    weights = {name: value for name, value in weights.items() if _block_of(name) < depth}
    names = {
        f"{encoder.registered_name} size": encoder.size,
        "patch": encoder.patch,
        "blocks": depth,
    }
    check_against(path, weights, encoder.state_dict(), names)
    heads = SIZES[encoder.size][1]
    stated = about.get("num_attention_heads", heads)
    if stated != heads:
        raise ValueError(
            f"path {str(path)!r} has {stated} attention heads in its config, where size "
            f"{encoder.size!r} has {heads}"
        )
    for norm in encoder.modules():
        if isinstance(norm, nn.LayerNorm) and encoder.norm_epsilon is None:
            norm.eps = float(about.get("layer_norm_eps", norm.eps))
    encoder.load_state_dict(weights)


def _block_of(name: str) -> int:
    """Number of the block that a tensor belongs to; -1: to none."""
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "blocks" and parts[1].isdigit() else -1


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
    """Name of the network in a file, from its config or from the names of its tensors."""
    for key in ("architecture", "model_type", "architectures"):
        if about.get(key):
            return f"{key} {about[key]!r}"
    first = Counter(name.split(".")[0] for name in weights)
    return f"tensors called {first_of(sorted(first))}.*"
