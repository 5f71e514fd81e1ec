"""Energies at a stride per filter are those at every sample."""

import pytest
import torch

from auricle.lobes import build_frontend
from auricle.processing.filterbank.strided import LONGEST, StridedBank, pooling_weights


@pytest.mark.parametrize("name", ["leaf", "gammatone", "tdfbanks"])
@torch.no_grad()
def test_energies_are_those_of_the_convolution(name):
    frontend = build_frontend(name, 8000, options={name: {"backend": "direct"}}).eval()
    taps, pool = frontend.kernels()
    bank = StridedBank(taps, pool.expand(len(taps), -1), frontend.hop, 1e-5)
    wav = 0.2 * torch.randn(60 * frontend.hop, generator=torch.Generator().manual_seed(1))
    first = -(-bank.reach // frontend.hop)
    expected = frontend.energy(wav[None])[0, first : first + 20]
    assert max(bank.strides) <= LONGEST and (max(bank.strides) > 1 or name == "tdfbanks")
    torch.testing.assert_close(bank.energy(wav, first, 20), expected, rtol=5e-4, atol=1e-6)


def test_weights_are_those_of_least_error():
    """A constant is summed exactly, and a slow change by far better than by the nearest samples."""
    time = torch.arange(401) - 200.0
    taps = torch.stack([torch.cos(0.9 * time), torch.sin(0.9 * time)]) * torch.exp(
        -((time / 40) ** 2)
    )
    pool = torch.exp(-((time / 113) ** 2))
    weights = pooling_weights(taps, pool, 10)
    assert weights.shape == (41,) and torch.equal(pooling_weights(taps, pool, 1), pool)
    power = 1 + torch.sin(0.05 * time + 0.7)
    assert weights.sum() == pytest.approx(float(pool.sum()), rel=1e-4)
    assert (power[::10] @ weights).item() == pytest.approx((power @ pool).item(), rel=1e-4)
