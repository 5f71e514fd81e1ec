"""The real command line on the tiny mini corpus: train, kill, resume, several processes, bad input."""

import json
import signal
import subprocess
import sys

import pytest
import torch
from command_line import REPOSITORY, TORCHRUN, run, training
from safetensors.torch import load_file

from auricle.lobes.bundles import bundle as pretrained
from auricle.recipes.reports.results import load_results
from auricle.recipes.speech_commands.train import main

TRAIN = REPOSITORY / "recipes" / "speech_commands" / "train.py"

pytestmark = pytest.mark.slow


def command(mini, folder, *extra):
    """A small run that still has dropout-free, dropout and noise in it, on one thread."""
    settings = {
        "data_folder": mini,
        "frontend": "mel",
        "encoder": "linear",
        "number_of_epochs": 4,
        "batch_size": 32,
        "lr": 0.002,
    }
    return training("speech_commands", folder, settings, *extra)


@pytest.fixture(scope="module")
def finished(mini_folder, tmp_path_factory):
    """One uninterrupted run, and what it printed."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    return folder, run(*command(mini_folder, folder)).stdout


def test_a_run_learns_and_leaves_everything_behind(finished):
    folder, printed = finished
    (result,) = load_results(folder)
    assert result.corpus["synthetic"] and "mini" in printed and "not a benchmark" in printed
    assert result.protocol["name"] == "v2-12-official"
    assert result.metrics["test"]["n"] == sum(result.counts["test"].values())
    assert result.metrics["test"]["accuracy"] > 2 / 12, "not clearly above chance"
    low, high = result.metrics["test"]["interval"]["accuracy"]
    assert low < result.metrics["test"]["accuracy"] < high
    assert result.params["head"] == 40 * 101 * 12 + 12  # the published "Simple" model
    assert result.wall_s > 0 and result.audio_s_per_s > 0
    assert result.filters["count"] == 40 and sum(result.filters.values()) == 40  # mel is fixed
    history = json.loads(next((folder / "checkpoints").glob("CKPT*/history.ckpt")).read_text())
    losses = [record["train"]["loss"] for record in history["epochs"]]
    assert losses[-1] < 0.9 * losses[0]
    for picture in ("confusion_matrix.png", "training_curves.png", "learned_filters.png"):
        assert (folder / picture).read_bytes()[:4] == b"\x89PNG"
        assert picture in printed


def test_speechbrain_and_auricle_open_the_bundle_with_equal_output(finished, monkeypatch, tmp_path):
    from speechbrain.inference import EncoderClassifier

    monkeypatch.chdir(tmp_path)
    bundle_folder = finished[0] / "bundle"
    ours = pretrained.load(bundle_folder)
    theirs = EncoderClassifier.from_hparams(source=str(bundle_folder))
    wavs = 0.1 * torch.randn(3, 16000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = ours(wavs)
        scores, best, index, labels = theirs.classify_batch(wavs)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-6)
    assert labels == [ours.labels[i] for i in expected.argmax(-1)]


def test_the_bundle_is_the_trained_model(finished):
    folder, _ = finished
    (result,) = load_results(folder)
    best = result.metrics["valid"]["epoch"]
    weights = load_file(folder / "bundle" / "model.safetensors")
    for checkpoint in (folder / "checkpoints").glob("CKPT*"):
        if f"epoch: {best}\n" in (checkpoint / "CKPT.yaml").read_text():
            trained = torch.load(checkpoint / "model.ckpt", weights_only=True)
            assert set(trained) == set(weights)
            assert all(torch.equal(trained[key], weights[key]) for key in trained)
            break
    else:
        pytest.fail(f"the best epoch's checkpoint ({best}) is not there")


MORTAL = """
import os, signal
from auricle.lobes import register_encoder
from auricle.lobes.encoders.linear import Linear

@register_encoder("mortal")
class Mortal(Linear):
    \"\"\"Ends its own process, as kill -9 does, in the training step or the save it is told to.\"\"\"

    steps = saves = 0

    def die_at(self, what, number):
        if number == int(os.environ.get("DIE_AT_" + what, -1)):
            os.kill(os.getpid(), signal.SIGKILL)

    def forward(self, feats, lengths=None):
        if self.training:
            self.steps += 1
            self.die_at("STEP", self.steps)
        return super().forward(feats, lengths)

    def state_dict(self, *args, **kwargs):
        self.saves += 1  # twice per checkpoint: when it is checked, and when it is written
        self.die_at("SAVE", self.saves)
        return super().state_dict(*args, **kwargs)
