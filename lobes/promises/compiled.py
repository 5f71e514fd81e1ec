"""Promise about compilers: what `torch.compile` makes of a lobe computes the same."""

import copy

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from .subject import PARTS, Subject, loss_of, promise, require, shape_of

#: Largest difference of a value or gradient, relative to the largest one or to 1.
TOLERANCE = 1e-4
#: Of the largest gradient of any parameter, what is rounding in that of another: in front of a
#: normalisation a bias has no gradient but that.
ROUNDING = 1e-5


@promise("frontend", "encoder", title="compiled, it gives the same values and gradients")
def compiled(subject: Subject) -> None:
    # As a user has it who evaluates, and with every gradient.
    for every in (False, True):
        require_same_compiled(subject, "eager", training=every, of_input=every)


def require_same_compiled(
    subject: Subject,
    backend: str,
    training: bool,
    of_input: bool,
    dtype: torch.dtype = torch.float32,
) -> None:
    """A lobe and its compiled twin go through the same steps and stay equal.

    Two lengths of padded batches, in evaluation one without `lengths` too. What is drawn at random
    is drawn from the same seed, but for dropout, which is off.

    Arguments
    ---------
    backend : str
        Of `torch.compile`. "eager" finds what differs by the way through the code, "aot_eager" also
        what an operator's recorded form and its gradients do, "inductor" what is made of it.
    training : bool
        Training mode, with gradients of the parameters and running statistics.
    of_input : bool
        With the gradient of the input; in evaluation, without it, no gradient is recorded.
    dtype : torch.dtype
        Of parameters and input. float64 is for a lobe that multiplies the rounding of float32.
    """
    mode = f"in {'training' if training else 'evaluation'} mode"
    mode += f", {'with' if of_input else 'without'} the gradient of the input, backend {backend}"
    torch.compiler.reset()
    plain = subject.build().train(training).to(dtype)
    for part in plain.modules():
        if isinstance(part, _DropoutNd):
            part.p = 0.0
        elif isinstance(part, nn.RNNBase):
            part.dropout = 0.0
    broken = getattr(plain, "graph_break", "")
    require(isinstance(broken, str), f"graph_break {broken!r}", "state the reason in a sentence")
    twin = copy.deepcopy(plain)
    run = torch.compile(twin, fullgraph=not broken, backend=backend)
    shorter = subject.size * 3 // 4
    sizes = [subject.size] + [shorter] * subject.takes(plain, shorter)
    for size in sizes:
        for lengths in (torch.tensor(PARTS), None)[: 1 if training or of_input else 2]:
            x = subject.batch(size).to(dtype)
            want = _step(plain, plain, x, lengths, of_input)
            try:
                got = _step(run, twin, x, lengths, of_input)
            except Exception as error:
                require(
                    False,
                    f"{mode}: torch.compile with fullgraph=True raises {type(error).__name__}: "
                    + "\n  ".join(str(error).splitlines()[:3]),
                    "let no value of a tensor decide on Python's way in forward (int(), tolist(), "
                    "if), make an operator of foreign code (torch.library.custom_op), or say in "
                    "the attribute graph_break why the lobe cannot be one graph",
                )
            largest = max(
                [p.grad.abs().max() for p in plain.parameters() if p.grad is not None], default=0
            )
            for name in want:
                least = ROUNDING / TOLERANCE * largest if name.startswith("gradient") else 0
                _require_near(got[name], want[name], max(1.0, least), f"{mode}: {name} of {size}")


def _step(
    run: nn.Module, lobe: nn.Module, x: torch.Tensor, lengths: torch.Tensor | None, of_input: bool
) -> dict[str, torch.Tensor | None]:
    """Output, gradients and buffers."""
    torch.manual_seed(0)
    lobe.zero_grad()
    x = x.clone().requires_grad_(of_input)
    with torch.set_grad_enabled(lobe.training or of_input):
        output = run(x, lengths)
    if output.requires_grad:
        loss_of(output).backward()
    return {
        "output": output.detach(),
        "gradient of the input": x.grad,
        **{f"gradient of {name}": p.grad for name, p in lobe.named_parameters()},
        **{f"buffer {name}": buffer.clone() for name, buffer in lobe.named_buffers()},
    }


def _require_near(
    got: torch.Tensor | None, want: torch.Tensor | None, least: float, what: str
) -> None:
    do = "compute the same where torch.compiler.is_compiling() and where it is not"
    if got is None or want is None:
        require(got is want, f"{what}: {'none' if got is None else 'one'}, not so uncompiled", do)
        return
    require(got.shape == want.shape, f"{what}: {shape_of(got)} instead of {shape_of(want)}", do)
    if not want.numel():
        return
    off = (got.double() - want.double()).abs().max() / max(least, want.double().abs().max())
    require(off <= TOLERANCE, f"{what}: differs by {off:.2g}, allowed {TOLERANCE:g}", do)
