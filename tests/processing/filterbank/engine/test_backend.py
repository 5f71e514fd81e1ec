"""The decision between C and torch operators, and tables that are kept between calls."""

import pytest
import torch

from auricle.lobes import build_frontend
from auricle.processing.filterbank.engine import (
    EnergyEngine,
    backend,
    band_responses,
    corrections,
)
from auricle.processing.filterbank.engine.backend import keep_tensors
from auricle.processing.filterbank.shapes import gabor_taps, gaussian_lowpass

C_FUNCTIONS = {
    *("choose_rates", "lost_power", "band_responses", "pack_spectra", "pool_bands", "lost_energy")
}


@pytest.mark.parametrize(
    "tensor",
    [torch.ones(2).double(), torch.ones(2).bfloat16(), torch.ones(0), torch.ones(2, device="meta")],
    ids=["float64", "bfloat16", "empty", "no CPU"],
)
def test_c_takes_float32_on_a_cpu_only(tensor):
    assert not backend.takes(torch.ones(2), tensor)


@pytest.fixture
def calls(monkeypatch):
    """Names of the C functions that were called."""
    names, call = set(), backend.call
    monkeypatch.setattr(backend, "call", lambda name, **args: names.add(name) or call(name, **args))
    return names


@pytest.mark.parametrize("case", ["float32", "float64", "gradient of the signal", "switched off"])
def test_one_decision_holds_for_the_whole_engine(case, calls, monkeypatch):
    if case == "switched off":
        monkeypatch.setenv("AURICLE_COMPILED", "0")
    dtype = torch.float64 if case == "float64" else torch.float32
    centre, width = torch.tensor([0.5, 1.0], dtype=dtype), torch.tensor([30.0, 20.0], dtype=dtype)
    taps = gabor_taps(centre.requires_grad_(), width, 401)
    pool = gaussian_lowpass(torch.full((2,), 0.4, dtype=dtype), 401)
    wavs = torch.ones(1, 4000, dtype=dtype, requires_grad=case == "gradient of the signal")
    EnergyEngine(160)(wavs, taps, pool, 200).sum().backward()
    assert centre.grad.isfinite().all()
    if case in ("float64", "switched off") or not backend.takes(torch.ones(1)):
        assert not calls
    elif case == "float32":
        assert calls == C_FUNCTIONS | {
            "block_spectra",
            "band_responses_backward",
            "pool_bands_backward",
        }
    else:  # in C: only what needs no gradient of the signal
        assert calls == C_FUNCTIONS | {"band_responses_backward"} and wavs.grad.isfinite().all()


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
    for kept in (band_responses._grid, band_responses.interpolation, corrections._positions):
        kept.cache_clear()
    wavs = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = build_frontend("leaf")(wavs, lengths)
    leaf = build_frontend("leaf")
    feats = leaf(wavs, lengths)
    feats.sum().backward()
    torch.testing.assert_close(feats.detach(), expected.clone())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in leaf.parameters())
