"""Optimisers and schedules: groups, ranges, and the rate as a function of progress alone."""

import pytest
import torch
from torch import nn

from auricle.hparams.loader import shipped_defaults
from auricle.lobes.brains.base import step_seed
from auricle.lobes.brains.optimization import (
    OPTIMIZERS,
    SCHEDULES,
    build_optimizer,
    learning_rate_factor,
    problems,
)


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
    restarts = [
        learning_rate_factor("cosine_restarts", e, 30, 0, 10) for e in (0, 5, 9.999, 10, 15)
    ]
    assert restarts == pytest.approx([1, 0.5, 0, 1, 0.5], abs=1e-3)


def test_problems_are_found_all_at_once():
    plain = shipped_defaults("speech_commands")
    assert problems(plain) == []
    found = problems(
        {**plain, "optimizing": "adamx", "schedule": "cos", "lr": 0, "warmup_epochs": 99}
    )
    assert len(found) == 4
    assert "adamw" in found[0] and "cosine_restarts" in found[1]


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
