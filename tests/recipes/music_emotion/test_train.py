"""Music emotion by its command on the tiny mini corpus, and what its options do."""

import json

import pytest
import torch
from every_recipe import EveryRecipe
from refusals import refused
from small_runs import SMALL

from auricle.lobes import bundles
from auricle.processing.data import dataset
from auricle.recipes.music_emotion import data
from auricle.recipes.training.messages import RecipeError

pytestmark = pytest.mark.slow

RECIPE = SMALL["music_emotion"]


class TestMusicEmotion(EveryRecipe):
    predictions = "test_predictions.json"
    pictures = ("valence_arousal.png",)
    killed_at = 10  # of 4 in an epoch
    bad_input = [
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
    ]


def test_it_is_scored_by_the_protocol(finished):
    folder, result, printed = finished
    test = result.metrics["test"]
    assert result.task == "music_emotion" and result.dataset == "mini DEAM"
    assert "EXCHANGED BACK" in printed and result.protocol["static_labels_exchanged_back"]
    assert test["level"] == "song" and test["scale"] == {"low": 1.0, "high": 9.0}
    assert test["ccc"] == pytest.approx((test["ccc_valence"] + test["ccc_arousal"]) / 2)
    assert result.counts["train"]["songs"] == 16 and test["n"] == 4
    kept = json.loads((folder / "test_predictions.json").read_text())
    assert kept["dimensions"] == ["valence", "arousal"]


def test_the_bundle_knows_its_songs_and_its_scale(finished):
    bundle = bundles.load(finished[0] / "bundle")
    described = bundle.description
    assert bundle.labels == ["valence", "arousal"] and bundle.clip_s == 10
    assert described["window_s"] == [10, 20] and described["target"] == "static"
    assert described["scale"] == {"low": 1.0, "high": 9.0}
    assert bundle(torch.zeros(2, 160000)).shape == (2, 2)


def test_a_learned_frontend_is_restored_to_the_identical_score(recipe, tmp_path):
    extra = ("--frontend", "leaf", "--frontend_options.leaf.hop_ms", 20.0)
    extra += ("--frontend_options.leaf.num_features", 16, "--number_of_epochs", 1)
    before, _ = recipe.train(tmp_path / "leaf", *extra)
    assert before.filters["centre_shift_hz"] > 0
    after, _ = recipe.train(tmp_path / "leaf", *extra, "--test_only")
    assert after.metrics["test"] == before.metrics["test"]


@pytest.mark.long
@pytest.mark.parametrize("crop_s", ["null", "2"])
def test_labels_over_time_are_learned_and_drawn(recipe, tmp_path, crop_s):
    extra = ("--target", "dynamic", "--encoder_options.crnn.output", "frames", "--crop_s", crop_s)
    result, _ = recipe.train(tmp_path / "dynamic", *extra, "--number_of_epochs", 1, pictures=True)
    test = result.metrics["test"]
    assert test["level"] == "point" and test["scale"] == {"low": -1.0, "high": 1.0}
    assert test["n_points"] == result.counts["test"]["dynamic_labels"]
    assert (tmp_path / "dynamic" / "emotion_curves.png").is_file()


@pytest.mark.long
@pytest.mark.parametrize("loss", ["mse", "mix"])
def test_other_losses(recipe, tmp_path, loss):
    result, _ = recipe.train(tmp_path / loss, "--loss", loss, "--number_of_epochs", 1)
    assert result.options["loss"] == loss


class Prepared:
    """What `build_datasets` reads of a preparation of one song."""

    def __init__(self, target, **row):
        self.target, self.roots, self.protocol = target, {}, "emomusic"
        self.dimensions = ("valence", "arousal")
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
    monkeypatch.setattr(dataset, "read_row", lambda *arguments: song)
    hparams = {"sample_rate": rate, "cache_gb": 0, "crop_s": None, "seed": 0}
    (item,) = data.build_datasets(hparams, prepared)["train"]
    # Labels 2 and 3 are the longest run that valence and (reversed) arousal both have.
    assert item["target"].allclose(torch.tensor([[0.3, 0.4], [0.4, 0.3]]))
    assert item["sig"].tolist() == song[2000:3000].tolist()
    assert item["times_s"].tolist() == [17.0, 17.5]


def test_a_crop_is_another_part_in_every_epoch_and_evaluation_hears_all(monkeypatch):
    prepared = Prepared("static")
    song = torch.arange(4000.0)
    monkeypatch.setattr(dataset, "read_row", lambda *arguments: song)
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
    longer = {**hparams, "crop_s": 5}
    refused("crop_s is 5", data.build_datasets, longer, prepared, error=RecipeError)


def test_labels_that_do_not_differ_are_refused_before_training():
    class Two(Prepared):
        def rows(self, split):
            return [self.row, {**self.row, "valence": 6.0}]

    data._refuse_constant_labels(Two("dynamic", dynamic_valence=[0, 1], dynamic_arousal=[1, 0.5]))
    dynamic = Two("dynamic", dynamic_valence=[0.5, float("nan")], dynamic_arousal=[1, 0.5])
    for prepared, said in ((Two("static"), "valid has 2 .*arousal"), (dynamic, "of valence")):
        refused(said, data._refuse_constant_labels, prepared, error=RecipeError)
