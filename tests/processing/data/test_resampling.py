"""Resampling between any two rates: equal to torchaudio's, in bounded memory."""

import pytest
import torch
from torchaudio.functional import resample

from auricle.processing.data import resampling
from auricle.processing.data.resampling import resampler


@pytest.mark.parametrize("rates", [(44100, 16000), (8000, 16000), (48000, 44100)])
def test_interpolated_filters_are_those_of_torchaudio(monkeypatch, rates):
    wav = 0.25 * torch.randn(2, 1001, generator=torch.Generator().manual_seed(0))
    usual = resample(wav, *rates)
    assert torch.equal(resampler(*rates)(wav), usual)
    monkeypatch.setattr(resampling, "_MAX_ELEMENTS", 0)
    monkeypatch.setattr(resampling, "_BLOCK_ELEMENTS", 5000)
    resampler.cache_clear()
    torch.testing.assert_close(resampler(*rates)(wav), usual, atol=1e-5, rtol=0)
    resampler.cache_clear()


@pytest.mark.parametrize(
    "rates", [(44101, 16000), (16001, 16000), (767_999, 16000), (1009, 768_000)]
)
def test_a_tone_stays_the_same_tone_at_rates_without_a_common_divisor(rates):
    old, new = (torch.arange(rate // 20).double() / rate for rate in rates)
    out = resampler(*rates)(torch.sin(2 * torch.pi * 200 * old).float())
    assert abs(len(out) - len(new)) <= rates[1] / rates[0] + 1
    expected = torch.sin(2 * torch.pi * 200 * new).float()
    middle = slice(len(new) // 4, 3 * len(new) // 4)
    assert (out[middle] - expected[middle]).abs().max() < 0.01
