"""Models of the package transformers: the config in a folder, and models of random values."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ...processing.system.files import read_json
from ._extras import transformers
from ._pretrained_weights import Weights, check_against, read_safetensors

#: Config of the small model of random values.
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
#: Settings switched off: random masks and skipped layers, unused parameters, another stride.
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


def classes_of(lobe: str, family: str) -> tuple[type, type]:
    """Config and model of "Wav2Vec2" or "Hubert" in transformers."""
    package = transformers(lobe)
    return getattr(package, f"{family}Config"), getattr(package, f"{family}Model")


def model_without_folder(
    lobe: str,
    path: str | None,
    config: dict | None,
    families: dict[str, str],
    also: Sequence[str] = (),
) -> nn.Module | None:
    """A model of random values: that of `config`, else a small one with a warning; None with a path.

    Arguments
    ---------
    lobe : str
        For the messages.
    path : str or None
        Of a folder, which the caller reads; not with `config`.
    config : dict or None
        As `config_of` gives it: `model_type` and any of `NETWORK`.
    families : dict
        From the values of model_type that are allowed to what transformers calls them; the small
        model is of the first.
    also : sequence of str
        Further names that config may hold, which the caller reads.

    Raises
    ------
    ValueError
        Path and config together; no dict, another kind of model, an unknown name, or a value that
        transformers refuses.
    """
    if path is not None:
        if config is not None:
            raise ValueError(
                f"path {str(path)!r} and config are both given: a folder brings its own "
                "config.json; give one of them"
            )
        return None
    if config is not None:
        return _model_of_config(lobe, config, families, also)
    config_class, model_class = classes_of(lobe, next(iter(families.values())))
    warnings.warn(
        f"encoder {lobe!r} without a path is a small net of random values; a pretrained one: "
        f"encoder_options: {{{lobe}: {{path: FOLDER}}}}",
        stacklevel=3,
    )
    return model_class(config_class(**SMALL, **SETTINGS))


def config_of(model: nn.Module) -> dict:
    """Plain JSON that `model_without_folder` builds the same network from."""
    held = {name: getattr(model.config, name) for name in NETWORK if hasattr(model.config, name)}
    return {"model_type": model.config.model_type, **json.loads(json.dumps(held))}


def _model_of_config(
    lobe: str, config: dict, families: dict[str, str], also: Sequence[str]
) -> nn.Module:
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
    try:
        return _random_model(lobe, config, families[kind])
    except Exception as error:  # transformers and torch raise what comes along
        raise ValueError(f"config describes no {kind}: {error}") from error


def _random_model(lobe: str, config: dict, family: str) -> nn.Module:
    """The network that a config describes; of its other settings none reaches transformers."""
    config_class, model_class = classes_of(lobe, family)
    settings = {name: value for name, value in config.items() if name in NETWORK}
    return model_class(config_class(**settings, **SETTINGS))


def model_in(lobe: str, path: str, about: dict, families: dict[str, str]) -> nn.Module:
    """The model in a folder, every weight of it from its safetensors.

    transformers reads nothing there: it would follow a config to other folders, and to code.

    Arguments
    ---------
    lobe, families : as of `model_without_folder`.
    path : str
    about : dict
        As `config_in` gives it.

    Raises
    ------
    ValueError
        Weights that are damaged, lack or are too many, by name.
    """
    kind = about["model_type"]
    model = _random_model(lobe, about, families[kind])
    folder = Path(path).expanduser()
    shards = sorted(folder.glob("model-*-of-*.safetensors"))
    whole = folder / "model.safetensors"
    weights: Weights = {}
    for file in [whole] if whole.is_file() or not shards else shards:
        weights |= read_safetensors(str(file if file.is_file() else folder))[0]
    expected = model.state_dict()
    weights = _named_as(weights, expected, model.base_model_prefix)
    check_against(path, weights, expected, {"model_type": kind})
    model.load_state_dict(weights)
    return model


#: Heads of pre-training and of recognition, which are no part of the encoder.
_HEADS = {
    *("lm_head", "final_proj", "label_embs_concat", "project_hid", "project_q", "quantizer"),
    *("projector", "classifier", "layer_weights"),
}


def _named_as(weights: Weights, expected: Weights, prefix: str) -> Weights:
    """Without a prefix, heads and old names of the weight normalisation."""
    named = {}
    for name, value in weights.items():
        name = name.removeprefix(prefix + ".").removeprefix("mert_model.")
        for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
            name = name.replace(f"conv.{old}", f"conv.parametrizations.weight.{new}")
        if name.split(".")[0] not in _HEADS:
            named[name] = value
    # Used while masking at random alone; a file may do without.
    if "masked_spec_embed" in expected:
        named.setdefault("masked_spec_embed", expected["masked_spec_embed"])
    else:
        named.pop("masked_spec_embed", None)
    return named


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
    about = read_json(folder / "config.json")
    kind = about.get("model_type")
    if kind not in kinds:
        raise ValueError(
            f"path must hold a model of one of {tuple(kinds)}, got model_type {kind!r} in {folder}"
        )
    return about
