"""Margin softmax: SpeechBrain's numbers and gradients, finite everywhere, a schedule by progress."""

import math
import re

import pytest
import torch
from refusals import refused
from speechbrain.lobes.models.ECAPA_TDNN import Classifier as EcapaClassifier
from speechbrain.nnet.losses import AdditiveAngularMargin, AngularMargin, LogSoftmaxWrapper
from torch.nn import functional as F

from auricle.lobes.heads.angular_margin import (
    KINDS,
    CosineClassifier,
    MarginSoftmax,
    margin_at,
    problems,
)

SPEECHBRAIN = {"aam": AdditiveAngularMargin, "am": AngularMargin}
GOOD = {
    "margin_kind": "aam",
    "margin": 0.2,
    "margin_scale": 30.0,
    "margin_start_epoch": 2,
    "margin_end_epoch": 5.5,
    "subcenters": 1,
    "number_of_epochs": 10,
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("spread", [None, 3.0])
def test_cosines_are_those_of_speechbrain_on_the_same_weights(spread):
    theirs = EcapaClassifier(12, lin_neurons=12, out_neurons=7)
    if spread:
        with torch.no_grad():
            theirs.weight.mul_(spread).add_(torch.randn(7, 12))
    ours = CosineClassifier(12, 7)
    ours.load_state_dict(theirs.state_dict())
    embedding = 5 * torch.randn(9, 1, 12)
    assert torch.equal(ours(embedding), theirs(embedding))
    assert torch.equal(ours(embedding.squeeze(1)), theirs(embedding).squeeze(1))


def test_only_the_direction_counts():
    head, embedding = CosineClassifier(6, 4), torch.randn(3, 6)
    assert torch.allclose(head(7 * embedding), head(embedding), atol=1e-6)
    assert torch.allclose(head(head.weight.detach()).diagonal(), torch.ones(4))


def test_the_nearest_sub_centre_counts_and_learns():
    head, embedding = CosineClassifier(5, 3, subcenters=4), torch.randn(8, 1, 5)
    cosines = head(embedding)
    by_hand = torch.stack(
        [
            F.cosine_similarity(embedding, head.weight[4 * c : 4 * c + 4][None], dim=-1).amax(1)
            for c in range(3)
        ],
        -1,
    )
    assert cosines.shape == (8, 1, 3) and torch.allclose(cosines[:, 0], by_hand, atol=1e-6)
    head(embedding[:1])[0, 0, 1].backward()
    nearest = 4 + int(F.cosine_similarity(embedding[0], head.weight[4:8]).argmax())
    assert head.weight.grad.abs().sum(1).nonzero().flatten().tolist() == [nearest]


def test_cosines_and_loss_are_float32_under_autocast():
    head, loss = CosineClassifier(16, 5, subcenters=2), MarginSoftmax()
    embedding, targets = torch.randn(4, 1, 16), torch.tensor([0, 1, 2, 3])
    with torch.autocast("cpu", torch.bfloat16):
        cosines = head(embedding)
        found = loss(cosines, targets)
    assert cosines.dtype == found.dtype == torch.float32
    assert torch.equal(cosines, head(embedding)) and torch.equal(found, loss(cosines, targets))


@pytest.mark.parametrize("kind", SPEECHBRAIN)
@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5])
def test_loss_and_gradient_are_those_of_speechbrain(kind, margin):
    # From -1 to 1, so that the far side (an angle beyond pi - margin) is there too.
    cosines = (2 * torch.rand(41, 6) - 1).clamp(-0.999, 0.999)
    targets = torch.arange(41) % 6
    cosines[torch.arange(41), targets] = torch.linspace(-0.999, 0.999, 41)
    ours, theirs = (cosines.clone().requires_grad_() for _ in range(2))
    found = MarginSoftmax(kind, margin, scale=32.0)(ours, targets)
    expected = LogSoftmaxWrapper(SPEECHBRAIN[kind](margin, 32.0))(theirs[:, None], targets[:, None])
    assert found.shape == (41,)
    assert found.mean().item() == pytest.approx(expected.item(), rel=1e-6)
    found.mean().backward()
    expected.backward()
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


def test_without_a_margin_it_is_cross_entropy_of_scaled_cosines():
    cosines, targets = 2 * torch.rand(5, 4) - 1, torch.tensor([0, 3, 2, 1, 1])
    expected = F.cross_entropy(20 * cosines, targets, reduction="none")
    assert torch.equal(MarginSoftmax("softmax", 0.2, 20.0)(cosines, targets), expected)
    for kind in KINDS:
        found = MarginSoftmax(kind, 0.0, 20.0)(cosines[:, None], targets)
        assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["aam", "am"])
