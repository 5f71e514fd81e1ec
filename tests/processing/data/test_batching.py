"""Batching by duration: every clip once, little padding, equal ranks, exact resume."""

import doctest
import logging
import time

import numpy as np
import pytest
import torch
from refusals import refused
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.dataio.sampler import DynamicBatchSampler
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter

from auricle.processing.data import batching
from auricle.processing.data.batching import DurationBatchSampler

RANKS = (1, 2, 3, 7)


def timit_like_durations_s(seed, num_clips=3696):
    """Log-normal with TIMIT's mean and range (its training set has 3,696 sentences)."""
    durations_s = np.random.default_rng(seed).lognormal(0.0, 0.29, num_clips)
    return np.clip(durations_s * 3.06 / durations_s.mean(), 0.9, 7.8)


def epoch_of_all_ranks(durations_s, num_replicas, epoch=1, **kwargs):
    """Batches of each rank, drawn as each rank's own process would."""
    per_rank = []
    for rank in range(num_replicas):
        sampler = DurationBatchSampler(durations_s, num_replicas=num_replicas, rank=rank, **kwargs)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        per_rank.append(batches)
    return per_rank


def flat(batches):
    return [item for batch in batches for item in batch]


def padding_fraction(batches, durations_s):
    """Share of the padded samples that is padding."""
    padded_s = sum(len(batch) * max(durations_s[i] for i in batch) for batch in batches)
    return 1 - sum(durations_s[i] for i in flat(batches)) / padded_s


def as_sets(batches):
    return {frozenset(batch) for batch in batches}


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", RANKS)
@pytest.mark.parametrize("seed", range(3))
def test_pads_less_and_needs_fewer_batches_than_speechbrain(seed, num_replicas):
    durations_s = timit_like_durations_s(seed)
    theirs = list(
        DynamicBatchSampler(
            durations_s.tolist(), 100, num_buckets=20, lengths_list=durations_s.tolist()
        )
    )
    assert sorted(flat(theirs)) == list(range(3696))
    for epoch in range(5):
        per_rank = epoch_of_all_ranks(
            durations_s, num_replicas, epoch=epoch, max_batch_s=100.0, seed=seed
        )
        ours = [batch for batches in per_rank for batch in batches]
        assert padding_fraction(ours, durations_s) < 0.03
        assert padding_fraction(ours, durations_s) < padding_fraction(theirs, durations_s) / 4
        assert len(ours) < 0.85 * len(theirs)


def test_fills_a_batch_with_equal_clips_where_speechbrain_does_not():
    theirs = DynamicBatchSampler([1.0] * 20000, 100, num_buckets=20, lengths_list=[1.0] * 20000)
    assert len(list(theirs)) > 600
    assert len(DurationBatchSampler([1.0] * 20000, max_batch_s=100.0)) == 200


