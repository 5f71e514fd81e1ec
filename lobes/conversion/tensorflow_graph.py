"""Frozen TensorFlow graphs: their operators and constants, read from the protobuf alone."""

import math
from dataclasses import dataclass, field

import numpy as np

from . import ConversionError
from .files import SourceFile

#: Messages of a GraphDef with the fields that are read: name, number, type, repeated or not.
_MESSAGES = {
    "Dim": [("size", 1, "int64", False)],
    "Shape": [("dim", 2, "Dim", True), ("unknown_rank", 3, "bool", False)],
    "Tensor": [
        ("dtype", 1, "int32", False),
        ("shape", 2, "Shape", False),
        ("content", 4, "bytes", False),
        ("floats", 5, "float", True),
        ("ints", 7, "int32", True),
    ],
    "Value": [("f", 4, "float", False), ("b", 5, "bool", False), ("tensor", 8, "Tensor", False)],
    "Attribute": [("key", 1, "string", False), ("value", 2, "Value", False)],
    "Node": [
        ("name", 1, "string", False),
        ("op", 2, "string", False),
        ("input", 3, "string", True),
        ("attr", 5, "Attribute", True),
    ],
    "Graph": [("node", 1, "Node", True)],
}
#: Numbers of protobuf's types, and TensorFlow's of its types of numbers.
_TYPES = {"float": 2, "int64": 3, "int32": 5, "bool": 8, "string": 9, "bytes": 12}
_DTYPES = {1: ("<f4", "floats"), 3: ("<i4", "ints")}
_MAX_NODES, _MAX_BYTES, _MAX_RANK = 10_000, 2**28, 8


@dataclass(frozen=True)
class Graph:
    """A frozen graph.

    Attributes
    ----------
    ops : list of str
        The operators in the graph's order, without constants and identities.
    constants : dict of arrays
        float32 and int32 constants by the name of their node.
    epsilons : set of float
        Of its fused batch norms.
    """

    ops: list[str] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    epsilons: set[float] = field(default_factory=set)


def read_graph(file: SourceFile) -> Graph:
    """The graph in a file.

    Raises
    ------
    ConversionError
        A file that is damaged, too large, or of tensors that hold other counts than their shapes
        say; protobuf is not installed.
    """
    size = file.path.stat().st_size
    if size > _MAX_BYTES:
        raise ConversionError(f"{file.path} has {size} bytes, allowed are {_MAX_BYTES}")
    message = _message_class(file)()
    try:
        message.ParseFromString(file.path.read_bytes())
    except Exception as error:  # protobuf's own class
        raise ConversionError(f"{file.path} is damaged: {error!s:.200}") from None
    if not 0 < len(message.node) <= _MAX_NODES:
        raise ConversionError(
            f"{file.path} has {len(message.node)} nodes, allowed are 1 to {_MAX_NODES}"
        )
    graph = Graph()
    for node in message.node:
        attributes = {attribute.key: attribute.value for attribute in node.attr}
        if node.op == "Const" and "value" in attributes:
            array = _array(attributes["value"].tensor, f"{file.path}: {node.name:.100}")
            if array is not None:
                graph.constants[node.name] = array
        elif node.op not in ("Const", "Identity"):
            graph.ops.append(node.op)
        if node.op.startswith("FusedBatchNorm"):
            # 1e-4 is what TensorFlow writes no number for.
            graph.epsilons.add(attributes["epsilon"].f if "epsilon" in attributes else 1e-4)
    return graph


def _array(tensor, where: str) -> np.ndarray | None:
    """Values of a constant of `_DTYPES`; None of another type."""
    if tensor.dtype not in _DTYPES:
        return None
    dtype, listed = _DTYPES[tensor.dtype]
    shape = [dim.size for dim in tensor.shape.dim]
    if len(shape) > _MAX_RANK or min(shape, default=0) < 0 or tensor.shape.unknown_rank:
        raise ConversionError(f"{where} has the shape {shape}, which no constant has")
    count = math.prod(shape)
    values = getattr(tensor, listed)
    if tensor.content:
        values = np.frombuffer(tensor.content[: len(tensor.content) // 4 * 4], dtype)
    # A single value stands for all: only of few, since it makes memory out of nothing.
    if len(values) == 1 and 0 < count <= 4096:
        values = np.full(count, values[0], dtype)
    if len(values) != count:
        raise ConversionError(f"{where} has {len(values)} values, and its shape {shape}")
    return np.array(values, dtype).reshape(shape)


def _message_class(file: SourceFile):
    """The class of a GraphDef; fields that are not in `_MESSAGES` are passed over."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise ConversionError(
            f"{file.path} is a TensorFlow graph, which takes the package protobuf: "
            "pip install 'auricle[convert]'"
        ) from None
    described = descriptor_pb2.FileDescriptorProto(name="graph.proto", package="graph")
    described.syntax = "proto3"
    for name, fields in _MESSAGES.items():
        message = described.message_type.add(name=name)
        for label, number, kind, repeated in fields:
            entry = message.field.add(name=label, number=number, label=3 if repeated else 1)
            entry.type = _TYPES.get(kind, 11)
            if kind not in _TYPES:
                entry.type_name = f".graph.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("graph.Graph"))
