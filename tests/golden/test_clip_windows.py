"""Windows that cover a clip, and their mean, alone and in the encoders that use them."""

import math

import pytest
import torch
from every_encoder import WINDOWED, build, close, features_of, perturbed

from auricle.lobes.layers.clip_windows import cut_windows, mean_of_windows


@pytest.mark.parametrize("frames", [1, 2, 9, 10, 11, 19, 20, 21, 100, 101, 109])
def test_windows_cover_a_clip_evenly_and_no_more_often_than_needed(frames):
    x, counts = cut_windows(torch.arange(float(frames)).view(1, -1, 1), None, 10)
    x = x[..., 0].long()
    assert counts == [max(1, math.ceil(frames / 10))] == [len(x)]
    assert set(x.flatten().tolist()) == set(range(frames))
    if frames < 10:
        assert x[0].tolist() == [i % frames for i in range(10)]
        return
    assert x[0, 0] == 0 and x[-1, -1] == frames - 1
    assert (x.diff(dim=1) == 1).all()
    steps = x[:, 0].diff()
    assert len(x) == 1 or (steps.max() <= 10 and steps.max() - steps.min() <= 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", WINDOWED)
@torch.no_grad()
def test_a_clip_is_the_mean_of_its_windows(name):
    encoder, size = perturbed(build(name)), WINDOWED[name]
    feats = torch.randn(2, 2 * size, features_of(name)) * torch.tensor([0.3, 2.0])[:, None, None]
    halves = [encoder(half) for half in feats.split(size, dim=1)]
    close(encoder(feats), sum(halves) / 2)
    overlapping = (encoder(feats[:, :size]) + encoder(feats[:, 5 : size + 5])) / 2
    close(encoder(feats[:, : size + 5]), overlapping)
    short = feats[:, : size // 3]
    close(encoder(short), encoder(short.repeat(1, 4, 1)[:, :size]))


def test_the_mean_is_of_each_clip_s_own_windows():
    x = torch.tensor([[1.0], [2.0], [6.0], [5.0]], dtype=torch.bfloat16)
    mean = mean_of_windows(x, [1, 3])
    torch.testing.assert_close(mean, torch.tensor([[1.0], [13 / 3]]))


def test_windows_side_by_side_are_the_input_itself():
    feats = torch.randn(2, 30, 1)
    x, counts = cut_windows(feats, torch.ones(2), 10)
    assert counts == [3, 3] and x.data_ptr() == feats.data_ptr()
