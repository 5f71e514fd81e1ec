"""Crops: a function of (seed, epoch, name), inside the recording, evenly distributed."""

import multiprocessing

import numpy as np
import pytest
from refusals import refused

from auricle.processing.data.augmentation.crops import RandomCrop, evenly_spaced
from auricle.processing.data.batching import DurationBatchSampler

NAMES = [f"id1{i:04d}/abc/00001.wav" for i in range(400)]


def draw_all(seed, epoch):
    crop = RandomCrop(32000, seed)
    return [crop.draw(name, 90000, epoch) for name in NAMES]


@pytest.mark.slow
def test_two_processes_draw_the_same():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        elsewhere = pool.apply(draw_all, (3, 7))
    assert elsewhere == draw_all(3, 7)


def test_epoch_seed_and_name_change_the_crop():
    first = draw_all(3, 7)
    for other in (draw_all(3, 8), draw_all(4, 7)):
        assert np.mean([a != b for a, b in zip(first, other, strict=True)]) > 0.99
    assert len(set(first)) > 390, "recordings that share their last part have crops of their own"


def test_every_start_is_equally_likely_and_both_ends_are_reached():
    crop = RandomCrop(10)
    starts = [crop.draw("a", 14, epoch)[0] for epoch in range(5000)]
    counts = np.bincount(starts, minlength=5)
    assert len(counts) == 5, "no crop reaches beyond the end"
    assert (abs(counts - 1000) < 4 * np.sqrt(5000 * 0.2 * 0.8)).all()


@pytest.mark.parametrize("num_samples", [1, 31999, 32000])
def test_a_recording_no_longer_than_the_crop_is_taken_whole(num_samples):
    assert RandomCrop(32000, 1).draw("a", num_samples, 5) == (0, num_samples)


def test_the_length_of_one_draw_can_be_another():
    start, num_samples = RandomCrop(32000, 1).draw("a", 40000, 5, crop_samples=35200)
    assert num_samples == 35200 and 0 <= start <= 4800


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("num_samples", [101, 4321])
def test_evenly_spaced_crops_reach_from_end_to_end(n, num_samples):
    crops = evenly_spaced(num_samples, 100, n)
    starts = np.array([start for start, _ in crops])
    assert len(crops) == n and {size for _, size in crops} == {100}
    if n == 1:
        assert starts[0] == (num_samples - 100) // 2
    else:
        assert starts[0] == 0 and starts[-1] == num_samples - 100
        assert np.ptp(np.diff(starts)) <= 1


def test_a_short_recording_is_one_crop_however_many_are_asked_for():
    assert evenly_spaced(100, 100, 10) == evenly_spaced(100, 200, 10) == [(0, 100)]


@pytest.mark.parametrize(
    "call",
    [
        lambda: RandomCrop(0),
        lambda: RandomCrop(True),
        lambda: RandomCrop(10).draw("empty.wav", 0, 1),
        lambda: evenly_spaced(10, 0, 1),
        lambda: evenly_spaced(0, 4, 1),
        lambda: evenly_spaced(10, 4, 0),
    ],
)
def test_no_samples_and_no_crops_are_refused(call):
    refused("above 0", call)


def test_a_recording_without_samples_is_named():
    refused("empty.wav", RandomCrop(10).draw, "empty.wav", 0, 1)


def test_the_batch_sampler_gets_the_cropped_durations():
    """Long recordings all count as one crop: full batches, mixed anew in every epoch."""
    rng = np.random.default_rng(0)
    recorded_s = np.concatenate([rng.uniform(4, 60, 96), rng.uniform(0.5, 1.9, 20)])
    cropped_s = RandomCrop(32000).durations_s(recorded_s, 16000)
    np.testing.assert_allclose(cropped_s, np.minimum(recorded_s, 2.0))
    sampler = DurationBatchSampler(cropped_s, max_batch_s=32.0, seed=1)
    epochs = []
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        batches = [sorted(batch) for batch in sampler]
        assert sorted(sum(batches, [])) == list(range(116))
        full = [batch for batch in batches if max(batch) < 96]
        assert {len(batch) for batch in full} == {16}
        epochs.append(sorted(full))
    assert epochs[0] != epochs[1]


def test_a_slow_short_recording_counts_as_long_as_it_becomes():
    assert RandomCrop(32000).durations_s([0.9, 1.9], 16000, slowest=0.9) == [1.0, 2.0]
