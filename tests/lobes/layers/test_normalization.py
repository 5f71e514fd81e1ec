"""Normalisation equals the textbook formula over the valid frames, and travels with the state."""

import pytest
import torch
from two_ranks import run_two_ranks

from auricle.lobes import build_normalization
from auricle.lobes.layers.normalization import (
    KINDS,
    GlobalNormalization,
    NoNormalization,
    SentenceNormalization,
)
from auricle.lobes.registry import LobeError

COUNTS = [50, 31, 1]
LENGTHS = torch.tensor(COUNTS) / 50


def frames(seed=0, batch=3):
    generator = torch.Generator().manual_seed(seed)
    spread = torch.tensor([1.0, 0.01, 30.0, 1e-3])
    return torch.randn(batch, 50, 4, generator=generator) * spread + 5 * spread


def test_none_hands_on_the_very_tensor():
    feats = frames()
    assert NoNormalization()(feats, LENGTHS) is feats


def test_sentence_equals_var_mean_of_the_valid_frames():
    feats = frames()
    got = SentenceNormalization()(feats, LENGTHS)
    for item, count in enumerate(COUNTS):
        variance, mean = torch.var_mean(feats[item, :count].double(), dim=0, correction=0)
        want = (feats[item, :count].double() - mean) / (variance + 1e-5).sqrt()
        torch.testing.assert_close(got[item, :count].double(), want, atol=2e-5, rtol=1e-5)
        assert not got[item, count:].any()


def test_sentence_without_lengths_is_zero_mean_and_unit_variance():
    got = SentenceNormalization(epsilon=0.0)(frames()).double()
    variance, mean = torch.var_mean(got, dim=1, correction=0)
    assert mean.abs().max() < 1e-5
    assert (variance - 1).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["sentence", "global"])
def test_what_stands_in_the_padding_changes_nothing(kind):
    results = []
    for filling in (0.0, 1e4, float("-inf")):
        feats = frames()
        for item, count in enumerate(COUNTS):
            feats[item, count:] = filling
        normalization = SentenceNormalization() if kind == "sentence" else GlobalNormalization(4)
        results.append((normalization(feats, LENGTHS), normalization.state_dict()))
    (zeros, state), *others = results
    for output, other in others:
        assert torch.equal(zeros, output)
        assert all(torch.equal(state[key], other[key]) for key in state)


@pytest.mark.parametrize("level", [0.0, 0.20780905, -11.512925, 1000.0])
def test_silence_becomes_zeros_and_not_amplified_rounding(level):
    """The features of silence are constant; 1/sqrt(1e-5) would make 316 times their rounding."""
    got = SentenceNormalization()(torch.full((2, 1001, 3), level), torch.tensor([1.0, 0.37]))
    assert got.abs().max() == 0


def test_gradients_are_finite_on_silence():
    feats = torch.zeros(1, 20, 3, requires_grad=True)
    SentenceNormalization()(feats).square().sum().backward()
    assert torch.isfinite(feats.grad).all()


def test_global_equals_statistics_of_everything_seen():
    normalization = GlobalNormalization(4).train()
    batches = [frames(seed) for seed in range(4)]
    for feats in batches:
        normalization(feats, LENGTHS)
    seen = torch.cat([feats[i, :n] for feats in batches for i, n in enumerate(COUNTS)]).double()
    variance, mean = torch.var_mean(seen, dim=0, correction=0)
    assert normalization.count == len(seen) == 4 * sum(COUNTS)
    torch.testing.assert_close(normalization.mean, mean, rtol=1e-9, atol=0)
    torch.testing.assert_close(normalization.variance, variance, rtol=1e-6, atol=0)
    normalization.eval()
    feats = frames(9)
    want = (feats.double() - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(normalization(feats).double(), want, rtol=1e-4, atol=1e-4)


def test_global_does_not_learn_in_eval_mode_and_starts_as_identity():
    normalization = GlobalNormalization(4).eval()
    before = {key: value.clone() for key, value in normalization.state_dict().items()}
    feats = frames()
    torch.testing.assert_close(normalization(feats), feats, rtol=1e-5, atol=0)
    assert all(torch.equal(normalization.state_dict()[key], before[key]) for key in before)


def test_global_statistics_travel_with_the_state():
    trained = GlobalNormalization(4).train()
    trained(frames(), LENGTHS)
    fresh = GlobalNormalization(4)
    fresh.load_state_dict(trained.state_dict())
    feats = frames(3)
    assert torch.equal(fresh.eval()(feats), trained.eval()(feats))
    # and go on from there
    fresh.train()(frames(5))
    trained.train()(frames(5))
    assert torch.equal(fresh.mean, trained.mean) and torch.equal(fresh.count, trained.count)


def test_global_of_nothing_valid_learns_nothing():
    normalization = GlobalNormalization(4).train()
    assert torch.isfinite(normalization(frames(), torch.zeros(3))).all()
    assert normalization.count == 0


RANK = """
import sys, torch
from auricle.lobes.layers.normalization import GlobalNormalization
rank, port, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.distributed.init_process_group(
    "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
)
normalization = GlobalNormalization(4).train()
for seed in (0, 1):
    feats = torch.randn(6, 50, 4, generator=torch.Generator().manual_seed(seed)) * 3 + 7
    lengths = torch.tensor([50, 31, 1, 20, 50, 44]) / 50
    # uneven shares: the sums count, not the means of the ranks
    part = slice(0, 2) if rank == 0 else slice(2, 6)
    normalization(feats[part], lengths[part])
torch.save(normalization.state_dict(), f"{out}/{rank}")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_learn_what_one_process_learns(tmp_path):
    run_two_ranks(RANK, tmp_path)
    single = GlobalNormalization(4).train()
    for seed in (0, 1):
        feats = torch.randn(6, 50, 4, generator=torch.Generator().manual_seed(seed)) * 3 + 7
        single(feats, torch.tensor([50, 31, 1, 20, 50, 44]) / 50)
    for r in range(2):
        state = torch.load(tmp_path / f"{r}", weights_only=True)
        for key, value in single.state_dict().items():
            torch.testing.assert_close(state[key], value, rtol=1e-10, atol=0)


def test_every_kind_can_be_built():
    class Stub:
        num_features, normalization = 4, "sentence"

    built = {kind: build_normalization(kind, Stub()) for kind in KINDS}
    assert {kind: type(module) for kind, module in built.items()} == KINDS
    assert isinstance(build_normalization("auto", Stub()), SentenceNormalization)
    with pytest.raises(LobeError):
        build_normalization("batch", Stub())
