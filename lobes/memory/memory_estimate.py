"""How much memory a training step of a network keeps, computed without running it.

The network runs on torch's meta device, where tensors have shapes and no values; what autograd
would keep for the backward pass is counted. A 30 s clip in a base-size transformer, 100 GiB, is
estimated in a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ...processing.system.memory import size_text
from ..options import choice, whole

__all__ = [
    "ATTENTION",
    "TrainingMemory",
    "activation_bytes",
    "counted_attention",
    "training_memory",
]

ATTENTION = ("fused", "math")
#: Weight, gradient and the two averages of Adam, in float32.
BYTES_PER_TRAINED = 16
BYTES_PER_FROZEN = 4


@dataclass(frozen=True)
class TrainingMemory:
    """Estimate in bytes of what a training step keeps.

    Arguments
    ---------
    activations : int
        Kept for the backward pass.
    parameters : int
        Weights, gradients and the two averages of Adam.

    Example
    -------
    >>> print(TrainingMemory(activations=2 * 2**30, parameters=2**25))
    2.0 GiB (activations 2.0 GiB, parameters with gradients and Adam 32 MiB)
    """

    activations: int
    parameters: int

    @property
    def total(self) -> int:
        return self.activations + self.parameters

    def __str__(self) -> str:
        return (
            f"{size_text(self.total)} (activations {size_text(self.activations)}, "
            f"parameters with gradients and Adam {size_text(self.parameters)})"
        )


def training_memory(
    encoder: nn.Module,
    in_features: int,
    in_frames: int,
    batch: int,
    attention: str = "fused",
    learns_before: bool = False,
) -> TrainingMemory:
    """Activations, and parameters with their gradients and Adam; arguments as `activation_bytes`.

    Not included: the operations' workspace, the optimiser's temporary copies, the data, and
    torch itself. On a CPU the process grows by 1.03 times the total where freed memory goes back
    to the system (MALLOC_MMAP_THRESHOLD_=65536), and by 1.2 to 1.4 times, of small convolutional
    networks twice, where glibc keeps it in pieces.

    Example
    -------
    >>> print(training_memory(nn.Linear(40, 8), 40, 101, 12))
    194 KiB (activations 189 KiB, parameters with gradients and Adam 5 KiB)
    """
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in encoder.parameters() if not p.requires_grad)
    buffers = sum(b.numel() * b.element_size() for b in encoder.buffers())
    return TrainingMemory(
        activation_bytes(encoder, in_features, in_frames, batch, attention, learns_before),
        BYTES_PER_TRAINED * trained + BYTES_PER_FROZEN * frozen + buffers,
    )


def activation_bytes(
    encoder: nn.Module,
    in_features: int,
    in_frames: int,
    batch: int,
    attention: str = "fused",
    learns_before: bool = False,
) -> int:
    """What a forward pass in training keeps for the backward pass, float32, in bytes.

    Arguments
    ---------
    encoder : nn.Module
        Takes (B, N, F). What is frozen keeps nothing where nothing before it learns. Left as it is.
    in_features, in_frames, batch : int
        F, N and B, all of full length.
    attention : str
        "fused": scaled_dot_product_attention keeps queries, keys, values and its output;
        "math": the matrix of attention, B x heads x tokens x tokens, once more per layer.
    learns_before : bool
        A learnable frontend stands before it, so that the gradient goes through to the input.

    Raises
    ------
    ValueError
        The network reads values to decide what to do, and cannot run without them.

    Example
    -------
    >>> activation_bytes(nn.Sequential(nn.Linear(40, 8), nn.ReLU(), nn.Linear(8, 1)), 40, 100, 2)
    38400
    """
    for name, value in {"in_features": in_features, "in_frames": in_frames, "batch": batch}.items():
        whole(name, value)
    choice("attention", attention, ATTENTION)
    values = {
        name: torch.empty_like(p, device="meta").requires_grad_(p.requires_grad)
        for name, p in encoder.named_parameters()
    }
    values.update((name, torch.empty_like(b, device="meta")) for name, b in encoder.named_buffers())
    own = {_storage(value) for value in values.values()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is given out twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor.untyped_storage()
        return tensor

    feats = torch.empty(batch, in_frames, in_features, device="meta", requires_grad=learns_before)
    was_training = {part: part.training for part in encoder.modules()}
    encoder.train()
    try:
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            counted_attention(attention == "math"),
        ):
            torch.func.functional_call(encoder, values, (feats,))
    except (NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"{type(encoder).__name__} cannot be estimated without values: {error}"
        ) from error
    finally:
        for part, training in was_training.items():
            part.training = training
    return sum(storage.nbytes() for storage in kept.values())


def _storage(tensor: torch.Tensor) -> int:
    """Address of what a tensor and its views share."""
    return tensor.untyped_storage()._cdata


@contextmanager
def counted_attention(with_matrix: bool) -> Iterator[None]:
    """What attention keeps, whichever kernel the meta device would choose.

    Not a TorchFunctionMode: torch's own multi-head attention calls it from where no mode reaches.
    """

    def counted(query, key, value, *args, **kwargs):
        return _Attention.apply(query, key, value, with_matrix)

    original = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = counted
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = original


class _Attention(torch.autograd.Function):
    """The shapes of attention, and what its backward pass needs."""

    @staticmethod
    def forward(ctx, query, key, value, with_matrix):
        # In memory as the queries, so that joining the heads again copies nothing.
        output = torch.empty_like(query)
        if value.shape[-1] != query.shape[-1]:
            output = query.new_empty(*query.shape[:-1], value.shape[-1])
        rows = query.new_empty(query.shape[:-1])  # logarithm of each row's sum
        kept = [query, key, value, output, rows]
        if with_matrix:
            kept.append(query.new_empty(*query.shape[:-1], key.shape[-2]))
        ctx.save_for_backward(*kept)
        return output

    @staticmethod
    def backward(ctx, gradient):
        query, key, value, *_ = ctx.saved_tensors
        if len(ctx.saved_tensors) > 5:  # the gradient of the matrix
            torch.empty_like(ctx.saved_tensors[5])
        return *(torch.empty_like(tensor) for tensor in (query, key, value)), None
