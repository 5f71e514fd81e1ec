"""Folders of transformers: wav2vec 2.0, HuBERT, MERT and the audio spectrogram transformer."""

import torch

from ...processing.system.files import read_json
from ..build import build_encoder, build_frontend
from ..encoders._patch.weights import SIZES
from ..encoders._transformers_folder import config_in, model_in
from ..encoders.wav2vec2 import FAMILIES
from ..options import number, whole
from . import ConversionError, Converted, Source
from .files import SourceFile

#: The encoder of each model_type, and a task that its embeddings are of use for.
KINDS = {
    "wav2vec2": ("wav2vec2", "transcription"),
    "hubert": ("wav2vec2", "transcription"),
    "mert_model": ("mert", "tagging"),
    "audio-spectrogram-transformer": ("ast", "tagging"),
}
#: What the feature extractor of AST takes from AudioSet where a folder says nothing.
_MEAN, _STD = -4.2677393, 4.5689974
_AST_MEL = {"convention": "kaldi", "window_shape": "hann_symmetric", "allow_empty": True}


def _mismatch(file: SourceFile) -> str:
    config = file.path / "config.json"
    if file.format != "folder" or not config.is_file():
        return "it is no folder with config.json"
    about = read_json(config)
    kind = about.get("model_type") if isinstance(about, dict) else None
    return "" if kind in KINDS else f"its model_type is {kind!r}, known are {', '.join(KINDS)}"


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    config = read_json(file.path / "config.json")
    encoder, task = KINDS[config["model_type"]]
    prepared = _preprocessing(file)
    build = _ast if encoder == "ast" else _waveform
    parts, weights = build(file, config, prepared, encoder)
    description = {
        "task": task,
        "clip_s": None,
        "labels": [],
        "head": {"name": "none", "options": {}},
        "converted": {
            "followed": f"transformers, model_type {config['model_type']}",
            "licence": "other (what the owner of the weights says)",
        },
        **parts,
    }

    def reference(model, wavs: torch.Tensor) -> torch.Tensor:
        about = config_in(str(file.path), tuple(FAMILIES), "")
        net = model_in("wav2vec2", str(file.path), about, FAMILIES).eval()
        return net(model.frames(wavs)[0][..., 0]).last_hidden_state.flatten(1)

    left_out = [
        "heads of pre-training and of recognition: a bundle without a head gives embeddings"
    ]
    compared = reference if encoder == "wav2vec2" else None
    about = (
        "transformers' own model" if compared else "the encoder is transformers' model, or equal"
    )
    return Converted(description, weights, left_out, [], compared, about)


def _preprocessing(file: SourceFile) -> dict:
    path = file.path / "preprocessor_config.json"
    about = read_json(path) if path.is_file() else {}
    return about if isinstance(about, dict) else {}


def _waveform(file: SourceFile, config: dict, prepared: dict, name: str) -> tuple[dict, dict]:
    options = {"path": str(file.path)}
    encoder = build_encoder(name, 1, options={name: options})
    normalized = prepared.get("do_normalize", True)
    parts = {
        "sample_rate": getattr(encoder, "rate_hz", 16000),
        "normalization": "sentence" if normalized else "none",
        "frontend": {"name": "waveform", "options": {}},
        "encoder": _encoder(name, encoder.lasting_options(options)),
    }
    return parts, _weights(encoder)


def _encoder(name: str, options: dict) -> dict:
    return {"name": name, "options": options, "in_frames": None}


def _weights(encoder) -> dict[str, torch.Tensor]:
    return {f"embedding_model.{key}": value for key, value in encoder.state_dict().items()}


def _ast(file: SourceFile, config: dict, prepared: dict, name: str) -> tuple[dict, dict]:
    features = whole("num_mel_bins", config.get("num_mel_bins", 128), 16, 1024)
    width = config.get("hidden_size", 768)
    size = next((name for name, (wide, *_) in SIZES.items() if wide == width), None)
    if size is None:
        allowed = ", ".join(str(wide) for wide, *_ in SIZES.values())
        raise ConversionError(f"{file.path}: hidden_size {width!r}, allowed are {allowed}")
    options = {
        "size": size,
        "depth": whole("num_hidden_layers", config.get("num_hidden_layers", 12), 1, 48),
        "frames": whole("max_length", config.get("max_length", 1024), 16, 2**16),
        "stride_frames": whole("time_stride", config.get("time_stride", 10), 1, 16),
        "stride_features": whole("frequency_stride", config.get("frequency_stride", 10), 1, 16),
    }
    rate = whole("sampling_rate", prepared.get("sampling_rate", 16000), 8000, 48000)
    path = {"path": str(file.path)}
    encoder = build_encoder(name, features, options={name: options | path})
    frontend = {"name": "mel", "options": {**_AST_MEL, "num_features": features}}
    mel = build_frontend("mel", rate, {"mel": frontend["options"]})
    mean = number("mean", prepared.get("mean", _MEAN))
    std = 2 * number("std", prepared.get("std", _STD), above=1e-2)
    normalization = {
        "count": torch.ones((), dtype=torch.float64),
        "mean": torch.full((features,), mean, dtype=torch.float64),
        # `GlobalNormalization` adds its epsilon to the variance.
        "variance": torch.full((features,), std**2 - 1e-5, dtype=torch.float64),
    }
    weights = {f"mean_var_norm.{key}": value for key, value in normalization.items()}
    parts = {
        "sample_rate": rate,
        "clip_s": (mel.window + (options["frames"] - 1) * mel.hop) / rate,
        "normalization": "global",
        "frontend": frontend,
        "encoder": _encoder(name, encoder.lasting_options(options | path)),
    }
    return parts, weights | _weights(encoder)


SOURCE = Source(
    "transformers_folder",
    "wav2vec 2.0, HuBERT, MERT or AST as transformers saves it, a folder",
    _mismatch,
    _convert,
)
