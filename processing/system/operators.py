"""Make a differentiable function one torch operator that compilers do not look into.

torch.compile, torch.export and torch.func run a function on tensors that have no data. A function
that reads values (to choose a plan) or passes addresses to C cannot run on those; as an operator
it runs later, on real tensors.
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import contextmanager

import torch

#: The namespace of the operators: torch.ops.auricle.NAME. A program that loads an exported graph
#: imports the module that registers them first.
NAMESPACE = "auricle"
_PLAIN = (torch.Tensor, torch.nn.Parameter)


def is_recorded() -> bool:
    """Whether torch compiles, exports or traces: a graph whose way may not depend on values.

    Example
    -------
    >>> is_recorded()
    False
    """
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def is_exported() -> bool:
    """Whether torch makes a program for other runtimes, where sizes may differ from the present ones.

    Example
    -------
    >>> is_exported()
    False
    """
    return is_exporting() or torch.jit.is_tracing()


def is_exporting() -> bool:
    """Whether torch.export records, as `torch.compiler.is_exporting` of newer versions says.

    Example
    -------
    >>> is_exporting()
    False
    """
    return torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()


def is_traced(*tensors: torch.Tensor | None) -> bool:
    """Whether torch compiles, exports or transforms: some of these tensors may have no data.

    Example
    -------
    >>> is_traced(torch.ones(2)), is_traced(torch.ones(2, device="meta"))
    (False, True)
    """
    return (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or any(type(t) not in _PLAIN or t.is_meta for t in tensors if t is not None)
    )


def operator(name: str, function: Callable, shapes: Callable) -> Callable:
    """Register a function as the operator auricle::NAME, with its backward.

    Arguments
    ---------
    name : str
    function : callable
        Tensors and numbers, annotated as torch.library.infer_schema asks, to a tensor or a tuple
        of tensors. Differentiable by autograd in its floating-point tensors; pure.
    shapes : callable
        Same arguments -> contiguous empty tensors of the results' shapes.

    Returns
    -------
    A function of the same arguments, and of the same results up to their memory layout. Where a
    gradient is needed, forward keeps its graph of autograd for its backward pass, one graph at a
    time; where that is gone, backward computes it again.
    torch.func.vmap calls the operator once per item. No second derivative, no forward mode.
    """
    kept: list[tuple[list, list, Sequence[torch.Tensor]]] = []
    parameters, returns = torch.library.infer_schema(function, mutates_args=())[1:].split(") -> ")
    name = f"{NAMESPACE}::{name}"
    single = not returns.startswith("(")

    def graph(args: list, needed: list[bool]) -> tuple[list, Sequence[torch.Tensor]]:
        flags = iter(needed)
        # Copies, here and of results: a compiler writes something else into memory it owns.
        inputs = [
            a.detach().clone().requires_grad_(next(flags)) if isinstance(a, torch.Tensor) else a
            for a in args
        ]
        with _eager(differentiable=True):
            outputs = function(*inputs)
        return inputs, (outputs,) if single else outputs

    def forward(*args):
        *args, needed = args
        if any(needed):
            inputs, outputs = graph(args, needed)
            kept[:] = [(needed, inputs, outputs)]
        else:
            with _eager(differentiable=False):
                outputs = function(*args)
            outputs = (outputs,) if single else outputs
        outputs = [o.detach().clone(memory_format=torch.contiguous_format) for o in outputs]
        return outputs[0] if single else tuple(outputs)

    def backward(grads, output, *args):
        *args, needed = args
        for of_needed, inputs, outputs in tuple(kept):
            # Equal results of inputs that differ by rounding at most: those of a small formula in
            # front, which a compiler computes again for backward, in another order.
            if of_needed == needed and torch.equal(outputs[0], output):
                if all(map(_is_near, inputs, args)):
                    kept.clear()
                    break
        else:
            inputs, outputs = graph(args, needed)
        learned = [a for a in inputs if isinstance(a, torch.Tensor) and a.requires_grad]
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if o.requires_grad]
        outputs, grads = zip(*pairs, strict=True)
        with _eager(differentiable=True):
            found = torch.autograd.grad(outputs, learned, grads, allow_unused=True)
        return [
            torch.zeros_like(a) if g is None else g.clone(memory_format=torch.contiguous_format)
            for a, g in zip(learned, found, strict=True)
        ]

    forward_op = torch.library.custom_op(
        name, forward, mutates_args=(), schema=f"({parameters}, bool[] needed) -> {returns}"
    )
    backward_op = torch.library.custom_op(
        f"{name}_backward",
        backward,
        mutates_args=(),
        schema=f"(Tensor[] grads, Tensor output, {parameters}, bool[] needed) -> Tensor[]",
    )
    forward_op.register_fake(lambda *args: shapes(*args[:-1]))
    backward_op.register_fake(
        lambda grads, output, *args: [
            a.new_empty(a.shape) for a, n in zip(_tensors(args), args[-1], strict=True) if n
        ]
    )

    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output if single else output[0], *_tensors(inputs))
        ctx.inputs = [None if isinstance(a, torch.Tensor) else a for a in inputs]
        ctx.is_tensor = [isinstance(a, torch.Tensor) for a in inputs]

    @torch.autograd.function.once_differentiable
    def differentiate(ctx, *grads):
        output, *saved = ctx.saved_tensors
        saved = iter(saved)
        args = [
            next(saved) if is_tensor else a
            for a, is_tensor in zip(ctx.inputs, ctx.is_tensor, strict=True)
        ]
        found = iter(backward_op([g.contiguous() for g in grads], output, *args))
        needed = iter(args[-1])
        return tuple(next(found) if t and next(needed) else None for t in ctx.is_tensor)

    forward_op.register_autograd(differentiate, setup_context=setup_context)
    for op in (forward_op, backward_op):
        op.register_vmap(_one_by_one(op))
    # torch.func differentiates only what has the form of an autograd.Function.
    members = {"forward": forward_op, "setup_context": setup_context, "backward": differentiate}
    members["vmap"] = _one_by_one(lambda *args: transformed.apply(*args))
    members = {name: staticmethod(member) for name, member in members.items()}
    transformed = type(name, (torch.autograd.Function,), members)

    def call(*args):
        grad = torch.is_grad_enabled()
        needed = [grad and t.requires_grad for t in _tensors(args)]
        if torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active():
            return forward_op(*args, needed)
        return transformed.apply(*args, needed)

    call.__doc__, call.__signature__ = function.__doc__, inspect.signature(function)
    call.op = forward_op
    return call


def _tensors(args: Sequence) -> list[torch.Tensor]:
    return [a for a in args if isinstance(a, torch.Tensor)]


def _is_near(one, other) -> bool:
    """Whether two arguments are the same but for rounding, cheaply where they are the same memory."""
    if not isinstance(one, torch.Tensor):
        return one == other
    if one.shape != other.shape or one.dtype != other.dtype or one.device != other.device:
        return False
    same = one.data_ptr() == other.data_ptr() and one.stride() == other.stride()
    return same or torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def _one_by_one(op: Callable) -> Callable:
    """The vmap rule that calls an operator for each item and stacks the results."""

    def item(arg, dim, i):
        if isinstance(arg, list) and isinstance(dim, list | tuple):
            return [item(a, d, i) for a, d in zip(arg, dim, strict=True)]
        return arg.select(dim, i) if isinstance(arg, torch.Tensor) and dim is not None else arg

    def rule(info, in_dims, *args):
        results = [
            op(*(item(a, d, i) for a, d in zip(args, in_dims, strict=True)))
            for i in range(info.batch_size)
        ]
        if isinstance(results[0], torch.Tensor):
            return torch.stack(results), 0
        stacked = type(results[0])(map(torch.stack, zip(*results, strict=True)))
        return stacked, type(results[0])(0 for _ in stacked)

    return rule


#: Keys of torch's dispatcher that it may switch off around an operator: lazy conjugation and
#: negation, which are views whose data are read wrongly without their key, and autograd.
_LAZY = ("Conjugate", "Negative", "ZeroTensor")
_AUTOGRAD = ("AutogradFunctionality", "ADInplaceOrView")


@contextmanager
def _eager(differentiable: bool):
    """Run torch's functions inside an operator as outside of one, with autograd or without."""
    excluded = torch._C._dispatch_tls_local_exclude_set()
    for key in (*_LAZY, *_AUTOGRAD) if differentiable else _LAZY:
        excluded = excluded.remove(getattr(torch._C.DispatchKey, key))
    included = torch._C._dispatch_tls_local_include_set()
    with torch._C._ForceDispatchKeyGuard(included, excluded):
        with torch.set_grad_enabled(differentiable):
            yield