@pytest.mark.parametrize("num_replicas", RANKS)
@pytest.mark.parametrize("seed", range(12))
def test_every_clip_once_within_the_limits_and_equal_numbers_of_batches(seed, num_replicas):
    rng = np.random.default_rng(seed)
    durations_s = rng.lognormal(0.0, rng.uniform(0.01, 1.0), int(rng.integers(60, 700)))
    limits = [
        {"max_batch_s": float(rng.uniform(3.0, 30.0))},  # some clips are longer than that
        {"max_batch_s": float(rng.uniform(3.0, 30.0)), "max_batch_items": 7},
        {"max_batch_items": int(rng.integers(2, 9))},
    ][seed % 3]
    for epoch in (0, 1, 2):
        per_rank = epoch_of_all_ranks(durations_s, num_replicas, epoch=epoch, seed=seed, **limits)
        assert len({len(batches) for batches in per_rank}) == 1
        batches = [batch for batches in per_rank for batch in batches]
        assert sorted(flat(batches)) == list(range(len(durations_s)))
        for batch in batches:
            assert all(type(item) is int for item in batch)
            assert len(batch) <= limits.get("max_batch_items", len(durations_s))
            padded_s = durations_s[batch].max() * len(batch)
            assert len(batch) == 1 or padded_s <= limits.get("max_batch_s", np.inf) * (1 + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", RANKS)
def test_an_epoch_is_a_pure_function_of_seed_and_epoch(num_replicas):
    durations_s = timit_like_durations_s(0)
    sampler = DurationBatchSampler(durations_s, 100.0, seed=5, num_replicas=num_replicas, rank=0)
    seen = {}
    for epoch in (1, 2, 3, 2, 1):  # any order, and again
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert batches == list(sampler)
        assert seen.setdefault(epoch, batches) == batches
        fresh = epoch_of_all_ranks(durations_s, num_replicas, epoch, max_batch_s=100.0, seed=5)
        assert fresh[0] == batches
    other = epoch_of_all_ranks(durations_s, num_replicas, 1, max_batch_s=100.0, seed=6)
    assert not as_sets(other[0]) & as_sets(seen[1])


def test_the_state_of_other_generators_does_not_matter():
    durations_s = timit_like_durations_s(0)
    np.random.seed(1)
    torch.manual_seed(1)
    first = list(DurationBatchSampler(durations_s, 100.0))
    np.random.seed(2)
    torch.manual_seed(2)
    assert list(DurationBatchSampler(durations_s, 100.0)) == first


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", RANKS)
def test_composition_and_order_differ_in_every_epoch(num_replicas):
    durations_s = timit_like_durations_s(1)
    epochs = []
    for epoch in range(6):
        per_rank = epoch_of_all_ranks(durations_s, num_replicas, epoch, max_batch_s=100.0)
        epochs.append([batch for batches in per_rank for batch in batches])
    for i, one in enumerate(epochs):
        for other in epochs[:i]:
            # Only the few longest clips, which have no neighbours, may meet again.
            assert len(as_sets(one) & as_sets(other)) < 0.05 * len(one)
    longest_s = [durations_s[batch].max() for batch in epochs[0]]
    correlation = np.corrcoef(longest_s, range(len(longest_s)))[0, 1]
    assert abs(correlation) < 0.5  # the order of the batches is not sorted


@pytest.mark.parametrize("num_replicas", (2, 3, 7))
def test_ranks_do_not_wait_for_each_other(num_replicas):
    durations_s = timit_like_durations_s(2)
    per_rank = epoch_of_all_ranks(durations_s, num_replicas, max_batch_s=100.0)
    padded_s = np.array(
        [[durations_s[batch].max() * len(batch) for batch in batches] for batches in per_rank]
    )
    # The time of a step is that of its slowest rank.
    assert padded_s.max(axis=0).sum() < 1.03 * padded_s.mean(axis=0).sum()
    longest_s = np.array([[durations_s[batch].max() for batch in batches] for batches in per_rank])
    assert np.median(longest_s.max(axis=0) / longest_s.min(axis=0)) < 1.06
    times_longest = np.bincount(longest_s.argmax(axis=0), minlength=num_replicas)
    assert times_longest.max() < 0.7 * times_longest.sum()  # not always the same rank


@pytest.mark.parametrize("num_replicas", RANKS)
@pytest.mark.parametrize("seed", range(4))
def test_length_is_the_same_in_every_epoch(seed, num_replicas):
    durations_s = np.random.default_rng(seed).lognormal(0.0, 0.5, 500)
    sampler = DurationBatchSampler(
        durations_s, 15.0, seed=seed, jitter=0.2, num_replicas=num_replicas, rank=num_replicas - 1
    )
    lengths = set()
    for epoch in range(30):
        sampler.set_epoch(epoch)
        lengths |= {len(sampler), len(list(sampler))}
    assert len(lengths) == 1


def test_equal_clips_give_shuffled_batches_of_a_fixed_size():
    num_clips, size = 1000, 32
    sampler = DurationBatchSampler([1.0] * num_clips, max_batch_items=size, seed=3)
    epochs = []
    for epoch in range(20):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert sorted(len(batch) for batch in batches) == [8] + [size] * 31
        assert sorted(flat(batches)) == list(range(num_clips))
        epochs.append(flat(batches))
    # Uniform: at each place of the epoch any clip, and no memory of the clips' own order.
    places = np.array(epochs)
    assert np.abs(places.mean(axis=0) - 499.5).mean() == pytest.approx(
        289 / np.sqrt(20) * np.sqrt(2 / np.pi), rel=0.15
    )
    assert max(abs(np.corrcoef(epoch, range(num_clips))[0, 1]) for epoch in epochs) < 0.12
    by_seconds = DurationBatchSampler([1.0] * num_clips, max_batch_s=32.0, seed=3)
    by_seconds.set_epoch(19)
    assert list(by_seconds) == batches


@pytest.mark.parametrize("num_clips, expected", [(65, [16, 17, 32]), (33, [16, 17]), (1, [1])])
def test_no_last_batch_of_a_single_clip(num_clips, expected):
    sampler = DurationBatchSampler([1.0] * num_clips, max_batch_items=32)
    assert sorted(len(batch) for batch in sampler) == expected


def test_no_rounding_error_at_the_limit():
    sampler = DurationBatchSampler([0.1] * 300, max_batch_s=0.3)  # 3 * 0.1 > 0.3 in floating point
    assert len(sampler) == 100


def test_clips_above_the_limit_are_alone_and_one_warning_counts_them(caplog):
    durations_s = [5.0, 1.0, 1.0, 7.0, 1.0, 1.0, 4.0]
    with caplog.at_level(logging.WARNING, logger=batching.__name__):
        sampler = DurationBatchSampler(durations_s, max_batch_s=4.0)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            assert as_sets(sampler) == as_sets([[0], [3], [6], [1, 2, 4, 5]])
    assert len(caplog.records) == 1
    assert "2 of 7 clips are longer than max_batch_s=4" in caplog.text


def test_a_very_long_clip_does_not_make_room_for_others():
    durations_s = [1e6] + [1.0] * 11
    per_rank = epoch_of_all_ranks(durations_s, num_replicas=4, max_batch_s=4.0)
    assert sorted(len(batch) for batches in per_rank for batch in batches) == [1, 3, 4, 4]


def test_only_the_first_rank_warns(caplog):
    with caplog.at_level(logging.WARNING, logger=batching.__name__):
        epoch_of_all_ranks([9.0] * 4, num_replicas=2, max_batch_s=4.0)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("num_replicas", RANKS)
@pytest.mark.parametrize("num_clips", (1, 5, 200))
def test_evaluation_shards_without_repeats(num_clips, num_replicas):
    durations_s = timit_like_durations_s(3, num_clips)
    options = {"max_batch_s": 40.0, "shuffle": False, "equal_batches": False}
    per_rank = epoch_of_all_ranks(durations_s, num_replicas, **options)
    batches = [batch for batches in per_rank for batch in batches]
    assert sorted(flat(batches)) == list(range(num_clips))
    numbers = [len(batches) for batches in per_rank]
    assert max(numbers) - min(numbers) <= 1
    [alone] = epoch_of_all_ranks(durations_s, 1, epoch=9, **options)
    assert as_sets(alone) == as_sets(batches)
    assert (np.diff(durations_s[flat(alone)]) <= 0).all()  # longest first
    for rank, batches in enumerate(per_rank):
        assert batches == alone[rank::num_replicas]


def test_unequal_batches_may_be_shuffled_too():
    durations_s = timit_like_durations_s(3, 500)
    per_rank = epoch_of_all_ranks(durations_s, 7, max_batch_s=40.0, equal_batches=False)
    assert sorted(flat(flat(per_rank))) == list(range(500))


def test_world_is_read_from_torch_distributed_when_needed(monkeypatch):
    durations_s = timit_like_durations_s(4)
    sampler = DurationBatchSampler(durations_s, max_batch_s=100.0)
    alone = list(sampler)
    assert (sampler.num_replicas, sampler.rank) == (1, 0)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 2)
    assert (sampler.num_replicas, sampler.rank) == (3, 2)
    assert list(sampler) == epoch_of_all_ranks(durations_s, 3, 0, max_batch_s=100.0)[2]
    assert len(sampler) == 40 and len(alone) == 118


