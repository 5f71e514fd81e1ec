"""What every lobe promises, as checks that run on anyone's lobe.

One function per promise. The tests run them over the registry, and `auricle check` runs them on a
lobe that is being written. A promise says what it got, what is promised and what to do about it.
"""

from __future__ import annotations

import copy
import functools
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from .build import build_encoder, build_frontend
from .contracts import Encoder, Frontend, project_after, valid_lengths
from .normalization import KINDS
from .registry import ENCODERS, FRONTENDS, LobeError

__all__ = [
    "ENCODER_PROMISES",
    "FRONTEND_PROMISES",
    "BrokenPromise",
    "PromiseResult",
    "Subject",
    "check",
    "check_subject",
    "subject_of",
]

FRONTEND_PROMISES: dict[str, Callable[[Subject], None]] = {}
ENCODER_PROMISES: dict[str, Callable[[Subject], None]] = {}

RATE_HZ = 16000
#: 0.3 s and a bit: no multiple of any hop, so that rounding of frame counts is exercised.
SAMPLES = 4801
FEATURES, FRAMES = 40, 101
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
    """What became of one promise."""

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
    """

    kind: str
    name: str
    factory: Callable[..., nn.Module]
    unfit: Callable[[int, int], str | None] | None = None

    @property
    def tolerance(self) -> float:
        return FRONTEND_TOLERANCE if self.kind == "frontend" else ENCODER_TOLERANCE

    @property
    def size(self) -> int:
        """Length of the batches, in samples or frames."""
        return SAMPLES if self.kind == "frontend" else FRAMES

    def build(self, *given, seed: int = 0) -> nn.Module:
        """A new instance; another `seed` gives other initial values where these are drawn."""
        torch.manual_seed(seed)
        default = (RATE_HZ,) if self.kind == "frontend" else (FEATURES, FRAMES)
        return self.factory(*(given or default))

    def batch(self, size: int = 0, items: int = 3, features: int = FEATURES, seed: int = 0):
        """Noise with a rising tone for a frontend; frames with a slow drift for an encoder."""
        size = size or self.size
        generator = torch.Generator().manual_seed(seed)
        time_ = torch.arange(size) / max(size, 1)
        if self.kind == "frontend":
            tone = torch.sin(time_ * size * (0.05 + 0.8 * time_))
            return 0.1 * torch.randn(items, size, generator=generator) + 0.3 * tone
        drift = torch.sin(6 * time_)[:, None]
        return torch.randn(items, size, features, generator=generator) + drift

    def takes(self, lobe: nn.Module, size: int) -> bool:
        """Whether an instance takes inputs of this length (some encoders are built for one)."""
        return size == self.size or not getattr(lobe, "needs_in_frames", False)


def _promise(*kinds: str, title: str):
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
            into[function.__name__.replace("_", "-")] = kept
        return kept

    return enter


def _require(condition, got: str, do: str) -> None:
    if not condition:
        raise _Broken(f"{got}.\n  What to do: {do}.")


def _same(got: torch.Tensor, want: torch.Tensor, tolerance: float, what: str, do: str) -> None:
    """`got` equals `want` up to `tolerance` times the standard deviation of `want`."""
    _require(got.shape == want.shape, f"{what}: shape {_s(got)} instead of {_s(want)}", do)
    scale = max(want.std(correction=0).item(), 1e-2 * want.abs().max().item(), 1e-12)
    off = (got - want).abs().max().item() / scale
    _require(
        off <= tolerance,
        f"{what}: differs by {off:.2g} of the output's standard deviation, allowed {tolerance:g}",
        do,
    )


def _s(tensor: torch.Tensor) -> str:
    return str(tuple(tensor.shape))


def _finite(tensor: torch.Tensor, what: str, do: str) -> None:
    bad = (~torch.isfinite(tensor)).sum().item()
    _require(not bad, f"{what}: {bad} of {tensor.numel()} values are NaN or infinite", do)


def _trainable(lobe: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in lobe.named_parameters() if p.requires_grad}


def _loss(output: torch.Tensor) -> torch.Tensor:
    """A random direction: the sum of a normalised output is constant and has no gradient."""
    generator = torch.Generator().manual_seed(7)
    return (output.float() * torch.randn(output.shape, generator=generator)).sum()


def _train(subject: Subject, lobe: nn.Module, steps: int, lr: float, size: int = 0) -> None:
    """A few Adam steps; the step is `lr` times a parameter's own size, whatever its unit."""
    lobe.train()
    groups = [
        {"params": [p], "lr": lr * (p.detach().abs().mean().item() + 0.1)}
        for p in _trainable(lobe).values()
    ]
    optimizer = torch.optim.Adam(groups, eps=1e-16) if groups else None
    if optimizer:
        project_after(optimizer, lobe)
    for step in range(steps):
        output = lobe(subject.batch(size, seed=step))
        if optimizer:
            optimizer.zero_grad()
            _loss(output).backward()
            optimizer.step()


