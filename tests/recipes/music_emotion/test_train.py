"""The command line of music emotion on the tiny mini corpus, and what its options do."""

import json
import signal
import sys

import pytest
import torch
from command_line import TORCHRUN, history, run, training
from safetensors.torch import load_file

from auricle.lobes.bundles import bundle as pretrained
from auricle.processing.data import manifest
from auricle.recipes.music_emotion import data
from auricle.recipes.music_emotion.train import main
from auricle.recipes.reports.results import load_results
from auricle.recipes.training.runner import RecipeError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tiny):
    return tiny("music_emotion")


def command(corpus, folder, *extra):
    """A small run with every source of chance in it: crops, masks, dropout, past batches."""
    settings = {
        "data_folder": corpus,
        "frontend_options.mel.hop_ms": 20.0,
        "encoder_options.crnn.channels": "[8, 8, 8, 8]",
        "encoder_options.crnn.hidden": 8,
        "number_of_epochs": 3,
        "batch_size": 4,
        "crop_s": 4,
        "ccc_window": 8,
        "lr": 0.01,
        "time_masks": 1,
    }
    return training("music_emotion", folder, settings, *extra)


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
    assert result.task == "music_emotion" and result.dataset == "mini DEAM"
    assert result.corpus["synthetic"] and "not a benchmark" in printed
    assert "EXCHANGED BACK" in printed and result.protocol["static_labels_exchanged_back"]
    assert test["level"] == "song" and test["scale"] == {"low": 1.0, "high": 9.0}
    assert test["ccc"] == pytest.approx((test["ccc_valence"] + test["ccc_arousal"]) / 2)
    assert result.counts["train"]["songs"] == 16 and test["n"] == 4
    losses = [record["train"]["loss"] for record in history(folder)]
    assert losses[-1] < losses[0]
    for picture in ("valence_arousal.png", "training_curves.png", "learned_filters.png"):
        assert (folder / picture).read_bytes()[:4] == b"\x89PNG"
        assert picture in printed


def test_the_bundle_knows_its_songs_and_its_scale(finished, corpus):
    bundle = pretrained.load(finished[0] / "bundle")
    described = bundle.description
    assert bundle.labels == ["valence", "arousal"] and bundle.clip_s == 10
    assert described["window_s"] == [10, 20] and described["target"] == "static"
    assert described["scale"] == {"low": 1.0, "high": 9.0}
    assert bundle(torch.zeros(2, 160000)).shape == (2, 2)