"""


@pytest.fixture
def mortal(finished, mini_folder, tmp_path):
    """A command line whose encoder, in all else `linear`, can be told when to die."""
    plugin = tmp_path / "mortal.py"
    plugin.write_text(MORTAL)
    folder = finished[0].with_name(tmp_path.name)
    extra = ("--plugin", plugin, "--encoder", "mortal", "--ckpt_interval_steps", 1)
    return folder, command(mini_folder, folder, *extra)


def killed(words, **when):
    assert run(*words, check=False, **when).returncode == -signal.SIGKILL


def same_outcome(folder, other):
    (a,), (b,) = load_results(folder), load_results(other)
    assert a.metrics == b.metrics
    weights, others = (load_file(f / "bundle" / "model.safetensors") for f in (folder, other))
    assert all(torch.equal(weights[key], others[key]) for key in weights)


def test_killed_twice_and_resumed_ends_with_the_same_numbers(finished, mortal):
    folder, words = mortal
    killed(words, DIE_AT_STEP="4")  # of 7 in the first epoch
    killed(words, DIE_AT_STEP="9")  # on from step 3: in the second epoch
    run(*words)
    same_outcome(folder, finished[0])


def test_killed_while_saving_it_goes_on_from_the_checkpoint_before(finished, mortal):
    folder, words = mortal
    killed(words, DIE_AT_SAVE="8")  # the fourth checkpoint: its meta file is there, its model not
    (torn,) = (folder / "checkpoints").glob("unfinished*")
    assert (torn / "CKPT.yaml").exists() and not (torn / "model.ckpt").exists()
    run(*words)
    assert not torn.exists()
    same_outcome(folder, finished[0])


def test_two_processes_train_and_score_each_item_once(mini_folder, tmp_path):
    # BC-ResNet has buffers, which DDP exchanges in forward: with the uneven numbers of test batches
    # here (2 and 1), ranks that went through it in evaluation would wait for ever.
    # LEAF is frozen for an epoch: its gradients are exchanged and dropped, or DDP would complain.
    folder = tmp_path / "two"
    extra = ("--number_of_epochs", 2, "--encoder", "bcresnet", "--batch_size", 32)
    extra += ("--frontend", "leaf", "--frontend_freeze_epochs", 1, "--frontend_step_hz", 2.0)
    run(*command(mini_folder, folder, *extra), launcher=TORCHRUN)
    (result,) = load_results(folder)
    assert result.metrics["test"]["n"] == sum(result.counts["test"].values()) == 84
    assert result.metrics["valid"]["n"] == sum(result.counts["valid"].values())
    history = json.loads(next((folder / "checkpoints").glob("CKPT*/history.ckpt")).read_text())
    losses = [record["train"]["loss"] for record in history["epochs"]]
    assert losses[1] < losses[0]
    assert 0 < result.filters["centre_shift_hz"] < 2.0 * 7  # the steps of the second epoch


def test_one_process_and_two_score_a_model_alike(finished, mini_folder):
    words = command(mini_folder, finished[0], "--test_only")
    (before,) = load_results(finished[0])
    run(*words, launcher=TORCHRUN)
    (after,) = load_results(finished[0])
    assert after.metrics["test"]["confusion"] == before.metrics["test"]["confusion"]
    assert after.metrics["test"]["interval"] == before.metrics["test"]["interval"]
    assert abs(after.metrics["test"]["loss"] - before.metrics["test"]["loss"]) < 1e-6


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(
    mini_folder, tmp_path
):
    folder = tmp_path / "diverging"
    plugin = tmp_path / "burst.py"
    plugin.write_text(
        "import torch\n"
        "from auricle.lobes import register_encoder\n"
        "from auricle.lobes.contracts import Encoder\n"
        '@register_encoder("burst")\n'
        "class Burst(Encoder):\n"
        '    """Turns NaN after 30 training steps."""\n'
        "    def __init__(self, in_features):\n"
        '        super().__init__(in_features, 4, "utterance")\n'
        "        self.linear = torch.nn.Linear(in_features, 4)\n"
        '        self.register_buffer("steps", torch.zeros(()))\n'
        "    def forward(self, feats, lengths=None):\n"
        "        self.steps += self.training\n"
        "        out = self.linear(feats.mean(1, keepdim=True))\n"
        "        return out * (torch.nan if self.steps > 30 else 1)\n"
    )
    words = command(mini_folder, folder, "--plugin", plugin, "--encoder", "burst")
    done = run(*words, "--number_of_epochs", "40", "--nonfinite_patience", "2", check=False)
    assert done.returncode == 1
    assert "not finite" in done.stderr and "Traceback" not in done.stderr
    checkpoints = list((folder / "checkpoints").glob("CKPT*"))
    assert checkpoints
    for checkpoint in checkpoints:
        state = torch.load(checkpoint / "model.ckpt", weights_only=True)
        assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.parametrize(
    "extra, said",
    [
        (["--data_folder", "no/such/folder"], ["no/such/folder"]),
        (["--frontend", "leef"], ["leef", "leaf"]),
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
    ],
    ids=lambda value: value[0].strip("-") if isinstance(value, list) else "",
)
def test_bad_input_gives_one_clear_error(mini_folder, tmp_path, capsys, extra, said):
    status = main(command(mini_folder, tmp_path / "bad", *extra)[1:])
    printed = capsys.readouterr().err
    assert status in (1, 2)
    assert "Traceback" not in printed
    for word in said:
        assert word in printed


def test_a_folder_that_holds_another_run_is_refused(finished, mini_folder, capsys):
    assert main(command(mini_folder, finished[0], "--lr", 0.5)[1:]) == 2
    printed = capsys.readouterr().err
    assert "lr: 0.002 there, 0.5 now" in printed and "--fresh true" in printed


def test_fresh_deletes_what_was_there_and_trains_anew(mini_folder, tmp_path):
    folder = tmp_path / "again"
    quick = ("--number_of_epochs", 1, "--warmup_epochs", 0)
    assert main(command(mini_folder, folder, *quick)[1:]) == 0
    (folder / "leftover.txt").write_text("from before")
    assert main(command(mini_folder, folder, *quick, "--lr", 0.003, "--fresh", "true")[1:]) == 0
    assert not (folder / "leftover.txt").exists()
    assert load_results(folder)[0].options["lr"] == 0.003


def test_without_auricle_installed_the_recipe_says_how_to_install_it():
    code = (
        "import sys, runpy; sys.modules['auricle'] = None; "
        f"sys.argv = ['train.py']; runpy.run_path({str(TRAIN)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install -e" in done.stderr and "Traceback" not in done.stderr
