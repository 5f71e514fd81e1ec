"""MusiCNN of Essentia's models, frozen graphs: its tags, or valence and arousal by a second graph."""

import numpy as np
import torch

from . import ConversionError, Converted, Source
from .files import SourceFile
from .tensorflow_graph import Graph, read_graph

#: The 50 most frequent tags of the Million Song Dataset (Last.fm), in the order of the outputs.
MSD_TAGS = (
    "rock,pop,alternative,indie,electronic,female vocalists,dance,00s,alternative rock,jazz,"
    "beautiful,metal,chillout,male vocalists,classic rock,soul,indie rock,Mellow,electronica,80s,"
    "folk,90s,chill,instrumental,punk,oldies,blues,hard rock,ambient,acoustic,experimental,"
    "female vocalist,guitar,Hip-Hop,70s,party,country,easy listening,sexy,catchy,funk,electro,"
    "heavy metal,Progressive rock,60s,rnb,indie pop,sad,House,happy"
).split(",")
#: Essentia's TensorflowInputMusiCNN, and its patches: 187 frames each 93, no part of one; the first
#: frame is centred at the beginning.
MEL = {"convention": "essentia", "num_features": 96, "hop_ms": 16.0}
PATCH_FRAMES, PATCH_HOP_FRAMES, HOP, WINDOW = 187, 93, 256, 512
#: Of a regression head: its values, and the scale of its labels.
EMOTIONS, SCALE = ["valence", "arousal"], {"low": 1.0, "high": 9.0}

#: Constants of a MusiCNN graph, and auricle's layer of each.
_CONVOLUTIONS = {
    "conv2d_1": "vertical.0",
    "conv2d": "vertical.1",
    "conv2d_2": "horizontal.0",
    "conv2d_3": "horizontal.1",
    "conv2d_4": "horizontal.2",
    "conv2d_5": "convolutions.0",
    "conv2d_6": "convolutions.1",
    "conv2d_7": "convolutions.2",
}
_NORMS = ["input_norm", "vertical_norms.1", "vertical_norms.0"]
_NORMS += [f"horizontal_norms.{i}" for i in range(3)] + [f"norms.{i}" for i in range(3)]
_NORMS += ["pooled_norm", "dense_norm"]
_PARTS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}

_LAYER = ["Conv2D", "BiasAdd", "Relu", "FusedBatchNorm"]
_NORM = ["Add", "Rsqrt", "Mul", "Mul", "Mul", "Sub", "Add"]
_DENSE = ["MatMul", "BiasAdd", "Relu"]
#: The operators of MusiCNN in the order in which the graph has them, up to its logits.
_MUSICNN = ["Placeholder", "Placeholder", "ExpandDims", "FusedBatchNorm", "Pad"]
_MUSICNN += 5 * [*_LAYER, "MaxPool", "Squeeze"] + ["ConcatV2", "ExpandDims", "Pad", *_LAYER]
_MUSICNN += ["Transpose", "Pad", *_LAYER, "Transpose", "Add", "Pad", *_LAYER, "Transpose", "Add"]
_MUSICNN += ["ConcatV2", "Max", "Mean", "StopGradient", "SquaredDifference", "Mean", "Squeeze"]
_MUSICNN += ["Squeeze", "ConcatV2", "Shape", "StridedSlice", "Pack", "Reshape"]
_MUSICNN += [*_NORM, *_DENSE, *_NORM, "MatMul", "BiasAdd"]
#: Those of a head of two dense layers for values.
_REGRESSION = ["Placeholder", *_DENSE, "MatMul", "BiasAdd"]
_EPSILON, _TORCH_EPSILON = 1e-3, 1e-5


def _graphs(file: SourceFile) -> tuple[list[Graph], list[Graph]]:
    """The graphs of MusiCNN and of heads in a file, or in a folder."""
    files = [file]
    if file.format == "folder":
        files = [SourceFile(path) for path in sorted(file.path.glob("*.pb"))[:64]]
    graphs = [read_graph(file) for file in files if file.format == "TensorFlow graph"]
    nets = [graph for graph in graphs if graph.ops[: len(_MUSICNN)] == _MUSICNN]
    return nets, [graph for graph in graphs if graph.ops == _REGRESSION]


