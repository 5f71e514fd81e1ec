"""Promises about instances: nothing shared, copies equal, rebuilt alike, constant in eval mode."""

import copy
import json
import os
import pickle
from collections.abc import Iterator

import torch
from torch import nn

from .subject import (
    Subject,
    promise,
    require,
    require_same,
    train,
)


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


@promise("frontend", "encoder", title="two instances share nothing")
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
    require(not both, f"both hold {', '.join(both)}", do)
    want = two(subject.batch())
    train(subject, one, steps=1, lr=1e-1)
    require(torch.equal(two(subject.batch()), want), "training one instance changed the other", do)


@promise("frontend", "encoder", title="copy.deepcopy and pickle give an equal, separate lobe")
def copies(subject: Subject) -> None:
    lobe = subject.build()
    train(subject, lobe, steps=1, lr=1e-2)  # a kept activation would make copying fail
    lobe.eval()
    want = lobe(subject.batch())
    for how, twin in {
        "copy.deepcopy": copy.deepcopy(lobe),
        "pickle": pickle.loads(pickle.dumps(lobe)),
    }.items():
        require(
            torch.equal(twin.eval()(subject.batch()), want),
            f"{how} gave a lobe with another output",
            "keep all state in parameters, buffers and plain attributes",
        )
        with torch.no_grad():
            for tensor in twin.state_dict().values():
                tensor.fill_(1)
        require(
            torch.equal(lobe(subject.batch()), want),
            f"changing the {how} copy changed the original",
            "do not define __deepcopy__ or __reduce__ so that tensors are shared",
        )


def _texts(value) -> Iterator[str]:
    """Every text in nested dicts and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


@promise("frontend", "encoder", title="its lasting options rebuild it, without the files it read")
def rebuilt(subject: Subject) -> None:
    lobe = subject.build().eval()
    before = copy.deepcopy(subject.options)
    # As a bundle keeps them.
    lasting = json.loads(json.dumps(lobe.lasting_options(before)))
    require(
        before == subject.options, "lasting_options changed what it was given", "work on a copy"
    )
    files = [
        text
        for text in _texts(lasting)
        if os.path.basename(text) != text and os.path.exists(os.path.expanduser(text))
    ]
    require(
        not files,
        f"lasting_options names what is on this machine: {', '.join(files)}",
        "leave out the option, and put in what else than weights the file decides",
    )
    twin = subject.rebuild(lasting).eval()
    state = lobe.state_dict()
    shapes, others = (
        {name: tuple(value.shape) for name, value in tensors.items()}
        for tensors in (state, twin.state_dict())
    )
    differing = [
        f"{name} {others.get(name, 'missing')} where {shapes.get(name, 'nothing')} was"
        for name in sorted(shapes.keys() | others.keys())
        if shapes.get(name) != others.get(name)
    ]
    do = "put into lasting_options what decides on the lobe and is not in state_dict"
    require(not differing, "rebuilt it has " + ", ".join(differing[:4]), do)
    twin.load_state_dict(state)
    x = subject.batch()
    require(torch.equal(twin(x), lobe(x)), "rebuilt, with its weights, it has another output", do)


@promise("frontend", "encoder", title="eval mode is deterministic and changes nothing")
def eval_mode(subject: Subject) -> None:
    lobe = subject.build().eval()
    x = subject.batch()
    before = {name: value.clone() for name, value in lobe.state_dict().items()}
    kept = x.clone()
    first = lobe(x)
    require(torch.equal(x, kept), "forward changed its input", "work on a copy")
    require(
        torch.equal(lobe(x), first),
        "two calls with the same input differ",
        "draw nothing at random and update no statistics when self.training is False",
    )
    changed = [name for name, value in lobe.state_dict().items() if not value.equal(before[name])]
    require(
        not changed,
        f"forward changed {', '.join(changed)}",
        "update buffers in train mode only",
    )


@promise("frontend", "encoder", title="works without gradients, and trains afterwards")
def no_grad(subject: Subject) -> None:
    do = "compute the same with and without gradients; keep no tensors made under inference"
    x = subject.batch()
    for name, context in {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}.items():
        lobe = subject.build().eval()
        with context():
            got = lobe(x).clone()
        require(not got.requires_grad, f"{name}: an output that needs a gradient", do)
        want = lobe(x).detach()
        require_same(got, want, subject.tolerance, f"{name} against with gradients", do)
        train(subject, lobe, steps=1, lr=1e-2)
