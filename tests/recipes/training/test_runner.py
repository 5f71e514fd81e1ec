"""A recipe whose YAML lies anywhere: what it must have; and the run options that its results show."""

import shutil
from pathlib import Path

import pytest
from speechbrain.utils.run_opts import RunOptions

from auricle.recipes.training import runner
from auricle.recipes.training.finish import NO_EFFECT, run_options

YAML = Path(__file__).parents[2] / "support" / "claps.yaml"


def train(config):
    runner.start(config, "claps", None)


def test_a_yaml_without_the_shared_keys_says_how_to_take_them(tmp_path, capsys):
    path = tmp_path / "claps.yaml"
    path.write_text(YAML.read_text().replace("include: [training, model]", ""))
    assert runner.run_recipe(path, train, argv=[]) == 2
    error = capsys.readouterr().err
    assert "lacks model, seed" in error and "include: [training, model]" in error


def test_help_shows_the_keys_of_all_files(capsys, monkeypatch, tmp_path):
    shutil.copy(YAML, tmp_path)
    monkeypatch.setattr("sys.argv", ["somewhere/claps.py"])
    assert runner.run_recipe(tmp_path / "claps.yaml", train, argv=["--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: python claps.py [FILE.yaml]")
    assert "  lr: 0.01\n" in printed and "  schedule: cosine" in printed
    assert "model:" not in printed and "!apply" not in printed
    monkeypatch.setattr("sys.argv", ["bin/auricle", "train", "claps"])
    runner.run_recipe(tmp_path / "claps.yaml", train, argv=["--help"])
    assert capsys.readouterr().out.startswith("usage: auricle train claps [FILE.yaml]")


def test_there_is_no_mini_corpus_of_a_recipe_of_ones_own(capsys):
    assert runner.run_recipe(YAML, train, argv=["--data_folder", "mini"]) == 2
    error = capsys.readouterr().err
    assert "no mini corpus of claps" in error and "--data_folder" in error


@pytest.mark.parametrize(
    ("name", "value"),
    [("compile", True), ("precision", "bf16"), ("debug", True), ("grad_accumulation_factor", 4)],
)
def test_run_options_that_change_a_result_are_recorded(name, value):
    assert run_options(RunOptions(**{name: value, "noprogressbar": True})) == {name: value}


def test_run_options_without_an_effect_exist_and_are_not_recorded(monkeypatch):
    options = RunOptions(device="cpu", ckpt_interval_steps=3, overridden_args={"device"})
    assert run_options(options) == {}
    assert all(hasattr(options, name) for name in NO_EFFECT)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_options(options) == {"processes": 2}


@pytest.mark.parametrize(
    ("name", "says"),
    [("tensorbord", "there are tensorboard, wandb, mlflow"), ("wandb", "'auricle[trackers]'")],
)
def test_a_tracker_that_is_not_there_is_named_before_anything_runs(name, says, capsys, monkeypatch):
    monkeypatch.setattr("auricle.lobes.brains.trackers.missing_package", lambda name: name)
    assert runner.run_recipe(YAML, train, argv=["--data_folder", "mini", "--logger", name]) == 2
    assert says in capsys.readouterr().err
