"""The memory report of a run: printed line, warning, batch and cache it is made for."""

from types import SimpleNamespace

import pytest

from auricle.lobes import create_model
from auricle.lobes.memory.estimate import SMALL_BYTES, RunMemory
from auricle.recipes.training import memory_report
from auricle.recipes.training.memory_report import measured_memory, report_memory
from auricle.recipes.training.runner import Run

GIB = 2**30


def a_run():
    hparams = {
        "model": create_model("mel", "small_cnn", num_classes=3),
        "sample_rate": 16000,
        "optimizing": "adamw",
        "batch_size": 4,
        "cache_gb": 1.0,
    }
    config = SimpleNamespace(run_opts=SimpleNamespace(device="cpu"))
    return Run(config, hparams, None, None, {})


@pytest.mark.slow
@pytest.mark.parametrize(("available", "warned"), [(64 * GIB, False), (2**16, True), (None, False)])
def test_a_run_says_what_it_takes_and_warns_where_that_is_not_there(
    available, warned, monkeypatch, capsys
):
    monkeypatch.setattr(memory_report, "available_bytes", lambda device: available)
    run = a_run()
    assert measured_memory(run, "cpu") is None
    memory = report_memory(run, 1.0)
    printed = capsys.readouterr().out
    assert run.memory is memory and printed.startswith(f"Memory: about {memory} in training")
    assert ("64.0 GiB available" in printed) == (available == 64 * GIB)
    assert ("WARNING" in printed) == warned and ("--batch_size" in printed) == warned
    assert "parameters with gradients and optimiser" in printed
    record = measured_memory(run, "cpu")
    assert record["estimate_bytes"] == memory.total and record["peak_bytes"] > 50 * 2**20


@pytest.mark.parametrize(("asked_for", "used"), [(None, "cuda:0"), ("cpu", "cpu")])
def test_without_a_device_the_estimate_is_for_the_one_that_is_found(asked_for, used, monkeypatch):
    asked = []
    memory = RunMemory(activations=1, parameters=1)
    monkeypatch.setattr(
        memory_report,
        "estimate_run",
        lambda *args, device, **settings: asked.append(device) or memory,
    )
    monkeypatch.setattr(memory_report, "available_bytes", lambda device: asked.append(device))
    monkeypatch.setattr("speechbrain.utils.distributed.infer_device", lambda: "cuda:0")
    run = a_run()
    run.config.run_opts.device = asked_for
    report_memory(run, 1.0)
    assert asked == [used, used]


@pytest.mark.parametrize(
    ("changes", "items", "cached"),
    [({}, 4, 64000), ({"max_batch_s": 6.0}, 3, 64000), ({"cache_gb": 1e-5}, 4, 10000)],
    ids=["all", "max_batch_s", "cache_gb"],
)
def test_the_estimate_is_for_the_batch_and_the_cache_that_are_set(
    changes, items, cached, monkeypatch
):
    asked = {}

    def noted(model, clip_samples, batch_items, optimizing, cache_bytes, device):
        asked.update(clip=clip_samples, items=batch_items, cached=cache_bytes)
        return RunMemory(activations=1, parameters=1)

    monkeypatch.setattr(memory_report, "estimate_run", noted)
    run = a_run()
    run.hparams.update(changes)
    report_memory(run, 2.0, decoded_s=2.0)
    assert asked == {"clip": 32000, "items": items, "cached": cached}


@pytest.mark.parametrize("small", [True, False])
def test_a_large_run_gives_freed_memory_back(small, monkeypatch):
    memory = RunMemory(activations=SMALL_BYTES + (0 if small else 1), parameters=0)
    monkeypatch.setattr(memory_report, "estimate_run", lambda *args, **settings: memory)
    calls = []
    monkeypatch.setattr(memory_report, "give_freed_memory_back", lambda: calls.append(1))
    report_memory(a_run(), 1.0)
    assert bool(calls) == (not small)
