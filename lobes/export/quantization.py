"""Round the weights and activations of an exported ONNX model to 8 bits, behind its frontend."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..bundles.bundle import Bundle
from .onnx_file import INPUTS
from .record import ExportError
from .recording import first_lines

#: Operators that are rounded: the products. A frontend's energies span more than 8 bits hold.
OPERATORS = ("Conv", "Gemm", "MatMul")
PARTS = ("encoder/", "head/")
#: Batches whose activations are seen; more take time and change little.
MOST_BATCHES = 256


@contextmanager
def inputs_of(bundle: Bundle) -> Iterator[list]:
    """The batches (wavs, lengths) that a bundle computes with while the block runs, as a list."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def keep(module, inputs):
        wavs, lengths = (*inputs, None)[:2]
        if len(seen) < MOST_BATCHES:
            seen.append((wavs.clone(), torch.ones(len(wavs)) if lengths is None else lengths))

    hook = bundle.compute_features.register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def rounded(model, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]):
    """An ONNX model with 8 bits in the products of its encoder and head, `onnx.ModelProto`.

    Weights are signed and have 7 bits, so that processors that add products in 16 bits do not
    overflow; activations have 8, over the range that they were seen to have.

    Arguments
    ---------
    model : of `onnx_model`, left as it is.
    batches : what it is to be run on meanwhile.

    Raises
    ------
    ExportError
        A model without a product to round; what onnxruntime refuses.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    chosen = [
        node.name
        for node in model.graph.node
        if node.op_type in OPERATORS and node.name.startswith(PARTS)
    ]
    if not chosen:
        raise ExportError(f"it has none of the operators {', '.join(OPERATORS)} to round")

    class Batches(CalibrationDataReader):
        def __init__(self):
            self.left = iter(batches)

        def get_next(self):
            batch = next(self.left, None)
            if batch is None:
                return None
            return {name: part.numpy() for name, part in zip(INPUTS, batch, strict=True)}

    with tempfile.TemporaryDirectory() as folder:
        whole, prepared, out = (str(Path(folder, name)) for name in ("a.onnx", "b.onnx", "c.onnx"))
        onnx.save(model, whole)
        try:
            # What onnxruntime would fuse has other names, and depends on this machine.
            quant_pre_process(whole, prepared, skip_optimization=True, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                out,
                Batches(),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                reduce_range=True,
                nodes_to_quantize=chosen,
                op_types_to_quantize=list(OPERATORS),
            )
        except Exception as error:  # onnxruntime raises its own classes
            raise ExportError(f"onnxruntime cannot round it: {first_lines(error)}") from None
        return onnx.load(out)
