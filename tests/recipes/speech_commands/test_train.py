"""Keyword spotting by its command on the tiny mini corpus: train, kill, resume, bad input."""

import signal
import subprocess
import sys

import pytest
import torch
from command_line import train_script
from every_recipe import EveryRecipe, TwoProcesses, said_once, same_outcome
from small_runs import SMALL

from auricle.lobes import bundles

pytestmark = pytest.mark.slow

RECIPE = SMALL["speech_commands"]


class TestSpeechCommands(EveryRecipe, TwoProcesses):
    pictures = ("confusion_matrix.png",)
    falls = 0.9
    killed_at = 11  # of 7 in an epoch
    # BC-ResNet has buffers, which DDP exchanges in forward: with the uneven numbers of test batches
    # here (2 and 1), ranks that went through it in evaluation would wait for ever.
    # LEAF is frozen for an epoch: its gradients are exchanged and dropped, or DDP would complain.
    two = ("--number_of_epochs", 2, "--encoder", "bcresnet", "--batch_size", 32)
    two += ("--frontend", "leaf", "--frontend_freeze_epochs", 1, "--frontend_step_hz", 2.0)
    two += ("--frontend_options.leaf.hop_ms", 20.0)
    bad_input = [
        (["--data_folder", "no/such/folder"], ["no/such/folder"]),
        (["--frontend", "leef"], ["leef", "leaf", "--plugin FILE.py"]),
        (["--encoder_options.linear.depth", "3"], ["encoder_options.linear.depth"]),
        (["--frontned", "mel", "--lrr", "1"], ["frontned", "lrr", "2 problems"]),
        (["--protocol", "v2-12"], ["v2-12", "v2-12-official"]),
        (["--protocol", "v1-30"], ["v1-30"]),
        (["--optimizing", "adammw"], ["adamw"]),
        (["--frontend_options.mel.num_features", "many"], ["frontend mel", "many"]),
        (
            ["--frontend_options.mel.num_features", "7", "--encoder", "bcresnet"],
            ["linear", "7 fea"],
        ),
        (["--plugin", "nowhere.py"], ["nowhere.py"]),
    ]


def test_it_is_scored_by_the_protocol(finished):
    _, result, _ = finished
    test = result.metrics["test"]
    assert result.protocol["name"] == "v2-12-official"
    assert test["n"] == sum(result.counts["test"].values()) == 84
    assert result.metrics["valid"]["n"] == sum(result.counts["valid"].values())
    assert test["accuracy"] > 2 / 12, "not clearly above chance"
    low, high = test["interval"]["accuracy"]
    assert low < test["accuracy"] < high
    assert result.params["head"] == 40 * 101 * 12 + 12  # the published "Simple" model
    assert result.filters["count"] == 40 and sum(result.filters.values()) == 40  # mel is fixed


def test_speechbrain_classifies_as_the_bundle_does(finished, monkeypatch, tmp_path):
    from speechbrain.inference import EncoderClassifier

    monkeypatch.chdir(tmp_path)
    ours = bundles.load(finished[0] / "bundle")
    theirs = EncoderClassifier.from_hparams(source=str(finished[0] / "bundle"))
    wavs = 0.1 * torch.randn(3, 16000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = ours(wavs)
        scores, best, index, labels = theirs.classify_batch(wavs)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-6)
    assert labels == [ours.labels[i] for i in expected.argmax(-1)]


def test_steps_of_a_frontend_in_hz_are_counted_from_when_it_thaws(recipe, tmp_path):
    extra = ("--number_of_epochs", 2, "--frontend", "leaf", "--frontend_freeze_epochs", 1)
    result, _ = recipe.train(tmp_path / "leaf", *extra, "--frontend_step_hz", 2.0)
    assert 0 < result.filters["centre_shift_hz"] < 2.0 * 7  # the steps of the second epoch


def test_stopped_by_a_signal_it_says_so_in_one_line_and_goes_on(recipe, finished, tmp_path):
    folder = tmp_path / "stopped"
    died = recipe.run(folder, check=False, die_at=("step", 11, signal.SIGTERM))
    assert died.returncode == 75
    said_once(died)
    recipe.train(folder)
    same_outcome(folder, finished[0])


BURST = """
import torch
from auricle.lobes import register_encoder
from auricle.lobes.contracts import Encoder

@register_encoder("burst")
class Burst(Encoder):
    \"\"\"Turns NaN after 9 training steps.\"\"\"

    def __init__(self, in_features):
        super().__init__(in_features, 4, "utterance")
        self.linear = torch.nn.Linear(in_features, 4)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, feats, lengths=None):
        self.steps += self.training
        out = self.linear(feats.mean(1, keepdim=True))
        return out * (torch.nan if self.steps > 9 else 1)
"""


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(recipe, tmp_path):
    folder, plugin = tmp_path / "diverging", tmp_path / "burst.py"
    plugin.write_text(BURST)
    extra = ("--plugin", plugin, "--encoder", "burst", "--number_of_epochs", 4)
    done = recipe.run(folder, *extra, "--nonfinite_patience", 2, check=False)
    assert done.returncode == 1
    assert "not finite" in done.stderr and "Traceback" not in done.stderr
    checkpoints = list((folder / "checkpoints").glob("CKPT*"))
    assert checkpoints
    for checkpoint in checkpoints:
        state = torch.load(checkpoint / "model.ckpt", weights_only=True)
        assert all(torch.isfinite(value).all() for value in state.values())


def test_fresh_deletes_the_run_that_was_there_and_trains_anew(recipe, tmp_path):
    folder, quick = tmp_path / "again", ("--number_of_epochs", 1, "--warmup_epochs", 0)
    recipe.train(folder, *quick)
    (folder / "notes.txt").write_text("from before")
    (left,) = (folder / "checkpoints").glob("CKPT*")
    before_ns = left.stat().st_mtime_ns
    result, _ = recipe.train(folder, *quick, "--lr", 0.003, "--fresh", "true")
    assert (folder / "notes.txt").exists()
    # The new one has the name of the old one where both were written within a second.
    assert not left.exists() or left.stat().st_mtime_ns > before_ns
    assert result.options["lr"] == 0.003


def test_without_auricle_installed_the_recipe_says_how_to_install_it():
    code = (
        "import sys, runpy; sys.modules['auricle'] = None; sys.argv = ['train.py']; "
        f"runpy.run_path({str(train_script('speech_commands'))!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install -e" in done.stderr and "Traceback" not in done.stderr
