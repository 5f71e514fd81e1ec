"""A task that one file outside the repository brings trains, is scored, tabulated, saved, predicted from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import history, run
from refusals import refused

from auricle.lobes import bundles, load_plugin
from auricle.lobes.registry import LobeError, PluginError
from auricle.lobes.tasks import TASKS, Score, Task, find_task, register_task

SUPPORT = Path(__file__).resolve().parents[2] / "support"
RATE = 8000


def clap(path, claps, seed):
    """Clicks of noise at random places in a second."""
    drawn = np.random.default_rng(seed)
    wav = 0.001 * drawn.standard_normal(RATE)
    for start in drawn.permutation(16)[:claps] * (RATE // 16):
        burst = drawn.standard_normal(RATE // 40)
        wav[start : start + len(burst)] += 0.3 * burst * np.linspace(1, 0, len(burst))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav, RATE)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of the recipe, which lies beside its data."""
    folder = tmp_path_factory.mktemp("claps")
    for name in ("claps.py", "claps.yaml"):
        shutil.copy(SUPPORT / name, folder)
    for split, count in {"train": 48, "valid": 12, "test": 16}.items():
        for number in range(count):
            claps = number % 9
            clap(folder / "data" / split / f"{claps}_{split}{number}.wav", claps, [count, number])
    words = ["--data_folder", folder / "data", "--results_folder", folder / "results/claps"]
    run(folder / "claps.py", folder / "claps.yaml", *words, "--device", "cpu", "--noprogressbar")
    yield folder
    TASKS.pop("clap_count", None)


@pytest.mark.slow
def test_an_own_task_goes_all_the_way(trained, auricle, tmp_path):
    folder = trained / "results" / "claps" / "mel_small_cnn" / "seed_1"
    results = json.loads((folder / "results.json").read_text())
    valid = [record["valid"]["rmse"] for record in history(folder)]
    assert results["task"] == "clap_count"
    # It learned, and the best epoch is the one of the lowest error.
    assert results["metrics"]["test"]["rmse"] < 2 < max(valid)
    assert results["metrics"]["valid"]["epoch"] == 1 + int(np.argmin(valid))

    plugin = trained / "claps.py"
    with pytest.raises(bundles.BundleError, match="clap_count"):
        bundles.load(folder / "bundle").predict(np.zeros(8))
    file = min((trained / "data" / "test").glob("8_*.wav"))
    words = ("predict", folder / "bundle", file, "--plugin", plugin)
    assert auricle.json(*words)["claps"] == pytest.approx(8, abs=3)
    assert auricle.output(*words).strip().endswith("claps")
    assert "RMSE (claps)" in auricle.output("table", trained / "results", "--plugin", plugin)


def test_a_name_is_taken_once():
    task = find_task("classification")
    assert find_task("keyword_spotting") is task
    with pytest.raises(LobeError, match="keyword_spotting"):
        register_task(
            Task(
                name="other",
                about="x",
                head="classifier",
                brain="a:B",
                predict="a:b",
                headline="x",
                higher_is_better=True,
                columns=("x",),
                also_called=("keyword_spotting",),
            )
        )
    assert "other" not in TASKS


def test_an_unknown_task_is_answered_with_the_nearest():
    refused("'classificaton'.*'classification'", find_task, "classificaton", error=LobeError)


def test_a_score_is_shown_with_its_factor_and_decimals():
    assert Score("x (%)", 100.0, 1).text(0.1234) == "12.3"


def test_a_plugin_that_fails_leaves_no_task_behind(tmp_path):
    text = (SUPPORT / "claps.py").read_text().replace("if __name__", "raise OSError\nif __name__")
    path = tmp_path / "broken.py"
    path.write_text(text.replace('"clap_count"', '"broken_task"'))
    refused("OSError", load_plugin, path, error=PluginError)
    assert "broken_task" not in TASKS