class Clips(torch.utils.data.Dataset):
    """Item i is the number i."""

    def __init__(self, num_clips):
        self.num_clips = num_clips

    def __len__(self):
        return self.num_clips

    def __getitem__(self, index):
        return index


class Run:
    """What a training process builds anew when it is started again."""

    def __init__(self, folder, durations_s, num_workers, num_replicas, rank):
        self.sampler = DurationBatchSampler(
            durations_s, max_batch_s=20.0, seed=7, num_replicas=num_replicas, rank=rank
        )
        self.loader = SaveableDataLoader(
            Clips(len(durations_s)),
            batch_sampler=self.sampler,
            collate_fn=list,
            num_workers=num_workers,
        )
        self.epochs = EpochCounter(4)
        self.checkpointer = Checkpointer(folder, {"loader": self.loader, "epochs": self.epochs})
        self.checkpointer.recover_if_possible()

    def train(self, stop_after=None):
        """Yielded batches by epoch; the call that SpeechBrain's Brain makes, in its order."""
        yielded = {}
        for epoch in self.epochs:
            self.sampler.set_epoch(epoch)
            yielded[epoch] = []
            for batch in self.loader:
                yielded[epoch].append(batch)
                if stop_after == (epoch, len(yielded[epoch])):
                    self.checkpointer.save_checkpoint(end_of_epoch=False)
                    return yielded
            self.checkpointer.save_checkpoint(end_of_epoch=True)
        return yielded


@pytest.mark.slow
@pytest.mark.parametrize(
    "num_workers, num_replicas, rank, stop_epoch, stop_batch",
    [(0, 1, 0, 1, 1), (0, 1, 0, 2, 17), (0, 3, 1, 3, 5), (0, 1, 0, 4, "last"), (2, 2, 1, 2, 3)],
)
def test_resume_yields_exactly_the_batches_that_were_left(
    tmp_path, num_workers, num_replicas, rank, stop_epoch, stop_batch
):
    durations_s = timit_like_durations_s(5, 300)
    world = (num_workers, num_replicas, rank)
    whole = Run(tmp_path / "whole", durations_s, *world).train()
    assert list(whole) == [1, 2, 3, 4]
    if stop_batch == "last":  # stopped after training, before the end of the epoch was saved
        stop_batch = len(whole[stop_epoch])
    first = Run(tmp_path / "killed", durations_s, *world).train((stop_epoch, stop_batch))
    second = Run(tmp_path / "killed", durations_s, *world).train()
    assert list(second) == list(range(stop_epoch, 5))
    assert first[stop_epoch] == whole[stop_epoch][:stop_batch]
    assert second[stop_epoch] == whole[stop_epoch][stop_batch:]
    assert all(second[epoch] == whole[epoch] for epoch in range(stop_epoch + 1, 5))
    if num_replicas == 1:
        both = flat(first[stop_epoch]) + flat(second[stop_epoch])
        assert sorted(both) == list(range(300))


