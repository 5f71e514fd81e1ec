"""Small ONNX files as auricle exports them, made by hand: the mean of a clip becomes two scores."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from auricle.lobes.export.record import metadata

DESCRIPTION = {
    "format": 1,
    "task": "classification",
    "sample_rate": 8000,
    "clip_s": 0.1,
    "labels": ["low", "high"],
    "normalization": "none",
    "frontend": {"name": "mel", "options": {}},
    "encoder": {"name": "linear", "options": {}, "in_frames": 11},
    "head": {"name": "classifier", "options": {}},
}
RECORD = {
    "export": 1,
    "format": "onnx",
    "output": "scores",
    "encoder_output": "utterance",
    "window": 200,
    "shortest_samples": 10,
    "longest_samples": 900,
    "int8": False,
    "deviation": 0.0,
    "description": DESCRIPTION,
    "calibration": None,
}


def mean_model(weight=((-1.0, 1.0),), domain="", **changes):
    """`onnx.ModelProto`: log-softmax of (mean of the clip + 0 length) times `weight` (1, C)."""
    nodes = [
        helper.make_node("ReduceMean", ["waveforms", "axes"], ["mean"], keepdims=1),
        helper.make_node("Unsqueeze", ["lengths", "axes"], ["column"]),
        helper.make_node("Mul", ["column", "zero"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["sum"]),
        helper.make_node("MatMul", ["sum", "weight"], ["products"]),
        helper.make_node("LogSoftmax", ["products"], ["scores"], domain=domain),
    ]
    values = {"axes": np.array([1]), "zero": np.float32(0), "weight": np.float32(weight)}
    graph = helper.make_graph(
        nodes,
        "mean",
        [
            helper.make_tensor_value_info("waveforms", TensorProto.FLOAT, ["batch", "time"]),
            helper.make_tensor_value_info("lengths", TensorProto.FLOAT, ["batch"]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    for key, value in metadata({**RECORD, **changes}).items():
        model.metadata_props.add(key=key, value=value)
    return model


def write_model(path, model=None, **changes):
    """Write a model, or `mean_model(**changes)`; returns the path."""
    onnx.save(mean_model(**changes) if model is None else model, path)
    return path
