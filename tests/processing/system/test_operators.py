"""A function as a torch operator: values, gradients, shapes, and what compilers make of it."""

import pytest
import torch

from auricle.processing.system.operators import is_traced, operator


def _products(
    x: torch.Tensor, y: torch.Tensor, last: torch.Tensor | None, times: int, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Reads values and takes conjugates, which tensors without data cannot and compilers forbid."""
    CALLS.append(x.requires_grad)
    assert x.sum().item() == x.sum().item() and name == "two"
    conjugate = torch.complex(x, y.expand_as(x)).conj()
    product = (conjugate * torch.complex(y, x)).imag * times
    return product.sin(), y.exp() if last is None else y.exp() + last


def _shapes(x, y, last, times, name):
    return torch.empty_like(x), torch.empty_like(y)


pytestmark = pytest.mark.slow  # torch.compile takes seconds to import
CALLS: list = []
products = operator("test_products", _products, _shapes)
X, Y = torch.linspace(-1, 1, 12).view(3, 4), torch.linspace(0.1, 2, 4)


def total(form, x, y):
    first, second = form(x, y, None, 2, "two")
    return first.sum() + (second * second).sum()


def gradients(function, *given):
    inputs = [tensor.clone().requires_grad_() for tensor in given]
    return torch.autograd.grad(function(*inputs), inputs)


EXPECTED = gradients(lambda *given: total(_products, *given), X, Y)


@pytest.mark.parametrize("compiler", [None, "eager", "aot_eager"])
def test_values_and_gradients_are_those_of_the_function(compiler):
    form = lambda *given: total(products, *given)  # noqa: E731
    if compiler:
        torch._dynamo.reset()
        form = torch.compile(form, backend=compiler, fullgraph=True)
    torch.testing.assert_close(gradients(form, X, Y), EXPECTED)
    torch.testing.assert_close(form(X, Y), total(_products, X, Y))
    with torch.inference_mode():
        torch.testing.assert_close(form(X, Y), total(_products, X, Y))


def test_backward_uses_the_graph_of_forward_unless_another_call_replaced_it():
    form = lambda *given: total(products, *given)  # noqa: E731
    CALLS.clear()
    gradients(form, X, Y)
    assert CALLS == [True]
    x, z = X.clone().requires_grad_(), (X + 1).requires_grad_()
    first, second = form(x, Y), form(z, Y)
    CALLS.clear()
    torch.testing.assert_close(torch.autograd.grad(first, x)[0], EXPECTED[0])
    assert CALLS == [True]  # once more
    torch.autograd.grad(second, z)
    assert CALLS == [True]  # its graph was still there


def test_a_graph_of_forward_is_found_for_inputs_that_were_computed_again():
    """A compiler makes small inputs anew for backward: other memory, another last digit."""
    x = X.clone().requires_grad_()
    first, _ = products(x, Y, None, 2, "two")
    node = first.grad_fn
    CALLS.clear()
    again = x.detach() * (1 + 1e-7), Y.clone(), None, 2, "two", [True, False]
    op = torch.ops.auricle.test_products_backward
    grads = [torch.ones_like(X), torch.zeros_like(Y)]
    found = op(grads, first.detach().clone(), *again)
    assert node is not None and not CALLS
    torch.testing.assert_close(found[0], op(grads, first.detach(), *again)[0])
    assert CALLS == [True]  # the graph was used up


@pytest.mark.parametrize("needed", [[False, False], [True, True], [True, False]])
def test_torch_checks_the_operator(needed):
    x, y = X.clone().requires_grad_(needed[0]), Y.clone().requires_grad_(needed[1])
    checks = torch.library.opcheck(products.op, (x, y, None, 2, "two", needed))
    assert set(checks.values()) == {"SUCCESS"}


def test_torch_func():
    form = lambda *given: total(products, *given)  # noqa: E731
    torch.testing.assert_close(torch.func.grad(form, argnums=(0, 1))(X, Y), EXPECTED)
    each = torch.func.vmap(torch.func.grad(form, argnums=1), in_dims=(0, None))(X[:, None], Y)
    rows = [gradients(lambda y: total(_products, row[None], y), Y)[0] for row in X]  # noqa: B023
    torch.testing.assert_close(each, torch.stack(rows))
    values = torch.func.vmap(form, in_dims=(None, 0))(X, torch.stack([Y, 2 * Y]))
    torch.testing.assert_close(values[1], total(_products, X, 2 * Y))


def test_exported_graphs_hold_the_operator():
    class Form(torch.nn.Module):
        def forward(self, x, y):
            return total(products, x, y)

    program = torch.export.export(Form(), (X, Y))
    assert "auricle.test_products" in str(program.graph)
    torch.testing.assert_close(program.module()(X, Y), total(_products, X, Y))


def test_is_traced_without_data():
    assert not is_traced(X, None) and is_traced(X, X.to("meta"))
    assert torch.func.vmap(lambda x: torch.tensor(float(is_traced(x))))(X).all()
    with torch._subclasses.FakeTensorMode() as mode:
        assert is_traced(mode.from_tensor(X))