def _project(lobe: nn.Module) -> None:
    with torch.no_grad():
        for part in lobe.modules():
            if hasattr(part, "project_"):
                part.project_()


def _leverage(p: torch.Tensor, start: torch.Tensor) -> float:
    """What a change of a parameter by its own size, now or at the start, does to the loss."""
    size = max(p.detach().abs().mean().item(), start.abs().mean().item())
    return 0.0 if p.grad is None else p.grad.abs().max().item() * size


def _graph_leaves(output: torch.Tensor) -> Iterator[torch.Tensor]:
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


# -- shapes --------------------------------------------------------------------------------------


@_promise("frontend", title="declared attributes equal the real shapes, for any clip length")
def shapes(subject: Subject) -> None:
    lobe = subject.build().eval()
    _require(
        isinstance(lobe, Frontend),
        f"an instance of {type(lobe).__mro__[1].__name__}",
        "derive the class from auricle.lobes.contracts.Frontend",
    )
    _require(
        lobe.sample_rate == RATE_HZ,
        f"sample_rate {lobe.sample_rate} when built for {RATE_HZ} Hz",
        "hand the argument sample_rate on to super().__init__",
    )
    _require(
        lobe.normalization in KINDS,
        f"normalization {lobe.normalization!r}",
        f"recommend one of {', '.join(KINDS)}",
    )
    for size in sorted({lobe.window + 1, 1600, 1601, 7919, 8000, 16000}):
        output = lobe(subject.batch(size, items=2))
        want = (2, lobe.num_frames(size), lobe.num_features)
        _require(
            tuple(output.shape) == want,
            f"shape {_s(output)} for {size} samples where (2, num_frames({size}), num_features) "
            f"is {want}",
            "correct num_frames, num_features or the padding",
        )
        _require(
            output.dtype == torch.float32,
            f"{output.dtype} for a float32 waveform",
            "return float32: build filters in it and do not promote to float64",
        )


@_promise("encoder", title="declared attributes equal the real shapes, for any clip length")
def encoder_shapes(subject: Subject) -> None:
    lobe = subject.build().eval()
    _require(
        isinstance(lobe, Encoder),
        f"an instance of {type(lobe).__mro__[1].__name__}",
        "derive the class from auricle.lobes.contracts.Encoder",
    )
    _require(
        lobe.in_features == FEATURES,
        f"in_features {lobe.in_features} when built for {FEATURES}",
        "hand the argument in_features on to super().__init__",
    )
    for size in (FRAMES, 100, 64, 47):
        if not subject.takes(lobe, size):
            continue
        output = lobe(subject.batch(size, items=2))
        steps = 1 if lobe.output == "utterance" else lobe.num_frames(size)
        want = (2, steps, lobe.out_features)
        _require(
            tuple(output.shape) == want,
            f"shape {_s(output)} for {size} frames where output={lobe.output!r}, "
            f"stride={lobe.stride} and out_features promise {want}",
            "correct output, stride, num_frames or out_features",
        )
        _require(output.dtype == torch.float32, f"{output.dtype}", "return float32")


ENCODER_PROMISES["shapes"] = ENCODER_PROMISES.pop("encoder-shapes")


