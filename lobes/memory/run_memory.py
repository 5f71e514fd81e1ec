"""How much memory a whole training run takes at its peak, estimated before it begins.

Encoder and head take one step, forward and backward, on torch's meta device, where tensors have
shapes and no values; whatever an operation allocates is counted until it is freed. Frontend and
normalisation read values (the plan of a filterbank), so they take that step for real, with one
clip and with two, and the rest of the batch follows in proportion. So do the steps of a recurrent
layer, of which there may be thousands.
"""

from __future__ import annotations

import copy
import dataclasses
import weakref
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ...processing.system.memory import keeps_freed_memory, resident_bytes, size_text
from ..options import choice, whole
from .memory_estimate import ATTENTION, counted_attention
from .recurrent_memory import shortened_recurrence

__all__ = ["OPTIMIZER_STATES", "RunMemory", "estimate_run"]

#: Tensors of a parameter's size that an optimiser keeps beside it.
OPTIMIZER_STATES = {"sgd": 1, "adam": 2, "adamw": 2, "adadelta": 2}
#: Waveforms of a batch that are alive together: the clips, the batch, what augmentation makes of it.
WAVEFORM_COPIES = 3
#: Where freed memory stays with the process, it lies in pieces between what is alive: measured 0.4
#: to 1.7 times the activations (8 clips of 10 s in m5, sample_cnn, crnn, musicnn, bcresnet).
KEPT_SHARE = 0.8
#: Activations up to which that is worth the time it saves.
SMALL_BYTES = 2**29


@dataclasses.dataclass(frozen=True)
class RunMemory:
    """Peak of a training run, in bytes.

    Arguments
    ---------
    activations : int
        What a step keeps for the backward pass and what it works with, at their common peak.
    parameters : int
        Weights and buffers, gradients, what the optimiser keeps.
    process : int
        Interpreter, libraries, data that are there already; 0 on a GPU, where only its own
        memory counts.
    cache : int
        Decoded audio that will be kept.
    kept : int
        Freed memory that stays with the process for the next step (`keep_freed_memory`).

    Example
    -------
    >>> print(RunMemory(activations=2 * 2**30, parameters=2**25, process=2**28))
    2.3 GiB (activations 2.0 GiB, parameters with gradients and optimiser 32 MiB, process 0.2 GiB)
    """

    activations: int
    parameters: int
    process: int = 0
    cache: int = 0
    kept: int = 0

    @property
    def total(self) -> int:
        return self.activations + self.parameters + self.process + self.cache + self.kept

    @property
    def small(self) -> bool:
        """Whether the process may keep what is freed: faster, and no more than estimated."""
        return self.activations <= SMALL_BYTES

    def __str__(self) -> str:
        parts = {
            "activations": self.activations,
            "parameters with gradients and optimiser": self.parameters,
            "process": self.process,
            "decoded audio": self.cache,
            "kept for reuse": self.kept,
        }
        said = ", ".join(f"{name} {size_text(size)}" for name, size in parts.items() if size)
        return f"{size_text(self.total)} ({said})"


def estimate_run(
    lobes: Mapping[str, nn.Module],
    clip_samples: int,
    batch_items: int,
    optimizing: str = "adamw",
    attention: str = "fused",
    cache_bytes: int = 0,
    device: str = "cpu",
) -> RunMemory:
    """Peak memory of training these lobes, float32, with the process as it is now.

    Arguments
    ---------
    lobes : {"compute_features", "mean_var_norm", "embedding_model", "classifier"}
        As a Brain has them; the last may be missing. They are left as they are.
    clip_samples, batch_items : int
        Longest clip in samples, clips per step.
    optimizing : str
        One of `OPTIMIZER_STATES`.
    attention : str
        As `activation_bytes`.
    cache_bytes : int
        Decoded audio that the run will keep in memory.
    device : str
        Where it will be trained, wherever the lobes are now: on "cuda" only what is there counts.

    Notes
    -----
    On a CPU, one thread, glibc, 8 clips of 10 s: with freed memory given back, the process' peak
    was 1.00 to 1.02 times the estimate for vit, ast, m5, sample_cnn and crnn, and 1.11 to 1.17
    times for musicnn, whose convolutions work in memory of their own. What the data loaders'
    processes take is not included.

    Example
    -------
    >>> from auricle.lobes import build_encoder, build_frontend
    >>> lobes = {
    ...     "compute_features": build_frontend("mel", 16000),
    ...     "embedding_model": build_encoder("crnn", 80, 100),
    ... }
    >>> 0 < estimate_run(lobes, 16000, 2).activations < 2**26
    True
    """
    for name, value in {"clip_samples": clip_samples, "batch_items": batch_items}.items():
        whole(name, value)
    choice("optimizing", optimizing, tuple(OPTIMIZER_STATES))
    choice("attention", attention, ATTENTION)
    tensors = {
        id(t): t for lobe in lobes.values() for t in (*lobe.parameters(), *lobe.buffers())
    }.values()
    weights = sum(t.numel() * t.element_size() for t in tensors)
    trained = sum(t.numel() * t.element_size() for t in tensors if t.requires_grad)
    activations = _peak_of_step(lobes, clip_samples, batch_items, attention)
    activations += WAVEFORM_COPIES * 4 * batch_items * clip_samples
    # Last, because estimating loads parts of the libraries that the run needs too.
    on_cpu = torch.device(device).type == "cpu"
    memory = RunMemory(
        activations=activations,
        parameters=weights + (1 + OPTIMIZER_STATES[optimizing]) * trained,
        process=max(0, resident_bytes() - weights) if on_cpu else 0,
        cache=cache_bytes if on_cpu else 0,
    )
    keeps = on_cpu and memory.small and keeps_freed_memory()
    return dataclasses.replace(memory, kept=round(KEPT_SHARE * activations) if keeps else 0)


