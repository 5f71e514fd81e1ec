"""TFLite files by their flatbuffer: constants as tensors, operators in order, and their runtime."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from . import ConversionError
from .files import SourceFile

_MOST = 20_000
_MISSING = "takes the packages tflite and ai-edge-litert: pip install 'auricle[convert]'"


@dataclass(frozen=True)
class Operator:
    """One operator of a graph: its name in TFLite, and the numbers of its tensors (-1: none)."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """What a TFLite file holds.

    Attributes
    ----------
    names : list of str
        Of every tensor, by number.
    shapes : list of tuples
    constants : dict from numbers to tensors
        float32, of quantised ones scale * (value - zero point); int64 of whole numbers.
    quantized : set of int
        Numbers of the tensors that hold 8-bit numbers.
    operators : list of Operator
        In the order in which they are computed.
    inputs, outputs : tuple of int
    """

    names: list[str]
    shapes: list[tuple[int, ...]]
    constants: dict[int, torch.Tensor]
    quantized: set[int]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def output(self) -> int:
        """The one output.

        Raises
        ------
        ConversionError
            None, or several.
        """
        if len(self.outputs) != 1:
            raise ConversionError(f"it has {len(self.outputs)} outputs, one is needed")
        return self.outputs[0]

    def named(self) -> dict[str, torch.Tensor]:
        """The constants by their names."""
        return {self.names[number]: value for number, value in self.constants.items()}


def read_graph(file: SourceFile) -> Graph:
    """The graph of a TFLite file; nothing of it is run.

    Raises
    ------
    ConversionError
        The package `tflite` is missing; a damaged file; several subgraphs.
    """
    try:
        import tflite
    except ImportError:
        raise ConversionError(f"{file.path} is TFLite, which {_MISSING}") from None
    try:
        return _graph(tflite, file.path.read_bytes())
    except ConversionError:
        raise
    except Exception as error:  # flatbuffers trusts every offset, and ends where one is wrong
        raise ConversionError(f"{file.path} is damaged: {error!r:.200}; copy it again") from None


def _graph(tflite, data: bytes) -> Graph:
    model = tflite.Model.GetRootAsModel(data, 0)
    if model.SubgraphsLength() != 1:
        raise ConversionError(f"{model.SubgraphsLength()} subgraphs, one is read")
    graph = model.Subgraphs(0)
    if max(graph.TensorsLength(), graph.OperatorsLength()) > _MOST:
        raise ConversionError(f"more than {_MOST} tensors or operators")
    kinds = {value: name for name, value in vars(tflite.BuiltinOperator).items() if name.isupper()}
    names, shapes, constants, quantized = [], [], {}, set()
    held = 0
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        names.append(tensor.Name().decode("utf-8", "replace"))
        shapes.append(tuple(int(side) for side in _vector(tensor.ShapeAsNumpy())))
        if tensor.Type() in (tflite.TensorType.INT8, tflite.TensorType.UINT8):
            quantized.add(number)
        buffer = model.Buffers(tensor.Buffer())
        if buffer.DataLength():
            held += buffer.DataLength()
            if held > 2 * len(data):  # the same bytes again and again
                raise ConversionError("its tensors are larger than the file")
            constants[number] = _constant(tflite, tensor, buffer, shapes[-1])
    operators = []
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex())
        # Old writers put the code into a byte of its own.
        kind = kinds.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "unknown")
        ends = (_vector(operator.InputsAsNumpy()), _vector(operator.OutputsAsNumpy()))
        operators.append(Operator(kind, *(tuple(map(int, end)) for end in ends)))
    ends = (tuple(map(int, _vector(e))) for e in (graph.InputsAsNumpy(), graph.OutputsAsNumpy()))
    return Graph(names, shapes, constants, quantized, operators, *ends)


def _vector(values) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else np.zeros(0, np.int32)


def _constant(tflite, tensor, buffer, shape: tuple[int, ...]) -> torch.Tensor:
    kinds = tflite.TensorType
    types = {kinds.FLOAT32: "<f4", kinds.INT8: "i1", kinds.UINT8: "u1"}
    types |= {kinds.INT32: "<i4", kinds.INT64: "<i8"}
    if tensor.Type() not in types:
        return torch.zeros(0)  # text and what else no net is made of
    values = np.frombuffer(buffer.DataAsNumpy().tobytes(), types[tensor.Type()]).reshape(shape)
    about = tensor.Quantization()
    if about is None or about.ScaleLength() == 0:
        return torch.from_numpy(values.astype("f4" if values.dtype.kind == "f" else "i8"))
    scale, zero = about.ScaleAsNumpy().astype("f8"), _vector(about.ZeroPointAsNumpy()).astype("f8")
    if len(scale) > 1:  # one of each channel
        along = [1] * len(shape)
        along[about.QuantizedDimension()] = len(scale)
        scale, zero = scale.reshape(along), zero.reshape(along)
    return torch.from_numpy((scale * (values - zero)).astype("f4"))


def runtime(file: SourceFile) -> tuple[Callable[..., np.ndarray] | None, str]:
    """The runtime of TFLite for one file, which is opened when it is called.

    Returns
    -------
    (function, what computes it): (items (B, ...) of the input's shape in float32, number of a tensor,
    whether it is another than the output) -> (B, ...) in float32, that tensor for each item. 8-bit inputs are quantised, and 8-bit outputs
    turned back, as the file says. (None, what is missing) where the runtime is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return None, f"the runtime {_MISSING}"

    def run(items: np.ndarray, tensor: int, inner: bool = False) -> np.ndarray:
        options = {"experimental_preserve_all_tensors": True} if inner else {}
        try:
            with warnings.catch_warnings():  # that keeping inner tensors takes memory
                warnings.simplefilter("ignore")
                net = Interpreter(str(file.path), num_threads=1, **options)
            net.allocate_tensors()
            (put,) = net.get_input_details()
            outputs = []
            for item in items:
                net.set_tensor(put["index"], _quantized(item[None], put))
                net.invoke()
                outputs.append(net.get_tensor(tensor))
            about = next(d for d in net.get_tensor_details() if d["index"] == tensor)
        except (ValueError, RuntimeError, StopIteration) as error:
            raise ConversionError(f"{file.path}: the runtime refuses it: {error}") from None
        return _floats(np.concatenate(outputs), about)

    return run, "the TFLite runtime"


def _quantized(values: np.ndarray, about: dict) -> np.ndarray:
    if about["dtype"] == np.int8:
        scale, zero = about["quantization"]
        values = np.clip(np.round(values / scale) + zero, -128, 127)
    return values.astype(about["dtype"])


def _floats(values: np.ndarray, about: dict) -> np.ndarray:
    if about["dtype"] == np.int8:
        scale, zero = about["quantization"]
        return (scale * (values.astype("f8") - zero)).astype("f4")
    return values