def test_the_margin_of_a_step_is_the_margin_it_could_be_built_with(kind):
    cosines, targets = 2 * torch.rand(5, 4) - 1, torch.tensor([0, 3, 2, 1, 1])
    loss = MarginSoftmax(kind, margin=0.2)
    built = MarginSoftmax(kind, margin=0.45)(cosines, targets)
    assert torch.equal(loss(cosines, targets, margin=0.45), built)
    assert not torch.equal(loss(cosines, targets), built)  # and 0.2 is still its own


@pytest.mark.parametrize("kind", ["aam", "am"])
@pytest.mark.parametrize("margin", [0.2, 0.9])
def test_more_angle_never_costs_less(kind, margin):
    own = torch.linspace(0, math.pi, 2001).cos()
    cosines = torch.stack([own, torch.zeros_like(own)], 1)
    loss = MarginSoftmax(kind, margin)(cosines, torch.zeros(2001, dtype=torch.long))
    assert (loss.diff() >= 0).all() and loss[-1] - loss[0] > 30


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_where_the_cosine_is_one(kind):
    head, loss = CosineClassifier(6, 4), MarginSoftmax(kind, 0.5)
    weight = head.weight.detach()
    embedding = torch.cat([3 * weight, -weight]).requires_grad_()
    value = loss(head(embedding[:, None]), torch.arange(8) % 4)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(embedding.grad).all()
    assert torch.isfinite(head.weight.grad).all() and head.weight.grad.abs().max() > 0
    cosines = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1 - 6e-8, 0.0]], requires_grad=True)
    loss(cosines, torch.tensor([0, 0, 0])).sum().backward()
    assert torch.isfinite(cosines.grad).all()


def test_training_with_it_separates_directions():
    head, loss = CosineClassifier(4, 3), MarginSoftmax("aam", 0.3)
    centres = F.normalize(torch.randn(3, 4), dim=-1)
    targets = torch.arange(60) % 3
    embedding = centres[targets] + 0.1 * torch.randn(60, 4)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss(head(embedding), targets).mean().backward()
        optimizer.step()
    assert (head(embedding).argmax(-1) == targets).all()


def test_the_margin_follows_the_progress_alone():
    grid = [e / 10 for e in range(0, 500)]
    for kind in ("exponential", "linear"):
        values = [margin_at(e, 0.2, 20, 40, kind) for e in grid]
        assert values == sorted(values) and values[200] == 0 and values[0] == 0
        assert values[400] == values[-1] == 0.2 and 0 < values[201] < 0.2
    # wespeaker: one minus exp of a part of log(0.001 / (1 + 1e-6))
    for epoch in (21, 27.5, 39.9):
        part = (epoch - 20) / 20
        wespeaker = 0.2 * (1 - math.exp(part * math.log(1e-3 / (1 + 1e-6))))
        assert margin_at(epoch, 0.2, 20, 40) == pytest.approx(wespeaker, rel=1e-5)
    assert margin_at(25, 0.2, 20, 40, "linear") == pytest.approx(0.05)
    assert margin_at(0, 0.5) == 0.5  # no schedule: fine-tuning
    assert margin_at(2.9, 0.5, 3, 3) == 0 and margin_at(3, 0.5, 3, 3) == 0.5  # a step


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"margin_kind": "arcface"}, "margin_kind must be one of"),
        ({"margin": 11.5}, "margin must be .* below 1, got 11.5"),
        ({"margin": float("nan")}, "margin must be a finite"),
        ({"margin_scale": 0}, "margin_scale must be .* above 0"),
        ({"subcenters": 0}, "subcenters must be a whole number"),
        ({"margin_start_epoch": -1}, "margin_start_epoch"),
        ({"margin_start_epoch": "soon"}, "margin_start_epoch must be a finite number"),
        ({"margin_start_epoch": 6}, r"margin_start_epoch \(6\) must not be after"),
        ({"margin_end_epoch": 11}, "would never be reached"),
    ],
)
def test_every_problem_of_a_configuration_is_named(wrong, said):
    assert problems(GOOD) == []
    (found,) = problems({**GOOD, **wrong})
    assert re.search(said, found)


def test_problems_come_all_at_once():
    wrong = {"margin_kind": None, "margin": -1, "subcenters": 1.5, "margin_end_epoch": 11}
    assert len(problems({**GOOD, **wrong})) == 4


def test_bad_arguments_are_refused():
    for wrong in ({"kind": "cosface"}, {"margin": -0.1}, {"scale": 0}):
        refused(next(iter(wrong)), MarginSoftmax, **wrong)
    refused("subcenters", CosineClassifier, 4, 3, subcenters=0)
    refused("at least 2 classes", CosineClassifier, 4, 1)
    refused("kind", margin_at, 1, 0.2, 0, 5, "cubic")
