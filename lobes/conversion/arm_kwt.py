"""Keyword transformers of ARM's repository, TFLite files from the waveform on, of any size."""

import math
import re

import torch
from torch.nn.functional import pad

from ..frontends.mfcc import MFCC
from . import ConversionError, Converted, Source
from .files import SourceFile
from .tflite_graph import read_graph, runtime

#: The classes of the twelve-class task in the order of kws_streaming.
LABELS = ("_silence_", "_unknown_", "yes", "no", "up", "down", "left", "right", "on", "off", "stop")
LABELS += ("go",)
#: Of the training options that are published with the weights (feature_type mfcc_tf).
MEL = {"window_ms": 30.0, "n_fft": 512, "padding": "none", "power": 1.0, "slopes": "mel"}
MEL |= {"min_freq_hz": 20.0, "max_freq_hz": 7600.0, "log": "floor", "log_offset": 1e-12}
MFCC_OPTIONS = {"num_ceps": 40, "num_mels": 80, "log": "mel", "hop_ms": 10.0, "dct": "htk"}
MFCC_OPTIONS |= {"mel": {**MEL, "allow_empty": True}}

_NET, _HEAD = "embedding_model.", "classifier.linear."
_BLOCK = re.compile(r"kws_transformer/transformer_block(?:_(\d+))?/(.+)")
_DENSE = re.compile(r".*/dense_(\d+)/(Tensordot/MatMul|bias)")
_NORM = re.compile(r"layer_normalization(?:_(\d+))?/(gamma|beta)")
#: The parts of a block in the order in which Keras counts its dense layers.
_PARTS = ("query", "key", "value", "attention.output", "feed_forward.0", "feed_forward.2")


