"""Frames are counted exactly; projection follows the optimiser."""

import pytest
import torch
from refusals import refused
from torch import nn

from auricle.lobes.contracts import Encoder, Frontend, project_after, valid_lengths


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


def test_frames_of_items_are_recorded_for_any_batch():
    frontend = Frontend(16000, hop=160, window=401, num_features=4)
    example = torch.tensor([1.0, 0.5]), torch.zeros(2, 1600)

    def frames(lengths, wavs):
        return frontend.frames_of_items(lengths, wavs.shape[1])

    recorded = torch.jit.trace(frames, example, check_trace=False)
    other = torch.tensor([1.0, 0.7, 0.0]), torch.zeros(3, 2001)
    assert torch.equal(recorded(*other), frames(*other))


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
    refused(f"{argument} must be .* got {value}", Frontend, **{**given, argument: value})


def test_encoder_counts_frames_by_its_stride():
    frames = Encoder(40, 8, "frames", stride=4)
    assert [frames.num_frames(n) for n in (1, 4, 5, 101)] == [1, 1, 2, 26]
    assert Encoder(40, 8, "utterance").num_frames(101) == 1
    refused('"frames" or "utterance", got \'both\'', Encoder, 40, 8, "both")


@pytest.mark.parametrize("base", [Frontend(16000, 160, 401, 40), Encoder(40, 8, "frames")])
def test_the_options_of_a_lobe_that_reads_no_file_last_as_they_are(base):
    options = {"size": 3, "path": "is a name like any other"}
    assert base.lasting_options(options) == {"size": 3, "path": "is a name like any other"}


@pytest.mark.parametrize("base", [Frontend(16000, 160, 401, 40), Encoder(40, 8, "frames")])
def test_a_class_without_forward_says_so(base):
    refused("does not define forward", base, torch.zeros(1, 4), error=TypeError)


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
