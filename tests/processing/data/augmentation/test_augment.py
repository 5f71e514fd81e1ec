"""Augmentation: what is shifted, mixed and masked, and that a seed repeats it."""

from types import SimpleNamespace

import pytest
import torch

from auricle.processing.data.augmentation.keyword import (
    BackgroundNoise,
    KeywordAugmentation,
    TimeShift,
    shift,
)
from auricle.processing.data.augmentation.mixup import Mixup
from auricle.processing.data.augmentation.spec_augment import feature_masks
from auricle.processing.data.generated_noise import tilted_noise_batch


def test_shift_moves_each_clip_by_its_own_offset_and_fills_with_zeros():
    wavs = torch.arange(1.0, 6.0).repeat(3, 1)
    moved = shift(wavs, torch.tensor([2, 0, -3]))
    assert moved.tolist() == [[0, 0, 1, 2, 3], [1, 2, 3, 4, 5], [4, 5, 0, 0, 0]]


def test_time_shift_stays_within_its_limit_and_reaches_it():
    pulse = torch.zeros(2000, 401)
    pulse[:, 200] = 1
    torch.manual_seed(0)
    places = TimeShift(10, 16000)(pulse).argmax(1) - 200
    assert places.min() == -160 and places.max() == 160
    assert abs(float(places.float().mean())) < 8  # s.d. of the mean of 2000 uniform draws: 2


def test_time_shift_leaves_inactive_clips_alone():
    wavs = torch.randn(4, 100)
    active = torch.tensor([True, False, True, False])
    torch.manual_seed(1)
    moved = TimeShift(5, 16000)(wavs, active)
    assert torch.equal(moved[~active], wavs[~active])
    assert not torch.equal(moved[active], wavs[active])


def test_noise_is_cut_from_a_single_recording_never_across_two():
    recordings = [torch.full((50,), 1.0), torch.full((80,), 2.0), torch.full((7,), 3.0)]
    drawn = BackgroundNoise(recordings, 1.0).draw(500, 20, torch.device("cpu"))
    assert (drawn == drawn[:, :1]).all()
    assert set(drawn[:, 0].tolist()) == {1.0, 2.0, 3.0}


def test_noise_reaches_both_ends_of_a_recording():
    drawn = BackgroundNoise([torch.arange(30.0)], 1.0).draw(2000, 20, torch.device("cpu"))
    assert drawn.min() == 0 and drawn.max() == 29
    assert (drawn[:, 1:] - drawn[:, :-1] == 1).all()


def test_noise_amplitude_is_uniform_up_to_its_limit():
    torch.manual_seed(0)
    added = BackgroundNoise([torch.ones(100)], 0.1)(torch.zeros(4000, 10))[:, 0]
    assert 0 <= added.min() and added.max() <= 0.1
    assert len(added.unique()) > 3900, "each clip has an amplitude of its own"
    assert abs(float(added.mean()) - 0.05) < 0.002  # standard error 0.0005


def test_generated_noise_has_peak_one_and_falling_spectra():
    torch.manual_seed(0)
    noise = tilted_noise_batch(64, 4096)
    torch.testing.assert_close(noise.abs().amax(1), torch.ones(64))
    power = torch.fft.rfft(noise).abs().square()
    assert (power[:, 1:200].mean(1) > power[:, -200:].mean(1)).float().mean() > 0.9


def test_silence_always_gets_noise_and_is_not_shifted():
    augment = KeywordAugmentation(
        TimeShift(100, 16000),
        BackgroundNoise([torch.ones(100)], 0.0),
        BackgroundNoise([torch.ones(100)], 1.0),
        probability=1.0,
        silence_class=0,
    )
    ramp = torch.arange(50.0)
    out = augment(ramp.repeat(200, 1), None, SimpleNamespace(target=[0, 1] * 100))
    silence, words = out[0::2] - ramp, out[1::2]
    assert (silence > 0).all()
    torch.testing.assert_close(silence, silence[:, :1].expand(-1, 50), rtol=0, atol=1e-5)
    assert (words != ramp).any(1).float().mean() > 0.9


@pytest.mark.parametrize("probability, share", [(0.0, 0.0), (0.8, 0.8), (1.0, 1.0)])
def test_shift_and_noise_are_applied_together_with_one_probability(probability, share):
    noise = BackgroundNoise([torch.ones(100)], 0.1)
    augment = KeywordAugmentation(TimeShift(1, 16000), noise, noise, probability)
    torch.manual_seed(0)
    out = augment(torch.zeros(3000, 20), None, SimpleNamespace(target=torch.ones(3000)))
    assert abs(float((out > 0).any(1).float().mean()) - share) < 0.03


def test_mixup_mixes_a_clip_with_its_partner_in_the_drawn_share():
    torch.manual_seed(0)
    wavs = torch.randn(500, 8)
    mixed, partner, share = Mixup(0.4)(wavs)
    assert sorted(partner.tolist()) == list(range(500))
    assert (share >= 0).all() and (share <= 1).all()
    torch.testing.assert_close(mixed, share[:, None] * wavs + (1 - share[:, None]) * wavs[partner])
    assert abs(float(share.mean()) - 0.5) < 0.06
    # Beta(0.4, 0.4) has variance 1 / (4 (2 * 0.4 + 1))
    assert abs(float(share.var()) - 1 / 7.2) < 0.02


def test_feature_masks_are_off_by_default_and_zero_whole_stripes():
    assert feature_masks() == []
    time, frequency = feature_masks(1, 20, 1, 7)
    feats = torch.ones(50, 100, 40)
    torch.manual_seed(0)
    masked = time(feats.clone())
    zero_frames = (masked == 0).all(2)
    assert torch.equal((masked == 0).any(2), zero_frames)
    assert 0 < zero_frames.sum(1).max() <= 20
    masked = frequency(feats.clone())
    zero_features = (masked == 0).all(1)
    assert torch.equal((masked == 0).any(1), zero_features)
    assert 0 < zero_features.sum(1).max() <= 7


def test_a_seed_repeats_the_augmentation():
    noise = BackgroundNoise([torch.randn(1000)], 0.1)
    augment = KeywordAugmentation(TimeShift(100, 16000), noise, noise, 0.8, 0)
    wavs, batch = torch.randn(8, 300), SimpleNamespace(target=torch.arange(8) % 3)
    outs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outs.append(augment(wavs, None, batch))
    assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])