def _mismatch(file: SourceFile) -> str:
    if file.format != "TFLite":
        return f"its format is {file.format}, not TFLite"
    lacking = [name for name in ("class_emb", "pos_emb") if name not in read_graph(file).named()]
    return f"it lacks the tensors {', '.join(lacking)}" if lacking else ""


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    graph = read_graph(file)
    tensors = graph.named()
    weights = {
        _NET + "class_token": tensors["class_emb"],
        _NET + "positions": tensors["pos_emb"],
        _NET + "input.weight": _one(tensors, r"kws_transformer/dense/Tensordot/MatMul"),
        _NET + "input.bias": _one(tensors, r"kws_transformer/dense/bias"),
        _HEAD + "weight": _one(tensors, r"sequential_\d+/dense_\d+/MatMul"),
        _HEAD + "bias": _one(tensors, r"sequential_\d+/dense_\d+/bias"),
    }
    weights |= _blocks(tensors)
    width = tensors["pos_emb"].shape[-1]
    classes = len(weights[_HEAD + "bias"])
    if labels is None and classes == len(LABELS):
        labels = list(LABELS)
    normalization, statistics = _normalizer(tensors)
    left_out = _features(tensors)
    run, about = runtime(file)
    description = {
        "task": "classification",
        "sample_rate": 16000,
        "clip_s": 1.0,
        "labels": labels,
        "normalization": normalization,
        "frontend": {"name": "mfcc", "options": MFCC_OPTIONS},
        "encoder": {
            "name": "kwt",
            "options": {"size": width // 64, "gelu": "tanh"},
            "in_frames": tensors["pos_emb"].shape[1] - 1,
        },
        "head": {"name": "classifier", "options": {}},
        "converted": {
            "followed": "ARM-software/keyword-transformer@237e409",
            "licence": "Apache-2.0",
        },
    }

    def reference(model, wavs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(run(wavs.numpy(), graph.output)).log_softmax(-1)

    weights |= statistics
    reference = None if run is None else reference
    return Converted(description, weights, left_out, [], reference, about, tolerance=1e-3)


def _one(tensors: dict[str, torch.Tensor], pattern: str) -> torch.Tensor:
    matches = [value for name, value in tensors.items() if re.fullmatch(pattern, name)]
    if len(matches) != 1:
        raise ConversionError(f"{len(matches)} tensors are called {pattern}, one is needed")
    return matches[0]


def _blocks(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of the transformer's layers."""
    layers: dict[int, dict[tuple[str, int, str], torch.Tensor]] = {}
    for name, value in tensors.items():
        if block := _BLOCK.fullmatch(name):
            layer = layers.setdefault(int(block[1] or 0), {})
            if dense := _DENSE.fullmatch(block[2]):
                layer["dense", int(dense[1]), dense[2].rpartition("/")[2]] = value
            elif norm := _NORM.fullmatch(block[2]):
                layer["norm", int(norm[1] or 0), norm[2]] = value
    weights = {}
    for number, layer in layers.items():
        dense = sorted({key[1] for key in layer if key[0] == "dense"})
        norms = sorted({key[1] for key in layer if key[0] == "norm"})
        if len(dense) != len(_PARTS) or len(norms) != 2 or len(layer) != 13:
            raise ConversionError(f"the transformer's layer {number} has not the tensors of KWT's")
        where = f"{_NET}layers.{number}."
        named = dict(zip(_PARTS, dense, strict=True))
        rows = [layer["dense", named[part], "MatMul"] for part in ("query", "key", "value")]
        weights[where + "attention.query_key_value.weight"] = torch.cat(rows)
        for part in _PARTS[3:]:
            weights[f"{where}{part}.weight"] = layer["dense", named[part], "MatMul"]
            weights[f"{where}{part}.bias"] = layer["dense", named[part], "bias"]
        for part, norm in zip(("attention_norm", "feed_forward_norm"), norms, strict=True):
            weights[f"{where}{part}.weight"] = layer["norm", norm, "gamma"]
            weights[f"{where}{part}.bias"] = layer["norm", norm, "beta"]
    return weights


def _normalizer(tensors: dict[str, torch.Tensor]) -> tuple[str, dict[str, torch.Tensor]]:
    """The fixed (x - mean) * scale behind the coefficients, as a normalisation and its statistics."""
    mean = _one(tensors, r"speech_features/normalizer/sub/y").double().flatten()
    scale = _one(tensors, r"speech_features/normalizer/truediv.*").double().flatten()
    mean = mean.expand_as(scale).clone()
    if not mean.any() and (scale == 1).all():
        return "none", {}
    if not (scale > 0).all():
        raise ConversionError("the normaliser's scale is not above 0")
    # `GlobalNormalization` adds its epsilon to the variance.
    variance = scale**-2 - 1e-5
    count = torch.ones((), dtype=torch.float64)
    statistics = {"count": count, "mean": mean, "variance": variance}
    return "global", {f"mean_var_norm.{name}": value for name, value in statistics.items()}


def _features(tensors: dict[str, torch.Tensor]) -> list[str]:
    """Check that the graph's features are those of auricle's options; what of it is not needed."""
    built = MFCC(16000, **MFCC_OPTIONS)
    bank = _one(tensors, r"speech_features/magnitude_rdf_tmel/MatMul_2")
    pairs = {
        "window": (_one(tensors, r"speech_features/windowing/mul/y"), built.mel.window_values),
        "mel bands": (pad(bank, (0, built.mel.num_bins - bank.shape[1])), built.mel.bank.T),
        "cosine transform": (_one(tensors, r"speech_features/dct/MatMul"), built.basis.T),
    }
    for name, (theirs, ours) in pairs.items():
        if theirs.shape != ours.shape or not torch.allclose(theirs, ours, atol=1e-5):
            raise ConversionError(
                f"its {name} {tuple(theirs.shape)} are not those of the published features: 30 ms, "
                "80 bands from 20 to 7600 Hz, 40 coefficients"
            )
    floor = float(_one(tensors, r"speech_features/lambda_\d+/Maximum/y"))
    if not math.isclose(floor, MEL["log_offset"], rel_tol=1e-3):
        raise ConversionError(f"the floor of its logarithm is {floor:g}, allowed is 1e-12")
    return ["the Fourier and mel matrices of its features, which the frontend mfcc computes"]


SOURCE = Source(
    "arm_kwt",
    "KWT of ARM-software/keyword-transformer, a TFLite file from the waveform",
    _mismatch,
    _convert,
)
