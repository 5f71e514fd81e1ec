"""Recurrent layers on the meta device: their memory from a few of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import _VF

__all__ = ["shortened_recurrence"]

#: Steps that are taken; what they keep is a straight line through these.
SHORT, LONG = 4, 8


@contextmanager
def shortened_recurrence(measure: Callable) -> Iterator[None]:
    """Let `nn.LSTM` and `nn.GRU` take up as much memory as all their steps, and take a few.

    Without it a layer of two directions over 1000 frames is thousands of operations.

    Arguments
    ---------
    measure : (forward: () -> tensor) -> what is alive in that step: `forward`, `kept`, `backward`
        and `left`, in bytes.
    """
    originals = {name: getattr(_VF, name) for name in ("lstm", "gru")}

    def shortened(original: Callable) -> Callable:
        def run(x, *args):
            # A packed sequence has its batch sizes second, and is left alone.
            batch_first = args[-1]
            packed = not isinstance(batch_first, bool) or x.ndim != 3
            if packed or x.shape[1 if batch_first else 0] <= LONG:
                return original(x, *args)
            return _shortened(original, measure, x, args)

        return run

    for name, original in originals.items():
        setattr(_VF, name, shortened(original))
    try:
        yield
    finally:
        for name in originals:
            delattr(_VF, name)


def _shortened(original, measure, x, args):
    hidden, weights, *others = args
    time_axis = 1 if others[-1] else 0

    def few(steps: int):
        return original(x.detach().narrow(time_axis, 0, steps), hidden, weights, *others)

    def alive(steps: int):
        # Of its own leaves: the gradients of these weights are not those of the layer.
        own = [weight.detach().requires_grad_(weight.requires_grad) for weight in weights]
        part = x.detach().narrow(time_axis, 0, steps).requires_grad_(x.requires_grad)
        with torch.enable_grad():
            return measure(lambda: original(part, hidden, own, *others)[0])

    length = x.shape[time_axis]
    few_steps, more_steps = alive(SHORT), alive(LONG)

    def at_length(name: str) -> int:
        low, high = getattr(few_steps, name), getattr(more_steps, name)
        return round(low + (high - low) * (length - SHORT) / (LONG - SHORT))

    sizes = {name: at_length(name) for name in ("forward", "kept", "backward", "left")}
    with torch.no_grad():
        output, *states = few(SHORT)
    shape = list(output.shape)
    shape[time_axis] = length
    result = _Recurrence.apply(x, shape, sizes, *weights)
    return (result, *states)


class _Recurrence(torch.autograd.Function):
    """The shapes of a recurrent layer, and memory of the size that it needs."""

    @staticmethod
    def forward(ctx, x, shape, sizes, *weights):
        output = x.new_empty(shape)
        kept = _bytes(x, sizes["kept"] - output.numel() * output.element_size())
        _bytes(x, sizes["forward"] - sizes["kept"])
        ctx.save_for_backward(x, kept, *weights)
        ctx.work = sizes["backward"] - sizes["kept"] - sizes["left"]
        return output

    @staticmethod
    def backward(ctx, gradient):
        x, _, *weights = ctx.saved_tensors
        gradients = [torch.empty_like(tensor) for tensor in (x, *weights)]
        _bytes(x, ctx.work - x.numel() * x.element_size())
        return gradients[0], None, None, *gradients[1:]


def _bytes(like: torch.Tensor, size: int) -> torch.Tensor:
    return like.new_empty(max(0, size), dtype=torch.uint8)
