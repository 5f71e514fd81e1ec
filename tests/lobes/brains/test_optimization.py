"""Optimisers and schedules: groups, ranges, and the rate as a function of progress alone."""

import re

import pytest
import torch
from torch import nn

from auricle.hparams.loader import shipped_defaults
from auricle.lobes import FRONTENDS, build_frontend
from auricle.lobes.brains.base import step_seed
from auricle.lobes.brains.optimization import (
    OPTIMIZERS,
    SCHEDULES,
    annealing_factor,
    build_optimizer,
    hz_per_unit,
    learning_rate_factor,
    prepare_step,
    problems,
)
from auricle.processing.filterbank.responses import from_responses


def modules():
    return {
        "compute_features": nn.Linear(2, 2),
        "norm": nn.Identity(),
        "classifier": nn.Linear(2, 3),
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_trainable_parameter_is_in_exactly_one_group(name):
    parts = modules()
    parts["classifier"].bias.requires_grad_(False)
    optimizer = build_optimizer(parts, name)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    wanted = [id(p) for m in parts.values() for p in m.parameters() if p.requires_grad]
    assert sorted(held) == sorted(wanted)


def test_the_frontend_has_its_own_rate_and_no_decay():
    optimizer = build_optimizer(modules(), "sgd", lr=0.5, weight_decay=0.1, frontend_lr_factor=0.1)
    frontend, classifier = optimizer.param_groups
    assert frontend["base_lr"] == pytest.approx(0.05) and frontend["weight_decay"] == 0
    assert classifier["base_lr"] == 0.5 and classifier["weight_decay"] == 0.1


def test_a_shared_parameter_is_refused():
    parts = modules()
    parts["classifier"].weight = nn.Parameter(torch.zeros(2, 2))
    parts["norm"] = nn.Linear(2, 2)
    parts["norm"].weight = parts["classifier"].weight
    with pytest.raises(ValueError, match="classifier and norm share"):
        build_optimizer(parts)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_rises_linearly_and_meets_the_schedule_at_one(schedule):
    factors = [learning_rate_factor(schedule, e, 20, 4, 8) for e in (0, 1, 2, 3, 4)]
    assert factors == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_schedules_by_hand():
    assert learning_rate_factor("cosine", 12, 20, 4) == pytest.approx(0.5)
    assert learning_rate_factor("cosine", 20, 20, 4) == pytest.approx(0, abs=1e-12)
    assert learning_rate_factor("linear", 12, 20, 4) == pytest.approx(0.5)
    assert learning_rate_factor("constant", 19, 20, 4) == 1
    cyclic = [learning_rate_factor("cyclic", e, 30, 0, 10) for e in (0, 2.5, 5, 7.5, 10, 15)]
    assert cyclic == pytest.approx([1, 0.5, 0, 0.5, 1, 0])
    restarts = [
        learning_rate_factor("cosine_restarts", e, 30, 0, 10) for e in (0, 5, 9.999, 10, 15)
    ]
    assert restarts == pytest.approx([1, 0.5, 0, 1, 0.5], abs=1e-3)


def step(optimizer, epoch, frozen_epochs=0, **settings):
    """One step of an epoch of 10, with a gradient of 1 for everything; the rates it had."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    given = {"schedule": "linear", **settings}
    prepare_step(optimizer, epoch, 10, frontend_freeze_epochs=frozen_epochs, **given)
    optimizer.step()
    return [group["lr"] for group in optimizer.param_groups]


def test_the_frontend_follows_a_schedule_of_its_own():
    optimizer = build_optimizer(modules(), "adam", lr=0.5, frontend_lr_factor=0.1)
    assert step(optimizer, 5.0) == pytest.approx([0.025, 0.25])
    assert step(optimizer, 5.0, frontend_schedule="constant") == pytest.approx([0.05, 0.25])
    assert step(optimizer, 5.0, frontend_schedule="cosine", warmup_epochs=2) == pytest.approx(
        [0.05 * learning_rate_factor("cosine", 5.0, 10, 2), 0.5 * (1 - 3 / 8)]
    )
    # Both warm up alike.
    assert step(optimizer, 1.0, frontend_schedule="constant", warmup_epochs=2) == pytest.approx(
        [0.025, 0.25]
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_frozen_does_not_change_by_a_bit_and_then_learns_as_if_new(name):
    torch.manual_seed(0)
    parts = modules()
    optimizer = build_optimizer(parts, name, lr=0.1, weight_decay=0.1)
    frontend = parts["compute_features"]
    before = {key: value.clone() for key, value in parts["compute_features"].state_dict().items()}
    others = parts["classifier"].weight.detach().clone()
    for number in range(20):
        rates = step(optimizer, number / 10, frozen_epochs=2)
        assert rates[0] == 0 and rates[1] > 0
    assert all(torch.equal(frontend.state_dict()[key], before[key]) for key in before)
    assert not any(parameter in optimizer.state for parameter in frontend.parameters())
    assert not torch.equal(parts["classifier"].weight, others)

    step(optimizer, 2.0, frozen_epochs=2)
    torch.manual_seed(0)
    new = modules()
    step(build_optimizer(new, name, lr=0.1), 2.0)
    for thawed, fresh in zip(
        frontend.parameters(), new["compute_features"].parameters(), strict=True
    ):
        assert torch.equal(thawed, fresh)
        assert not torch.equal(thawed, before["weight" if thawed.ndim == 2 else "bias"])


def test_projection_leaves_the_initial_values_alone():
    """Parameters are projected after every step, frozen ones too."""
    projected = 0
    for name in FRONTENDS.names():
        frontend = build_frontend(name)
        before = {key: value.clone() for key, value in frontend.state_dict().items()}
        for part in frontend.modules():
            if hasattr(part, "project_"):
                projected += 1
                part.project_()
        for key, value in frontend.state_dict().items():
            assert torch.equal(value, before[key]), f"{name}: project_ moves {key} where it began"
    assert projected > 0


class Bank(nn.Module):
    """Filters with centres in kHz, widths in s, and values that are none of it."""

    def __init__(self):
        super().__init__()
        self.centre_khz = nn.Parameter(torch.tensor([0.5, 1.0, 2.0]))
        self.width_s = nn.Parameter(torch.tensor([0.02, 0.01, 0.01]))
        self.gain = nn.Parameter(torch.ones(3))
        self.bias = nn.Parameter(torch.zeros(1))
        self.kernel = nn.Parameter(torch.ones(3, 4))
        self.fixed_khz = nn.Parameter(torch.zeros(3), requires_grad=False)

    def filters(self):
        centre = 1000 * (self.centre_khz + self.fixed_khz)
        # What is read off a response is moved by a gain too, by next to nothing.
        bandwidth = 1 / self.width_s + 1e-2 * self.gain
        return from_responses(torch.ones(3, 2), [0.0, 1.0], centre, bandwidth)


def test_hz_per_unit_is_measured_by_moving_parameters():
    bank = Bank()
    state = {key: value.clone() for key, value in bank.state_dict().items()}
    hz = hz_per_unit(bank)
    assert set(hz) == {"centre_khz", "width_s"}
    assert hz["centre_khz"] == pytest.approx(1000, rel=1e-3)
    # The slope of 1 / width is 1 / width^2: 2,500 and twice 10,000 Hz per s.
    assert hz["width_s"] == pytest.approx(7500, rel=1e-3)
    assert all(torch.equal(value, state[key]) for key, value in bank.state_dict().items())
    assert hz_per_unit(nn.Linear(3, 3)) == {}


def test_hz_per_unit_of_leaf():
    hz = hz_per_unit(build_frontend("leaf"))
    assert set(hz) == {"centre", "width"}
    assert hz["centre"] == pytest.approx(16000 / (2 * torch.pi), rel=1e-3)
    assert hz_per_unit(build_frontend("leaf", 8000))["centre"] == pytest.approx(
        8000 / (2 * torch.pi), rel=1e-3
    )
    assert hz_per_unit(build_frontend("mel")) == {}


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_step_of_adam_moves_filters_by_so_many_hz(name):
    leaf = build_frontend("leaf")
    parts = {"compute_features": leaf, "classifier": nn.Linear(2, 3)}
    optimizer = build_optimizer(parts, name, lr=0.005, frontend_step_hz=4.0)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for m in parts.values() for p in m.parameters())
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1, 5, 2]
    assert [group["base_lr"] for group in optimizer.param_groups[2:]] == [0.005, 0.005]
    assert [group["weight_decay"] for group in optimizer.param_groups[:3]] == [0, 0, 0]
    before = leaf.filters()
    step(optimizer, 5.0)  # at half rate, and with the gradient of 1 filters go down
    after = leaf.filters()
    assert before.centre_hz - after.centre_hz == pytest.approx(2.0, rel=1e-3)
    assert (after.bandwidth_hz - before.bandwidth_hz).mean() == pytest.approx(2.0, rel=0.05)


def test_a_step_of_sgd_is_that_of_the_filter_in_hz():
    """dL/dp of 1 is dL/dq of 1/s for q = s p in Hz; q moves by the rate times that."""
    bank = Bank()
    optimizer = build_optimizer(
        {"compute_features": bank}, "sgd", frontend_step_hz=50.0, momentum=0
    )
    before = bank.centre_khz.detach().clone()
    step(optimizer, 0.0)
    moved_hz = 1000 * (before - bank.centre_khz.detach())
    torch.testing.assert_close(moved_hz, torch.full((3,), 50.0 / 1000), rtol=1e-2, atol=0)


def test_a_step_in_hz_needs_a_parameter_in_hz():
    with pytest.raises(ValueError, match="frontend_step_hz.*Linear has none: set it to 0"):
        build_optimizer(modules(), frontend_step_hz=1.0)


def test_problems_are_found_all_at_once():
    plain = shipped_defaults("speech_commands")
    assert problems(plain) == []
    found = problems(
        {**plain, "optimizing": "adamx", "schedule": "cos", "lr": 0, "warmup_epochs": 99}
    )
    assert len(found) == 4
    assert "adamw" in found[0] and "cosine_restarts" in found[1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"frontend_schedule": "cosin"}, "frontend_schedule .*'same', 'constant'.*'cosin'"),
        ({"frontend_lr_factor": -0.1}, "frontend_lr_factor .*at least 0, got -0.1"),
        ({"frontend_step_hz": -1.0}, "frontend_step_hz .*at least 0, got -1.0"),
        ({"frontend_step_hz": float("nan")}, "frontend_step_hz .*at least 0, got nan"),
        ({"frontend_freeze_epochs": 31}, r"between 0 and number_of_epochs \(30\), got 31"),
        ({"frontend_freeze_epochs": -1}, r"between 0 and number_of_epochs \(30\), got -1"),
        ({"frontend_step_hz": 5.0, "frontend": "mel"}, "Mel has none: set it to 0"),
    ],
)
def test_levers_of_the_frontend_that_do_not_work_are_problems(given, said):
    (found,) = problems({**shipped_defaults("speech_commands"), **given})
    assert re.search(said, found)


def test_levers_of_the_frontend_in_their_range_are_none():
    plain = shipped_defaults("speech_commands")
    given = {"frontend_schedule": "constant", "frontend_step_hz": 5.0, "frontend_lr_factor": 0.0}
    assert problems({**plain, **given, "frontend_freeze_epochs": 30}) == []
    # What is wrong with the lobe is said once, by the check of the lobes.
    assert problems({**plain, **given, "frontend": "leef"}) == []


def test_step_seeds_differ_in_every_part_and_fit_torch():
    seeds = {
        step_seed(seed, epoch, step, rank)
        for seed in range(3)
        for epoch in range(5)
        for step in range(20)
        for rank in range(4)
    }
    assert len(seeds) == 3 * 5 * 20 * 4
    assert step_seed(1, 12, 3, 0) != step_seed(11, 2, 3, 0)
    assert 0 <= min(seeds) and max(seeds) < 2**63
    torch.manual_seed(max(seeds))


def test_newbob_falls_after_each_epoch_that_is_not_better_enough():
    scores = [0.80, 0.60, 0.599, 0.50, 0.55]  # 25 %, 0.2 %, 17 %, worse
    falls = [annealing_factor("newbob", scores[:n], 0.8, 0.0025) for n in range(6)]
    assert falls == pytest.approx([1, 1, 1, 0.8, 0.8, 0.64])


def test_plateau_waits_for_its_patience_and_compares_with_the_best():
    scores = [0.80, 0.60, 0.70, 0.65, 0.62, 0.61, 0.50]
    falls = [annealing_factor("plateau", scores[:n], 0.5, 0.0, patience=1) for n in range(8)]
    assert falls == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25])
    assert annealing_factor("none", scores, 0.5) == 1