def test_killed_and_resumed_ends_with_the_same_numbers(finished, corpus):
    folder = finished[0].with_name("resumed")
    words = command(corpus, folder)
    killer = (
        "import os, signal, sys, auricle.lobes.brains.regression as regression\n"
        "step = regression.RegressionBrain.prepare_step\n"
        "def dying(self):\n"
        "    step(self)\n"
        "    if self.epoch == 3 and self.step == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "regression.RegressionBrain.prepare_step = dying\n"
        "from auricle.recipes.music_emotion.train import main\n"
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
    assert after.metrics["test"]["ccc"] == pytest.approx(before.metrics["test"]["ccc"], abs=1e-6)
    assert after.metrics["test"]["n"] == before.metrics["test"]["n"]


def test_two_processes_train(corpus, tmp_path):
    folder = tmp_path / "two"
    run(*command(corpus, folder, "--number_of_epochs", 2), launcher=TORCHRUN)
    (result,) = load_results(folder)
    assert result.metrics["test"]["n"] == 4 and len(history(folder)) == 2


def test_a_learned_frontend_is_restored_to_the_identical_score(corpus, tmp_path):
    extra = ("--frontend", "leaf", "--number_of_epochs", 2)
    folder = tmp_path / "leaf"
    before = train(corpus, folder, *extra)
    assert before.filters["centre_shift_hz"] > 0
    after = train(corpus, folder, *extra, "--test_only")
    assert after.metrics["test"] == before.metrics["test"]


@pytest.mark.parametrize("crop_s", ["null", "2"])
def test_labels_over_time_are_learned_and_drawn(corpus, tmp_path, crop_s):
    extra = ("--target", "dynamic", "--encoder_options.crnn.output", "frames", "--crop_s", crop_s)
    result = train(corpus, tmp_path / "dynamic", *extra)
    test = result.metrics["test"]
    assert test["level"] == "point" and test["scale"] == {"low": -1.0, "high": 1.0}
    assert test["n_points"] == result.counts["test"]["dynamic_labels"]
    assert (tmp_path / "dynamic" / "emotion_curves.png").is_file()


@pytest.mark.parametrize("loss", ["mse", "mix"])
def test_other_losses(corpus, tmp_path, loss):
    result = train(corpus, tmp_path / loss, "--loss", loss, "--number_of_epochs", 1)
    assert result.options["loss"] == loss


class Prepared:
    """What `build_datasets` reads of a preparation of one song."""

    def __init__(self, target, **row):
        self.target, self.roots = target, {}
        labels = sum(value == value for value in row.get("dynamic_valence", []))
        self.counts = {split: {"dynamic_labels": labels} for split in data.SPLITS}
        self.scale = {"low": -1.0, "high": 1.0} if target == "dynamic" else {"low": 1, "high": 9}
        self.row = {"id": "7", "duration_s": 4.0, "start_s": 15.0, "valence": 5.0, "arousal": 9.0}
        self.row |= row

    def rows(self, split):
        return [self.row]


def test_labels_meet_the_part_of_the_song_they_are_for(monkeypatch):
    nan = float("nan")
    labels = [0.1, nan, 0.3, 0.4, 0.5, 0.6]
    prepared = Prepared(
        "dynamic", dynamic_valence=labels, dynamic_arousal=labels[::-1], dynamic_start_s=1.0
    )
    rate = 1000
    song = torch.arange(4.0 * rate)
    monkeypatch.setattr(manifest, "read_row", lambda *arguments: song)
    hparams = {"sample_rate": rate, "cache_gb": 0, "crop_s": None, "seed": 0}
    (item,) = data.build_datasets(hparams, prepared)["train"]
    # Labels 2 and 3 are the longest run that valence and (reversed) arousal both have.
    assert item["target"].allclose(torch.tensor([[0.3, 0.4], [0.4, 0.3]]))
    assert item["sig"].tolist() == song[2000:3000].tolist()
    assert item["times_s"].tolist() == [17.0, 17.5]


def test_a_crop_is_another_part_in_every_epoch_and_evaluation_hears_all(monkeypatch):
    prepared = Prepared("static")
    song = torch.arange(4000.0)
    monkeypatch.setattr(manifest, "read_row", lambda *arguments: song)
    hparams = {"sample_rate": 1000, "cache_gb": 0, "crop_s": 1, "seed": 0}
    sets = data.build_datasets(hparams, prepared)
    starts = set()
    for epoch in range(1, 9):
        sets["train"].set_epoch(epoch)
        (item,) = sets["train"]
        assert len(item["sig"]) == 1000 and item["target"].tolist() == [0.0, 1.0]
        starts.add(item["sig"][0].item())
    assert len(starts) > 4
    assert len(sets["test"][0]["sig"]) == 4000 and sets["train"].durations_s == [1]
    with pytest.raises(RecipeError, match="crop_s is 5"):
        data.build_datasets({**hparams, "crop_s": 5}, prepared)


@pytest.mark.parametrize(
    "extra, said",
    [
        (["--data_folder", "no/such/folder"], ["no/such/folder"]),
        (["--protocol", "deam"], ["deam", "deam-random"]),
        (["--target", "both"], ["both", "static or dynamic"]),
        (["--loss", "mae"], ["mae", "ccc"]),
        (["--window_s", "[20, 10]"], ["window_s", "[20, 10]"]),
        (["--window_s", "[30, 40]"], ["30", "--skip_broken"]),
        (["--crop_s", "0"], ["crop_s", "null"]),
        (["--crop_s", "all", "--max_batch_s", "0"], ["got 'all'", "max_batch_s", "got 0"]),
        (["--exclude_leakage", "true"], ["exclude_leakage must be a folder", "got True"]),
        (["--protocol", "emomusic-official"], ["holds DEAM", "--protocol deam-random or"]),
        (["--crop_s", "60"], ["crop_s is 60", "10 s"]),
        (["--batch_size", "1", "--ccc_window", "0"], ["batch_size 1", "--loss mse"]),
        (["--target", "dynamic"], ["crnn", "frames", "--encoder_options.crnn.output frames"]),
        (["--swap_2013_static", "maybe"], ["maybe", "auto"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) and "--" in value[0] else "",
)
def test_bad_input_gives_one_clear_error(corpus, tmp_path, capsys, extra, said):
    status = main(command(corpus, tmp_path / "bad", *extra)[1:])
    printed = capsys.readouterr().err
    assert status == 2
    assert "Traceback" not in printed
    for word in said:
        assert word in printed


def test_the_predictions_of_the_test_are_kept(finished):
    kept = json.loads((finished[0] / "test_predictions.json").read_text())
    assert kept["dimensions"] == ["valence", "arousal"]


def test_labels_that_do_not_differ_are_refused_before_training():
    class Two(Prepared):
        def rows(self, split):
            return [self.row, {**self.row, "valence": 6.0}]

    data._refuse_constant_labels(Two("dynamic", dynamic_valence=[0, 1], dynamic_arousal=[1, 0.5]))
    with pytest.raises(RecipeError, match="valid has 2 songs, and no two .* labels of arousal"):
        data._refuse_constant_labels(Two("static"))
    nan = float("nan")
    with pytest.raises(RecipeError, match="labels of valence"):
        data._refuse_constant_labels(
            Two("dynamic", dynamic_valence=[0.5, nan], dynamic_arousal=[1, 0.5])
        )