def test_epoch_is_the_one_at_the_creation_of_the_iterator():
    sampler = DurationBatchSampler(timit_like_durations_s(6, 300), max_batch_s=20.0)
    sampler.set_epoch(1)
    expected = list(sampler)
    iterator = iter(sampler)
    sampler.set_epoch(2)
    assert list(iterator) == expected != list(sampler)


@pytest.mark.parametrize(
    "durations_s, kwargs, message",
    [
        ([], {"max_batch_s": 1.0}, "at least one"),
        ([[1.0, 2.0]], {"max_batch_s": 1.0}, "one duration per clip"),
        ([1.0, 0.0, -1.0], {"max_batch_s": 1.0}, r"2 of 3 durations .*clip 1: 0.0 s, clip 2"),
        ([1.0, float("nan")], {"max_batch_s": 1.0}, "clip 1: nan s"),
        ([1.0, float("inf")], {"max_batch_s": 1.0}, "clip 1: inf s"),
        ([1.0], {}, "give max_batch_s"),
        ([1.0], {"max_batch_s": 0.0}, "max_batch_s is"),
        ([1.0], {"max_batch_s": float("nan")}, "max_batch_s is"),
        ([1.0], {"max_batch_s": float("inf")}, "max_batch_s is"),
        ([1.0], {"max_batch_items": 0}, "max_batch_items is a whole number >= 1"),
        ([1.0], {"max_batch_items": 2.5}, "max_batch_items is a whole number >= 1"),
        ([1.0], {"max_batch_items": True}, "max_batch_items is a whole number >= 1"),
        ([1.0], {"max_batch_s": 1.0, "seed": -1}, "seed is a whole number >= 0"),
        ([1.0], {"max_batch_s": 1.0, "jitter": -0.1}, "jitter is"),
        ([1.0], {"max_batch_s": 1.0, "jitter": float("inf")}, "jitter is"),
        ([1.0], {"max_batch_s": 1.0, "rank": 0}, "num_replicas and rank together"),
        ([1.0], {"max_batch_s": 1.0, "num_replicas": 2}, "num_replicas and rank together"),
        ([1.0], {"max_batch_s": 1.0, "num_replicas": 0, "rank": 0}, "num_replicas is a whole"),
        ([1.0] * 9, {"max_batch_s": 1.0, "num_replicas": 3, "rank": 3}, "rank is in 0..2"),
        ([1.0] * 2, {"max_batch_s": 9.0, "num_replicas": 3, "rank": 0}, "2 clips cannot be shared"),
        (
            [1.0] * 10,
            {"max_batch_items": 1, "num_replicas": 3, "rank": 0},
            "need 10 batches, and the next multiple of 3 is 12.*equal_batches=False",
        ),
    ],
)
def test_bad_input_is_one_clear_error(durations_s, kwargs, message):
    refused(message, DurationBatchSampler, durations_s, **kwargs)


@pytest.mark.parametrize("epoch", (-1, 1.5, None))
def test_bad_epoch(epoch):
    refused("epoch is a whole", DurationBatchSampler([1.0], max_batch_s=1.0).set_epoch, epoch)


def test_too_few_clips_for_a_world_known_only_later(monkeypatch):
    sampler = DurationBatchSampler([1.0, 1.0], max_batch_s=1.0)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    refused("2 clips cannot be shared equally by 3 ranks", len, sampler)
    refused("2 clips cannot be shared equally by 3 ranks", iter, sampler)


@pytest.mark.slow
def test_a_large_corpus_takes_seconds():
    # VoxCeleb2 has 1.1 million clips: this is a quarter of it, and 0.1 s. Quadratic would be hours.
    durations_s = timit_like_durations_s(7, 300_000)
    start = time.perf_counter()
    sampler = DurationBatchSampler(durations_s, max_batch_s=300.0, num_replicas=7, rank=0)
    sampler.set_epoch(1)
    assert sum(1 for _ in sampler) == len(sampler)
    assert time.perf_counter() - start < 15.0


def test_docstring_examples_run():
    failed, tried = doctest.testmod(batching)
    assert tried >= 4 and failed == 0
