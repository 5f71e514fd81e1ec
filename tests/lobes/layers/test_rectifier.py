"""ReLU for compilers: torch's values and gradients (tests/bench/compiled.py has its time)."""

import torch

from auricle.lobes.layers.rectifier import _Relu, relu


def test_values_and_gradients_are_those_of_torch():
    x = torch.tensor([-2.0, -0.0, 0.0, 0.5, float("inf"), float("nan")], requires_grad=True)
    expected = torch.nn.functional.relu(x)
    slope = torch.arange(1.0, 7)
    (wanted,) = torch.autograd.grad(expected, x, slope)
    for y in (relu(x.clone()), _Relu.apply(x)):
        torch.testing.assert_close(y, expected, equal_nan=True)
        (got,) = torch.autograd.grad(y, x, slope)
        torch.testing.assert_close(got[:5], wanted[:5])
