"""`auricle compare` of two files of predictions: the real command line."""

import numpy as np
import pytest

from auricle.processing.scoring.classification import ConfusionCounts
from auricle.processing.scoring.predictions import TABLE_NAME, read_predictions, write_predictions
from auricle.processing.scoring.regression.comparison import compare_regression
from auricle.processing.scoring.regression.files import FILE_NAME, read_scores, write_scores
from auricle.processing.scoring.regression.metrics import RegressionScores
from auricle.processing.scoring.tagging import TagScores

SCALE = {"low": 1, "high": 9}


def system(path, noise, songs=60, level="song", dimensions=("valence", "arousal"), seed=0):
    """Predictions with an error of their own against the same labels."""
    truth = np.random.default_rng(0).uniform(2, 8, (songs, 4, len(dimensions)))
    found = truth + noise * np.random.default_rng(100 + seed).standard_normal(truth.shape)
    names = [f"song{i}" for i in range(songs)]
    scores = RegressionScores(dimensions, SCALE)
    if level == "point":
        times_s = np.broadcast_to(0.5 * np.arange(4), (songs, 4))
        scores.append_sequences(names, found, truth, times_s, groups=names)
    else:
        scores.append(names, found[:, 0], truth[:, 0], names if level == "song" else None)
    return write_scores(path, scores)


@pytest.fixture
def runs(tmp_path):
    """Folders of two runs, and one more system that is much like the first."""
    system(tmp_path / "good" / FILE_NAME, 0.5)
    system(tmp_path / "poor" / FILE_NAME, 2.0, seed=1)
    system(tmp_path / "alike" / FILE_NAME, 0.5, seed=2)
    return tmp_path


@pytest.mark.parametrize("metric", [None, "ccc", "r2_valence", "rmse", "rmse_arousal", "pearson"])
def test_a_better_model_is_told_from_a_worse_one(auricle, runs, metric):
    words = [] if metric is None else ["--metric", metric]
    found = auricle.json("compare", runs / "good", runs / "poor", *words)
    expected = compare_regression(
        *(read_scores(runs / name / FILE_NAME) for name in ("good", "poor")), metric or "ccc"
    )
    assert found["metric"] == (metric or "ccc")
    for name in ("a", "b", "difference", "p_value", "differ", "n_resamples"):
        assert found[name] == getattr(expected, name)
    assert found["n_songs"] == expected.n_groups
    assert found["interval"] == list(expected.interval) and found["differ"]
    verb = "errs less than" if "rmse" in (metric or "") else "scores higher than"
    assert found["verdict"].startswith(f"A {verb} B on these 60 songs")
    out = auricle.output("compare", runs / "poor", runs / "good", *words)
    assert out.splitlines()[-1].startswith(f"B {verb} A on these 60 songs")


def test_what_is_printed(auricle, runs):
    files = [runs / name / FILE_NAME for name in ("good", "poor")]
    words = ("--metric", "rmse_valence", "--n_resamples", 200)
    lines = auricle.output("compare", *files, *words).splitlines()
    scores = [read_scores(file).summarize()["rmse_valence"] for file in files]
    files[0].write_bytes(b"\xef\xbb\xbf" + files[0].read_bytes())  # saved on Windows
    assert auricle.output("compare", *files, *words).splitlines() == lines
    assert len(lines) == 5
    assert lines[0] == "60 songs: valence and arousal on 1 to 9"
    assert lines[1] == f"A  {scores[0]:.4f} RMSE of valence  {files[0]}"
    assert lines[2] == f"B  {scores[1]:.4f} RMSE of valence  {files[1]}"
    assert lines[3].startswith(f"A - B  {scores[0] - scores[1]:+.4f} [-")
    assert "p < 0.005 (95 %, paired bootstrap over 60 songs, 200 resamples, seed 0)" in lines[3]


def test_alike_and_the_same(auricle, runs):
    out = auricle.output("compare", runs / "good", runs / "alike", "--seed", 3)
    assert "do not differ measurably" in out.splitlines()[-1] and "seed 3" in out
    assert "nothing tells them apart" in auricle.output("compare", runs / "good", runs / "good")


def test_labels_over_time_and_clips_without_songs(auricle, tmp_path):
    files = [
        system(tmp_path / f"{level}{i}.json", 0.5 + i, level=level, seed=i)
        for level in ("point", "clip")
        for i in range(2)
    ]
    assert auricle.output("compare", *files[:2]).startswith("60 songs, 240 points in time: ")
    out = auricle.output("compare", *files[2:])
    assert out.startswith("60 clips: ") and "these 60 clips" in out
    err = auricle.refusal("compare", *files[1:3])
    assert "level point" in err and "clip0.json with clip" in err


def test_what_cannot_be_compared(auricle, runs, tmp_path):
    good, poor = runs / "good", runs / "poor"
    (tmp_path / "empty").mkdir()
    (tmp_path / "scores").write_text("a/1 b/1 0.5 target\n")
    (tmp_path / "other.json").write_text('{"task": "x"}')
    one, fewer = (
        system(tmp_path / f"{songs}.json", 0.5, songs, level)
        for songs, level in ((1, "point"), (50, "song"))
    )
    valence = system(tmp_path / "valence.json", 0.5, dimensions=("valence",))
    for words, says in (
        ([good, tmp_path / "empty"], "empty holds no test_predictions.csv"),
        ([good, tmp_path / "scores"], "one kind"),
        ([tmp_path / "scores", good], "one kind"),
        ([good, tmp_path / "nowhere"], "nowhere is not there"),
        ([good, tmp_path / "other.json"], "other.json"),
        ([good, fewer], "different items: 10"),
        ([good, valence], "valence.json with"),
        ([one, one], "at least 2"),
        ([good, poor, "--metric", "eer"], "metric 'eer'"),
        ([good, poor, "--metric", "ccc_tension"], "'ccc_tension'"),
        ([good, poor, "--n-resamples", 0], "n_resamples is 0"),
        ([good, poor, "--trials", "x"], "--trials"),
        ([good, poor, "--partial"], "--partial"),
        ([tmp_path / "scores"] * 2 + ["--metric", "ccc"], "--metric ccc"),
    ):
        assert says in auricle.refusal("compare", *words)


