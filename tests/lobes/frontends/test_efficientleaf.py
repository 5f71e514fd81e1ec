"""EfficientLEAF: what physics, padding, its batch norm, training and bad input ask of it."""

import math

import numpy as np
import pytest
import torch
from sounds import noise
from torch import nn

from auricle.lobes import build_frontend
from auricle.lobes.contracts import project_after
from auricle.lobes.layers.batch_norm import TemporalBatchNorm
from auricle.lobes.layers.statistics import masked_median

UNIT = math.sqrt(2 * math.log(2)) / math.pi


def build(sample_rate=16000, **options):
    options = {"efficientleaf": options}
    return build_frontend("efficientleaf", sample_rate=sample_rate, options=options)


def test_filters_are_what_the_parameters_say():
    found = build().filters(num_bins=4096)
    assert (np.diff(found.centre_hz) > 0).all() and len(found) == 40
    peaks = found.freqs_hz[found.responses.argmax(1)]
    assert peaks == pytest.approx(found.centre_hz, abs=4)
    # 0.75 times the distance between the neighbours' centres, as its docstring says.
    distance = found.centre_hz[2:] - found.centre_hz[:-2]
    assert found.bandwidth_hz[1:-1] == pytest.approx(0.75 * distance, rel=0.01)


@torch.no_grad()
def test_channels():
    wavs = noise(2, 4000)
    both, level, difference = (
        build(num_filters=6, channels=channels).eval()
        for channels in ("both", "level", "difference")
    )
    assert (both.num_features, level.num_features, difference.num_features) == (12, 6, 6)
    torch.testing.assert_close(torch.cat([level(wavs), difference(wavs)], 2), both(wavs))
    torch.testing.assert_close(
        level(wavs), torch.log1p(1e5 * level.energy(wavs)) / math.sqrt(1 + 1e-5)
    )
    median = difference(wavs).median(1).values
    torch.testing.assert_close(median, torch.zeros_like(median))


@torch.no_grad()
def test_without_lengths_the_median_sees_the_padding():
    """The reference's dependence on padding, which lengths remove."""
    frontend, wavs = build().eval(), noise(1, 4000)
    wavs[:, 1500:] = 0
    alone = frontend(wavs[:, :1500])
    with_lengths = frontend(wavs, torch.tensor([1500 / 4000]))[:, :10]
    torch.testing.assert_close(with_lengths, alone, atol=1e-4, rtol=1e-4)
    difference = (frontend(wavs)[:, :10] - alone).abs()
    assert difference[:, :7, 40:].min() > 0.5 and difference[:, :7, :40].max() < 1e-4


def test_training_statistics_count_valid_frames_only():
    """A padded batch trains as the joined clips do: equal to torch's batch norm over them."""
    norm, layer = TemporalBatchNorm(5), nn.BatchNorm1d(5)
    feats, frames = noise(3, 20, 5, scale=2.0) + 1, torch.tensor([20, 7, 1])
    inside = torch.arange(20) < frames[:, None]
    padded = feats.masked_fill(~inside[..., None], 1e6).requires_grad_()
    joined = feats[inside].requires_grad_()
    out, expected = norm(padded, frames)[inside], layer(joined)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(norm.running_mean, layer.running_mean)
    torch.testing.assert_close(norm.running_var, layer.running_var)
    direction = noise(28, 5, seed=4)
    (out * direction).sum().backward()
    (expected * direction).sum().backward()
    torch.testing.assert_close(padded.grad[inside], joined.grad, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(norm.weight.grad, layer.weight.grad)
    assert (padded.grad[~inside] == 0).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 8, 9])
def test_masked_median_is_torchs_median(frames):
    feats = noise(2, 9, 4)
    found = masked_median(feats, torch.tensor([frames, 9]))
    assert torch.equal(found[0, 0], feats[0, :frames].median(0).values)
    assert torch.equal(found[1, 0], feats[1].median(0).values)


