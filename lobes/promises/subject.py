"""The lobe that promises are checked on, with its inputs, training steps and comparisons."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from ..contracts import Encoder, project_after

FRONTEND_PROMISES: dict[str, Callable[[Subject], None]] = {}
ENCODER_PROMISES: dict[str, Callable[[Subject], None]] = {}

RATE_HZ = 16000
#: 0.3 s and a bit: no multiple of any hop, so that rounding of frame counts is exercised.
SAMPLES = 4801
#: Valid part of the items of a padded batch.
PARTS = (1.0, 0.7624, 0.4752)

#: Largest difference between two ways to compute the same thing, relative to the output's standard
#: deviation. A fast frontend may deviate from its exact form by 1e-4 of the energy, and
#: compression stretches that a little; a leak of padding or of a neighbour is 1e-2 and more.
FRONTEND_TOLERANCE = 1e-3
#: An encoder is exact up to float32 rounding (6e-8), which a dozen layers raise to about 1e-5.
ENCODER_TOLERANCE = 1e-4
#: bfloat16 keeps 8 bits: one rounding is 0.2 to 0.4%. A dozen of them in a row stay below 5% (root
#: mean square); a filter built in bfloat16 is off by its whole phase, which is far above.
BF16_TOLERANCE = 0.05
#: A gradient smaller than this part of its initial value is float32 rounding and no slope.
ROUNDING = 1e-6


class BrokenPromise(AssertionError):
    """A lobe does not do what every lobe promises."""


class _Broken(Exception):
    pass


@dataclass(frozen=True)
class PromiseResult:
    """Outcome of one promise."""

    name: str
    title: str
    passed: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class Subject:
    """A lobe to be checked.

    Arguments
    ---------
    kind : str
        "frontend" or "encoder".
    name : str
        For messages.
    factory : callable
        `factory(sample_rate)` for a frontend, `factory(in_features, in_frames)` for an encoder;
        gives a new instance on every call.
    unfit : callable or None
        `unfit(in_features, in_frames)` of an encoder: why it cannot take such frames, or None.
    features, frames : int
        F and N of what an encoder is checked with.
    options : dict
        What the factory gives the lobe.
    factory_of : callable or None
        From other options to a factory; None: the factory takes them by name.
    """

    kind: str
    name: str
    factory: Callable[..., nn.Module]
    unfit: Callable[[int, int], str | None] | None = None
    features: int = Encoder.example_features
    frames: int = Encoder.example_frames
    options: dict = field(default_factory=dict)
    factory_of: Callable[[dict], Callable[..., nn.Module]] | None = None

    @property
    def tolerance(self) -> float:
        return FRONTEND_TOLERANCE if self.kind == "frontend" else ENCODER_TOLERANCE

    @property
    def size(self) -> int:
        """Length of the batches, in samples or frames."""
        return SAMPLES if self.kind == "frontend" else self.frames

    def build(self, *sizes, seed: int = 0, factory: Callable | None = None) -> nn.Module:
        """A new instance; another `seed` gives other initial values where these are drawn."""
        torch.manual_seed(seed)
        default = (RATE_HZ,) if self.kind == "frontend" else (self.features, self.frames)
        return (factory or self.factory)(*(sizes or default))

    def rebuild(self, options: dict) -> nn.Module:
        """A new instance with these options in the place of its own, and other initial values."""
        of_options = self.factory_of or (lambda own: functools.partial(self.factory, **own))
        return self.build(seed=1, factory=of_options(options))

    def batch(self, size: int = 0, items: int = 3, features: int = 0, seed: int = 0):
        """Noise with a rising tone for a frontend; frames with a slow drift for an encoder."""
        size = size or self.size
        generator = torch.Generator().manual_seed(seed)
        time_ = torch.arange(size) / max(size, 1)
        if self.kind == "frontend":
            tone = torch.sin(time_ * size * (0.05 + 0.8 * time_))
            return 0.1 * torch.randn(items, size, generator=generator) + 0.3 * tone
        drift = torch.sin(6 * time_)[:, None]
        return torch.randn(items, size, features or self.features, generator=generator) + drift

    def takes(self, lobe: nn.Module, size: int) -> bool:
        """Whether an instance takes inputs of this length (some encoders are built for one)."""
        return size == self.size or not getattr(lobe, "needs_in_frames", False)


def promise(*kinds: str, title: str, name: str = ""):
    """Enter a function `(subject) -> None` under its name; what it raises becomes a message."""

    def enter(function):
        @functools.wraps(function)
        def kept(subject: Subject) -> None:
            head = f"{subject.kind} {subject.name!r} breaks a promise: {title}.\n  Got: "
            with torch.random.fork_rng(devices=[]):
                try:
                    function(subject)
                except _Broken as broken:
                    raise BrokenPromise(head + str(broken)) from None
                except Exception as error:
                    raise BrokenPromise(f"{head}{type(error).__name__}: {error}") from error

        kept.title = title
        for kind in kinds:
            into = FRONTEND_PROMISES if kind == "frontend" else ENCODER_PROMISES
            into[name or function.__name__.replace("_", "-")] = kept
        return kept

    return enter


def require(condition, got: str, do: str) -> None:
    if not condition:
        raise _Broken(f"{got}.\n  What to do: {do}.")


def require_same(
    got: torch.Tensor, want: torch.Tensor, tolerance: float, what: str, do: str
) -> None:
    """`got` equals `want` up to `tolerance` times the standard deviation of `want`."""
    require(
        got.shape == want.shape, f"{what}: shape {shape_of(got)} instead of {shape_of(want)}", do
    )
    scale = max(want.std(correction=0).item(), 1e-2 * want.abs().max().item(), 1e-12)
    off = (got - want).abs().max().item() / scale
    require(
        off <= tolerance,
        f"{what}: differs by {off:.2g} of the output's standard deviation, allowed {tolerance:g}",
        do,
    )


def require_built_for(lobe: nn.Module, name: str, want: int, unit: str = "") -> None:
    """The lobe has the value of an argument that it was built with."""
    require(
        getattr(lobe, name) == want,
        f"{name} {getattr(lobe, name)} when built for {want}{unit}",
        f"hand the argument {name} on to super().__init__",
    )


def shape_of(tensor: torch.Tensor) -> str:
    return str(tuple(tensor.shape))


def require_shape(output: torch.Tensor, want: tuple, what: str, do: str) -> None:
    require(tuple(output.shape) == want, f"shape {shape_of(output)} {what} {want}", do)


def require_finite(tensor: torch.Tensor, what: str, do: str) -> None:
    bad = (~torch.isfinite(tensor)).sum().item()
    require(not bad, f"{what}: {bad} of {tensor.numel()} values are NaN or infinite", do)


def require_finite_gradients(lobe: nn.Module, output: torch.Tensor, what: str, do: str) -> None:
    """Backward from an output that has a gradient; those of the parameters are finite."""
    if output.requires_grad:
        loss_of(output).backward()
    for name, p in lobe.named_parameters():
        if p.grad is not None:
            require_finite(p.grad, f"gradient of {name} {what}", do)


def trainable_of(lobe: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in lobe.named_parameters() if p.requires_grad}


def loss_of(output: torch.Tensor) -> torch.Tensor:
    """A random direction: the sum of a normalised output is constant and has no gradient."""
    generator = torch.Generator().manual_seed(7)
    return (output.float() * torch.randn(output.shape, generator=generator)).sum()


def own_size(p: torch.Tensor) -> float:
    """A parameter's own size, whatever its unit; not 0 where it is the logarithm of 1."""
    return p.detach().abs().mean().item() + 0.1


