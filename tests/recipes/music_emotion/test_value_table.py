"""Protocol table: any named values of recordings of one's own, by the recipe's command."""

import csv

import numpy as np
import pytest
import soundfile
from command_line import Recipe
from refusals import refused

from auricle.lobes import bundles
from auricle.recipes.music_emotion.prepare import prepare
from auricle.recipes.training.preparation import PreparationError

RATE = 8000
RECIPE = Recipe(
    "music_emotion",
    {
        **{"protocol": "table", "frontend": "mel", "encoder": "blstm", "number_of_epochs": 2},
        **{"sample_rate": RATE, "frontend_options.mel.num_features": 8, "warmup_epochs": 0},
        **{"encoder_options.blstm.layers": 1, "encoder_options.blstm.hidden": 8, "lr": 0.01},
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noises of a loudness and a brightness, three of each machine, and the table of both."""
    folder, random = tmp_path_factory.mktemp("machines"), np.random.default_rng(0)
    rows = [("path", "rpm", "load %", "group")]
    for number in range(45):
        rpm, load = random.uniform(500, 600), random.uniform(-20, 80)
        noise = random.standard_normal(4000 + 10 * number)
        wav = 0.001 * load * noise + 0.1 * np.sin(np.arange(len(noise)) * rpm / 300)
        rate = RATE if number % 2 else 2 * RATE
        soundfile.write(folder / f"{number}.wav", wav[:, None].repeat(1 + number % 2, 1), rate)
        rows.append((f"{number}.wav", f"{rpm:.3f}", f"{load:.3f}", f"m{number // 3}"))
    with open(folder / "values.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def prepared(folder, output, **options):
    return prepare(folder, output, "table", sample_rate=RATE, **options)


def test_values_are_read_split_by_groups_and_said(folder, tmp_path):
    record = prepared(folder, tmp_path / "out")
    assert list(record.dimensions) == ["rpm", "load %"]
    rows = {split: record.rows(split) for split in ("train", "valid", "test")}
    groups = [{row["speaker"] for row in part} for part in rows.values()]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 15
    values = [row[name] for part in rows.values() for row in part for name in record.dimensions]
    assert record.scale == {"low": min(values), "high": max(values)}
    assert record.window_s[1] == pytest.approx(max(r["duration_s"] for r in rows["train"]), rel=0.3)
    assert prepared(folder, tmp_path / "out") == record
    cut = prepared(folder, tmp_path / "cut", window_s=(0.1, 0.2)).rows()
    assert {row["num_samples"] for row in cut} == {800, 1600}


@pytest.mark.slow
def test_a_run_learns_the_values_and_its_bundle_gives_them(folder, tmp_path, auricle):
    run = tmp_path / "run"
    result, printed = RECIPE.train(run, "--data_folder", folder)
    test = result.metrics["test"]
    assert {"ccc_rpm", "ccc_load %"} <= set(test) and test["interval"]["n_groups"] == 6
    assert result.protocol["name"] == "table" and "rpm" in printed
    answer = bundles.load(run / "bundle").labels
    assert answer == ["rpm", "load %"]
    found = auricle.json("evaluate", run / "bundle", folder, "--table", "values.csv")
    assert found["scores"]["n"] == 45


@pytest.mark.parametrize(
    ("rows", "pattern"),
    [
        ("rpm\n1\n", r"columns rpm: it needs path"),
        ("path,group\n0.wav,a\n", r"one for each value"),
        ("path,rpm\n0.wav,fast\n", r"line 2: rpm is 'fast', no number"),
        ("path,rpm\n0.wav,\n", r"rpm is ''"),
        ("path,rpm\nx.wav,1\n", r"x\.wav is not in the data folder"),
        ("path,rpm\n../0.wav,1\n", r"not one below the data folder"),
        ("path,rpm\n0.wav,1\n0.wav,2\n", r"line 3: 0\.wav is there already"),
        ("path,rpm,split\n0.wav,1,tset\n", r"split is 'tset'; it can be train"),
        ("path,rpm,split\n0.wav,1,test\n1.wav,2,\n", r"1 of 2 rows no split"),
        ("path,rpm\n", r"it has no row"),
    ],
)
def test_a_wrong_table_is_refused(folder, tmp_path, rows, pattern):
    (tmp_path / "wrong.csv").write_text(rows)
    words = {"table": str(tmp_path / "wrong.csv")}
    refused(f"(?s){pattern}", prepared, folder, tmp_path / "o", **words, error=PreparationError)


def test_a_group_in_two_splits_is_refused_or_left_out(folder, tmp_path):
    rows = [(f"{i}.wav", i, ("train", "valid", "test")[i // 3], f"g{i % 7}") for i in range(9)]
    with open(tmp_path / "given.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "rpm", "split", "group"), *rows])
    words = {"table": str(tmp_path / "given.csv")}
    says = "2 of train: speakers of test.*--skip_broken true"
    refused(f"(?s){says}", prepared, folder, tmp_path / "o", **words, error=PreparationError)
    record = prepared(folder, tmp_path / "o", **words, skip_broken=True)
    assert {row["path"] for row in record.rows("train")} == {"2.wav"}


def test_a_table_that_is_not_there_is_refused(folder, tmp_path):
    words = {"table": "list.csv", "error": PreparationError}
    refused("list.csv is not there.*--table", prepared, folder, tmp_path / "o", **words)