def _mismatch(file: SourceFile) -> str:
    if file.format not in ("TensorFlow graph", "folder"):
        return f"it is no frozen graph (.pb) and no folder of two, its format is {file.format}"
    try:
        nets, heads = _graphs(file)
    except ConversionError as error:
        return str(error)
    if nets:
        return ""
    if heads:
        return "it is a head alone: give the folder that also holds the graph of MusiCNN"
    return "it holds no graph of MusiCNN's operators"


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    nets, heads = _graphs(file)
    if len(nets) > 1 or len(heads) > 1:
        raise ConversionError(
            f"{file.path} holds {len(nets)} graphs of MusiCNN and {len(heads)} of heads for values; "
            "give a folder with one of each"
        )
    net, head = nets[0], heads[0] if heads else None
    held = net.constants
    if {round(value, 9) for value in net.epsilons} != {_EPSILON}:
        raise ConversionError(f"{file.path}: batch norms of epsilon {net.epsilons}, not {_EPSILON}")
    try:
        weights = _trunk(held)
        options = {option: held[f"{key}/bias"].size for option, key in _SIZES.items()}
        if head is None:
            weights |= {f"classifier.linear.{k}": v for k, v in _dense(held, "dense_1").items()}
        else:
            weights |= _values(head.constants)
    except (KeyError, ValueError) as error:
        raise ConversionError(f"{file.path} is no MusiCNN: {error!s:.200}") from None
    options["form"] = "authors"
    left_out = [f"an epsilon of {_EPSILON:g} of batch norms: it is in their variances"]
    description = {
        "sample_rate": 16000,
        "clip_s": (WINDOW + (PATCH_FRAMES - 1) * HOP) / 16000,
        "window_step_s": PATCH_HOP_FRAMES * HOP / 16000,
        "window_margin_s": WINDOW / 2 / 16000,
        "normalization": "none",
        "frontend": {"name": "mel", "options": MEL},
        "encoder": {"name": "musicnn", "options": options, "in_frames": None},
        "converted": {
            "followed": "essentia.upf.edu/models, msd-musicnn-1",
            "licence": "CC BY-NC-SA 4.0 (Essentia's models: not for commercial use)",
        },
    }
    if head is None:
        if (
            labels is None
            and held["dense_1/bias"].size == len(MSD_TAGS)
            and "msd" in file.path.name
        ):
            labels = MSD_TAGS
        description |= {"task": "tagging", "head": {"name": "tagger", "options": {}}}
    else:
        hidden = head.constants["dense/bias"].size
        options["embedding"] = "linear"
        weights = {k: v for k, v in weights.items() if ".dense_norm." not in k}
        left_out.append("the tags of MusiCNN: its last batch norm and its dense_1")
        labels = EMOTIONS if labels is None else labels
        description |= {"task": "regression", "target": "static", "scale": SCALE}
        description["head"] = {"name": "regression", "options": {"hidden": hidden}}
    return Converted({**description, "labels": labels}, weights, left_out, projected=[])


_SIZES = {"vertical": "conv2d", "horizontal": "conv2d_2", "channels": "conv2d_5", "dense": "dense"}


def _trunk(held: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """auricle's tensors of MusiCNN."""
    tall, channels = held["conv2d/bias"].size, held["conv2d_5/bias"].size
    # Their channels have the lower filters first.
    front = len(held["conv2d_5/kernel"][0])
    order = np.r_[tall : 2 * tall, 0:tall, 2 * tall : front]
    every = np.r_[order, front : front + 3 * channels]
    # Their pooled values are pairs of maximum and mean, and not all maxima first.
    pooled = np.r_[2 * every, 2 * every + 1]
    weights = {}
    for key, layer in _CONVOLUTIONS.items():
        kernel = held[f"{key}/kernel"]  # frames, features, 1, filters
        if layer.startswith("convolutions"):
            kernel = kernel[:, :, 0].transpose(2, 1, 0)
            kernel = kernel[:, order] if layer.endswith(".0") else kernel
        else:
            kernel = kernel.transpose(3, 2, 1, 0)
        weights |= {f"{layer}.weight": kernel, f"{layer}.bias": held[f"{key}/bias"]}
    for index, layer in enumerate(_NORMS):
        name = f"batch_normalization_{index}" if index else "batch_normalization"
        places = pooled if layer == "pooled_norm" else np.arange(held[f"{name}/gamma"].size)
        for part, ours in _PARTS.items():
            weights[f"{layer}.{ours}"] = held[f"{name}/{part}"][places]
        variance = held[f"{name}/moving_variance"].astype(np.float64) + _EPSILON - _TORCH_EPSILON
        weights[f"{layer}.running_var"] = variance.astype(np.float32)[places]
    weights = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in weights.items()}
    weights |= {f"dense.{key}": value for key, value in _dense(held, "dense").items()}
    weights["dense.weight"] = weights["dense.weight"][:, torch.from_numpy(pooled)]
    return {f"embedding_model.{key}": value for key, value in weights.items()}


def _dense(held: dict[str, np.ndarray], name: str) -> dict[str, torch.Tensor]:
    kernel, bias = held[f"{name}/kernel"], held[f"{name}/bias"]
    return {"weight": torch.from_numpy(kernel.T.copy()), "bias": torch.from_numpy(bias)}


def _values(held: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """A head of two layers whose values are on `SCALE`, for one whose values are from -1 to 1."""
    middle, half = (SCALE["high"] + SCALE["low"]) / 2, (SCALE["high"] - SCALE["low"]) / 2
    hidden, last = _dense(held, "dense"), _dense(held, "dense_1")
    last = {"weight": last["weight"] / half, "bias": (last["bias"] - middle) / half}
    layers = {"hidden": hidden, "linear": last}
    return {f"classifier.{n}.{k}": v for n, layer in layers.items() for k, v in layer.items()}


SOURCE = Source(
    "essentia",
    "MusiCNN of Essentia's models, a frozen graph, or a folder with it and its head for valence "
    "and arousal",
    _mismatch,
    _convert,
)
