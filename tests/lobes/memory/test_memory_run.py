"""The estimate of a whole run: by hand, against tensors that are really alive, and a real process."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from auricle.lobes import build_encoder, build_frontend, build_normalization
from auricle.lobes.memory import run_memory
from auricle.lobes.memory.recurrent_memory import shortened_recurrence
from auricle.lobes.memory.run_memory import SMALL_BYTES, RunMemory, estimate_run
from auricle.recipes.training import runner

GIB = 2**30


class Frames(nn.Module):
    """Waveform -> frames of 40 samples; keeps nothing."""

    def forward(self, wavs, lengths=None):
        return wavs.view(len(wavs), -1, 40)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(40, 8), nn.Linear(8, 1)

    def forward(self, feats, lengths=None):
        return self.second(self.first(feats).relu())


class ReadsValues(Encoder):
    def forward(self, feats, lengths=None):
        assert float(feats.sum()) == float(feats.sum())
        return super().forward(feats)


def by_hand(batch, frames, waves=3):
    """Bytes: rectified (kept) with its own input, then output; copies of the waveforms."""
    return 4 * batch * frames * (8 + 8) + waves * 4 * batch * frames * 40


def test_estimate_by_hand():
    encoder = Encoder()
    lobes = {"compute_features": Frames(), "embedding_model": encoder}
    got = estimate_run(lobes, 40 * 1000, 4, "sgd")
    # While relu runs its input is alive too; in backward the gradient takes that place.
    assert got.activations == pytest.approx(by_hand(4, 1000), rel=0.1)
    count = sum(p.numel() for p in encoder.parameters())
    assert got.parameters == 4 * count * 3
    assert estimate_run(lobes, 40 * 1000, 4, "adam").parameters == 4 * count * 4
    encoder.first.requires_grad_(False)
    assert estimate_run(lobes, 40 * 1000, 4).parameters == 4 * (count + 3 * 9)
    assert got.total == got.activations + got.parameters + got.process + got.kept
    assert estimate_run(lobes, 40 * 1000, 4, cache_bytes=GIB).cache == GIB
    assert got.process > 50 * 2**20
    assert estimate_run(lobes, 40 * 1000, 4, device="cuda").process == 0


def test_a_network_that_reads_values_is_estimated_from_one_and_two_items():
    estimates = [
        estimate_run({"compute_features": Frames(), "embedding_model": net}, 40 * 1000, 6)
        for net in (Encoder(), ReadsValues())
    ]
    first, second = (estimate.activations for estimate in estimates)
    assert second == pytest.approx(first, rel=0.01)


@pytest.mark.parametrize(
    ("frontend", "encoder", "options"),
    [
        ("mel", "cnn14", {"channels": (4, 8, 8)}),
        ("waveform", "m5", {}),
        ("leaf", "bcresnet", {}),
        ("mel", "crnn", {}),
    ],
)
def test_estimate_is_what_is_alive_in_a_real_step(frontend, encoder, options):
    torch.manual_seed(0)
    first = build_frontend(frontend, 16000)
    norm = build_normalization("auto", first)
    net = build_encoder(encoder, first.num_features, 101, {encoder: options})
    lobes = {"compute_features": first, "mean_var_norm": norm, "embedding_model": net}
    state = {n: v.clone() for lobe in lobes.values() for n, v in lobe.state_dict().items()}
    random = torch.get_rng_state()
    estimate = estimate_run(lobes, 16000, 3)
    assert torch.equal(torch.get_rng_state(), random)
    after = {n: v for lobe in lobes.values() for n, v in lobe.state_dict().items()}
    assert all(torch.equal(after[name], value) for name, value in state.items())
    assert all(p.grad is None for lobe in lobes.values() for p in lobe.parameters())

    for lobe in lobes.values():
        lobe.train()
    wavs, lengths = torch.randn(3, 16000), torch.ones(3)
    real = run_memory._measure(lambda: net(norm(first(wavs, lengths), lengths)))
    peak = max(real.forward, real.backward) - real.left
    waves = run_memory.WAVEFORM_COPIES * 4 * 3 * 16000
    assert estimate.activations - waves == pytest.approx(peak, rel=0.1)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}])
def test_recurrent_layers_need_what_all_their_steps_need(kind, options):
    net = kind(12, 16, batch_first=True, **options).to("meta")
    feats = torch.empty(3, 60, 12, device="meta", requires_grad=True)
    want = run_memory._measure(lambda: net(feats)[0])
    with shortened_recurrence(run_memory._measure):
        net.zero_grad()
        feats.grad = None
        output = net(feats)[0]
        assert output.shape == (3, 60, 16 * (2 if options else 1))
        del output
        got = run_memory._measure(lambda: net(feats)[0])
    assert got.forward == pytest.approx(want.forward, rel=0.05)
    assert got.kept == pytest.approx(want.kept, rel=0.05)
    assert got.backward == pytest.approx(want.backward, rel=0.1)
    assert "lstm" not in vars(torch._VF) and "gru" not in vars(torch._VF)


def test_bad_input_is_refused():
    lobes = {"compute_features": Frames(), "embedding_model": Encoder()}
    with pytest.raises(ValueError, match="batch_items must be .* got 0"):
        estimate_run(lobes, 400, 0)
    with pytest.raises(ValueError, match="optimizing must be one of"):
        estimate_run(lobes, 400, 1, "lbfgs")


# ---- what a recipe says --------------------------------------------------------------------------


def a_run():
    hparams = {
        "modules": {"compute_features": Frames(), "embedding_model": Encoder()},
        "sample_rate": 16000,
        "optimizing": "adamw",
        "batch_size": 4,
        "cache_gb": 1.0,
    }
    config = SimpleNamespace(run_opts=SimpleNamespace(device="cpu"))
    return runner.Run(config, hparams, None, None, {})


@pytest.mark.parametrize(("available", "warned"), [(64 * GIB, False), (2**16, True), (None, False)])
def test_a_run_says_what_it_takes_and_warns_where_that_is_not_there(
    available, warned, monkeypatch, capsys
):
    monkeypatch.setattr(runner, "available_bytes", lambda device: available)
    run = a_run()
    assert runner.measured_memory(run, "cpu") is None
    memory = runner.report_memory(run, 1.0)
    said = capsys.readouterr().out
    assert run.memory is memory and said.startswith(f"Memory: about {memory} in training")
    assert ("64.0 GiB available" in said) == (available == 64 * GIB)
    assert ("WARNING" in said) == warned and ("--batch_size" in said) == warned
    assert "parameters with gradients and optimiser 5 KiB" in said
    record = runner.measured_memory(run, "cpu")
    assert record["estimate_bytes"] == memory.total and record["peak_bytes"] > 50 * 2**20


@pytest.mark.parametrize(("given", "found"), [(None, "cuda:0"), ("cpu", "cpu")])
def test_without_a_device_the_estimate_is_for_the_one_that_is_found(given, found, monkeypatch):
    asked = []
    memory = RunMemory(activations=1, parameters=1)
    monkeypatch.setattr(
        run_memory, "estimate_run", lambda *args, device, **settings: asked.append(device) or memory
    )
    monkeypatch.setattr(runner, "available_bytes", lambda device: asked.append(device))
    monkeypatch.setattr("speechbrain.utils.distributed.infer_device", lambda: "cuda:0")
    run = a_run()
    run.config.run_opts.device = given
    runner.report_memory(run, 1.0)
    assert asked == [found, found]


@pytest.mark.parametrize(
    ("changes", "items", "cached"),
    [({}, 4, 64000), ({"max_batch_s": 6.0}, 3, 64000), ({"cache_gb": 1e-5}, 4, 10000)],
    ids=["all", "max_batch_s", "cache_gb"],
)
def test_the_estimate_is_for_the_batch_and_the_cache_that_are_set(
    changes, items, cached, monkeypatch
):
    asked = {}

    def estimate(lobes, clip_samples, batch_items, optimizing, cache_bytes, device):
        asked.update(clip=clip_samples, items=batch_items, cached=cache_bytes)
        return RunMemory(activations=1, parameters=1)

    monkeypatch.setattr(run_memory, "estimate_run", estimate)
    run = a_run()
    run.hparams.update(changes)
    runner.report_memory(run, 2.0, decoded_s=2.0)
    assert asked == {"clip": 32000, "items": items, "cached": cached}


@pytest.mark.parametrize("small", [True, False])
def test_a_large_run_gives_freed_memory_back(small, monkeypatch):
    memory = RunMemory(activations=SMALL_BYTES + (0 if small else 1), parameters=0)
    monkeypatch.setattr(run_memory, "estimate_run", lambda *args, **settings: memory)
    calls = []
    monkeypatch.setattr(runner, "give_freed_memory_back", lambda: calls.append(1))
    runner.report_memory(a_run(), 1.0)
    assert bool(calls) == (not small)


STEPS = """
import sys
from auricle.processing.system.memory import *
use_large_pages()
import torch
from auricle.lobes import build_encoder, build_frontend
from auricle.lobes.memory.run_memory import estimate_run

keep_freed_memory()
lobes = {"compute_features": build_frontend("waveform", 16000)}
lobes["embedding_model"] = build_encoder("m5", 1, 16000)
batch = int(sys.argv[1])
memory = estimate_run(lobes, 16000, batch, "sgd")
if not memory.small:
    give_freed_memory_back()
print(memory.total, memory.activations, keeps_freed_memory())
for step in range(3):
    wavs = torch.randn(batch, 16000)
    lobes["embedding_model"](lobes["compute_features"](wavs)).sum().backward()
    lobes["embedding_model"].zero_grad(set_to_none=True)
print(peak_memory_bytes())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about Linux and glibc")
@pytest.mark.parametrize("batch", [8, 80])
def test_a_process_stays_within_its_estimate(batch):
    words = [sys.executable, "-c", STEPS, str(batch)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(words, env=settings, capture_output=True, text=True, check=True)
    total, activations, keeps, peak = ended.stdout.split()
    assert (int(activations) > SMALL_BYTES) == (batch == 80)
    assert int(peak) <= 1.3 * int(total)
    assert int(total) <= 1.3 * int(peak)  # nor twice what is needed
