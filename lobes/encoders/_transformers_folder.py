"""Models of the package transformers: what is in a folder, and ones of random values."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ._extras import transformers

__all__ = [
    "SETTINGS",
    "SMALL",
    "config_in",
    "config_of",
    "model_of_config",
    "not_both",
    "random_model",
]

#: What a model of random values is built with where no folder is given.
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    # 16 channels to a group. With fewer, and kernels this long, oneDNN 3.10 (torch 2.11) returns
    # noise for bfloat16 on processors with AMX; the published models have 48 and 64.
    "num_conv_pos_embedding_groups": 2,
}
#: What would draw at random in training, leave parameters without a gradient, or change the stride.
SETTINGS = {
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    "add_adapter": False,
}
#: The settings that decide on the network. A bundle keeps these and no others: in the rest of a
#: config are names of folders, and of code that transformers would fetch.
NETWORK = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout",
    "activation_dropout",
    "attention_dropout",
    "layer_norm_eps",
    "do_stable_layer_norm",
    "adapter_attn_dim",
    "feat_extract_norm",
    "feat_extract_activation",
    "feat_proj_dropout",
    "feat_proj_layer_norm",
    "conv_dim",
    "conv_stride",
    "conv_kernel",
    "conv_bias",
    "num_conv_pos_embeddings",
    "num_conv_pos_embedding_groups",
    "conv_pos_batch_norm",
)


def random_model(lobe: str, family: str) -> nn.Module:
    """A small `Wav2Vec2Model` or `HubertModel` (by `family`) of random values, with a warning."""
    package = transformers(lobe)
    warnings.warn(
        f"encoder {lobe!r} without a path is a small net of random values; a pretrained one: "
        f"encoder_options: {{{lobe}: {{path: FOLDER}}}}",
        stacklevel=3,
    )
    config = getattr(package, f"{family}Config")(**SMALL, **SETTINGS)
    return getattr(package, f"{family}Model")(config)


def not_both(path: str | None, config: dict | None) -> None:
    """Refuse a folder beside the description of a network.

    Raises
    ------
    ValueError
    """
    if path is not None and config is not None:
        raise ValueError(
            f"path {str(path)!r} and config are both given: a folder brings its own config.json; "
            "give one of them"
        )


def config_of(model: nn.Module) -> dict:
    """Plain JSON that `model_of_config` builds the same network from."""
    held = {name: getattr(model.config, name) for name in NETWORK if hasattr(model.config, name)}
    return {"model_type": model.config.model_type, **json.loads(json.dumps(held))}


def model_of_config(
    lobe: str, config: dict, families: dict[str, str], also: Sequence[str] = ()
) -> nn.Module:
    """A model of random values, described as in a `config.json`.

    Arguments
    ---------
    lobe : str
        For the messages.
    config : dict
        `model_type` and any of `NETWORK`.
    families : dict
        From the values of model_type that are allowed to what transformers calls them.
    also : sequence of str
        Further names that config may hold, which the caller reads.

    Raises
    ------
    ValueError
        No dict, another kind of model, an unknown name, or a value that transformers refuses.
    """
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in families:
        raise ValueError(
            f"config must be a map whose model_type is one of {tuple(families)}, got "
            f"{config if kind is None else kind!r}"
        )
    unknown = sorted(set(config) - {"model_type", *NETWORK, *also}, key=str)
    if unknown:
        raise ValueError(
            f"config of encoder {lobe!r} has {', '.join(map(str, unknown))}; allowed are "
            f"{', '.join(('model_type', *NETWORK, *also))}"
        )
    package = transformers(lobe)
    settings = {name: value for name, value in config.items() if name in NETWORK}
    try:
        filled = getattr(package, f"{families[kind]}Config")(**settings, **SETTINGS)
        return getattr(package, f"{families[kind]}Model")(filled)
    except Exception as error:  # transformers and torch raise what comes along
        raise ValueError(f"config describes no {kind}: {error}") from error


def config_in(path: str, kinds: Sequence[str], conversion: str) -> dict:
    """The `config.json` of a folder that holds a model of one of these kinds in `*.safetensors`.

    Arguments
    ---------
    path : str
    kinds : sequence of str
        Values of model_type.
    conversion : str
        Python that makes a pickle in the folder readable, for the error.

    Raises
    ------
    ValueError
        No such folder, nothing but pickles in it, or another kind of model.
    """
    folder = Path(path).expanduser()
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"path must be a folder with config.json and *.safetensors, got {str(path)!r}, which "
            f"{'has no config.json' if folder.is_dir() else 'is no folder'}; nothing is downloaded"
        )
    if not list(folder.glob("*.safetensors")):
        raise ValueError(
            f"path {str(path)!r} holds no *.safetensors; pickles (pytorch_model.bin) can run code "
            f'and are not read. Where you trust one, convert it once: python -c "{conversion}"'
        )
    about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = about.get("model_type")
    if kind not in kinds:
        raise ValueError(
            f"path must hold a model of one of {tuple(kinds)}, got model_type {kind!r} in {folder}"
        )
    return about
