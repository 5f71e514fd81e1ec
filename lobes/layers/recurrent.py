"""Recurrent layers that compilers see as one operator, and that take bfloat16 autocast.

`torch.compile` refuses torch's own (a graph break) and unrolls a loop over frames, one graph per
length. In a compiled graph a layer is the operator `auricle::recurrence`; elsewhere torch's own run.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .masks import frame_mask, reversed_items, zero_padding


def light_gru(gates: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    """States of a light gated recurrent unit with ReLU, from what its input gives to the gates.

    Arguments
    ---------
    gates : tensor (B, N, 2 H)
        Candidate and update of each step.
    weights : (2 H, H) and (B, H)
        Of the state, and what recurrent dropout multiplies the candidates with.

    Shape
    -----
    -> (B, N, H)
    """
    recurrent, kept = weights
    state, states = torch.zeros_like(kept), []
    for gate in gates.transpose(0, 1).unbind():
        candidate, update = (gate + F.linear(state, recurrent)).chunk(2, dim=1)
        update = torch.sigmoid(update)
        state = update * state + (1 - update) * (torch.relu(candidate) * kept)
        states.append(state)
    return torch.stack(states, dim=1)


def _lstm(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    start = x.new_zeros(1, len(x), weights[1].shape[1])
    return torch.lstm(x, (start, start), weights, True, 1, 0.0, False, False, True)[0]


def _gru(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    start = x.new_zeros(1, len(x), weights[1].shape[1])
    return torch.gru(x, start, weights, True, 1, 0.0, False, False, True)[0]


#: One layer in one direction: x (B, N, F) and weights, of which the second is (*, H) -> (B, N, H).
LAYERS = {"LSTM": _lstm, "GRU": _gru, "light_gru": light_gru}


# torch 2.6 cannot infer the schema of a list.
_ARGUMENTS = "Tensor x, Tensor[] weights"


@torch.library.custom_op(
    "auricle::recurrence", mutates_args=(), schema=f"(str layer, {_ARGUMENTS}) -> Tensor"
)
def _recurrence(layer: str, x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    return LAYERS[layer](x, weights)


@_recurrence.register_fake
def _(layer, x, weights):
    return x.new_empty(*x.shape[:2], weights[1].shape[1])


@torch.library.custom_op(
    "auricle::recurrence_backward",
    mutates_args=(),
    schema=f"(str layer, Tensor gradient, {_ARGUMENTS}) -> Tensor[]",
)
def _recurrence_backward(
    layer: str, gradient: torch.Tensor, x: torch.Tensor, weights: list[torch.Tensor]
) -> list[torch.Tensor]:
    """The layer runs again, recorded: in an operator torch records nothing unless it is told to."""
    recorded = torch._C._SetExcludeDispatchKeyGuard(
        torch._C.DispatchKey.AutogradFunctionality, False
    )
    with recorded, torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in (x, *weights)]
        return list(torch.autograd.grad(LAYERS[layer](inputs[0], inputs[1:]), inputs, gradient))


@_recurrence_backward.register_fake
def _(layer, gradient, x, weights):
    return [torch.empty_like(tensor) for tensor in (x, *weights)]


def _keep_inputs(ctx, inputs, output):
    ctx.layer, x, weights = inputs
    ctx.save_for_backward(x, *weights)


def _backward(ctx, gradient):
    x, *weights = ctx.saved_tensors
    of_x, *of_weights = _recurrence_backward(ctx.layer, gradient.contiguous(), x, weights)
    return None, of_x, of_weights


_recurrence.register_autograd(_backward, setup_context=_keep_inputs)


def recurrence(layer: str, x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    """Outputs of one of `LAYERS`, as one operator in a graph that `torch.compile` makes."""
    if torch.compiler.is_dynamo_compiling():
        return _recurrence(layer, x, list(weights))
    return LAYERS[layer](x, weights)


class _Recurrent(nn.RNNBase):
    """What both have in common: construction, padded items, compiled layers."""

    own: type[nn.RNNBase]

    def __init__(self, *sizes, **options):
        super().__init__(self.own.__name__, *sizes, **options)

    def forward(self, input, hx=None):
        if hx is None and torch.compiler.is_dynamo_compiling():
            return self.padded(input), None
        return self.own.forward(self, input, hx)

    def padded(self, x: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs for padded items (B, N, F), as for packed ones, zero behind each item's end."""
        layers = iter(self.all_weights)
        for layer in range(self.num_layers):
            if layer:
                x = F.dropout(x, self.dropout, self.training)
            x = x.to(self.weight_ih_l0.dtype)
            outputs = [recurrence(self.mode, x, next(layers))]
            if self.bidirectional:
                back = recurrence(self.mode, reversed_items(x, counts), next(layers))
                outputs.append(reversed_items(back, counts))
            x = torch.cat(outputs, 2)
        return zero_padding(x, frame_mask(counts, x.shape[1]), axis=1)


class LSTM(_Recurrent):
    """`nn.LSTM` that compiles, and under bfloat16 autocast runs where the processor has none.

    On a CPU without bfloat16 arithmetic torch's own raises "could not create a primitive descriptor"
    there, while all other operators work; this one computes in float32.

    Arguments, shapes and state as `nn.LSTM` with ``batch_first=True``; it is no instance of it.

    Example
    -------
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     LSTM(40, 8, batch_first=True)(torch.zeros(2, 5, 40))[0].shape
    torch.Size([2, 5, 8])
    """

    own = nn.LSTM
    check_forward_args = nn.LSTM.check_forward_args
    get_expected_cell_size = nn.LSTM.get_expected_cell_size
    permute_hidden = nn.LSTM.permute_hidden

    def forward(self, input, hx=None):
        if not (torch.is_autocast_enabled("cpu") and self.weight_ih_l0.device.type == "cpu"):
            return super().forward(input, hx)
        if _has_bfloat16():
            return super().forward(input, hx)
        with torch.autocast("cpu", enabled=False):
            dtype = self.weight_ih_l0.dtype
            hx = None if hx is None else tuple(state.to(dtype) for state in hx)
            return super().forward(input.to(dtype), hx)  # a PackedSequence has `to`, too


class GRU(_Recurrent):
    """`nn.GRU` that compiles.

    Arguments, shapes and state as `nn.GRU` with ``batch_first=True``; it is no instance of it.

    Example
    -------
    >>> GRU(40, 8, 2, batch_first=True)(torch.zeros(2, 5, 40))[0].shape
    torch.Size([2, 5, 8])
    """

    own = nn.GRU


def _has_bfloat16() -> bool:
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()
