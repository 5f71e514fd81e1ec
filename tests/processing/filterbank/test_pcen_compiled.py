"""PCEN as compiled C equals the torch operators and float64, with all gradients, whatever comes in.

Where no compiler is on the PATH both sides are the torch operators, and the first test says so.
"""

import math
import shutil

import pytest
import torch

from auricle.processing.filterbank.engine import backend
from auricle.processing.filterbank.pcen import PARAMETERS, PCEN, _fits_c

HAS_COMPILER = any(map(shutil.which, ("cc", "gcc", "clang")))
NAMES = ("alpha", "delta", "root", "smooth")


@pytest.fixture(autouse=True)
def keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def make(channels, parameters="linear", **options):
    """Other values in every channel; at alpha = smooth = 1, gradients are lost in rounding."""
    pcen = PCEN(channels, parameters=parameters, **options)
    at = torch.linspace(0, 1, channels)
    values = {"alpha": 0.5 + 0.45 * at, "delta": 0.05 + 3 * at, "root": 1.5 + 3 * at}
    values["smooth"] = 0.05 + 0.77 * at**2
    with torch.no_grad():
        for name, value in values.items():
            if pcen.in_logs:
                getattr(pcen, f"log_{name}").copy_(value.log())
            else:
                getattr(pcen, name).copy_(value)
    return pcen


def energies(frames, channels, batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, frames, channels, generator=generator) ** 4 + 1e-6


def operators(monkeypatch):
    monkeypatch.setenv("AURICLE_COMPILED", "0")
    assert not backend.takes(torch.ones(1))


def is_compiled(tensor):
    return "_SmoothAndCompress" in tensor.grad_fn.name()


def run(pcen, energy, state, compiled):
    """Output, last smoothed frame, and the gradients of both with respect to everything."""
    pcen.zero_grad()
    energy = energy.detach().clone().requires_grad_()
    state = None if state is None else state.detach().clone().requires_grad_()
    out, last = pcen.stream(energy, state)
    assert is_compiled(out) == compiled
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(out.shape, generator=generator).to(out)
    of_last = torch.randn(last.shape, generator=generator).to(out)
    ((out * weights).sum() + (last * of_last).sum()).backward()
    grads = {name: parameter.grad.clone() for name, parameter in pcen.named_parameters()}
    grads["energy"] = energy.grad
    if state is not None:
        grads["state"] = state.grad
    return out.detach(), last.detach(), grads


def distance(found, expected):
    return (found.double() - expected.double()).norm() / expected.double().norm()


