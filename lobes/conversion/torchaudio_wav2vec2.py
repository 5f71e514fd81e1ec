"""torchaudio's bundles of wav2vec 2.0 and HuBERT: state dicts of `Wav2Vec2Model`, of any size."""

import torch
from torchaudio.models import wav2vec2_model

from . import ConversionError, Converted, Source
from .files import SourceFile

_LAYER = "encoder.transformer.layers.{}.attention.q_proj.weight"
_POSITIONS = "encoder.transformer.pos_conv_embed.conv."
#: Strides of the convolutions, the same in every published model.
_STRIDES = (5, 2, 2, 2, 2, 2, 2)
#: Of the widths whose heads have not 64 values.
_HEADS = {1280: 16}


def _mismatch(file: SourceFile) -> str:
    marks = (
        "encoder.feature_projection.projection.weight",
        "feature_extractor.conv_layers.6.conv.weight",
    )
    return file.mismatch(*marks, _LAYER.format(0), _POSITIONS + "bias")


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    # Names of the weight normalisation before torch had parametrisations.
    old = {_POSITIONS + "weight_g": "original0", _POSITIONS + "weight_v": "original1"}
    tensors = {
        f"{_POSITIONS}parametrizations.weight.{old[name]}" if name in old else name: value
        for name, value in file.tensors.items()
        if not name.startswith("aux.")
    }
    left_out = [name for name in file.tensors if name.startswith("aux.")]
    convolutions = [tensors[f"feature_extractor.conv_layers.{n}.conv.weight"] for n in range(7)]
    is_large = "feature_extractor.conv_layers.1.layer_norm.weight" in tensors
    g, v = (tensors[f"{_POSITIONS}parametrizations.weight.original{n}"] for n in (0, 1))
    width = len(v)
    config = {
        "model_type": "wav2vec2",
        "hidden_size": width,
        "num_hidden_layers": sum(_LAYER.format(n) in tensors for n in range(128)),
        "num_attention_heads": _HEADS.get(width, width // 64),
        "intermediate_size": len(
            tensors["encoder.transformer.layers.0.feed_forward.intermediate_dense.weight"]
        ),
        "do_stable_layer_norm": is_large,
        "feat_extract_norm": "layer" if is_large else "group",
        "conv_dim": [len(weight) for weight in convolutions],
        "conv_stride": list(_STRIDES),
        "conv_kernel": [weight.shape[2] for weight in convolutions],
        "conv_bias": "feature_extractor.conv_layers.0.conv.bias" in tensors,
        "num_conv_pos_embeddings": v.shape[2],
        "num_conv_pos_embedding_groups": width // v.shape[1],
    }
    if width % 64 and width not in _HEADS:
        raise ConversionError(f"{file.path}: of a width of {width} the heads are not known")
    weights = {}
    for name, value in tensors.items():
        if not name.startswith(f"{_POSITIONS}parametrizations"):
            short = name.replace("encoder.transformer.", "encoder.")
            short = short.replace("encoder.feature_projection.", "feature_projection.")
            weights[f"embedding_model.model.{short}"] = value
    positions = "embedding_model.model.encoder.pos_conv_embed.conv.weight"
    weights[positions] = torch._weight_norm(v, g, 2)
    description = {
        "task": "transcription",
        "sample_rate": 16000,
        "clip_s": None,
        "labels": [],
        # As the bundles' own `normalize_waveform`.
        "normalization": "sentence" if is_large else "none",
        "frontend": {"name": "waveform", "options": {}},
        "encoder": {"name": "wav2vec2", "options": {"config": config}, "in_frames": None},
        "head": {"name": "none", "options": {}},
        "converted": {
            "followed": "torchaudio.models.Wav2Vec2Model",
            "licence": "other (what the owner of the weights says)",
        },
    }

    def reference(model, wavs: torch.Tensor) -> torch.Tensor:
        net = _network(config, is_large).eval()
        net.load_state_dict(tensors)
        return net(model.frames(wavs)[0][..., 0])[0].flatten(1)

    about = "torchaudio's own model"
    return Converted(description, weights, left_out, [], reference, about, tolerance=1e-3)


def _network(config: dict, is_large: bool) -> torch.nn.Module:
    shapes = zip(config["conv_dim"], config["conv_kernel"], _STRIDES, strict=True)
    return wav2vec2_model(
        extractor_mode="layer_norm" if is_large else "group_norm",
        extractor_conv_layer_config=list(shapes),
        extractor_conv_bias=config["conv_bias"],
        encoder_embed_dim=config["hidden_size"],
        encoder_projection_dropout=0.0,
        encoder_pos_conv_kernel=config["num_conv_pos_embeddings"],
        encoder_pos_conv_groups=config["num_conv_pos_embedding_groups"],
        encoder_num_layers=config["num_hidden_layers"],
        encoder_num_heads=config["num_attention_heads"],
        encoder_attention_dropout=0.0,
        encoder_ff_interm_features=config["intermediate_size"],
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.0,
        encoder_layer_norm_first=is_large,
        encoder_layer_drop=0.0,
        aux_num_out=None,
    )


SOURCE = Source(
    "torchaudio_wav2vec2",
    "wav2vec 2.0 or HuBERT of torchaudio's bundles, a state dict of Wav2Vec2Model",
    _mismatch,
    _convert,
)
