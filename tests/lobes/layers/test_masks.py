"""Counts and masks are exact for every length; what is masked equals each item alone."""

import pytest
import torch
from torch import nn

from auricle.lobes.layers.batch_norm import masked_batch_norm
from auricle.lobes.layers.masks import (
    batch_mask,
    frame_counts,
    mask_padding,
    reflect_items,
    reversed_items,
    strided_counts,
    trim_padding,
    valid_lengths,
)
from auricle.lobes.layers.statistics import even_weights, masked_mean, masked_softmax, moments

COUNTS = [20, 10, 4]
PARTS = torch.tensor(COUNTS) / 20


@pytest.mark.parametrize("size", [1, 2, 3, 160, 401, 16000, 48000, 160000])
def test_valid_lengths_recover_every_count_from_float32(size):
    counts = torch.arange(0, size + 1, max(1, size // 997))
    relative = counts / size
    assert relative.dtype == torch.float32
    got = valid_lengths(relative, size)
    assert got.dtype == torch.int64
    assert torch.equal(got, counts)


def test_valid_lengths_are_exact_for_ten_minutes():
    """float32 carries 24 bits, which is enough to name each of 9.6 million samples."""
    size = 600 * 16000
    counts = torch.tensor([1, 2, size // 3, size // 2 + 1, size - 2, size - 1, size])
    assert torch.equal(valid_lengths((counts.double() / size).float(), size), counts)


def test_valid_lengths_stay_inside_and_pass_none():
    assert valid_lengths(torch.tensor([-0.5, 1.5]), 10).tolist() == [0, 10]
    assert valid_lengths(None, 10) is None


@pytest.mark.parametrize("shape", [(5, 211), (5, 211, 3), (5, 211, 3, 2)])
def test_mask_padding_keeps_exactly_the_valid_part(shape):
    counts = torch.tensor([0, 1, 100, 210, 211])
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 10
    masked = mask_padding(x, counts / 211)
    for item, count in enumerate(counts):
        assert torch.equal(masked[item, :count], x[item, :count])
        assert not masked[item, count:].any()


def test_mask_padding_for_every_length_of_a_few_hundred_samples():
    size = 307
    counts = torch.arange(size + 1)
    masked = mask_padding(torch.ones(size + 1, size), counts / size)
    assert torch.equal(masked.sum(1).long(), counts)
    assert torch.equal(masked, torch.ones(size + 1, size).tril(-1))


@pytest.mark.parametrize("filling", [float("nan"), float("inf")])
def test_mask_padding_takes_out_what_is_not_finite(filling):
    """A logarithm without a floor is -inf on zero padding; times zero that would be NaN."""
    x = torch.tensor([[1.0, filling], [1.0, 2.0]], requires_grad=True)
    masked = mask_padding(x, torch.tensor([0.5, 1.0]))
    assert masked.tolist() == [[1.0, 0.0], [1.0, 2.0]]
    masked.sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_mask_padding_without_lengths_is_the_input_itself_and_keeps_the_type():
    x = torch.ones(2, 4, dtype=torch.bfloat16)
    assert mask_padding(x, None) is x
    assert mask_padding(x, torch.tensor([1.0, 0.5])).dtype == torch.bfloat16


@pytest.mark.parametrize("stride", [1, 2, 3, 7])
def test_strided_counts_are_those_of_each_item_alone(stride):
    want = [len(range(0, count, stride)) for count in COUNTS]
    assert strided_counts(torch.tensor(COUNTS), stride).tolist() == want
    assert strided_counts(None, stride) is None


def test_trimming_leaves_the_longest_item_and_no_counts_where_all_are_alike():
    feats = torch.randn(3, 20, 2)
    trimmed, counts = trim_padding(feats, PARTS / 2)
    assert torch.equal(trimmed, feats[:, :10]) and counts.tolist() == [10, 5, 2]
    trimmed, counts = trim_padding(feats, torch.full((3,), 0.5))
    assert trimmed.shape == (3, 10, 2) and counts is None
    assert frame_counts(feats, torch.tensor([0.0, 0.01, 1.0])).tolist() == [1, 1, 20]


@pytest.mark.parametrize(("before", "behind"), [(3, 3), (0, 5), (7, -4), (45, 30)])
def test_reflection_is_that_of_each_item_alone(before, behind):
    x = torch.randn(3, 2, 20)
    got = reflect_items(x, torch.tensor(COUNTS), before, behind)
    assert got.shape == (3, 2, before + 20 + behind)
    for item, count in enumerate(COUNTS):
        alone = x[item, :, :count]
        there_and_back = torch.cat([alone, alone[:, 1:-1].flip(1)], dim=1)
        for place in range(before + count + behind):
            want = there_and_back[:, (place - before) % (2 * count - 2)]
            assert torch.equal(got[item, :, place], want)
    whole = torch.tensor([20, 20, 20])
    assert torch.equal(
        reflect_items(x, None, before, behind), reflect_items(x, whole, before, behind)
    )


def test_reflection_of_a_single_step_repeats_it():
    x = torch.tensor([[[5.0, 9.0]]])
    assert reflect_items(x, torch.tensor([1]), 2, 1).tolist() == [[[5.0] * 5]]


def test_reversed_items_are_those_of_each_item_alone():
    x = torch.randn(3, 20, 2)
    got = reversed_items(x, torch.tensor(COUNTS))
    for item, count in enumerate(COUNTS):
        assert torch.equal(got[item, :count], x[item, :count].flip(0))
        assert torch.equal(got[item, count:], x[item, count:])


@pytest.mark.parametrize(("norm", "axis"), [(nn.BatchNorm1d, 2), (nn.BatchNorm2d, 2), (nn.BatchNorm2d, 3)])  # fmt: skip
def test_batch_norm_is_that_of_the_valid_frames_side_by_side(norm, axis):
    x = torch.randn((3, 4, 20, 20)[: 3 if norm is nn.BatchNorm1d else 4]) * 3 + 1
    mask = batch_mask(torch.zeros(3, 20, 1), PARTS)
    ours, torchs = norm(4), norm(4)
    parts = [x[i : i + 1].narrow(axis, 0, n) for i, n in enumerate(COUNTS)]
    expected = torchs(torch.cat(parts, dim=axis)).split(COUNTS, dim=axis)
    got = masked_batch_norm(ours, x, mask, axis)
    for item, part in enumerate(expected):
        torch.testing.assert_close(
            got[item : item + 1].narrow(axis, 0, part.shape[axis]), part, atol=1e-5, rtol=1e-5
        )
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    ours.eval(), torchs.eval()
    assert torch.equal(masked_batch_norm(ours, x, mask, axis), ours(x))


def test_moments_are_those_of_the_valid_frames():
    x = torch.randn(3, 4, 20) + 5
    mask = batch_mask(x.transpose(1, 2), PARTS)
    mean, variance = moments(x, even_weights(x, mask))
    torch.testing.assert_close(mean, masked_mean(x, mask, (2,)))
    for item, count in enumerate(COUNTS):
        part = x[item, :, :count]
        torch.testing.assert_close(mean[item, :, 0], part.mean(1))
        torch.testing.assert_close(variance[item, :, 0], part.var(1, correction=0))
    weights = masked_softmax(x, mask)
    torch.testing.assert_close(weights[1, :, :10], x[1, :, :10].softmax(1))
    assert not weights[1, :, 10:].any()