def test_it_is_compiled_where_there_is_a_compiler():
    """If not, everything below compares the torch operators with themselves."""
    assert backend.takes(torch.ones(1)) == HAS_COMPILER
    assert is_compiled(PCEN(2)(torch.ones(1, 3, 2))) == HAS_COMPILER


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("frames", [1, 5, 1000])
@pytest.mark.parametrize("channels", [1, 7, 8, 40])
def test_equals_the_operators_and_float64(channels, frames, with_state, parameters, monkeypatch):
    pcen, energy = make(channels, parameters), energies(frames, channels)
    state = energies(1, channels, seed=2)[:, 0] if with_state else None
    out, last, grads = run(pcen, energy, state, HAS_COMPILER)
    operators(monkeypatch)
    by_operators = run(pcen, energy, state, False)
    pcen = pcen.double()
    exact = run(pcen, energy.double(), None if state is None else state.double(), False)
    close = 5e-6 if HAS_COMPILER else 5e-5
    for (expected_out, expected_last, expected), near in ((by_operators, 1e-5), (exact, close)):
        torch.testing.assert_close(out, expected_out.float(), rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(last, expected_last.float(), rtol=2e-6, atol=0)
        assert grads.keys() == expected.keys()
        for name, grad in grads.items():
            if expected[name].norm() > 1e-6:  # at one frame that of smooth is zero without a state
                assert distance(grad, expected[name]) < near, name
            else:
                assert grad.norm() < 1e-5, name
    assert distance(last, exact[1]) < (1e-7 if HAS_COMPILER else 2e-6)


@pytest.mark.parametrize("learned", ["energy", "state", "values", "last"])
def test_gradients_of_one_thing_alone(learned, monkeypatch):
    """Gradients that nobody asks for are not written; an output that nobody uses has none."""
    pcen, energy, state = make(5), energies(70, 5), energies(1, 5, seed=2)[:, 0]
    for parameter in pcen.parameters():
        parameter.requires_grad_(learned in ("values", "last"))
    wanted = {"energy": [energy], "state": [state], "last": [pcen.smooth]}
    wanted = wanted.get(learned, [getattr(pcen, name) for name in NAMES])

    def found():
        [tensor.requires_grad_() for tensor in wanted]
        out, last = pcen.stream(energy, state)
        return torch.autograd.grad((last if learned == "last" else out.square()).sum(), wanted)

    compiled = found()
    operators(monkeypatch)
    for grad, expected in zip(compiled, found(), strict=True):
        assert distance(grad, expected) < 1e-5


@pytest.mark.parametrize("floor", [1e-12, 1e-6])
def test_from_silence_to_an_overload(floor):
    level = torch.tensor([0.0, 1e-30, 1e-12, 1e-6, 1.0, 1e6, 1e10])
    energy = torch.cat([level.expand(9, 7), energies(90, 7)[0], level.flip(0).expand(9, 7)])[None]
    pcen = make(7, floor=floor)
    out, last, grads = run(pcen, energy, None, HAS_COMPILER)
    exact_out, exact_last, exact = run(pcen.double(), energy.double(), None, False)
    torch.testing.assert_close(out, exact_out.float(), rtol=5e-6, atol=2e-6)
    torch.testing.assert_close(last, exact_last.float(), rtol=1e-6, atol=0)
    for name, grad in grads.items():
        assert grad.isfinite().all()
        assert distance(grad, exact[name]) < 1e-5, name


def test_silence_is_exactly_zero():
    out = make(7)(torch.zeros(2, 100, 7))
    torch.testing.assert_close(out, torch.zeros_like(out), rtol=0, atol=0 if HAS_COMPILER else 1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("smooth", [0.04, 1.0])
def test_a_broken_energy_is_seen(bad, smooth):
    """In its own channel from its frame on, for good, also in later pieces and in the gradients."""
    pcen, energy = PCEN(9, smooth=smooth), energies(150, 9)
    energy[1, 70, 8] = bad
    energy.requires_grad_()
    out, state = pcen.stream(energy)
    later, _ = pcen.stream(energy.detach()[:, :5], state.detach())
    out.sum().backward()
    clean = torch.ones_like(out, dtype=torch.bool)
    clean[1, 64 if not HAS_COMPILER else 70 :, 8] = False
    if HAS_COMPILER:
        assert out[~clean].isnan().all() and later[1, :, 8].isnan().all()
        assert out[clean].isfinite().all()
    assert out[1, 70, 8].isnan() and pcen.alpha.grad[8].isnan()
    assert pcen.alpha.grad[:8].isfinite().all()


@pytest.mark.slow
def test_a_million_frames():
    """Neither the slow mean nor the sums over frames lose their digits."""
    frames = 1_000_000
    pcen = PCEN(2, smooth=1e-4)
    energy = torch.ones(1, frames, 2)
    energy[:, frames // 2 :, 1] = 2.0
    energy[:, ::2] *= 0.5
    out, last, grads = run(pcen, energy, None, HAS_COMPILER)
    exact_out, exact_last, exact = run(pcen.double(), energy.double(), None, False)
    if HAS_COMPILER:
        torch.testing.assert_close(out, exact_out.float(), rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(last, exact_last.float(), rtol=2e-7, atol=0)
        for name, grad in grads.items():
            assert distance(grad, exact[name]) < 1e-5, name


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_pieces_equal_the_whole(parameters):
    pcen, energy = make(11, parameters), energies(300, 11)
    state, pieces = None, []
    for piece in energy.split([1, 0, 40, 64, 65, 130], 1):
        out, state = pcen.stream(piece, state)
        pieces.append(out)
    whole, last = pcen.stream(energy)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(state, last, rtol=1e-6, atol=0)


def test_no_frames():
    state = torch.ones(2, 3)
    out, kept = PCEN(3).stream(torch.ones(2, 0, 3), state)
    assert out.shape == (2, 0, 3) and kept is state
    assert PCEN(3).stream(torch.ones(2, 0, 3))[1] is None
    assert PCEN(3)(torch.ones(0, 4, 3)).shape == (0, 4, 3)


@pytest.mark.parametrize("channels", [7, 40])
def test_threads_change_no_bit(channels):
    pcen, energy = make(channels), energies(1000, channels)
    state = energies(1, channels, seed=2)[:, 0]
    both = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        both.append(run(pcen, energy, state, HAS_COMPILER))
    (out, last, grads), (other, other_last, other_grads) = both
    if HAS_COMPILER:
        assert torch.equal(out, other) and torch.equal(last, other_last)
        for name, grad in grads.items():
            assert torch.equal(grad, other_grads[name]), name


def test_any_layout_of_memory():
    pcen, energy = make(6), energies(20, 6)
    turned = energy.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    padded = torch.cat([energy, energy], 2)[..., :6]
    for other in (turned, padded):
        assert not other.is_contiguous()
        torch.testing.assert_close(pcen(other), pcen(energy), rtol=1e-6, atol=1e-6)


def test_the_output_may_be_changed_in_place():
    pcen, energy = make(6), energies(20, 6).requires_grad_()
    (expected,) = torch.autograd.grad(2 * pcen(energy).sum(), energy)
    (found,) = torch.autograd.grad(pcen(energy).mul_(2).sum(), energy)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("wrong", ["float64", "state", "tracing", "exporting", "switched off"])
def test_what_is_left_to_the_operators(wrong, monkeypatch):
    pcen, energy, state = make(3), energies(10, 3), None
    if wrong == "float64":
        pcen = pcen.double()
    elif wrong == "state":
        state = torch.ones(3, 3, dtype=torch.float64)
    elif wrong == "tracing":
        monkeypatch.setattr(torch.jit, "is_tracing", lambda: True)
    elif wrong == "exporting":
        monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    else:
        operators(monkeypatch)
    values = [value.detach() for value in pcen.values()]
    assert not _fits_c(energy.to(values[0]), state, *values)
    if wrong != "state":
        assert not is_compiled(pcen(energy))


def test_a_trace_holds_for_other_energies():
    pcen = make(3).requires_grad_(False)
    traced = torch.jit.trace(pcen, energies(10, 3))
    assert "_SmoothAndCompress" not in str(traced.inlined_graph)
    other = energies(10, 3, seed=5)
    torch.testing.assert_close(traced(other), pcen(other), rtol=2e-6, atol=2e-6)


def test_exp_and_log():
    if not HAS_COMPILER:
        return  # torch's are used

    def apply(name, values):
        out = torch.empty_like(values)
        backend.call(name, **{"from": values, "to": out, "count": len(values)})
        return out

    exponents = torch.cat([torch.linspace(-87.3, 88.7, 1_000_001), torch.linspace(-1, 1, 99_999)])
    exact = exponents.double().exp()
    assert ((apply("pcen_exp", exponents) - exact) / exact).abs().max() < 2e-7
    bits = [torch.arange(0x00800000, 0x7F800000, 1999), torch.arange(0x3F000000, 0x40000000, 17)]
    positive = torch.cat(bits).int().view(torch.float32)
    positive = positive[positive != 1]
    exact = positive.double().log()
    assert ((apply("pcen_log", positive) - exact) / exact).abs().max() < 2e-7
    inf, nan = math.inf, math.nan
    special = torch.tensor([0.0, -0.0, -1.0, -inf, inf, nan, 1.0, -1e-40, 1e-40])
    torch.testing.assert_close(apply("pcen_log", special), special.log(), equal_nan=True)
    special = torch.tensor([inf, -inf, nan, 89.0, 1e30, -1e30, -110.0, 0.0, -88.0, -0.0])
    torch.testing.assert_close(
        apply("pcen_exp", special), special.exp(), equal_nan=True, rtol=1e-6, atol=0
    )
