"""Estimate the peak memory of a training run before it begins.

Copies of the model take one step, forward and backward, while the bytes of all tensors that are
alive are counted. Encoder and head run the whole batch on fake tensors, which have shapes and no
values. Frontends read values to plan their filters, so frontend and normalisation run with two
clips and with three, and the batch is extrapolated from these.
"""

from __future__ import annotations

import copy
import dataclasses
import weakref
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ...processing.system.memory import keeps_freed_memory, resident_bytes, size_text
from ..model import Model
from ..options import choice, whole

#: Tensors of a parameter's size that an optimiser keeps beside it.
OPTIMIZER_STATES = {"sgd": 1, "adam": 2, "adamw": 2, "adadelta": 2}
#: Waveforms of a batch alive at once: the clips, the batch, its augmented copy.
WAVEFORM_COPIES = 3
#: Freed memory that stays with the process, fragmented, relative to the activations: measured 0.4
#: to 1.7 (8 clips of 10 s in m5, sample_cnn, crnn, musicnn, bcresnet).
KEPT_SHARE = 0.8
#: Activations up to which keeping freed memory is worth the time it saves.
SMALL_BYTES = 2**29


@dataclasses.dataclass(frozen=True)
class RunMemory:
    """Peak of a training run, in bytes.

    Arguments
    ---------
    activations : int
        What a step keeps for the backward pass and what it works with, at their common peak.
    parameters : int
        Weights and buffers, gradients, states of the optimiser.
    process : int
        Interpreter, libraries, data already loaded; 0 on a GPU, where only its own memory counts.
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
        return sum(dataclasses.astuple(self))

    @property
    def small(self) -> bool:
        """Whether the process may keep freed memory, which is faster."""
        return self.activations <= SMALL_BYTES

    def __str__(self) -> str:
        parts = {
            "activations": self.activations,
            "parameters with gradients and optimiser": self.parameters,
            "process": self.process,
            "decoded audio": self.cache,
            "kept for reuse": self.kept,
        }
        listed = ", ".join(f"{name} {size_text(size)}" for name, size in parts.items() if size)
        return f"{size_text(self.total)} ({listed})"


def estimate_run(
    model: Model,
    clip_samples: int,
    batch_items: int,
    optimizing: str = "adamw",
    cache_bytes: int = 0,
    device: str = "cpu",
) -> RunMemory:
    """Peak memory of training a model in float32, with the process as it is now.

    Not included: the loss, the data loaders' processes, the workspace inside single operations.

    Arguments
    ---------
    model : Model
        Left as it is, wherever it is.
    clip_samples, batch_items : int
        Longest clip in samples, clips per step.
    optimizing : str
        One of `OPTIMIZER_STATES`.
    cache_bytes : int
        Decoded audio that the run will keep in memory.
    device : str
        Where the run will train; on "cuda" only the memory there counts.

    Example
    -------
    >>> from auricle.lobes import create_model
    >>> model = create_model("mel", "small_cnn", num_classes=12)
    >>> 0 < estimate_run(model, 16000, 2).activations < 2**26
    True
    """
    for name, value in {"clip_samples": clip_samples, "batch_items": batch_items}.items():
        whole(name, value, high=2**40)
    choice("optimizing", optimizing, tuple(OPTIMIZER_STATES))
    tensors = [*model.parameters(), *model.buffers()]
    weights = sum(tensor.nbytes for tensor in tensors)
    trained = sum(tensor.nbytes for tensor in tensors if tensor.requires_grad)
    activations = _peak_of_step(model, clip_samples, batch_items)
    activations += WAVEFORM_COPIES * 4 * batch_items * clip_samples
    # The process is measured last: the step has loaded libraries that the run needs too.
    on_cpu = torch.device(device).type == "cpu"
    memory = RunMemory(
        activations=activations,
        parameters=weights + (1 + OPTIMIZER_STATES[optimizing]) * trained,
        process=max(0, resident_bytes() - weights) if on_cpu else 0,
        cache=cache_bytes if on_cpu else 0,
    )
    keeps = on_cpu and memory.small and keeps_freed_memory()
    return dataclasses.replace(memory, kept=round(KEPT_SHARE * activations) if keeps else 0)


def _peak_of_step(model: Model, clip_samples: int, batch: int) -> int:
    """Peak of activations and workspace, without the gradients of the parameters."""
    shape, learned = torch.Size(), False
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))

    def noise(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
        values = torch.empty(shape, device=device).uniform_(-0.5, 0.5)
        return values, torch.ones(shape[0], device=device)

    def front_of(twin: Model, items: int) -> Callable[[], torch.Tensor]:
        wavs, lengths = noise(items, clip_samples)

        def forward():
            nonlocal shape, learned
            feats, _ = twin.frames(wavs, lengths)
            shape, learned = feats.shape[1:], feats.requires_grad
            return feats

        return forward

    def back_of(twin: Model, items: int, masked: bool = True) -> Callable[[], torch.Tensor]:
        encoder_input, lengths = noise(items, *shape)
        encoder_input.requires_grad_(learned)
        twin.frames = lambda *_: (encoder_input, lengths if masked else None)
        return lambda: twin(encoder_input)

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        front = _extrapolated(model, front_of, batch)
        back = _on_fake_tensors(model, back_of, batch) or _extrapolated(model, back_of, batch)
    peak = max(
        front.forward, front.kept + max(back.forward, back.backward), front.backward + back.left
    )
    return max(0, round(peak - front.left - back.left))


def _on_fake_tensors(model: Model, prepare: Callable, batch: int) -> _Step | None:
    """A step of the whole batch; None where it needs values."""
    # Fake LSTMs on the CPU come without their workspace, which is the largest part.
    if any(isinstance(part, nn.RNNBase) for part in model.embedding_model.modules()):
        return None
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    for masked in (True, False):  # some encoders read the lengths
        try:
            with FakeCopyMode(mode):
                twin = copy.deepcopy(model).train()
            with mode:
                return _measure(prepare(twin, batch, masked))
        except Exception:  # what is wrong with the model itself is raised by the step with values
            continue
    return None


def _extrapolated(model: Model, prepare: Callable, batch: int) -> _Step:
    """A step of the batch, on a line through those of two items and of three."""

    def step(items: int) -> np.ndarray:
        twin = copy.deepcopy(model).train()
        return np.array(_measure(prepare(twin, items)))

    few = min(2, batch)  # batch norm may refuse a single item
    at_few = step(few)
    return _Step(*(at_few + (step(few + 1) - at_few) * (batch - few) if batch > few else at_few))


class _Step(NamedTuple):
    """Bytes that a step has made and that are alive.

    Arguments
    ---------
    forward, backward : at most in either pass.
    kept, left : after either pass: saved for the backward pass; gradients of the parameters.
    """

    forward: float
    kept: float
    backward: float
    left: float


def _measure(forward: Callable[[], torch.Tensor]) -> _Step:
    """Take a step, with a gradient of the output in place of a loss."""
    with _Alive() as alive:
        output = forward()
        at_most, kept = alive.peak, alive.now
        alive.peak = alive.now
        if output.requires_grad:
            output.backward(torch.empty_like(output))
        del output
    return _Step(at_most, kept, alive.peak, alive.now)


class _Alive(TorchDispatchMode):
    """Counts the bytes of the tensors that are made within it and are still alive.

    Attributes
    ----------
    now, peak : int
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        before = _storages((args, kwargs))
        output = function(*args, **(kwargs or {}))
        for key, storage in _storages(output).items():
            if key not in before and key not in self._sizes:
                self._sizes[key] = storage.nbytes()
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._free, key)
        return output

    def _free(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


def _storages(tree) -> dict[int, torch.UntypedStorage]:
    """What the tensors of a tree keep their values in, by its address."""
    storages = (
        leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)
    )
    return {storage._cdata: storage for storage in storages}