def train(subject: Subject, lobe: nn.Module, steps: int, lr: float, size: int = 0) -> None:
    """A few Adam steps; the step is `lr` times a parameter's own size, whatever its unit."""
    lobe.train()
    groups = [{"params": [p], "lr": lr * own_size(p)} for p in trainable_of(lobe).values()]
    optimizer = torch.optim.Adam(groups, eps=1e-16) if groups else None
    if optimizer:
        project_after(optimizer, lobe)
    for step in range(steps):
        output = lobe(subject.batch(size, seed=step))
        if optimizer:
            optimizer.zero_grad()
            loss_of(output).backward()
            optimizer.step()


def project(lobe: nn.Module) -> None:
    with torch.no_grad():
        for part in lobe.modules():
            if hasattr(part, "project_"):
                part.project_()


def leverage(p: torch.Tensor, start: torch.Tensor) -> float:
    """Change of the loss for a change of a parameter by its own size, now or at the start."""
    size = max(own_size(p), own_size(start))
    return 0.0 if p.grad is None else p.grad.abs().max().item() * size


def graph_leaves(output: torch.Tensor) -> Iterator[torch.Tensor]:
    """The tensors that a gradient of `output` ends in."""
    todo, seen = [output.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        todo.extend(parent for parent, _ in node.next_functions)
