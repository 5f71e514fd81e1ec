"""Speed perturbation: frequencies, lengths, and the numbers of the new classes."""

import math

import numpy as np
import pytest
import torch
from refusals import refused

from auricle.processing.data.augmentation.crops import RandomCrop
from auricle.processing.data.augmentation.speed import SpeedPerturbation

FACTORS = (1.0, 0.9, 1.1)


def tone(hertz, num_samples, rate=16000):
    return torch.sin(2 * math.pi * hertz * torch.arange(num_samples) / rate)


def peak_hz(wav, rate=16000):
    spectrum = torch.fft.rfft(wav * torch.hann_window(len(wav)), n=1 << 18).abs()
    return int(spectrum.argmax()) * rate / (1 << 18)


@pytest.mark.parametrize("factor", range(3))
@pytest.mark.parametrize("hertz", [200.0, 3000.0])
def test_a_tone_moves_by_the_factor_and_keeps_its_level(factor, hertz):
    speed = SpeedPerturbation(1)
    wav = tone(hertz, speed.num_samples_to_read(32000, factor))
    played = speed.apply(wav, factor, 32000)
    assert peak_hz(played) == pytest.approx(hertz * FACTORS[factor], abs=0.1)
    middle = played[1000:-1000]
    assert float(middle.square().mean()) == pytest.approx(0.5, rel=0.01)


def test_tempo_changes_with_the_pitch():
    speed = SpeedPerturbation(1)
    click = torch.zeros(32000)
    click[9000] = 1.0
    assert int(speed.apply(click, 1).argmax()) == 10000
    click = click.roll(2000)
    assert int(speed.apply(click, 2).argmax()) == 10000


def test_as_recorded_is_untouched():
    wav = torch.randn(1000)
    assert torch.equal(SpeedPerturbation(1).apply(wav, 0), wav)


@pytest.mark.parametrize("factors", [FACTORS, (1.0, 0.95, 1.05, 0.87, 1.2)])
def test_what_is_read_becomes_exactly_the_crop(factors):
    speed = SpeedPerturbation(1, factors)
    for factor, value in enumerate(factors):
        for size in (1, 7, 999, 16000, 31999, 32000):
            read = speed.num_samples_to_read(size, factor)
            assert size * value <= read + 1e-6 and read - 1 < size * value + 1e-6
            assert len(speed.apply(torch.zeros(read), factor, size)) == size


def test_a_crop_and_a_speed_together():
    """As a recipe uses the two: exactly a crop from a long recording, all of a short one."""
    crop, speed = RandomCrop(32000, 1), SpeedPerturbation(1, seed=1)
    for num_samples in (20000, 33000, 90000):
        wav = torch.randn(num_samples)
        for epoch in range(20):
            factor = speed.draw("a", epoch)
            size = speed.num_samples_to_read(crop.crop_samples, factor)
            start, read = crop.draw("a", num_samples, epoch, size)
            played = speed.apply(wav[start : start + read], factor, crop.crop_samples)
            expected = min(32000, math.ceil(num_samples / FACTORS[factor]))
            assert len(played) == expected


def test_labels_are_speaker_plus_factor_times_speakers():
    speed = SpeedPerturbation(5994)
    assert speed.num_classes == 17982
    assert [speed.label(7, i) for i in range(3)] == [7, 6001, 11995]
    small = SpeedPerturbation(4)
    labels = [small.label(k, i) for i in range(3) for k in range(4)]
    assert labels == list(range(12))
    assert [small.speaker(label) for label in labels] == [0, 1, 2, 3] * 3


@pytest.mark.parametrize("speaker, factor", [(4, 0), (0, 3), (-1, 0), (0, -1)])
def test_a_label_that_does_not_exist_is_refused(speaker, factor):
    refused("4 speakers and 3 factors", SpeedPerturbation(4).label, speaker, factor)


@pytest.mark.slow
def test_draws_are_even_repeatable_and_change_with_the_epoch():
    names = [str(i) for i in range(3000)]
    drawn = {
        key: [SpeedPerturbation(1, seed=key[0]).draw(name, key[1]) for name in names]
        for key in ((0, 1), (0, 2), (1, 1))
    }
    assert drawn[0, 1] == [SpeedPerturbation(9, seed=0).draw(name, 1) for name in names]
    for values in drawn.values():
        assert (abs(np.bincount(values) - 1000) < 4 * math.sqrt(3000 * 2 / 9)).all()
    for other in ((0, 2), (1, 1)):
        assert 0.25 < np.mean(np.equal(drawn[0, 1], drawn[other])) < 0.42


def test_without_factors_nothing_is_perturbed():
    speed = SpeedPerturbation(4, [])
    assert speed.num_classes == 4 and speed.draw("a", 1) == 0


@pytest.mark.parametrize(
    "factors", [(0.9, 1.0), (1.0, 1.0), (1.0, 0.2), (1.0, 3), (1.0, float("nan")), (1.0, "fast")]
)
def test_bad_factors_are_refused(factors):
    refused("speed factors", SpeedPerturbation, 4, factors)


def test_batch_and_double_precision_keep_their_kind():
    played = SpeedPerturbation(1).apply(torch.randn(3, 1100, dtype=torch.float64), 2)
    assert played.shape == (3, 1000) and played.dtype == torch.float64
