"""The command line of phone recognition on the tiny mini corpus, and what its options do."""

import signal
import sys
from types import SimpleNamespace

import pytest
import torch
from command_line import TORCHRUN, history, run, training
from safetensors.torch import load_file

from auricle.lobes.brains import ctc
from auricle.lobes.bundles import bundle as pretrained
from auricle.processing.transcription.units import Units
from auricle.recipes.reports.results import load_results
from auricle.recipes.timit.train import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tiny):
    return tiny("timit")


def command(corpus, folder, *extra):
    """A small run with every source of chance in it: speeds, noise, masks, dropout."""
    settings = {
        "data_folder": corpus,
        "encoder_options.blstm.hidden": 32,
        "encoder_options.blstm.dropout": 0.1,
        "number_of_epochs": 3,
        "noise_probability": 0.2,
        "speed_factors": "[1.0, 0.95, 1.05]",
        "time_masks": 1,
    }
    return training("timit", folder, settings, *extra)


def train(corpus, folder, *extra):
    assert main(command(corpus, folder, *extra)[1:]) == 0
    (result,) = load_results(folder)
    return result


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """One uninterrupted run, and what it printed."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    return folder, run(*command(corpus, folder)).stdout


def test_a_run_leaves_everything_behind(finished):
    folder, printed = finished
    (result,) = load_results(folder)
    test = result.metrics["test"]
    assert result.corpus["synthetic"] and "not a benchmark" in printed
    assert result.dataset == "mini TIMIT"
    assert test["phone_set"] == "timit39" and test["silence_rule"] == "keep"
    assert test["glottal_stop"] == "delete" and test["n"] == 48
    assert test["per"] == test["edits"] / test["reference_tokens"]
    assert test["edits"] == test["substitutions"] + test["deletions"] + test["insertions"]
    assert result.protocol["units"] == "phones39" and result.protocol["decoding"] == "greedy"
    losses = [record["train"]["loss"] for record in history(folder)]
    assert losses[-1] < 0.5 * losses[0]
    for picture in ("confusions.png", "training_curves.png", "learned_filters.png"):
        assert (folder / picture).read_bytes()[:4] == b"\x89PNG"
        assert picture in printed


def test_the_bundle_knows_its_units_and_labels_no_files(finished, corpus):
    bundle = pretrained.load(finished[0] / "bundle")
    units = Units.from_state(bundle.description["units"])
    assert list(units.labels) == bundle.labels and units.labels[0] == "<blank>"
    assert abs(bundle.description["boundary_shift_ms"]) < 1000
    assert (finished[0] / "bundle" / "bigram.json").is_file()
    with pytest.raises(ValueError, match="auricle transcribe"):
        bundle.predict_file(next(corpus.rglob("*.WAV")))


def test_killed_and_resumed_ends_with_the_same_numbers(finished, corpus):
    folder = finished[0].with_name("resumed")
    words = command(corpus, folder, "--ckpt_interval_steps", 1)
    killer = (
        "import os, signal, sys, auricle.lobes.brains.ctc as ctc\n"
        "step = ctc.CTCBrain.prepare_step\n"
        "def dying(self):\n"
        "    step(self)\n"
        "    if self.epoch == 2 and self.step == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ctc.CTCBrain.prepare_step = dying\n"
        "from auricle.recipes.timit.train import main\n"
        "main(sys.argv[2:])\n"
    )
    died = run(words[0], *words[1:], launcher=(sys.executable, "-c", killer), check=False)
    assert died.returncode == -signal.SIGKILL
    run(*words)
    (a,), (b,) = load_results(folder), load_results(finished[0])
    assert a.metrics == b.metrics
    weights, others = (load_file(f / "bundle" / "model.safetensors") for f in (folder, finished[0]))
    assert all(torch.equal(weights[key], others[key]) for key in weights)


def test_one_process_and_two_score_a_model_alike(finished, corpus):
    (before,) = load_results(finished[0])
    run(*command(corpus, finished[0], "--test_only"), launcher=TORCHRUN)
    (after,) = load_results(finished[0])
    assert after.metrics["test"]["confusion"] == before.metrics["test"]["confusion"]
    assert after.metrics["test"]["interval"] == before.metrics["test"]["interval"]


def test_two_processes_train(corpus, tmp_path):
    folder = tmp_path / "two"
    run(*command(corpus, folder, "--number_of_epochs", 2), launcher=TORCHRUN)
    (result,) = load_results(folder)
    assert result.metrics["test"]["n"] == 48 and len(history(folder)) == 2


def test_a_learned_frontend_is_restored_to_the_identical_score(corpus, tmp_path):
    extra = ("--frontend", "leaf", "--number_of_epochs", 2, "--frontend_lr_factor", 5.0)
    folder = tmp_path / "leaf"
    before = train(corpus, folder, *extra)
    assert before.filters["centre_shift_hz"] > 0
    after = train(corpus, folder, *extra, "--test_only")
    assert after.metrics["test"] == before.metrics["test"]


@pytest.mark.parametrize(
    ("units", "rate"), [("char", "cer"), ("bpe", "wer"), ("phones61", "per"), ("phones48", "per")]
)
def test_other_units_are_trained_and_scored(corpus, tmp_path, units, rate):
    result = train(corpus, tmp_path / units, "--units", units, "--number_of_epochs", 1)
    assert result.metrics["test"][rate] > 0 and result.protocol["units"] == units
    if rate == "per":
        assert result.metrics["test"]["phone_set"] == "timit39"


def test_beam_search_with_a_bigram_scores_the_test(finished, corpus, tmp_path):
    extra = ("--decoding", "beam", "--beam_size", 4, "--lm_weight", 0.3, "--number_of_epochs", 1)
    result = train(corpus, tmp_path / "beam", *extra)
    assert result.protocol["decoding"] == "beam" and result.protocol["lm_weight"] == 0.3


def test_adadelta_with_newbob_lowers_the_rate(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(ctc, "NOTHING_YET", 2.0)
    extra = ("--optimizing", "adadelta", "--lr", 1.0, "--annealing", "newbob")
    train(corpus, tmp_path / "bob", *extra, "--annealing_threshold", 0.9, "--annealing_patience", 0)
    rates = [record["lr"] for record in history(tmp_path / "bob")]
    assert rates == pytest.approx([1.0, 1.0, 0.5])


def test_the_rate_stays_until_more_than_blanks_is_recognised():
    """The error rate of a network of blanks is 1, epoch after epoch."""
    epochs = [{"valid": {"per": rate}} for rate in (1.0, 1.0, 0.96, 0.97, 0.7, 0.7, 0.7, 0.5)]
    hparams = SimpleNamespace(
        annealing="plateau", annealing_factor=0.5, annealing_threshold=0.0, annealing_patience=1
    )
    found = []
    for n in range(len(epochs) + 1):
        brain = SimpleNamespace(
            hparams=hparams, headline="per", history=SimpleNamespace(epochs=epochs[:n])
        )
        found.append(ctc.CTCBrain.annealing_factor(brain))
    assert found == [1, 1, 1, 1, 1, 1, 1, 0.5, 0.5]


@pytest.mark.parametrize(
    "extra, said",
    [
        (["--data_folder", "no/such/folder"], ["no/such/folder"]),
        (["--protocol", "kaldi"], ["kaldi", "standard"]),
        (["--units", "phones40"], ["phones40", "phones39"]),
        (["--decoding", "best"], ["best", "greedy"]),
        (["--lm_weight", "0.5"], ["lm_weight", "greedy"]),
        (["--silence_rule", "drop"], ["drop", "collapse"]),
        (["--annealing", "bob"], ["bob", "newbob"]),
        (["--encoder", "xvector"], ["xvector", "frames"]),
        (["--encoder", "conformer", "--encoder_options.conformer.stride", "64"], ["stride"]),
    ],
    ids=lambda value: value[1] if isinstance(value, list) and len(value) > 1 else "",
)
def test_bad_input_gives_one_clear_error(corpus, tmp_path, capsys, extra, said):
    status = main(command(corpus, tmp_path / "bad", *extra)[1:])
    printed = capsys.readouterr().err
    assert status in (1, 2)
    assert "Traceback" not in printed
    for word in said:
        assert word in printed