@_promise("frontend", "encoder", title="no lengths means that everything is valid")
def no_lengths(subject: Subject) -> None:
    lobe = subject.build().eval()
    x = subject.batch()
    _same(
        lobe(x, torch.ones(len(x))),
        lobe(x),
        subject.tolerance,
        "lengths of 1.0 against lengths=None",
        "treat lengths=None as all ones (mask_padding and valid_lengths do)",
    )


# -- learning ------------------------------------------------------------------------------------


@_promise("frontend", "encoder", title="every trainable parameter gets a gradient in one step")
def gradients(subject: Subject) -> None:
    lobe = subject.build().train()
    trainable = _trainable(lobe)
    if getattr(lobe, "fixed", False):
        _require(
            not trainable,
            f"fixed = True with trainable parameters {', '.join(trainable)}",
            "make them buffers or requires_grad=False, or drop `fixed = True`",
        )
        return
    if not trainable:
        # An encoder may be plain pooling, with all that is learned in the head behind it.
        _require(
            subject.kind == "encoder",
            "no trainable parameter",
            "declare `fixed = True` if that is meant",
        )
        return
    _loss(lobe(subject.batch())).backward()
    bad = [
        f"{name} ({'none' if p.grad is None else 'zero' if p.grad.isfinite().all() else 'NaN'})"
        for name, p in trainable.items()
        if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ]
    _require(
        not bad,
        f"no usable gradient for {', '.join(bad)}",
        "use the parameter in forward without detach, rounding or clamping, or remove it",
    )


@_promise("frontend", "encoder", title="what is learned is registered and is moved by a step")
def optimised(subject: Subject) -> None:
    lobe = subject.build().train()
    known = {id(p) for p in lobe.parameters()}
    output = lobe(subject.batch())
    hidden = [t for t in _graph_leaves(output) if id(t) not in known]
    _require(
        not hidden,
        f"forward learns from {len(hidden)} tensor(s) outside parameters(), of shape "
        f"{', '.join(map(_s, hidden))}",
        "assign it as an nn.Parameter of a sub-module; use ParameterList, ModuleList or ModuleDict "
        "where it stands in a list or dict",
    )
    before = {name: p.detach().clone() for name, p in _trainable(lobe).items()}
    _train(subject, lobe, steps=1, lr=1e-2)
    still = [name for name, p in _trainable(lobe).items() if torch.equal(p, before[name])]
    _require(
        not still,
        f"one optimiser step with project_after did not move {', '.join(still)}",
        "let project_ leave values inside their range alone",
    )


@_promise("frontend", "encoder", title="a reloaded lobe equals the trained one, bit by bit")
def reload(subject: Subject) -> None:
    from safetensors.torch import load, save

    lobe = subject.build(seed=0)
    _train(subject, lobe, steps=2, lr=1e-2)
    lobe.eval()
    state = lobe.state_dict()
    missing = [name for name, _ in lobe.named_parameters() if name not in state]
    _require(not missing, f"state_dict lacks {', '.join(missing)}", "do not filter state_dict")
    odd = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    _require(not odd, f"state_dict holds {', '.join(odd)}, no tensors", "keep state in buffers")
    # Another seed: what is drawn at random and not saved would otherwise look restored.
    fresh = subject.build(seed=1)
    fresh.load_state_dict(load(save({k: v.clone().contiguous() for k, v in state.items()})))
    fresh.eval()
    for name, value in fresh.state_dict().items():
        _require(
            torch.equal(value, state[name]), f"{name} changed on its way", "do not cast in loading"
        )
    _require(
        torch.equal(fresh(subject.batch(seed=5)), lobe(subject.batch(seed=5))),
        "the same state_dict gives another output in a new instance",
        "register every tensor that forward uses as a parameter or persistent buffer, and rebuild "
        "what is cached when the state is loaded",
    )


