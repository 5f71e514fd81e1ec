"""Write a model as one ONNX file of standard operators, with any batch and any time."""

import re
import warnings

import torch

from .record import ExportError
from .recording import first_lines

#: Version of the operators that files are written in.
OPSET = 20
INPUTS = ("waveforms", "lengths")
AXES = ("batch", "time")
#: Operators that many runtimes lack, or that give complex numbers.
REFUSED = ("DFT", "STFT")
#: More cannot be one file.
MAX_BYTES = 2**31 - 1


def onnx_model(program: torch.export.ExportedProgram, output: str):
    """The ONNX model of a recorded graph, `onnx.ModelProto`.

    Raises
    ------
    ExportError
        onnx or onnxscript are not installed; an operator without a form in ONNX, one of `REFUSED`,
        or complex numbers.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(f"{error.name} is missing: pip install 'auricle[export]'") from None
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(INPUTS),
                output_names=[output],
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # torch.onnx raises its own classes
        cause = error.__cause__ or error
        raise ExportError(f"torch.onnx cannot write it: {first_lines(cause)}") from None
    model = made.model_proto
    _tidy(model)
    _check_operators(model)
    return model


def _tidy(model) -> None:
    """Leave out where in the source a node is from; name nodes by their part and axes by what they are."""
    graph = model.graph
    axes = [axis.dim_param for axis in graph.input[0].type.tensor_type.shape.dim]
    names = dict(zip(axes, AXES, strict=True))
    names.pop("", None)
    for value in (*graph.input, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = re.sub(r"\w+", lambda m: names.get(m[0], m[0]), axis.dim_param)
    for node in graph.node:
        scopes = {entry.key: entry.value for entry in node.metadata_props}
        place = re.findall(r"'([^']*)'", scopes.get("pkg.torch.onnx.name_scopes", ""))
        part = next((scope.partition(".")[0] for scope in place if scope), "")
        node.name = f"{part}/{node.name}"
        node.doc_string = ""
        del node.metadata_props[:]
    for message in (model, graph, *graph.initializer, *graph.input, *graph.output):
        del message.metadata_props[:]
        message.doc_string = ""
    for function in model.functions:
        del function.metadata_props[:]
    del graph.value_info[:]


def _check_operators(model) -> None:
    import onnx

    graphs = [model.graph.node, *(function.node for function in model.functions)]
    nodes = [node for graph in graphs for node in graph]
    if refused := sorted({node.op_type for node in nodes} & {*REFUSED}):
        raise ExportError(
            f"it would hold the operator {', '.join(refused)}, which many runtimes lack: one of its "
            "lobes has no exported form without a Fourier transform"
        )
    complex_types = {onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128}
    if any(tensor.data_type in complex_types for tensor in model.graph.initializer):
        raise ExportError("it would hold complex numbers, which many runtimes lack")


def onnx_bytes(model, entries: dict[str, str]) -> bytes:
    """The bytes of an ONNX file with these entries as its metadata.

    Raises
    ------
    ExportError
        More than one file can hold.
    """
    del model.metadata_props[:]
    for name, value in entries.items():
        model.metadata_props.add(key=name, value=value)
    if (size := model.ByteSize()) > MAX_BYTES:
        raise ExportError(f"it would have {size} bytes; one file of ONNX holds {MAX_BYTES} at most")
    return model.SerializeToString()
