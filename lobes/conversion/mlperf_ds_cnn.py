"""DS-CNN of MLPerf Tiny, TFLite files of 32-bit floats or 8-bit numbers, from its cepstra on.

What is equal is the weights. Both published files have kernels of 8 bits, which the runtime multiplies
with inputs rounded to 8 bits, and auricle with floats: on 2,400 clips of Speech Commands the labels are
alike for 99.6 % ("float32", where kernels alone are of 8 bits) and 98.5 % (8 bits throughout),
probabilities differ by 0.18 and 0.35 at most, and both sides have the same accuracy within 0.2 points.
A file of floats alone gives what the runtime gives.
"""

import torch

from . import ConversionError, Converted, Source
from .files import SourceFile
from .tflite_graph import Graph, read_graph, runtime

#: The classes of the benchmark, in the order of TensorFlow Datasets.
LABELS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
LABELS += ("_silence_", "_unknown_")
#: Frames and cepstra of a second.
SHAPE = (49, 10)
MEL = {"window_ms": 30.0, "n_fft": 512, "padding": "none", "power": 1.0, "slopes": "mel"}
MEL |= {"min_freq_hz": 20.0, "max_freq_hz": 4000.0, "log": "offset", "log_offset": 1e-6}
MFCC_OPTIONS = {"num_ceps": 10, "num_mels": 40, "log": "mel", "hop_ms": 20.0, "dct": "htk"}
MFCC_OPTIONS |= {"peak": True, "mel": {**MEL, "allow_empty": True}}

_NET, _HEAD = "embedding_model.", "classifier.linear."
#: Of torch's batch normalisation, which is made to add a bias and nothing else.
_EPSILON = 1e-5
#: Operators that move numbers and change none.
_PLAIN = ("RESHAPE", "QUANTIZE", "DEQUANTIZE")
_LAST = ["AVERAGE_POOL_2D", "FULLY_CONNECTED", "SOFTMAX"]
#: Largest difference from the runtime, of the largest output: where it computes in floats; in 8 bits
#: throughout; in 8 bits inside of some convolutions, whose inputs it rounds.
_FLOAT, _WHOLE, _HYBRID = 1e-4, 0.3, 0.1


def _mismatch(file: SourceFile) -> str:
    if file.format != "TFLite":
        return f"its format is {file.format}, not TFLite"
    kinds = [operator.name for operator in _computing(read_graph(file))]
    blocks, odd = divmod(len(kinds) - 4, 2)
    expected = ["CONV_2D", *["DEPTHWISE_CONV_2D", "CONV_2D"] * blocks, *_LAST]
    if odd or blocks < 1 or kinds != expected:
        return (
            "its operators are not one convolution, pairs of depthwise and 1 x 1 ones, and a mean"
        )
    return ""


def _computing(graph: Graph):
    return [operator for operator in graph.operators if operator.name not in _PLAIN]


def _convert(file: SourceFile, labels: list[str] | None) -> Converted:
    graph = read_graph(file)
    first, *convolutions, _, dense, _ = _computing(graph)
    shape = graph.shapes[first.inputs[0]]
    if shape != (1, *SHAPE, 1):
        raise ConversionError(
            f"{file.path} takes frames of the shape {shape}, allowed is {(1, *SHAPE, 1)}: of others "
            "the features are not known"
        )
    weights = _layer("first", graph, first)
    for number, convolution in enumerate(convolutions):
        part = ("depthwise", "pointwise")[number % 2]
        weights |= _layer(f"blocks.{number // 2}.{part}", graph, convolution)
    weights[_HEAD + "weight"], weights[_HEAD + "bias"] = (
        _constant(graph, number) for number in dense.inputs[1:3]
    )
    classes = len(weights[_HEAD + "bias"])
    if labels is None and classes == len(LABELS):
        labels = list(LABELS)
    run, about = runtime(file)
    left_out, tolerance = [], _FLOAT
    if graph.quantized:
        whole = first.inputs[0] in graph.quantized
        tolerance = _WHOLE if whole else _HYBRID
        rounded = "every layer's values" if whole else "the inputs of some convolutions"
        left_out = [f"its 8-bit arithmetic, which rounds {rounded}: auricle's net has its weights"]
    channels = len(weights[f"{_NET}first.0.weight"])
    description = {
        "task": "classification",
        "sample_rate": 16000,
        "clip_s": 1.0,
        "labels": labels,
        "normalization": "none",
        "frontend": {"name": "mfcc", "options": MFCC_OPTIONS},
        "encoder": {
            "name": "ds_cnn",
            "options": {"channels": channels, "blocks": len(convolutions) // 2},
            "in_frames": None,
        },
        "head": {"name": "classifier", "options": {}},
        "converted": {"followed": "mlcommons/tiny@bceb91c", "licence": "Apache-2.0"},
    }

    def reference(model, wavs: torch.Tensor) -> torch.Tensor:
        feats, _ = model.frames(wavs)
        logits = run(feats[..., None].numpy(), dense.outputs[0], inner=True)
        return torch.from_numpy(logits).log_softmax(-1)

    reference = None if run is None else reference
    return Converted(description, weights, left_out, [], reference, about, tolerance)


def _layer(name: str, graph: Graph, operator) -> dict[str, torch.Tensor]:
    """A convolution with a bias as one without, and a batch normalisation that adds the bias."""
    kernel, bias = (_constant(graph, number) for number in operator.inputs[1:3])
    # (out, rows, columns, in), of depthwise ones (1, rows, columns, out)
    order = (3, 0, 1, 2) if operator.name == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
    where = f"{_NET}{name}."
    return {
        where + "0.weight": kernel.permute(order).contiguous(),
        where + "1.weight": torch.full_like(bias, (1 + _EPSILON) ** 0.5),
        where + "1.bias": bias,
        where + "1.running_mean": torch.zeros_like(bias),
        where + "1.running_var": torch.ones_like(bias),
    }


def _constant(graph: Graph, number: int) -> torch.Tensor:
    if number not in graph.constants:
        raise ConversionError("a layer's weights or bias are no constants of the file")
    return graph.constants[number]


SOURCE = Source(
    "mlperf_ds_cnn",
    "DS-CNN of MLPerf Tiny, a TFLite file from 49 x 10 cepstra",
    _mismatch,
    _convert,
)
