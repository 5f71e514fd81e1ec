"""The rule by which clips get rooms and noise."""

import pytest
import torch
from refusals import refused
from torch import nn

from auricle.processing.data.augmentation.speaker_augmentation import (
    SpeakerAugmentation,
    build_speaker_augmentation,
)


class Mark(nn.Module):
    """In place of noise and rooms: doubles and adds, so that the order shows too."""

    def __init__(self, times, plus):
        super().__init__()
        self.times, self.plus = times, plus

    def forward(self, wavs, lengths, active):
        return torch.where(active[:, None], self.times * wavs + self.plus, wavs)


@pytest.mark.parametrize("probability", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("both_share", [0.0, 0.4])
def test_shares_of_rooms_noise_and_both(probability, both_share):
    torch.manual_seed(0)
    augment = SpeakerAugmentation(Mark(1, 10), Mark(2, 0), probability, both_share)
    out = augment(torch.ones(8000, 1), torch.ones(8000))[:, 0]
    shares = {value: float((out == value).float().mean()) for value in (1, 2, 11, 12)}
    single = probability * (1 - both_share) / 2
    expected = {1: 1 - probability, 2: single, 11: single, 12: probability * both_share}
    assert sum(shares.values()) == pytest.approx(1), "a room comes before the noise"
    for value, share in expected.items():
        assert abs(shares[value] - share) < 0.02, value


def test_clips_change_padding_silence_and_seed_do_not():
    augment = build_speaker_augmentation(8000, 1.0, both_share=0.5)
    lengths = torch.tensor([1.0, 0.5, 1.0, 0.25] * 4)
    valid = torch.arange(4000) < (lengths * 4000)[:, None]
    wavs = torch.randn(16, 4000) * valid
    wavs[2] = 0
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(augment(wavs, lengths))
    assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])
    changed = (outs[0] != wavs).any(1)
    assert changed.sum() == 15 and not changed[2]
    assert outs[0].isfinite().all() and not outs[0][~valid].any()


def test_probability_zero_is_no_augmentation():
    assert build_speaker_augmentation(8000, 0.0) is None


@pytest.mark.parametrize(
    "option", [{"probability": 1.5}, {"probability": "0.6"}, {"both_share": -1}]
)
def test_what_is_no_share_is_refused(option):
    refused("from 0 to 1", build_speaker_augmentation, 8000, **option)


def test_folders_are_checked_even_when_nothing_is_augmented(tmp_path):
    for option in ("musan_folder", "rirs_folder"):
        refused(option, build_speaker_augmentation, 8000, 0.0, **{option: tmp_path})


def test_nothing_of_the_batch_is_needed_on_the_host():
    """Meta tensors have no values: an augmentation that looked at one, or mixed devices, fails."""
    augment = build_speaker_augmentation(8000, 1.0, both_share=0.5)
    out = augment(torch.empty(16, 4000, device="meta"), torch.empty(16, device="meta"))
    assert out.device.type == "meta" and out.shape == (16, 4000)
