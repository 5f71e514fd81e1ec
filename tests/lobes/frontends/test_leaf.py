"""LEAF: what physics, padding, training and the contract ask of it."""

import math

import numpy as np
import pytest
import torch
from sounds import noise

from auricle.lobes import build_frontend
from auricle.lobes.contracts import project_after
from auricle.processing.filterbank.scales import bark_to_hz, hz_to_bark
from auricle.processing.filterbank.shapes import leaf_initial_values


def build(**options):
    return build_frontend("leaf", options={"leaf": options})


def test_linear_initial_filters_are_equally_spaced_and_wide():
    filters = build(init="linear", min_freq_hz=0.0, max_freq_hz=8000.0).filters()
    assert np.diff(filters.centre_hz) == pytest.approx(8000 / 41, rel=1e-4)
    assert filters.bandwidth_hz == pytest.approx(8000 / 41, rel=1e-4)


def test_bark_initial_filters_are_equally_spaced_on_zwickers_scale():
    # edges of his critical bands (1961)
    assert bark_to_hz(np.array([5.0, 10, 15, 20])) == pytest.approx([510, 1270, 2700, 6400], 0.02)
    spacing = np.diff(hz_to_bark(build(init="bark").filters().centre_hz))
    ends = hz_to_bark(np.array([60.0, 7800.0]))
    assert spacing == pytest.approx((ends[1] - ends[0]) / 41, rel=1e-3)


def test_random_initial_filters_follow_the_seed_and_stay_in_range():
    torch.manual_seed(1)
    first = build(init="random").filters()
    second = build(init="random").filters()
    torch.manual_seed(1)
    again = build(init="random").filters()
    assert (first.centre_hz == again.centre_hz).all()
    assert (first.centre_hz != second.centre_hz).any()
    mel = build().filters()
    assert (first.centre_hz[1:] > first.centre_hz[:-1]).all()
    assert 60 <= first.centre_hz.min() and first.centre_hz.max() <= 7800
    assert mel.bandwidth_hz.min() * 0.999 <= first.bandwidth_hz.min()
    assert first.bandwidth_hz.max() <= mel.bandwidth_hz.max() * 1.001


def test_default_initial_filters_are_those_of_the_reference():
    centre, width = leaf_initial_values(40, 16000, 60.0, 7800.0)
    for leaf in (build(), build(init="mel")):
        assert torch.equal(leaf.centre, centre) and torch.equal(leaf.width, width)


def test_every_parameter_gets_a_gradient():
    leaf = build()
    leaf(noise(2, 8000)).square().sum().backward()
    assert {name: bool(p.grad.abs().min() > 0) for name, p in leaf.named_parameters()} == {
        name: True for name, _ in leaf.named_parameters()
    }


def test_projected_parameters_learn_and_clamped_ones_are_dead():
    wavs, projected, clamped = noise(1, 4000), build(), build()
    with torch.no_grad():
        for leaf in (projected, clamped):
            leaf.width.fill_(1000.0)
            leaf.centre.fill_(4.0)
    projected.project_()
    projected(wavs).square().sum().backward()
    assert projected.width.grad.abs().max() > 0 and projected.centre.grad.abs().max() > 0

    width, centre = clamped.width, clamped.centre
    highest = build()
    highest.width.data.fill_(1e9)
    highest.project_()
    inside = {"width": width.clamp(max=highest.width.max().item()), "centre": centre.clamp(max=3.1)}
    torch.func.functional_call(clamped, inside, (wavs,)).square().sum().backward()
    assert width.grad.abs().max() == 0 and centre.grad.abs().max() == 0


@pytest.mark.slow
def test_filters_stay_in_range_at_a_high_learning_rate():
    leaf = build(num_features=8)
    optimizer = torch.optim.Adam(leaf.parameters(), lr=2.0)
    project_after(optimizer, leaf)
    wavs, unit = noise(2, 1600), math.sqrt(2 * math.log(2)) / math.pi
    seen = []
    for step in range(200):
        optimizer.zero_grad()
        # Every filter is pushed to its upper bounds first, then to its lower ones.
        push = leaf.width.sum() + leaf.centre.sum() + leaf.pooling_width.sum()
        (leaf(wavs).mean() + (push if step >= 100 else -push)).backward()
        optimizer.step()
        assert all(parameter.isfinite().all() for parameter in leaf.parameters())
        seen.append([leaf.width.max().item(), leaf.width.min().item(), leaf.centre.max().item()])
    highest, lowest = torch.tensor(seen).amax(0), torch.tensor(seen).amin(0)
    torch.testing.assert_close(highest[0], torch.tensor(401 * unit))
    torch.testing.assert_close(lowest[1], torch.tensor(4 * unit))
    torch.testing.assert_close(highest[2], torch.tensor(math.pi * (1 - 1 / 401)))
    torch.testing.assert_close(leaf.centre.min().detach(), torch.tensor(math.pi / 401))
    assert leaf(wavs).isfinite().all()


def test_bfloat16_autocast_stays_close():
    leaf, wavs = build(), noise(2, 8000)
    with torch.no_grad():
        expected = leaf(wavs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(leaf(wavs), expected, atol=0, rtol=0)
            rounded = leaf(wavs.bfloat16())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", ["leaf", "efficientleaf", "gammatone", "sincnet_plus"])
def test_projecting_a_frontend_projects_its_pcen(name):
    options = {} if name == "sincnet_plus" else {name: {"compression": "pcen"}}
    frontend = build_frontend(name, 16000, options)
    pcen = frontend.compression
    with torch.no_grad():
        for parameter in pcen.parameters():
            parameter.fill_(99.0)
    frontend.project_()
    projected = [parameter.clone() for parameter in pcen.parameters()]
    assert any((parameter < 99).all() for parameter in projected)
    pcen.project_()
    assert all(map(torch.equal, projected, pcen.parameters()))
