"""Training on own recordings by its command: classes, tags, folds, lengths, balanced draws."""

import csv
import json

import numpy as np
import pytest
import torch
from command_line import Recipe, history

from auricle.lobes import bundles
from auricle.processing.data.mini import write_mini
from auricle.recipes.own_sounds import data
from auricle.recipes.own_sounds.prepare import prepare

pytestmark = pytest.mark.slow

QUICK = {
    "frontend": "mel",
    "encoder": "xvector",
    "number_of_epochs": 2,
    "warmup_epochs": 0,
}
QUICK |= {"sample_rate": 8000, "clip_s": 0.5, "frontend_options.mel.num_features": 16}
QUICK |= {"encoder_options.xvector.channels": "[16,16,16,16,32]", "batch_size": 32}
RECIPE = Recipe("own_sounds", QUICK)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The tiny mini corpus, with folds in a second table and tags in a third."""
    folder = write_mini("own_sounds", tmp_path_factory.mktemp("own") / "sounds")
    rows = list(csv.DictReader((folder / "sounds.csv").open()))
    for row in rows:
        source = int(row["group"].split()[-1])
        row["fold"] = source % 2
    tagged = [
        {
            **row,
            "label": row["label"] + ";loud" * (row["fold"] == 1 or "rain" in row["label"]),
        }
        for row in rows
    ]
    for name, table in {"folds.csv": rows, "tags.csv": tagged}.items():
        with open(folder / name, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(table)
    return folder


@pytest.fixture(scope="module")
def recipe(corpus):
    return Recipe("own_sounds", QUICK, corpus)


def test_classes_are_learned_scored_and_answered_for_as_in_the_test(recipe, corpus, tmp_path):
    folder = tmp_path / "run"
    result, printed = recipe.train(folder, "--number_of_epochs", 5, "--lr", 0.01)
    test = result.metrics["test"]
    assert {"accuracy", "balanced_accuracy", "macro_f1"} <= set(test["interval"])
    assert test["interval"]["over"] == "group" and "balanced accuracy" in printed
    losses = [epoch["train"]["loss"] for epoch in history(folder)]
    assert losses[-1] < 0.8 * losses[0]
    model = bundles.load(folder / "bundle")
    assert (folder / "confusion_matrix.png").exists()
    predictions = list(csv.DictReader((folder / "test_predictions.csv").open()))
    assert len(predictions) == test["n"] and set(predictions[0]) >= {
        "id",
        "group",
        "target",
    }
    for row in predictions:
        assert model.predict_file(corpus / row["id"])[0] == row["prediction"]


@pytest.mark.long
def test_folds_give_one_result_and_go_on_where_they_were(recipe, tmp_path):
    folder, words = tmp_path / "run", ("--table", "folds.csv", "--protocol", "folds")
    words += ("--number_of_epochs", 1)
    assert recipe.main(folder / "fold_1", *words, "--fold", 1) == 0
    recipe.train(folder, *words)
    result = json.loads((folder / "results.json").read_text())
    test = result["metrics"]["test"]
    assert test["n"] == 60 and result["protocol"]["folds"] == 2
    each = test["folds"]["accuracy"]["each"]
    parts = [json.loads((folder / f"fold_{name}/results.json").read_text()) for name in each]
    assert [part["metrics"]["test"]["accuracy"] for part in parts] == list(each.values())
    assert np.isclose(test["folds"]["accuracy"]["mean"], np.mean(list(each.values())))
    assert np.isclose(test["accuracy"], np.mean(list(each.values())))  # folds of one size
    checkpoints = sorted(path.name for path in folder.glob("fold_*/checkpoints/CKPT*"))
    recipe.train(folder, *words)
    assert checkpoints == sorted(path.name for path in folder.glob("fold_*/checkpoints/CKPT*"))
    assert json.loads((folder / "results.json").read_text())["metrics"] == result["metrics"]


@pytest.mark.long
def test_tags_are_learned_and_answered_for(recipe, corpus, tmp_path):
    folder = tmp_path / "run"
    words = ("--table", "tags.csv", "--mixup_alpha", 0.2, "--number_of_epochs", 1)
    result, printed = recipe.train(folder, *words, "--protocol", "random")
    test = result.metrics["test"]
    assert result.task == "tagging" and set(test["per_tag"]) > {"rain", "loud"}
    assert 0 < test["map"] <= 1 and "mAP" in printed
    model = bundles.load(folder / "bundle")
    answer = model.predict(torch.randn(9000))
    assert set(answer.values["tags"]) == set(test["per_tag"]) and "loud" in answer.text


@pytest.mark.long
def test_whole_recordings_are_heard_at_their_own_rate(recipe, tmp_path):
    words = (
        "--long_clips",
        "whole",
        "--sample_rate",
        16000,
        "--balanced",
        "true",
        "--number_of_epochs",
        1,
    )
    result, printed = recipe.train(tmp_path / "run", *words)
    assert "resampled" not in printed
    assert bundles.load(tmp_path / "run/bundle").clip_s is None
    assert result.metrics["test"]["n"] == sum(result.counts["test"].values())


def test_what_an_epoch_hears(corpus, tmp_path):
    record = prepare(corpus, tmp_path, sample_rate=8000, progress=False)
    settings = {"cache_gb": 1.0, "sample_rate": 8000, "clip_s": 0.5, "seed": 1}
    settings |= {"long_clips": "crop", "balanced": False, "time_roll": False}
    settings["gain_db"] = 0.0

    def sets(**options):
        return data.build_datasets({**settings, **options}, record)

    whole = sets()["test"]
    assert {len(item["sig"]) for item in sets()["train"]} == {4000}
    assert all(len(item["sig"]) > 6000 for item in whole)
    first = [item["sig"] for item in sets(long_clips="first")["test"]]
    assert all(torch.equal(item["sig"][:4000], cut) for item, cut in zip(whole, first, strict=True))
    assert len(sets(long_clips="windows")["train"]) > len(sets()["train"])
    drawn = sets(balanced=True)["train"]
    epochs = []
    for epoch in (1, 2):
        drawn.set_epoch(epoch)
        epochs.append([item["target"] for item in drawn])
    assert set(np.bincount(epochs[0])) == {8}
    rolled = sets(long_clips="whole", time_roll=True)["train"]
    again = sets(long_clips="whole")["train"]
    louder = sets(long_clips="whole", gain_db=6.0)["train"][0]["sig"] / again[0]["sig"]
    ratio = float(louder.nanmedian())
    assert 0.5 < ratio < 2.0 and ratio != 1.0
    assert not torch.equal(rolled[0]["sig"], again[0]["sig"])
    assert torch.equal(rolled[0]["sig"].sort()[0], again[0]["sig"].sort()[0])


def test_options_that_do_not_go_together_are_refused_at_once(recipe, tmp_path, capsys):
    words = ("--protocol", "fold", "--valid_share", 0.5, "--test_share", 0.6)
    words += ("--long_clips", "cut", "--table", 3)
    assert recipe.main(tmp_path / "run", *words) == 2
    said = capsys.readouterr().err
    assert (
        "4 problems" in said and "a file's name" in said and "nothing is left to train on" in said
    )
    assert recipe.main(tmp_path / "run", "--table", "folds.csv", "--fold", "9") == 2
    assert "fold is '9'" in capsys.readouterr().err
