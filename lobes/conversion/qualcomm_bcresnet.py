"""BC-ResNet of Qualcomm's repository, of any width: state dicts, and the features it is fed."""

import re

import torch

from ...processing.system.listing import first_of
from . import ConversionError, Converted, Source
from .files import SourceFile

#: The classes of the authors' twelve-class task, in their order.
LABELS = ("_silence_", "_unknown_", "down", "go", "left", "no", "off", "on", "right", "stop")
LABELS += ("up", "yes")
#: torchaudio's MelSpectrogram(16000, n_fft=512, win_length=480, hop_length=160, n_mels=40), log(x + 1e-6).
MEL = {"num_features": 40, "window_ms": 30.0, "hop_ms": 10.0, "n_fft": 512, "padding": "reflect"}
MEL |= {"min_freq_hz": 0.0, "max_freq_hz": 8000.0, "log_offset": 1e-6}

_PREFIX, _HEAD = "embedding_model.", "classifier.linear."
_BLOCK = re.compile(r"BCBlocks\.(\d+)\.(\d+)\.(.+)")
_OUTSIDE = {
    "cnn_head.0": "head",
    "cnn_head.1": "head_norm",
    "classifier.0": "tail",
    "classifier.1": "expand.0",
    "classifier.2": "expand.1",
}
#: Parts of a block, behind those of a transition where it has one.
_INSIDE = {
    "frequency.block.0.weight": "frequency.weight",
    "frequency.block.1.ssnorm": "sub_spectral_norm.norm",
    "f1.0.block.0.weight": "time",
    "f1.0.block.1": "time_norm",
    "f1.1": "mix",
}


def _mismatch(file: SourceFile) -> str:
    return file.mismatch("cnn_head.0.weight", "BCBlocks.0.0.f1.1.weight", "classifier.5.weight")


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    tensors = file.tensors
    classes = len(tensors["classifier.5.weight"])
    if labels is None and classes == len(LABELS):
        labels = list(LABELS)
    names = {name: _renamed(name, tensors) for name in tensors}
    if unknown := [name for name, new in names.items() if new is None]:
        raise ConversionError(f"{file.path}: {first_of(unknown)} have no place in BC-ResNet")
    weights = {}
    for name, value in tensors.items():
        value = (
            value.flatten(1) if names[name].endswith(("mix.weight", "transition.weight")) else value
        )
        if names[name].endswith((".time", "frequency.weight")):
            value = value.reshape(len(value), 3)
        weights[names[name]] = value
    weights[f"{_HEAD}weight"] = weights[f"{_HEAD}weight"].flatten(1)
    description = {
        "task": "classification",
        "sample_rate": 16000,
        "clip_s": 1.0,
        "labels": labels,
        "normalization": "none",
        "frontend": {"name": "mel", "options": MEL},
        "encoder": {
            "name": "bcresnet",
            "options": {"tau": len(tensors["cnn_head.0.weight"]) / 16},
            "in_frames": None,
        },
        "head": {"name": "classifier", "options": {}},
        "converted": {
            "followed": "Qualcomm-AI-research/bcresnet@656f947",
            "licence": "BSD-3-Clause-Clear (the code's; of weights, what their owner says)",
        },
    }
    return Converted(description, weights, left_out=[], projected=[], tolerance=1e-4)


def _renamed(name: str, tensors: dict[str, torch.Tensor]) -> str | None:
    """auricle's name of a tensor; None where there is none."""
    if name.startswith("classifier.5."):
        return name.replace("classifier.5.", _HEAD)
    inside = _BLOCK.fullmatch(name)
    if inside is None:
        module, _, last = name.rpartition(".")
        return f"{_PREFIX}{_OUTSIDE[module]}.{last}" if module in _OUTSIDE else None
    stage, index, rest = int(inside[1]), int(inside[2]), inside[3]
    first = sum(f"BCBlocks.{s}.{i}.f1.1.weight" in tensors for s in range(stage) for i in range(64))
    where = f"{_PREFIX}blocks.{first + index}."
    if index == 0:
        for old, new in (("f2.0.block.0", "transition"), ("f2.0.block.1", "transition_norm")):
            if rest.startswith(old):
                return where + new + rest.removeprefix(old)
    rest = re.sub(r"^f2\.[01]\.", "frequency.", rest)
    for old, new in _INSIDE.items():
        if rest.startswith(old):
            return where + new + rest.removeprefix(old)
    return None


SOURCE = Source(
    "qualcomm_bcresnet",
    "BC-ResNet of Qualcomm-AI-research/bcresnet, a state dict",
    _mismatch,
    _convert,
)
