"""A module as an ONNX file opened in onnxruntime, on one thread, and how far it is from torch."""

import logging

import onnxruntime
import torch
from torch import nn

from auricle.lobes.export.recording import recorded
from auricle.processing.filterbank.framing import valid_lengths

PARTS = (1.0, 0.7, 0.31)


class OnnxForm:
    """An exported form `module(x, lengths)` as an ONNX file of the exporter's default opset.

    Arguments
    ---------
    module : nn.Module
        In evaluation.
    x : tensor (B, T, ...)
        An example with B >= 2.
    longest : int or None
        See `recorded`.
    """

    def __init__(self, module: nn.Module, x: torch.Tensor, longest: int | None = None):
        program = recorded(module, x, torch.tensor(PARTS[: len(x)]), longest)
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with torch.no_grad():
            made = torch.onnx.export(program, dynamo=True, external_data=False, verbose=False)
        self.data = made.model_proto.SerializeToString()
        self.operators = {node.op_type for node in made.model_proto.graph.node}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(self.data, options)

    def __call__(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        names = [value.name for value in self.session.get_inputs()]
        inputs = dict(zip(names, (x.numpy(), lengths.numpy()), strict=True))
        return torch.from_numpy(self.session.run(None, inputs)[0])


@torch.no_grad()
def deviation(form, lobe, x: torch.Tensor, steps=None) -> float:
    """Largest difference between two modules, as a part of the range of `lobe`'s values.

    Arguments
    ---------
    steps : callable or None
        From a number of valid steps of `x` to that of the output: what is behind is not compared.
    """
    lengths = torch.tensor(PARTS[: len(x)])
    want, got = lobe(x, lengths), form(x, lengths)
    assert got.shape == want.shape, f"{tuple(got.shape)} and not {tuple(want.shape)}"
    assert torch.isfinite(got).all()
    counts = valid_lengths(lengths, x.shape[1]).tolist()
    kept = [slice(None) if steps is None else slice(steps(count)) for count in counts]
    off = max((got[i, part] - want[i, part]).abs().max().item() for i, part in enumerate(kept))
    return off / max((want.max() - want.min()).item(), 1e-3 * want.abs().max().item(), 1e-12)
