"""Lengths in samples and frames are exact; projection follows the optimiser."""

import pytest
import torch
from torch import nn

from auricle.lobes.contracts import (
    Encoder,
    Frontend,
    mask_padding,
    project_after,
    valid_lengths,
)


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


@pytest.mark.parametrize("hop", [1, 7, 160])
def test_num_frames_is_the_ceiling_and_frame_lengths_are_exact(hop):
    frontend = Frontend(sample_rate=16000, hop=hop, window=401, num_features=4)
    size = 983
    counts = torch.arange(size + 1)
    frames = frontend.frame_lengths(counts / size, size)
    total = frontend.num_frames(size)
    want = [(count + hop - 1) // hop for count in range(size + 1)]
    assert total == want[-1]
    assert [frontend.num_frames(count) for count in range(size + 1)] == want
    assert frames.dtype == torch.float32
    assert valid_lengths(frames, total).tolist() == want


def test_frame_lengths_of_a_frontend_that_drops_incomplete_frames():
    class Valid(Frontend):
        def num_frames(self, num_samples):
            return max(0, (num_samples - self.window) // self.hop + 1)

    frontend = Valid(16000, hop=160, window=401, num_features=4)
    counts = torch.tensor([0, 400, 401, 560, 561, 16000])
    frames = frontend.frame_lengths(counts / 16000, 16000)
    assert valid_lengths(frames, 98).tolist() == [0, 0, 1, 1, 2, 98]
    assert frontend.frame_lengths(None, 16000) is None


def test_an_item_without_samples_has_no_frames():
    """Centred framing gives one frame even for nothing."""

    class Centred(Frontend):
        def num_frames(self, num_samples):
            return num_samples // self.hop + 1

    frames = Centred(16000, 160, 401, 4).frame_lengths(torch.tensor([0.0, 1e-4, 1.0]), 16000)
    assert valid_lengths(frames, 101).tolist() == [0, 1, 101]


@pytest.mark.parametrize("argument", ["sample_rate", "hop", "window", "num_features"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_frontend_names_the_argument_that_is_no_positive_whole_number(argument, value):
    given = {"sample_rate": 16000, "hop": 160, "window": 401, "num_features": 40}
    with pytest.raises(ValueError, match=f"{argument} must be .* got {value}"):
        Frontend(**{**given, argument: value})


def test_encoder_counts_frames_by_its_stride():
    frames = Encoder(40, 8, "frames", stride=4)
    assert [frames.num_frames(n) for n in (1, 4, 5, 101)] == [1, 1, 2, 26]
    assert Encoder(40, 8, "utterance").num_frames(101) == 1
    with pytest.raises(ValueError, match='"frames" or "utterance", got \'both\''):
        Encoder(40, 8, "both")


@pytest.mark.parametrize("base", [Frontend(16000, 160, 401, 40), Encoder(40, 8, "frames")])
def test_the_options_of_a_lobe_that_reads_no_file_last_as_they_are(base):
    options = {"size": 3, "path": "is a name like any other"}
    assert base.lasting_options(options) == {"size": 3, "path": "is a name like any other"}


@pytest.mark.parametrize("base", [Frontend(16000, 160, 401, 40), Encoder(40, 8, "frames")])
def test_a_class_without_forward_says_so(base):
    with pytest.raises(TypeError, match="does not define forward"):
        base(torch.zeros(1, 4))


class Bounded(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, 0.5]))

    def project_(self):
        self.weight.clamp_(0.0, 1.0)


def test_project_after_projects_every_nested_part_after_each_step():
    model = nn.Sequential(nn.ModuleDict({"a": Bounded()}), nn.ModuleList([Bounded()]))
    alone = Bounded()
    parameters = [*model.parameters(), *alone.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    handle = project_after(optimizer, model, alone)
    direction = torch.tensor([5.0, -5.0])
    for _ in range(3):
        optimizer.zero_grad()
        sum((p * direction).sum() for p in parameters).backward()
        optimizer.step()
        for p in parameters:
            assert p.tolist() == [0.0, 1.0]
            assert p.requires_grad
    handle.remove()
    optimizer.step()
    assert all(p.tolist() == [-5.0, 6.0] for p in parameters)


def test_a_projected_parameter_keeps_learning_where_a_clamped_one_is_dead():
    """Why there is a project_ at all."""
    model = Bounded()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    project_after(optimizer, model)
    (10 * model.weight).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    (-0.25 * model.weight).sum().backward()
    optimizer.step()
    assert model.weight.tolist() == [0.25, 0.25]
