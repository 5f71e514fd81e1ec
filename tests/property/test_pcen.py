"""PCEN's smoothing: equal to the loop it replaces, at any length, in pieces, and trainable."""

import pytest
import torch

from auricle.processing.filterbank.pcen import (
    CHUNK_FRAMES,
    PCEN,
    linear_recurrence,
    smooth_energy,
)


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


def test_gradients():
    energy = energies(40).requires_grad_()
    decay = torch.tensor([0.96, 0.5, 0.1]).double().requires_grad_()
    state = energies(1)[:, 0].requires_grad_()
    assert torch.autograd.gradcheck(linear_recurrence, (energy, decay, state))


def test_pieces_equal_the_whole():
    pcen, energy = PCEN(3).double(), energies(100)
    state, pieces = None, []
    for piece in energy.split([1, 40, 33, 26], 1):
        out, state = pcen.stream(piece, state)
        pieces.append(out)
    torch.testing.assert_close(torch.cat(pieces, 1), pcen(energy))


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


def test_gradients_of_the_whole():
    pcen, energy = PCEN(3).double(), energies(40) + 1e-3
    values = [pcen.alpha, pcen.delta, pcen.root, pcen.smooth]

    def run(energy, *values):
        names = ("alpha", "delta", "root", "smooth")
        return torch.func.functional_call(pcen, dict(zip(names, values, strict=True)), energy)

    assert torch.autograd.gradcheck(run, (energy.requires_grad_(), *values))