@_promise("frontend", title="parameters are projected and never die outside their range")
def projection(subject: Subject) -> None:
    do = (
        "write project_() that moves the parameter into a range in which forward is finite and "
        "its gradient is not zero; do not clamp it in forward"
    )
    lobe = subject.build()
    if not _trainable(lobe):
        return
    size = max(1600, 2 * lobe.window)
    _train(subject, lobe, steps=30, lr=2.0, size=size)
    for name, p in lobe.named_parameters():
        _finite(p, f"{name} after 30 steps at a very high learning rate", do)
    _finite(lobe(subject.batch(size)), "output after 30 steps at a very high learning rate", do)
    lobe = subject.build().train()
    _loss(lobe(subject.batch(size))).backward()
    usual = {name: _leverage(p, p) for name, p in _trainable(lobe).items()}
    # One parameter at a time: another one at its bound may rightly silence it (a PCEN exponent
    # of 0 leaves nothing to the smoother).
    for name in _trainable(lobe):
        for sign in (1, -1):
            lobe = subject.build().train()
            p = _trainable(lobe)[name]
            start = p.detach().clone()
            with torch.no_grad():
                p.copy_(sign * (1000 * p.abs() + 1000))
            what = f"{name} pushed to {'+' if sign > 0 else '-'}1000 times its size, then projected"
            _project(lobe)
            once = p.detach().clone()
            _project(lobe)
            _require(
                torch.equal(once, p), f"{what}: a second project_() moves it", "project, no update"
            )
            output = lobe(subject.batch(size))
            _finite(output, f"{what}: output", do)
            _loss(output).backward()
            _require(p.grad is not None, f"{what}: no gradient", do)
            _finite(p.grad, f"{what}: gradient", do)
            _require(
                _leverage(p, start) > ROUNDING * usual[name],
                f"{what}: its gradient is zero for ever (up to rounding; a bound where the output "
                "is even in the parameter, like a centre frequency of 0, has no slope)",
                do,
            )


@_promise("frontend", "encoder", title="a gradient reaches the input, finite and not zero")
def input_gradient(subject: Subject) -> None:
    lobe = subject.build().train()
    x = subject.batch().requires_grad_()
    output = lobe(x)
    if not output.requires_grad and getattr(lobe, "fixed", False):
        return
    do = "do not detach the input: what stands before this lobe could not learn"
    _require(output.requires_grad, "an output without a gradient", do)
    _loss(output).backward()
    _require(x.grad is not None and x.grad.any(), "no gradient", do)
    _finite(x.grad, "gradient of the input", "avoid sqrt, log and division at zero")


# -- batches -------------------------------------------------------------------------------------


@_promise("frontend", "encoder", title="padding does not change what is valid")
def padding(subject: Subject) -> None:
    lobe = subject.build().eval()
    x = subject.batch()
    sizes = [round(part * subject.size) for part in PARTS]
    lengths = torch.tensor(sizes) / subject.size
    if subject.kind == "frontend":
        got = valid_lengths(lobe.frame_lengths(lengths, subject.size), lobe.num_frames(x.shape[1]))
        want = [lobe.num_frames(size) for size in sizes]
        _require(got.tolist() == want, f"frame_lengths {got.tolist()}, not {want}", "correct it")
    noise = 3 * subject.batch(seed=9)
    filled = {"zeros": x.clone(), "noise": x.clone()}
    for item, size in enumerate(sizes):
        filled["zeros"][item, size:] = 0
        filled["noise"][item, size:] = noise[item, size:]
    got = {filling: lobe(padded, lengths) for filling, padded in filled.items()}
    for item, size in enumerate(sizes):
        steps = lobe.num_frames(size)
        what = f"item of {size} in a batch of {subject.size} with lengths"
        _same(
            got["noise"][item, :steps],
            got["zeros"][item, :steps],
            subject.tolerance,
            f"{what}, padded with noise against zeros",
            "call mask_padding(x, lengths) first, and give lengths to whatever looks across time",
        )
        if subject.takes(lobe, size):
            _same(
                got["zeros"][item, :steps],
                lobe(x[item : item + 1, :size])[0],
                subject.tolerance,
                f"{what} against alone and unpadded",
                "let nothing depend on the padded length: fixed left padding, zeros behind the "
                "end, mask again after every layer that looks across time",
            )