@dataclasses.dataclass(frozen=True)
class _Step:
    """Bytes alive in a training step: at most in forward, after it, at most in backward, after it.

    What is there before (waveforms, parameters) is not counted; what is left after the backward
    pass is gradients.
    """

    forward: float = 0
    kept: float = 0
    backward: float = 0
    left: float = 0

    def at(self, batch: int, of_two: _Step) -> _Step:
        """For a batch, in proportion from one item (self) and two."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(of_two), strict=True)
        return _Step(*(one + (two - one) * (batch - 1) for one, two in pairs))


def _peak_of_step(lobes, clip_samples: int, batch: int, attention: str) -> int:
    """Peak of activations and workspace over frontend, normalisation, encoder and head."""
    front = _Chain(lobes[name] for name in ("compute_features", "mean_var_norm") if name in lobes)
    back = _Chain(lobes[name] for name in ("embedding_model", "classifier") if name in lobes)
    device = next((p.device for p in back.parameters()), torch.device("cpu"))
    shape, learned = [], []

    def waveforms(items: int) -> torch.Tensor:
        return torch.rand(items, clip_samples, device=device) - 0.5

    def look(feats: torch.Tensor) -> None:
        shape[:], learned[:] = feats.shape[1:], [feats.requires_grad]

    def features(items: int) -> torch.Tensor:
        return torch.randn(items, *shape, device=device, requires_grad=learned[0])

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        first = _in_proportion(front, waveforms, batch, look)
        try:
            feats = torch.empty(batch, *shape, device="meta", requires_grad=learned[0])
            second = _without_values(back, feats, attention)
        except (NotImplementedError, RuntimeError, ValueError):  # it reads values
            second = _in_proportion(back, features, batch)
    alive = (
        first.forward,
        first.kept + max(second.forward, second.backward),
        first.backward + second.left,
    )
    # Gradients are counted with the parameters.
    return max(0, round(max(alive) - first.left - second.left))


def _in_proportion(net: nn.Module, values: Callable, batch: int, look=None) -> _Step:
    """A step of a batch from one of one item and one of two, of a copy: averages see no noise."""

    def step(items: int) -> _Step:
        inputs, trained = values(items), copy.deepcopy(net).train()
        lengths = torch.ones(items, device=inputs.device) if look else None  # a head takes none
        return _measure(lambda: trained(inputs, lengths), look)

    one = step(1)
    return one if batch == 1 else one.at(batch, step(2))


def _without_values(net: nn.Module, feats: torch.Tensor, attention: str) -> _Step:
    """A step on the meta device."""
    values = {
        name: torch.empty_like(p, device="meta").requires_grad_(p.requires_grad)
        for name, p in net.named_parameters()
    }
    values.update((name, torch.empty_like(b, device="meta")) for name, b in net.named_buffers())
    was_training = {part: part.training for part in net.modules()}
    net.train()
    try:
        with counted_attention(attention == "math"), shortened_recurrence(_measure):
            return _measure(lambda: torch.func.functional_call(net, values, (feats,)))
    finally:
        for part, training in was_training.items():
            part.training = training


class _Chain(nn.Module):
    """One after the other."""

    def __init__(self, modules):
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, values, lengths=None):
        for part in self.parts:
            values = part(values) if lengths is None else part(values, lengths)
        return values


def _measure(forward: Callable[[], torch.Tensor], look: Callable | None = None) -> _Step:
    """Take a step and count what is alive; `look` is shown the output.

    The gradient of the output is given, in place of a loss.
    """
    with _Alive() as alive:
        output = forward()
        if look is not None:
            look(output)
        at_most, kept = alive.peak, alive.now
        alive.peak = alive.now
        if output.requires_grad:
            output.backward(torch.empty_like(output))
        del output
    return _Step(at_most, kept, alive.peak, alive.now)


class _Alive(TorchDispatchMode):
    """Counts the bytes of the tensors that are made inside of it and are still alive.

    Attributes
    ----------
    now, peak : int
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, tuple[weakref.ref, int]] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        before = {
            leaf.untyped_storage()._cdata
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, torch.Tensor)
        }
        output = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in before:
                    self._add(storage)
        return output

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._sizes:
            return

        def freed(_):
            self.now -= self._sizes.pop(key)[1]

        size = storage.nbytes()
        self._sizes[key] = weakref.ref(storage, freed), size
        self.now += size
        self.peak = max(self.peak, self.now)