def test_an_item_without_frames_is_finite_and_teaches_nothing():
    frontend, wavs = build(), noise(2, 4000).requires_grad_()
    out = frontend(wavs, torch.tensor([1.0, 0.0]))
    assert out.isfinite().all()
    out[:1].square().sum().backward()
    assert wavs.grad[1].abs().max() == 0 and wavs.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in frontend.parameters())


@pytest.mark.long
def test_filters_stay_in_range_at_a_high_learning_rate():
    frontend = build(num_filters=8)
    optimizer = torch.optim.Adam(frontend.parameters(), lr=2.0)
    project_after(optimizer, frontend)
    wavs, shapes = noise(1, 1600), frontend.filter_samples
    pushed = (frontend.width, frontend.centre, frontend.pooling_width, frontend.log_gain)
    seen = []
    for step in range(200):
        optimizer.zero_grad()
        # Every filter is pushed to its upper bounds first, then to its lower ones.
        push = sum(p.sum() for p in pushed)
        (frontend(wavs).square().mean() + (push if step >= 100 else -push)).backward()
        if step in (99, 199):
            assert all(p.grad.abs().max() > 0 for p in frontend.parameters())
        optimizer.step()
        assert all(p.isfinite().all() for p in frontend.parameters())
        seen.append(torch.stack([p.detach().clone() for p in pushed]))
    highest, lowest = torch.stack(seen).amax(0), torch.stack(seen).amin(0)
    bound = torch.tensor(shapes).repeat_interleave(2) * UNIT
    torch.testing.assert_close(highest[0], bound)
    torch.testing.assert_close(lowest[0], torch.full((8,), 2 * UNIT))
    assert highest[1].max() < math.pi and lowest[1].min() > 0
    torch.testing.assert_close(highest[2], torch.full((8,), 0.5))
    # LEAF's bound, or 0.2 samples at the group's rate.
    groups = zip(frontend.pool_sizes, frontend.strides, strict=True)
    narrowest = [max(2 / 401, 0.4 * s * p / 401 / (p - 1)) for p, s in groups]
    torch.testing.assert_close(lowest[2], torch.tensor(narrowest).repeat_interleave(2))
    assert highest[3].max() == 8 and lowest[3].min() == 0
    assert frontend.filter_samples == shapes and frontend(wavs).isfinite().all()


@pytest.mark.parametrize("stride_factor", [0.0, 1.0, 16.0])
def test_every_pooling_width_learns_at_its_bounds(stride_factor):
    """Also where a pooling window has three samples: at 2 / 401 its outer two would be 0."""
    frontend = build(num_groups=8, window_factor=6.0, stride_factor=stride_factor, window_ms=10.0)
    for bound in (-1.0, 1.0):
        with torch.no_grad():
            frontend.pooling_width.fill_(bound)
        frontend.project_()
        frontend.zero_grad()
        frontend.energy(noise(1, 1600)).sum().backward()
        assert frontend.pooling_width.grad.abs().min() > 0


def test_shapes_are_those_of_the_initial_filters():
    """Strides and lengths do not follow the parameters, so a trained state fits a new instance."""
    trained, fresh = build(), build()
    with torch.no_grad():
        trained.centre.mul_(0.5)
        trained.width.mul_(0.5)
    fresh.load_state_dict(trained.state_dict())
    wavs = noise(1, 4000)
    assert torch.equal(trained.eval()(wavs), fresh.eval()(wavs))
    assert trained.strides == [10, 4, 2, 1]


@pytest.mark.parametrize("frames", [[0, 0], [1, 0]])
def test_too_few_frames_leave_the_running_statistics_alone(frames):
    """`nn.BatchNorm1d` refuses a batch of one; a decayed variance would last for many batches."""
    norm = TemporalBatchNorm(3).train()
    out = norm(noise(2, 5, 3), torch.tensor(frames))
    assert out.isfinite().all()
    assert norm.running_mean.tolist() == [0, 0, 0] and norm.running_var.tolist() == [1, 1, 1]