def test_help_tells_both_kinds_apart(auricle):
    text = " ".join(auricle("compare", "--help")[1].split())
    assert "{ccc,r2,rmse,pearson}" in text and "{eer," in text and FILE_NAME in text


def table(path, right, tags=False, seed=0, items=200, unit="place"):
    """Predictions of a classifier (or tagger) that is right on a share of the items."""
    random = np.random.default_rng(seed)
    truth = np.arange(items) % 3
    hit = random.random(items) < right
    names, groups = [f"{i}.wav" for i in range(items)], [f"g{i // 4}" for i in range(items)]
    if tags:
        scores = TagScores(["x", "y", "z"], unit)
        present = np.eye(3)[truth]
        values = np.where(hit[:, None], present, random.random((items, 3)))
        scores.append(names, values, present, groups)
    else:
        scores = ConfusionCounts(["x", "y", "z"], unit)
        scores.append(names, truth, np.where(hit, truth, (truth + 1) % 3), groups)
    return write_predictions(path, scores)


@pytest.mark.parametrize("tags", [False, True])
def test_runs_of_classes_and_tags(auricle, tmp_path, tags):
    for name, right, seed in (("good", 0.9, 1), ("poor", 0.6, 2)):
        table(tmp_path / name / TABLE_NAME, right, tags, seed)
    found = auricle.json("compare", tmp_path / "good", tmp_path / "poor")
    assert found["metric"] == ("map" if tags else "accuracy") and found["differ"]
    assert found["n_groups"] == 50 and found["over"] == "place"
    whole = read_predictions(tmp_path / "good" / TABLE_NAME).summarize()[found["metric"]]
    assert found["a"] == pytest.approx(whole)
    text = auricle.output("compare", tmp_path / "good", tmp_path / "poor")
    assert "A scores higher than B on these 50 places" in text
    assert ("McNemar" in text) is not tags
    if not tags:
        test = found["mcnemar"]
        assert (test["only_a"] - test["only_b"]) / 200 == pytest.approx(found["difference"])
    again = auricle.output("compare", tmp_path / "good", tmp_path / "good")
    assert "nothing tells them apart" in again


def test_seeds_on_both_sides(auricle, tmp_path):
    for name, right in (("good", 0.9), ("poor", 0.8)):
        for seed in range(3):
            table(tmp_path / name / f"seed_{seed}" / TABLE_NAME, right, seed=seed + int(10 * right))
    found = auricle.json("compare", tmp_path / "good", tmp_path / "poor")
    assert len(found["seeds"]["a"]) == 3 and found["a"] == pytest.approx(
        np.mean(found["seeds"]["a"])
    )
    low, high = found["seeds"]["interval"]
    assert low < found["difference"] < high
    listed = ",".join(str(tmp_path / f"good/seed_{seed}") for seed in range(3))
    assert auricle.json("compare", listed, tmp_path / "poor")["a"] == found["a"]
    assert "Welch" in auricle.output("compare", listed, tmp_path / "poor")


def test_seeds_of_values_and_of_trials(auricle, tmp_path):
    for seed in range(2):
        system(tmp_path / f"good/seed_{seed}" / FILE_NAME, 0.5, seed=seed)
        system(tmp_path / f"poor/seed_{seed}" / FILE_NAME, 2.0, seed=5 + seed)
    found = auricle.json("compare", tmp_path / "good", tmp_path / "poor", "--metric", "rmse")
    assert (
        found["differ"] and found["a"] < found["b"] and found["verdict"].startswith("A errs less")
    )
    random = np.random.default_rng(0)
    pairs = [(f"s{i}/a", f"s{j}/b", i == j) for i in range(12) for j in range(12)]
    for name, gap in (("x", 3.0), ("y", 0.5)):
        for seed in range(2):
            lines = [
                f"{a} {b} {random.normal(gap * same):.4f} {'target' if same else 'nontarget'}\n"
                for a, b, same in pairs
            ]
            folder = tmp_path / name / f"seed_{seed}"
            folder.mkdir(parents=True)
            (folder / "test_scores.txt").write_text("".join(lines))
    both = auricle.json("compare", tmp_path / "x", tmp_path / "y")
    each = [auricle.json("compare", *(tmp_path / f"{n}/seed_{s}" for n in "xy")) for s in range(2)]
    assert both["difference"] == pytest.approx(np.mean([one["difference"] for one in each]))


def test_tables_that_cannot_be_compared(auricle, tmp_path):
    one, tags = table(tmp_path / "a.csv", 0.8), table(tmp_path / "tags.csv", 0.8, True)
    fewer = table(tmp_path / "b.csv", 0.8, items=100)
    (tmp_path / "c.csv").write_text(one.read_text().replace("5.wav,g1,z,", "5.wav,g1,x,"))
    (tmp_path / "d.csv").write_text("id,x,target\n")
    (tmp_path / "e.csv").write_text(tags.read_text().replace(",1.0,", ",1;0,", 1))
    for other, says in (
        (tags, "'accuracy'"),
        (fewer, "different items: 100 are in one only"),
        (tmp_path / "c.csv", "differ, such as 5.wav"),
        (tmp_path / "d.csv", "no table of predictions"),
        (tmp_path / "e.csv", "line "),
    ):
        assert says in auricle.refusal("compare", one, other)
