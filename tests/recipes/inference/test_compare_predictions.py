"""`auricle compare` of two files of predictions: the real command line."""

import numpy as np
import pytest

from auricle.processing.scoring.regression.comparison import compare_regression
from auricle.processing.scoring.regression.files import FILE_NAME, read_scores, write_scores
from auricle.processing.scoring.regression.metrics import RegressionScores

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
    assert "scored at point level" in err and "at clip level" in err


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
        ([good, tmp_path / "empty"], f"empty holds no {FILE_NAME}"),
        ([good, tmp_path / "scores"], "one kind"),
        ([tmp_path / "scores", good], "one kind"),
        ([good, tmp_path / "nowhere"], "nowhere is not there"),
        ([good, tmp_path / "other.json"], "other.json"),
        ([good, fewer], "different songs: 10"),
        ([good, valence], "scored differently"),
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
