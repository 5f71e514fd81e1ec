"""PCEN's smoothing: equal to the loop it replaces, at any length, in pieces, and trainable."""

import math

import pytest
import torch

from auricle.lobes import build_frontend
from auricle.processing.filterbank.pcen import CHUNK_FRAMES, PCEN, smooth_energy


def energies(frames, channels=3, batch=2, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, frames, channels, generator=generator, dtype=dtype) ** 4


def looped(energy, smooth, state=None):
    mean, means = energy[:, 0] if state is None else state, []
    for frame in energy.unbind(1):
        mean = smooth * frame + (1 - smooth) * mean
        means.append(mean)
    return torch.stack(means, 1)


@pytest.mark.parametrize(
    "frames", [1, 2, CHUNK_FRAMES, CHUNK_FRAMES + 1, CHUNK_FRAMES**2 + 1, 1100]
)
def test_smoothing_equals_the_loop(frames):
    energy, smooth = energies(frames), torch.tensor([0.04, 0.5, 0.99]).double()
    torch.testing.assert_close(smooth_energy(energy, smooth), looped(energy, smooth))


def test_smoothing_at_the_ends_of_its_range():
    energy = energies(70)
    out = smooth_energy(energy, torch.tensor([0.0, 1.0, 0.5]).double())
    torch.testing.assert_close(out[..., 0], energy[:, :1, 0].expand(-1, 70))
    torch.testing.assert_close(out[..., 1], energy[..., 1])


def test_float32_holds_for_an_hour():
    """360,000 frames with a step half-way: the mean follows it and nothing drifts."""
    energy = torch.full((1, 360_000, 1), 1e-5)
    energy[:, 180_000:] = 3.0
    out = smooth_energy(energy, torch.tensor([0.04]))
    assert out.isfinite().all()
    torch.testing.assert_close(out[0, 179_999, 0], torch.tensor(1e-5), rtol=1e-5, atol=0)
    torch.testing.assert_close(out[0, -1, 0], torch.tensor(3.0), rtol=1e-5, atol=0)


@pytest.mark.slow
def test_gradients():
    energy = energies(CHUNK_FRAMES + 2, batch=1).requires_grad_()
    smooth = torch.tensor([0.04, 0.5, 0.9]).double().requires_grad_()
    state = energies(1, batch=1)[:, 0].requires_grad_()
    assert torch.autograd.gradcheck(smooth_energy, (energy, smooth, state))


def test_the_future_changes_nothing():
    pcen, energy = PCEN(3).double(), energies(100)
    changed = energy.clone()
    changed[:, 60:] *= 100
    torch.testing.assert_close(pcen(changed)[:, :60], pcen(energy)[:, :60])


def test_gain_is_normalised_away():
    """With alpha = 1 the output does not depend on the level (above the floor)."""
    pcen, energy = PCEN(3, alpha=1.0).double(), energies(50) + 0.1
    torch.testing.assert_close(pcen(1000 * energy), pcen(energy), rtol=1e-6, atol=1e-9)


def test_projection_keeps_every_value_usable():
    pcen = PCEN(3)
    with torch.no_grad():
        for name, value in {"alpha": 3.0, "delta": -5.0, "root": 0.1, "smooth": 1.7}.items():
            getattr(pcen, name).fill_(value)
    pcen.project_()
    assert pcen.alpha.max() <= 1 and pcen.root.min() >= 1 and pcen.delta.min() >= 0
    assert pcen.smooth.max() <= 1
    with torch.no_grad():
        pcen.root.add_(0.5)  # at root = 1 the output does not depend on delta
        pcen.smooth.sub_(0.5)
    out = pcen(energies(50, dtype=torch.float32))
    out.square().sum().backward()
    assert out.isfinite().all()
    for parameter in pcen.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().min() > 0


def test_autocast_leaves_it_in_float32():
    pcen, energy = PCEN(3), energies(50, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = pcen(energy)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, pcen(energy), atol=0, rtol=0)


@pytest.mark.slow
def test_gradients_of_the_whole():
    pcen, energy = PCEN(3).double(), energies(CHUNK_FRAMES + 2, batch=1) + 1e-3
    values = [pcen.alpha, pcen.delta, pcen.root, pcen.smooth]

    def run(energy, *values):
        names = ("alpha", "delta", "root", "smooth")
        return torch.func.functional_call(pcen, dict(zip(names, values, strict=True)), energy)

    assert torch.autograd.gradcheck(run, (energy.requires_grad_(), *values))


# -- parameters as logarithms --------------------------------------------------------------------

NAMES = ("alpha", "delta", "root", "smooth")


def in_logs(pcen):
    """The same values, as logarithms."""
    logs = PCEN(3, parameters="log", floor=pcen.floor).to(pcen.alpha.dtype)
    with torch.no_grad():
        for name in NAMES:
            getattr(logs, f"log_{name}").copy_(getattr(pcen, name).log())
    return logs