@_promise("frontend", "encoder", title="a batch gives what a loop over its items gives")
def batch_equals_loop(subject: Subject) -> None:
    lobe = subject.build().eval()
    x = subject.batch() * torch.tensor([1.0, 0.1, 3.0]).view(-1, *[1] * (subject.batch().dim() - 1))
    _same(
        lobe(x),
        torch.cat([lobe(item[None]) for item in x]),
        subject.tolerance,
        "items together against one by one",
        "compute nothing (maximum, mean, reference level) over the batch axis in eval mode",
    )


# -- robustness ----------------------------------------------------------------------------------


@_promise("frontend", title="finite, with finite gradients, on silence, DC, full scale, an instant")
def finite(subject: Subject) -> None:
    do = "add a floor before log, division and sqrt (the gradient of sqrt at 0 is infinite)"
    lobe = subject.build().train()
    ramp = torch.arange(SAMPLES)
    signals = {
        "silence": torch.zeros(SAMPLES),
        "DC": torch.full((SAMPLES,), 0.5),
        "a full-scale square wave": (ramp // 40 % 2 * 2 - 1).float(),
        "a full-scale click": (ramp == 2000).float(),
        "one sample more than a window": subject.batch(lobe.window + 1)[0],
    }
    for name, signal in signals.items():
        lobe.zero_grad()
        output = lobe(torch.stack([signal, signal]))
        _finite(output, f"output on {name}", do)
        if output.requires_grad:
            _loss(output).backward()
            for key, p in _trainable(lobe).items():
                if p.grad is not None:
                    _finite(p.grad, f"gradient of {key} on {name}", do)
    try:
        output = lobe.eval()(torch.full((1, 1), 0.1))
    except ValueError:
        return  # a clear refusal is an answer
    want = (1, lobe.num_frames(1), lobe.num_features)
    _require(
        tuple(output.shape) == want,
        f"shape {_s(output)} on one sample, where num_frames says {want}",
        "raise ValueError naming the shortest clip, or follow num_frames",
    )
    _finite(output, "output on one sample", do)


@_promise("encoder", title="finite, with finite gradients, on zeros, constants and large values")
def encoder_finite(subject: Subject) -> None:
    do = "add a floor before log, division and sqrt; mask with large numbers, not with infinity"
    x = subject.batch()
    inputs = {"zeros": 0 * x, "a constant": 0 * x + 7, "values of 1e3": 1e3 * x}
    for name, values in inputs.items():
        for training in (True, False):
            lobe = subject.build().train(training)
            output = lobe(values)
            _finite(output, f"output on {name} ({'train' if training else 'eval'})", do)
            if output.requires_grad and training:
                _loss(output).backward()
                for key, p in _trainable(lobe).items():
                    if p.grad is not None:
                        _finite(p.grad, f"gradient of {key} on {name}", do)
    lobe = subject.build().eval()
    if not subject.takes(lobe, 1):
        return
    try:
        output = lobe(x[:, :1])
    except ValueError:
        return  # a clear refusal is an answer
    _require(
        tuple(output.shape) == (len(x), lobe.num_frames(1), lobe.out_features),
        f"shape {_s(output)} on one frame, where num_frames says {lobe.num_frames(1)}",
        "raise ValueError naming the shortest clip, or follow num_frames",
    )
    _finite(output, "output on one frame", do)


ENCODER_PROMISES["finite"] = ENCODER_PROMISES.pop("encoder-finite")


@_promise("frontend", "encoder", title="bfloat16 autocast works, with filters built in float32")
def bf16(subject: Subject) -> None:
    do = "build filters and sum energies inside torch.autocast(device_type, enabled=False)"
    lobe = subject.build().eval()
    x = subject.batch()
    want = lobe(x).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = lobe(x)
    _finite(got, "output", do)
    off = ((got.float() - want).square().mean() / want.var(correction=0).clamp(min=1e-24)).sqrt()
    _require(
        off <= BF16_TOLERANCE,
        f"differs from float32 by {off:.2g} of the output's standard deviation (root mean "
        f"square), allowed {BF16_TOLERANCE}",
        do,
    )
    lobe.train()
    if _trainable(lobe):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = lobe(x)
        _loss(output).backward()
    for name, p in lobe.named_parameters():
        _require(p.dtype == torch.float32, f"{name} became {p.dtype}", "cast copies, not .data")
        if p.grad is not None:
            _finite(p.grad, f"gradient of {name} under autocast", do)


@_promise("frontend", title="works at 8, 16 and 22.05 kHz, with parameters scaled to the rate")
def rates(subject: Subject) -> None:
    hop_s = subject.build().hop / RATE_HZ
    for rate_hz in (8000, 22050):
        lobe = subject.build(rate_hz).eval()
        size = rate_hz // 4 + 1
        _require(
            lobe.sample_rate == rate_hz,
            f"sample_rate {lobe.sample_rate} when built for {rate_hz} Hz",
            "hand the argument sample_rate on to super().__init__",
        )
        # A hop of one sample is the waveform itself; any other is a duration.
        _require(
            lobe.hop == 1 or abs(lobe.hop / rate_hz / hop_s - 1) < 0.1,
            f"a hop of {1e3 * lobe.hop / rate_hz:.2f} ms at {rate_hz} Hz and {1e3 * hop_s:.2f} ms "
            f"at {RATE_HZ} Hz",
            "give durations in ms and turn them into samples with sample_rate",
        )
        output = lobe(subject.batch(size, items=2))
        want = (2, lobe.num_frames(size), lobe.num_features)
        _require(
            tuple(output.shape) == want,
            f"shape {_s(output)} at {rate_hz} Hz where {want} is declared",
            "compute hop and window from sample_rate",
        )
        _finite(output, f"output at {rate_hz} Hz", "keep frequencies below sample_rate / 2")


@_promise("encoder", title="takes any number of features, or declares which it cannot take")
def feature_counts(subject: Subject) -> None:
    for features in (20, 80):
        why = subject.unfit(features, FRAMES) if subject.unfit else None
        if why:
            _require(isinstance(why, str), f"unfit() gave {why!r}", "return a sentence or None")
            continue
        lobe = subject.build(features, FRAMES).train()
        output = lobe(subject.batch(features=features))
        _finite(output, f"output for {features} features", "see the promise `finite`")
        _require(
            output.shape[-1] == lobe.out_features and lobe.in_features == features,
            f"in_features {lobe.in_features} and output {_s(output)} when built for {features}",
            "derive every size from in_features, or name the misfit in the classmethod unfit()",
        )


# -- instances -----------------------------------------------------------------------------------


def _held(lobe: nn.Module) -> Iterator[tuple[str, object]]:
    """Every tensor and sub-module that an instance holds, in lists and dicts too."""
    todo: list[tuple[str, object]] = [("", lobe)]
    seen = set()
    while todo:
        name, value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (nn.Module, torch.Tensor)):
            yield name, value
        if isinstance(value, nn.Module):
            value = vars(value)
        if isinstance(value, dict):
            todo.extend((f"{name}.{key}".lstrip("."), inner) for key, inner in value.items())
        elif isinstance(value, (list, tuple)):
            todo.extend((f"{name}[{i}]", inner) for i, inner in enumerate(value))


