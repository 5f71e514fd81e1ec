"""What is kept between calls serves training, too, where inference came first."""

import pytest
import torch

from auricle.lobes import build_frontend
from auricle.processing.filterbank.engine import band_responses, blocks, edges
from auricle.processing.filterbank.engine.backend import keep_tensors


def test_kept_tensors_are_ordinary_ones_and_made_once():
    made = []

    @keep_tensors(maxsize=4)
    def steps(count):
        made.append(count)
        return torch.arange(count) * 1.0

    with torch.inference_mode():
        first = steps(3)
        assert torch.is_inference_mode_enabled()
    assert steps(3) is first and made == [3]
    weight = torch.ones(3, requires_grad=True)
    (weight * first).sum().backward()
    assert torch.equal(weight.grad, first)


@pytest.mark.parametrize("compiled", ["0", "1"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([1.0, 0.6])], ids=["whole", "padded"])
def test_training_after_inference_in_one_process(compiled, lengths, monkeypatch):
    monkeypatch.setenv("AURICLE_COMPILED", compiled)
    for kept in (band_responses._grid, blocks.interpolation, edges._positions):
        kept.cache_clear()
    wavs = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = build_frontend("leaf")(wavs, lengths)
    leaf = build_frontend("leaf")
    feats = leaf(wavs, lengths)
    feats.sum().backward()
    torch.testing.assert_close(feats.detach(), expected.clone())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in leaf.parameters())
