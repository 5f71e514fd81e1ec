"""Promises about learning: parameters are optimised, saved, restored, and keep a gradient."""

import torch

from .subject import (
    ROUNDING,
    Subject,
    graph_leaves,
    leverage,
    loss_of,
    project,
    promise,
    require,
    require_finite,
    shape_of,
    train,
    trainable_of,
)


@promise("frontend", "encoder", title="every trainable parameter gets a gradient in one step")
def gradients(subject: Subject) -> None:
    lobe = subject.build().train()
    trainable = trainable_of(lobe)
    if getattr(lobe, "fixed", False):
        require(
            not trainable,
            f"fixed = True with trainable parameters {', '.join(trainable)}",
            "make them buffers or requires_grad=False, or drop `fixed = True`",
        )
        return
    if not trainable:
        # An encoder may be plain pooling, with all that is learned in the head behind it.
        require(
            subject.kind == "encoder",
            "no trainable parameter",
            "declare `fixed = True` if that is meant",
        )
        return
    loss_of(lobe(subject.batch())).backward()
    bad = [
        f"{name} ({'none' if p.grad is None else 'zero' if p.grad.isfinite().all() else 'NaN'})"
        for name, p in trainable.items()
        if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ]
    require(
        not bad,
        f"no usable gradient for {', '.join(bad)}",
        "use the parameter in forward without detach, rounding or clamping, or remove it",
    )


@promise("frontend", "encoder", title="what is learned is registered and is moved by a step")
def optimised(subject: Subject) -> None:
    lobe = subject.build().train()
    known = {id(p) for p in lobe.parameters()}
    output = lobe(subject.batch())
    hidden = [t for t in graph_leaves(output) if id(t) not in known]
    require(
        not hidden,
        f"forward learns from {len(hidden)} tensor(s) outside parameters(), of shape "
        f"{', '.join(map(shape_of, hidden))}",
        "assign it as an nn.Parameter of a sub-module; use ParameterList, ModuleList or ModuleDict "
        "where it stands in a list or dict",
    )
    before = {name: p.detach().clone() for name, p in trainable_of(lobe).items()}
    train(subject, lobe, steps=1, lr=1e-2)
    still = [name for name, p in trainable_of(lobe).items() if torch.equal(p, before[name])]
    require(
        not still,
        f"one optimiser step with project_after did not move {', '.join(still)}",
        "let project_ leave values inside their range alone",
    )


@promise("frontend", "encoder", title="a reloaded lobe equals the trained one, bit by bit")
def reload(subject: Subject) -> None:
    from safetensors.torch import load, save

    lobe = subject.build(seed=0)
    train(subject, lobe, steps=2, lr=1e-2)
    lobe.eval()
    state = lobe.state_dict()
    missing = [name for name, _ in lobe.named_parameters() if name not in state]
    require(not missing, f"state_dict lacks {', '.join(missing)}", "do not filter state_dict")
    odd = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    require(not odd, f"state_dict holds {', '.join(odd)}, no tensors", "keep state in buffers")
    # Another seed: what is drawn at random and not saved would otherwise look restored.
    fresh = subject.build(seed=1)
    fresh.load_state_dict(load(save({k: v.clone().contiguous() for k, v in state.items()})))
    fresh.eval()
    for name, value in fresh.state_dict().items():
        require(
            torch.equal(value, state[name]), f"{name} changed on its way", "do not cast in loading"
        )
    require(
        torch.equal(fresh(subject.batch(seed=5)), lobe(subject.batch(seed=5))),
        "the same state_dict gives another output in a new instance",
        "register every tensor that forward uses as a parameter or persistent buffer, and rebuild "
        "what is cached when the state is loaded",
    )


@promise("frontend", title="parameters are projected and never die outside their range")
def projection(subject: Subject) -> None:
    do = (
        "write project_() that moves the parameter into a range in which forward is finite and "
        "its gradient is not zero; do not clamp it in forward"
    )
    lobe = subject.build()
    if not trainable_of(lobe):
        return
    size = max(1600, 2 * lobe.window)
    train(subject, lobe, steps=30, lr=2.0, size=size)
    for name, p in lobe.named_parameters():
        require_finite(p, f"{name} after 30 steps at a very high learning rate", do)
    require_finite(
        lobe(subject.batch(size)), "output after 30 steps at a very high learning rate", do
    )
    lobe = subject.build().train()
    loss_of(lobe(subject.batch(size))).backward()
    usual = {name: leverage(p, p) for name, p in trainable_of(lobe).items()}
    # One parameter at a time: another one at its bound may rightly silence it (a PCEN exponent
    # of 0 leaves nothing to the smoother).
    for name in trainable_of(lobe):
        for sign in (1, -1):
            lobe = subject.build().train()
            p = trainable_of(lobe)[name]
            start = p.detach().clone()
            with torch.no_grad():
                p.copy_(sign * (1000 * p.abs() + 1000))
            what = f"{name} pushed to {'+' if sign > 0 else '-'}1000 times its size, then projected"
            project(lobe)
            once = p.detach().clone()
            project(lobe)
            require(
                torch.equal(once, p), f"{what}: a second project_() moves it", "project, no update"
            )
            output = lobe(subject.batch(size))
            require_finite(output, f"{what}: output", do)
            loss_of(output).backward()
            require(p.grad is not None, f"{what}: no gradient", do)
            require_finite(p.grad, f"{what}: gradient", do)
            require(
                leverage(p, start) > ROUNDING * usual[name],
                f"{what}: its gradient is zero for ever (up to rounding; a bound where the output "
                "is even in the parameter, like a centre frequency of 0, has no slope)",
                do,
            )


@promise("frontend", "encoder", title="a gradient reaches the input, finite and not zero")
def input_gradient(subject: Subject) -> None:
    lobe = subject.build().train()
    x = subject.batch().requires_grad_()
    output = lobe(x)
    if not output.requires_grad and getattr(lobe, "fixed", False):
        return
    do = "do not detach the input: what stands before this lobe could not learn"
    require(output.requires_grad, "an output without a gradient", do)
    loss_of(output).backward()
    require(x.grad is not None and x.grad.any(), "no gradient", do)
    require_finite(x.grad, "gradient of the input", "avoid sqrt, log and division at zero")
