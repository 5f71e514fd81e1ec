"""Recurrent layers that compilers see as one operator, and that take bfloat16 autocast.

`torch.compile` refuses torch's own (a graph break) and unrolls a loop over frames, one graph per
length. In a compiled graph a layer is an operator of auricle's; elsewhere torch's own run.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ...processing.system.operators import is_exporting, operator
from .masks import frame_mask, reversed_items, zero_padding


def _light_gru(gates: torch.Tensor, recurrent: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """States of a light gated recurrent unit with ReLU, from what its input gives to the gates.

    Arguments
    ---------
    gates : tensor (B, N, 2 H)
        Candidate and update of each step.
    recurrent : tensor (2 H, H)
        Weights of the state.
    kept : tensor (B, H)
        What recurrent dropout multiplies the candidates with.

    Shape
    -----
    -> (B, N, H)
    """
    state, states = torch.zeros_like(kept), []
    for gate in gates.transpose(0, 1).unbind():
        candidate, update = (gate + F.linear(state, recurrent)).chunk(2, dim=1)
        update = torch.sigmoid(update)
        state = update * state + (1 - update) * (torch.relu(candidate) * kept)
        states.append(state)
    return torch.stack(states, dim=1)


def _scanned(layer: str, x: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """What one of `LAYERS` gives, as a loop that is exported as one, for any number of steps."""
    from torch._higher_order_ops.scan import scan  # imports the compiler

    if layer == "light_gru":
        recurrent, kept = weights
        gates, start = x, (torch.zeros_like(kept),)
    else:
        w, recurrent, b, c = weights
        gates = F.linear(x, w, b)
        states = 2 if layer == "LSTM" else 1
        start = tuple(x.new_zeros(x.shape[0], recurrent.shape[1]) for _ in range(states))
    size = recurrent.shape[1]

    def step(states, gate):
        state = states[0]
        if layer == "light_gru":
            gate = gate + F.linear(state, recurrent)
            candidate, update = torch.relu(gate[:, :size]) * kept, torch.sigmoid(gate[:, size:])
            states = (update * state + (1 - update) * candidate,)
        elif layer == "GRU":
            own = F.linear(state, recurrent, c)
            reset, update = torch.sigmoid(gate + own)[:, : 2 * size].split(size, 1)
            candidate = torch.tanh(gate[:, 2 * size :] + reset * own[:, 2 * size :])
            states = (update * state + (1 - update) * candidate,)
        else:
            gate = gate + F.linear(state, recurrent, c)
            opened, candidate = torch.sigmoid(gate), torch.tanh(gate[:, 2 * size : 3 * size])
            cell = opened[:, size : 2 * size] * states[1] + opened[:, :size] * candidate
            states = opened[:, 3 * size :] * torch.tanh(cell), cell
        return states, states[0].clone()

    return scan(step, start, gates.transpose(0, 1))[1].transpose(0, 1)


def _torch_layer(run: Callable, num_states: int) -> Callable:
    """`torch.lstm` or `torch.gru` as a function of one layer's input and weights."""

    def layer(
        x: torch.Tensor, w: torch.Tensor, u: torch.Tensor, b: torch.Tensor, c: torch.Tensor
    ) -> torch.Tensor:
        start = x.new_zeros(1, x.shape[0], u.shape[1])
        start = (start,) * num_states if num_states > 1 else start
        return run(x, start, (w, u, b, c), True, 1, 0.0, False, False, True)[0]

    return layer


def _states(x, *weights):
    return x.new_empty(*x.shape[:2], weights[1].shape[1])


#: One layer in one direction: x (B, N, F) and weights, of which the second is (*, H) -> (B, N, H).
LAYERS = {
    "LSTM": _torch_layer(torch.lstm, 2),
    "GRU": _torch_layer(torch.gru, 1),
    "light_gru": _light_gru,
}
_OPERATORS = {name: operator(name.lower(), function, _states) for name, function in LAYERS.items()}


def recurrence(layer: str, x: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """Outputs of one of `LAYERS`, as one operator in a graph that `torch.compile` makes."""
    if is_exporting():
        return _scanned(layer, x, weights)
    forms = _OPERATORS if torch.compiler.is_dynamo_compiling() else LAYERS
    return forms[layer](x, *weights)


class _Recurrent(nn.RNNBase):
    """What both have in common: construction, padded items, compiled layers."""

    own: type[nn.RNNBase]

    def __init__(self, *sizes, **options):
        super().__init__(self.own.__name__, *sizes, **options)

    def forward(self, input, hx=None):
        if hx is None and torch.compiler.is_compiling():
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
