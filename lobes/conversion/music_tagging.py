"""Musicnn, CRNN and FCN of sota-music-tagging-models: state dicts, and their spectrogram in dB."""

import re

import torch

from ...processing.filterbank.triangles import mel_bank
from ...processing.system.listing import first_of
from . import ConversionError, Converted, Source
from .files import SourceFile

#: MagnaTagATune's 50 most frequent tags, in the order of the source's outputs.
MTAT_TAGS = (
    "guitar,classical,slow,techno,strings,drums,electronic,rock,fast,piano,ambient,beat,violin,"
    "vocal,synth,female,indian,opera,male,singing,vocals,no vocals,harpsichord,loud,quiet,flute,"
    "woman,male vocal,no vocal,pop,soft,sitar,solo,man,classic,choir,voice,new age,dance,"
    "male voice,female vocal,beats,harp,cello,no voice,weird,country,metal,female voice,choral"
).split(",")
#: torchaudio's MelSpectrogram(16000, n_fft=512, n_mels=96) and AmplitudeToDB().
MEL = {"num_features": 96, "window_ms": 32.0, "hop_ms": 16.0, "n_fft": 512, "padding": "reflect"}
MEL |= {"min_freq_hz": 0.0, "max_freq_hz": 8000.0, "log": "db", "log_offset": 1e-10}
#: Length of the clips that each net is trained on, in s.
CLIP_S = {"musicnn": 3.0, "crnn": 29.1, "fcn": 29.1}

_BANK, _COUNT = "spec.mel_scale.fb", "num_batches_tracked"
#: Patterns of names, and auricle's; `-1` counts the layer from 0.
_NAMES = {
    "musicnn": (
        (r"layers\.([01])\.conv\.(.*)", r"vertical.\1.\2"),
        (r"layers\.([01])\.bn\.(.*)", r"vertical_norms.\1.\2"),
        (r"layers\.([234])\.conv\.(.*)", r"horizontal.\1-2.\2"),
        (r"layers\.([234])\.bn\.(.*)", r"horizontal_norms.\1-2.\2"),
        (r"dense1\.(.*)", r"dense.\1"),
        (r"bn\.(.*)", r"dense_norm.\1"),
    ),
    "crnn": ((r"layer5\.(\w+_l[01])", r"recurrent.\1"),),
    "fcn": (),
}
_OF_ALL = (
    (r"spec_bn\.(.*)", r"input_norm.\1"),
    (r"layer([1-5])\.conv\.(.*)", r"convolutions.\1-1.\2"),
    (r"layer([1-5])\.bn\.(.*)", r"norms.\1-1.\2"),
)
#: A tensor that one net has and the others have not.
_MARKS = {
    "musicnn": "layers.4.conv.weight",
    "crnn": "layer5.weight_hh_l1",
    "fcn": "layer5.conv.weight",
}


def _mismatch(file: SourceFile) -> str:
    if reason := file.mismatch("spec_bn.weight", "layer3.conv.weight", _BANK):
        return reason
    if any(mark in file.tensors for mark in _MARKS.values()):
        return ""
    return f"it has none of the tensors {first_of(list(_MARKS.values()))}"


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    tensors = file.tensors
    name = next(name for name, mark in _MARKS.items() if mark in tensors)
    _check_bank(file)
    head = "dense2." if name == "musicnn" else "dense."
    weights, unknown = {}, []
    for key, value in tensors.items():
        if key.startswith("spec.") or key.endswith(_COUNT):
            continue
        new = f"classifier.linear.{key.removeprefix(head)}" if key.startswith(head) else None
        if new is None and (inner := _renamed(key, name)):
            new = f"embedding_model.{inner}"
        if new is None:
            unknown.append(key)
        weights[new] = value
    if unknown:
        raise ConversionError(f"{file.path}: {first_of(unknown)} have no place in {name}")
    tags = len(tensors[f"{head}weight"])
    if labels is None and tags == len(MTAT_TAGS) and "mtat" in "/".join(file.path.parts[-3:]):
        labels = list(MTAT_TAGS)
    description = {
        "task": "tagging",
        "sample_rate": 16000,
        "clip_s": CLIP_S[name],
        "masked_padding": True,
        "labels": labels,
        "normalization": "none",
        "frontend": {"name": "mel", "options": MEL},
        "encoder": {"name": name, "options": _options(name, tensors), "in_frames": None},
        "head": {"name": "tagger", "options": {}},
        "converted": {
            "followed": "minzwon/sota-music-tagging-models@06fa058",
            "licence": "MIT (the code's; of weights, what their owner says)",
        },
    }
    left_out = ["spec.*: the window and the filters, which the frontend mel computes"]
    return Converted(description, weights, left_out, projected=[])


def _options(name: str, tensors: dict[str, torch.Tensor]) -> dict:
    """Sizes of the net, read from its tensors."""
    if name == "musicnn":
        sizes = {"vertical": "layers.0.conv", "horizontal": "layers.2.conv"}
        sizes |= {"channels": "layer1.conv", "dense": "dense1"}
        return {option: len(tensors[f"{key}.weight"]) for option, key in sizes.items()}
    layers = (f"layer{layer}.conv.weight" for layer in range(1, 5 if name == "crnn" else 6))
    options = {"channels": [len(tensors[layer]) for layer in layers], "partial_pools": False}
    if name == "crnn":
        options["hidden"] = tensors["layer5.weight_hh_l0"].shape[1]
    return options


def _renamed(key: str, name: str) -> str | None:
    for pattern, new in (*_NAMES[name], *_OF_ALL):
        if match := re.fullmatch(pattern, key):
            inner = match.expand(new)
            return re.sub(r"(\d)-(\d)", lambda both: str(int(both[1]) - int(both[2])), inner)
    return None


def _check_bank(file: SourceFile) -> None:
    """Refuse a net whose spectrogram is another than `MEL`."""
    bank, held = mel_bank(96, 512, 16000, 0.0, 8000.0), file.tensors[_BANK]
    # torchaudio computes its filters in float32: 1e-5.
    if held.shape != bank.shape or not (held - bank).abs().max() < 1e-3:
        raise ConversionError(
            f"{file.path}: {_BANK}, {tuple(held.shape)}, is not the filters of 96 mel bands over 512 "
            "points at 16 kHz, the only spectrogram of these nets that is known"
        )


SOURCE = Source(
    "music_tagging",
    "Musicnn, CRNN or FCN of minzwon/sota-music-tagging-models, a state dict",
    _mismatch,
    _convert,
)