def drawn():
    """A PCEN with other values in every channel."""
    pcen = PCEN(3).double()
    with torch.no_grad():
        pcen.alpha.copy_(torch.tensor([0.3, 0.9, 1.0]))
        pcen.delta.copy_(torch.tensor([0.01, 1.5, 40.0]))
        pcen.root.copy_(torch.tensor([1.0, 2.5, 6.0]))
        pcen.smooth.copy_(torch.tensor([0.002, 0.3, 1.0]))
    return pcen


@pytest.mark.parametrize("make", [lambda: PCEN(3).double(), drawn], ids=["default", "drawn"])
def test_logarithms_give_the_same_output_at_the_same_values(make):
    linear, energy = make(), energies(300)
    logs = in_logs(linear)
    torch.testing.assert_close(logs(energy), linear(energy))
    # The chain rule: d / d log(value) = value * d / d value.
    linear(energy).square().sum().backward()
    logs(energy).square().sum().backward()
    for name in NAMES:
        parameter = getattr(linear, name)
        torch.testing.assert_close(
            getattr(logs, f"log_{name}").grad, parameter.grad * parameter.detach()
        )


def test_default_values_do_not_depend_on_the_parametrisation():
    logs, linear = PCEN(3, parameters="log"), PCEN(3)
    torch.testing.assert_close(logs.values(), linear.values())
    assert [name for name, _ in logs.named_parameters()] == [f"log_{name}" for name in NAMES]


@pytest.mark.parametrize("floor", [1e-12, 1e-6])
def test_gain_is_the_stable_form_at_any_level(floor):
    """exp(-alpha (log floor + log1p(M / floor))), from silence to an overload, in float32."""
    level = torch.tensor([0.0, 1e-20, 1e-12, 1e-6, 1.0, 1e6, 1e10])
    pcen = PCEN(7, smooth=1.0, floor=floor, parameters="log")
    alpha, delta, root, _ = (value.detach() for value in pcen.values())
    gain = torch.exp(-alpha * (math.log(floor) + torch.log1p(level.double() / floor)))
    expected = (level * gain + delta) ** (1 / root) - delta ** (1 / root)
    out = pcen(level.expand(1, 5, 7))
    torch.testing.assert_close(out[0, -1].double(), expected.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1e30, -1000.0, -20.0, 20.0, 1000.0, 1e30])
def test_no_value_of_a_logarithm_gives_nan_or_is_stuck(name, value):
    """Also without a projection: outside its range a parameter has the slope of the range's end."""
    pcen = PCEN(3, parameters="log")
    parameter = getattr(pcen, f"log_{name}")
    energy = energies(200, dtype=torch.float32)
    energy[:, :50] = 0  # silence first
    energy[:, 150:] *= 1e6
    with torch.no_grad():
        parameter.fill_(value)
        if name == "delta":
            pcen.log_root.fill_(1.0)
    out = pcen(energy.requires_grad_())
    out.sum().backward()
    assert out.isfinite().all() and energy.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in pcen.parameters())
    assert parameter.grad.abs().min() > 0
    kept = out.detach()
    pcen.project_()
    torch.testing.assert_close(pcen(energy.detach()), kept, rtol=1e-6, atol=0)
    low, high = PCEN.LOG_RANGES[name]
    assert math.log(low) - 1e-6 <= parameter.min() and parameter.max() <= math.log(high) + 1e-6


@pytest.mark.parametrize("make", [lambda: PCEN(3).double(), lambda: in_logs(drawn())])
def test_pieces_equal_the_whole(make):
    pcen, energy = make(), energies(100)
    state, pieces = None, []
    for piece in energy.split([1, 40, 33, 26], 1):
        out, state = pcen.stream(piece, state)
        pieces.append(out)
    torch.testing.assert_close(torch.cat(pieces, 1), pcen(energy))


@torch.no_grad()
def test_leaf_in_logarithms_equals_leaf_and_can_be_folded():
    linear, logs = (
        build_frontend("leaf", options={"leaf": {"num_features": 4, "pcen_parameters": kind}})
        for kind in ("linear", "log")
    )
    wavs = 0.1 * torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(logs(wavs), linear(wavs))
    logs.compression.log_smooth.add_(1.0)
    logs.compression.log_delta.sub_(0.5)
    assert (logs(wavs) - linear(wavs)).abs().max() > 0.01
    folded = logs.fold()
    torch.testing.assert_close(folded(wavs), logs(wavs), rtol=1e-4, atol=1e-5)
    first, state = folded.stream(wavs[:, :1234])
    rest, _ = folded.stream(wavs[:, 1234:], state, last=True)
    torch.testing.assert_close(torch.cat([first, rest], 1), folded(wavs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"parameters": "exp"}, "parameters must be one of .*'exp'"),
        ({"parameters": "log", "smooth": 0.0}, "smooth must lie in 0.0001 ... 1, got 0.0"),
        ({"parameters": "log", "root": 0.5}, "root must lie in 1 ... 100"),
    ],
)
def test_wrong_values_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PCEN(3, **options)