@_promise("frontend", "encoder", title="two instances share nothing")
def nothing_shared(subject: Subject) -> None:
    do = "create it in __init__, not as a default argument, class attribute or module constant"
    one, two = subject.build().eval(), subject.build().eval()

    def memory(lobe):
        return {
            (value.data_ptr() if isinstance(value, torch.Tensor) else id(value)): name
            for name, value in _held(lobe)
            if not (isinstance(value, torch.Tensor) and value.numel() == 0)
        }

    first, second = memory(one), memory(two)
    both = sorted({first[key].replace("_parameters.", "") for key in first.keys() & second.keys()})
    _require(not both, f"both hold {', '.join(both)}", do)
    want = two(subject.batch())
    _train(subject, one, steps=1, lr=1e-1)
    _require(torch.equal(two(subject.batch()), want), "training one instance changed the other", do)


@_promise("frontend", "encoder", title="copy.deepcopy and pickle give an equal, separate lobe")
def copies(subject: Subject) -> None:
    lobe = subject.build()
    _train(subject, lobe, steps=1, lr=1e-2)  # a kept activation would make copying fail
    lobe.eval()
    want = lobe(subject.batch())
    for how, twin in {
        "copy.deepcopy": copy.deepcopy(lobe),
        "pickle": pickle.loads(pickle.dumps(lobe)),
    }.items():
        _require(
            torch.equal(twin.eval()(subject.batch()), want),
            f"{how} gave a lobe with another output",
            "keep all state in parameters, buffers and plain attributes",
        )
        with torch.no_grad():
            for tensor in twin.state_dict().values():
                tensor.fill_(1)
        _require(
            torch.equal(lobe(subject.batch()), want),
            f"changing the {how} copy changed the original",
            "do not define __deepcopy__ or __reduce__ so that tensors are shared",
        )


