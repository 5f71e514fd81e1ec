"""Bundles by name: those that auricle ships, and what wins over them."""

import os

import numpy as np
import pytest
import soundfile
import torch
from random_bundle import random_bundle

from auricle.lobes import bundles, pretrained
from auricle.lobes.bundles import shipped
from auricle.lobes.tasks import find_task
from auricle.recipes.reports.results import load_results


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of shipped bundles with one in it."""
    folder = random_bundle(tmp_path / "models/words/mel_linear", test={"accuracy": 0.875})
    bundles.amend(folder, corpus={"name": "mini", "synthetic": True})
    monkeypatch.setattr(shipped, "MODELS", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    shipped._say_hidden.cache_clear()
    return tmp_path / "models"


def test_a_shipped_bundle_is_opened_by_its_name(models):
    bundle = pretrained.load("words/mel_linear")
    assert bundle.labels == ["no", "yes"]
    assert bundles.find_bundle("words/mel_linear") == models / "words/mel_linear"


def test_a_shipped_bundle_is_listed_with_task_lobes_data_and_score(models, auricle):
    (entry,) = auricle.json("list", "models")
    assert entry["name"] == "words/mel_linear"
    for part in ("classification", "mel + linear", "87.5", "mini", "synthetic"):
        assert part in entry["summary"]
    assert "words/mel_linear  classification" in auricle.output("list", "models")


@pytest.mark.parametrize("command", ["predict", "verify"])
def test_commands_take_the_name_of_a_shipped_bundle(models, auricle, command):
    task = "keyword_spotting" if command == "predict" else "verification"
    folder = random_bundle(models / "words/other", "mel", "bcresnet", task=task, in_frames=101)
    soundfile.write("a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    files = ["a.wav"] * (1 if command == "predict" else 2)
    named = auricle.output(command, "words/other", *files)
    assert named == auricle.output(command, folder, *files)


def test_a_folder_of_that_name_wins_and_it_is_said(models, caplog):
    os.makedirs("words")
    own = random_bundle("words/mel_linear", labels=("a", "b", "c"))
    assert pretrained.load("words/mel_linear").labels == ["a", "b", "c"]
    assert bundles.find_bundle("words/mel_linear") == own
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "words/mel_linear is a folder here" in caplog.text


@pytest.mark.parametrize("name", ["words/mel_lineal", "words", "nothing/of/it"])
def test_an_unknown_name_is_answered_with_the_nearest_and_the_list(models, name):
    with pytest.raises(bundles.BundleError, match="auricle ships words/mel_linear") as error:
        pretrained.load(name)
    assert ("did you mean" in str(error.value)) == (name == "words/mel_lineal")


def test_a_folder_that_is_no_bundle_is_not_answered_with_a_list(models, tmp_path):
    with pytest.raises(bundles.BundleError) as error:
        pretrained.load(tmp_path)
    assert "ships" not in str(error.value)


NAMES = list(shipped.shipped_bundles())


def test_five_bundles_are_shipped_within_a_megabyte():
    tasks = [pretrained.load(name).task.name for name in NAMES]
    assert sorted(tasks) == sorted(
        ["classification"] * 2 + ["regression", "transcription", "verification"]
    )
    files = [path for path in shipped.MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 1e6


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_bundle_has_the_scores_of_its_run_and_its_card(name):
    folder = shipped.MODELS / name
    (result,) = load_results(folder)
    about = pretrained.load(folder).description
    headline = find_task(result.task).headline
    assert about["test"][headline] == result.metrics["test"][headline]
    assert about["corpus"] == result.corpus and about["data_digest"] == result.data_digest
    assert (folder / "README.md").read_text() == bundles.card_text(about, result.to_dict())
    assert (about["frontend"]["name"], about["encoder"]["name"]) == (
        result.frontend,
        result.encoder,
    )
    table = (shipped.MODELS / "README.md").read_text()
    assert f"| `{name}` |" in table and result.experiment in table


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_bundle_answers(name):
    bundle = pretrained.load(name)
    wav = 0.1 * torch.randn(bundle.sample_rate, generator=torch.Generator().manual_seed(0))
    prediction = bundle.predict(wav)
    assert prediction.values or prediction.arrays
