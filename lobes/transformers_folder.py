"""Models of the package transformers: what is in a folder, and small ones of random values."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from .extras import transformers

__all__ = ["SETTINGS", "SMALL", "config_in", "random_model"]

#: What a model of random values is built with where no folder is given.
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
#: What would draw at random in training, leave parameters without a gradient, or change the stride.
SETTINGS = {
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    "add_adapter": False,
}


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