@_promise("frontend", "encoder", title="eval mode is deterministic and changes nothing")
def eval_mode(subject: Subject) -> None:
    lobe = subject.build().eval()
    x = subject.batch()
    before = {name: value.clone() for name, value in lobe.state_dict().items()}
    kept = x.clone()
    first = lobe(x)
    _require(torch.equal(x, kept), "forward changed its input", "work on a copy")
    _require(
        torch.equal(lobe(x), first),
        "two calls with the same input differ",
        "draw nothing at random and update no statistics when self.training is False",
    )
    changed = [name for name, value in lobe.state_dict().items() if not value.equal(before[name])]
    _require(
        not changed,
        f"forward changed {', '.join(changed)}",
        "update buffers in train mode only",
    )


@_promise("frontend", "encoder", title="works without gradients, and trains afterwards")
def no_grad(subject: Subject) -> None:
    do = "compute the same with and without gradients; keep no tensors made under inference"
    x = subject.batch()
    for name, context in {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}.items():
        lobe = subject.build().eval()
        with context():
            got = lobe(x).clone()
        _require(not got.requires_grad, f"{name}: an output that needs a gradient", do)
        want = lobe(x).detach()
        _same(got, want, subject.tolerance, f"{name} against with gradients", do)
        _train(subject, lobe, steps=1, lr=1e-2)


# -- running them --------------------------------------------------------------------------------


def subject_of(kind: str, name: str, options: dict | None = None) -> Subject:
    """A registered lobe as a subject.

    Arguments
    ---------
    kind : str
        "frontend" or "encoder".
    name : str
        Registered name.
    options : dict or None
        Options keyed by lobe name, as in the YAML.
    """
    if kind == "frontend":
        FRONTENDS.get(name)
        return Subject(kind, name, lambda rate: build_frontend(name, rate, options))
    if kind != "encoder":
        raise LobeError(f'kind must be "frontend" or "encoder", got {kind!r}')
    encoder = ENCODERS.get(name)
    given = (options or {}).get(name) or {}
    return Subject(
        kind,
        name,
        lambda features, frames: build_encoder(name, features, frames, options),
        lambda features, frames: encoder.unfit(features, frames, **given),
    )


def check_subject(subject: Subject) -> list[PromiseResult]:
    """Run every promise of the subject's kind."""
    results = []
    promises = FRONTEND_PROMISES if subject.kind == "frontend" else ENCODER_PROMISES
    for name, kept in promises.items():
        start = time.perf_counter()
        try:
            kept(subject)
            detail = ""
        except BrokenPromise as broken:
            detail = str(broken)
        seconds = time.perf_counter() - start
        results.append(PromiseResult(name, kept.title, not detail, detail, seconds))
    return results


def check(kind: str, name: str, options: dict | None = None) -> list[PromiseResult]:
    """Whether a registered lobe keeps its promises.

    Arguments
    ---------
    kind : str
        "frontend" or "encoder".
    name : str
        Registered name; load a plugin first.
    options : dict or None
        Options keyed by lobe name, as in the YAML.

    Returns
    -------
    One result per promise, in the order in which they are written.

    Raises
    ------
    LobeError
        Unknown lobe or options.

    Example
    -------
    >>> [result.name for result in check("frontend", "waveform") if not result.passed]
    []
    """
    subject = subject_of(kind, name, options)
    subject.build()
    return check_subject(subject)
