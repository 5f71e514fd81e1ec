"""EfficientLEAF against its formulas written out, LEAF's energies, and torch's batch norm."""

import math

import numpy as np
import pytest
import torch
from sounds import loud_and_quiet
from torch import nn

from auricle.lobes import build_frontend

SIGNALS = ["noise", "chirp", "vowel"]


def build(**options):
    return build_frontend("efficientleaf", options={"efficientleaf": options})


def perturb(frontend):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in frontend.parameters():
            p.mul_(1 + 0.2 * (torch.rand(p.shape, generator=generator) - 0.5))
    frontend.project_()
    return frontend


def written_out(wavs, centre, width, pooling_width, length, stride, hop=160, window=401):
    """Energies of one filter, (B, frames), in float64 and one sum after the other."""
    time = np.arange(length) - length // 2
    bell = np.exp(-(time**2) / (2 * width**2)) / (math.sqrt(2 * math.pi) * width)
    filter_ = bell * np.exp(1j * centre * time)
    pool = int(window / stride) // 2 * 2 + 1
    deviation = pooling_width / stride * window / pool * (pool - 1) / 2
    lag = np.arange(pool) - pool // 2
    weights = np.exp(-0.5 * (lag / deviation) ** 2)
    found = []
    for wave in wavs.double().numpy():
        # All samples, then every stride-th.
        filtered = np.convolve(wave, filter_[::-1])[length // 2 :][: len(wave)][::stride]
        energy = np.pad(np.abs(filtered) ** 2, pool // 2)
        places = range(0, len(filtered), hop // stride)
        found.append([np.dot(energy[k : k + pool], weights) for k in places])
    return torch.tensor(np.array(found))


@pytest.mark.parametrize("perturbed", [False, True], ids=["default", "perturbed"])
@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("eight_groups", [False, True], ids=["4 groups", "8 groups"])
@torch.no_grad()
def test_energies_equal_the_formulas(eight_groups, kind, perturbed):
    """float32 sums of squares: 1e-5 of each value, 1e-6 of the loudest where filters cancel."""
    options = {"num_groups": 8, "window_factor": 6.0, "stride_factor": 16.0} if eight_groups else {}
    frontend = build(**options)
    if perturbed:
        perturb(frontend)
    wavs = loud_and_quiet(kind)
    out, filter_ = frontend.energy(wavs).double(), 0
    sizes = zip(frontend.group_sizes, frontend.filter_samples, frontend.strides, strict=True)
    for size, length, stride in sizes:
        for i in range(filter_, filter_ + size, 2):
            values = (
                p[i].item() for p in (frontend.centre, frontend.width, frontend.pooling_width)
            )
            expected = written_out(wavs, *values, length, stride)
            torch.testing.assert_close(
                out[..., i], expected, rtol=1e-5, atol=1e-6 * out.max().item()
            )
        filter_ += size
    assert filter_ == 40


@pytest.mark.parametrize("perturbed", [False, True], ids=["default", "perturbed"])
@pytest.mark.parametrize("kind", SIGNALS)
@torch.no_grad()
def test_one_group_at_the_full_rate_is_leaf(kind, perturbed):
    """With 401 taps and stride 1 only the compression is left to differ."""
    frontend = build(num_groups=1, stride_factor=0.0)
    assert frontend.strides == [1] and frontend.filter_samples == [401]
    if perturbed:
        perturb(frontend)
    leaf = build_frontend("leaf", options={"leaf": {"backend": "direct"}})
    for name in ("centre", "width", "pooling_width"):
        getattr(leaf, name).copy_(getattr(frontend, name))
    wavs = loud_and_quiet(kind)
    torch.testing.assert_close(frontend.energy(wavs), leaf.energy(wavs), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("perturbed", [False, True], ids=["default", "perturbed"])
@torch.no_grad()
def test_logarithm_median_and_torchs_batch_norm(perturbed):
    frontend = build(num_filters=6)
    if perturbed:
        perturb(frontend)
    layer = nn.BatchNorm1d(12)
    layer.weight.copy_(frontend.batch_norm.weight)
    layer.bias.copy_(frontend.batch_norm.bias)
    for seed in range(3):
        wavs = 0.1 * torch.randn(3, 4000, generator=torch.Generator().manual_seed(seed))
        energy = frontend.energy(wavs).double()
        level = torch.log(1 + 10 ** frontend.log_gain.double() * energy)
        level = level.transpose(1, 2).float()
        both = torch.cat([level, level - level.median(-1, keepdim=True).values], 1)
        expected = layer(both).transpose(1, 2)
        torch.testing.assert_close(frontend(wavs), expected, atol=2e-5, rtol=1e-5)
    for ours, theirs in (("running_mean", "running_mean"), ("running_var", "running_var")):
        torch.testing.assert_close(
            getattr(frontend.batch_norm, ours), getattr(layer, theirs), rtol=1e-5, atol=1e-5
        )
    frontend.eval(), layer.eval()
    torch.testing.assert_close(frontend(wavs), layer(both).transpose(1, 2), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("parameters", ["log", "linear"])
@torch.no_grad()
def test_pcen_equals_the_loop_in_logarithms(parameters):
    """As the reference writes it: exp(-alpha (log eps + log1p(M / eps))), root as a power."""
    frontend = build(num_filters=6, compression="pcen", pcen_parameters=parameters)
    perturb(frontend)
    frontend.compression.project_()
    wavs = loud_and_quiet("noise")
    energy = frontend.energy(wavs).double()
    alpha, delta, root, smooth = (value.double() for value in frontend.compression.values())
    mean, means = energy[:, 0], []
    for frame in energy.unbind(1):
        mean = (1 - smooth) * mean + smooth * frame
        means.append(mean)
    gain = torch.exp(-alpha * (math.log(1e-6) + torch.log1p(torch.stack(means, 1) / 1e-6)))
    expected = (energy * gain + delta) ** (1 / root) - delta ** (1 / root)
    torch.testing.assert_close(frontend(wavs).double(), expected, atol=1e-5, rtol=1e-5)


def test_initial_pcen():
    values = build(num_filters=4, compression="pcen").compression.values()
    assert [value[0].item() for value in values] == pytest.approx([1.0, 1.0, 1.0, 0.025])


def test_published_lengths_and_strides():
    four, eight = build(), build(num_groups=8, window_factor=6.0, stride_factor=16.0)
    assert list(zip(four.strides, four.filter_samples, strict=True)) == [
        (10, 401),
        (4, 223),
        (2, 123),
        (1, 69),
    ]
    assert (eight.strides[0], eight.strides[-1]) == (160, 16)
    assert (eight.filter_samples[0], eight.filter_samples[-1]) == (505, 65)
