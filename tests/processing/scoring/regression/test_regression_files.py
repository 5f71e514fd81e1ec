"""Files of predictions: the same bits again, and damage named with the file."""

import json

import numpy as np
import pytest
from refusals import refused

from auricle.processing.scoring.regression.files import FORMAT, read_scores, write_scores
from auricle.processing.scoring.regression.metrics import RegressionScores

NAMES = ("valence", "arousal")


def values(shape, seed=0):
    """Numbers that no short decimal is, some of them awkward."""
    drawn = np.random.default_rng(seed).uniform(1, 9, shape)
    drawn.flat[0], drawn.flat[1] = 0.1 + 0.2 + 1, np.nextafter(2.0, 3.0)
    return drawn


def scores_of(level):
    scores = RegressionScores(NAMES, {"low": 1, "high": 9})
    ids = [f"Füße {i}" for i in range(6)]
    songs = None if level == "clip" else [f"song {i // 2}" for i in range(6)]
    if level == "point":
        times_s = np.arange(4) * 0.5 + np.arange(6)[:, None] / 3
        shape = (6, 4, 2)
        counts = [4, 3, 4, 1, 2, 4]
        scores.append_sequences(ids, values(shape), values(shape, 1), times_s, counts, songs)
    else:
        scores.append(ids, values((6, 2)) - 3, values((6, 2), 1), songs)
    return scores


@pytest.mark.parametrize("level", ["clip", "song", "point"])
def test_what_is_read_is_what_was_written(tmp_path, level):
    scores = scores_of(level)
    path = write_scores(tmp_path / "new" / "test_predictions.json", scores)
    again = read_scores(path)
    assert again.level == level
    assert again.state() == scores.state()  # floats compare bit by bit, there is no NaN
    assert again.summarize() == scores.summarize()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["format"] == FORMAT and record["level"] == level
    assert "Füße 3" in path.read_text(encoding="utf-8").splitlines()[8]  # an item is a line


def test_nothing_is_not_written(tmp_path):
    refused("x.json", write_scores, tmp_path / "x.json", RegressionScores(NAMES))
    assert not list(tmp_path.iterdir())


def changed(of="song", item=None, **changes):
    def damage(path):
        write_scores(path, scores_of(of))
        record = json.loads(path.read_text(encoding="utf-8"))
        target = record if item is None else record["items"][item]
        for name, value in changes.items():
            if value is None:
                del target[name]
            else:
                target[name] = value
        path.write_text(json.dumps(record), encoding="utf-8")

    return damage


def cut(path):
    write_scores(path, scores_of("song"))
    path.write_text(path.read_text(encoding="utf-8")[:300], encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "no such file"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not text.*damaged"),
        (lambda path: path.write_text("a b 0.3 1\n"), "not JSON"),
        (cut, "line 7: not JSON.*damaged"),
        (lambda path: path.write_text("[1, 2]"), "format is None"),
        (changed(format="other 3"), "'other 3'.*'auricle regression 1'"),
        (changed(scale=None), "damaged: scale missing"),
        (changed(scale={"low": 9, "high": 1}), "low below high"),
        (changed(dimensions=5), "damaged"),
        (changed(items=[]), "holds no item"),
        (changed(items=7), "damaged"),
        (changed(items=["a"]), "item 1 "),
        (changed(item=2, targets=None), r"item 3 \('Füße 2'\) lacks targets"),
        (changed(item=2, song=None), r"item 3 \('Füße 2'\) lacks song"),
        (changed(item=2, song=5), r"song of item 3 \('Füße 2'\)"),
        (changed("point", item=1, times_s=None), "lacks times_s"),
        (changed("point", item=0, times_s=[0.5, 0.0, 1.0, 1.5]), r"item 1 .*finite"),
        (changed(item=4, predictions=[1.0]), r"item 5 \('Füße 4'\): predictions"),
        (changed(item=4, predictions=[1.0, "x"]), r"item 5 \('Füße 4'\)"),
        (changed(item=4, predictions=[1.0, float("nan")]), "holds NaN.*damaged"),
        (changed(item=4, targets=[1.0, 12.0]), "'Füße 4'.*scale"),
        (changed(item=4, id="Füße 1"), "scored twice"),
        (changed(level="clip"), "'clip'.*'song'"),
    ],
)
def test_damage_is_named_with_the_file(tmp_path, damage, says):
    path = tmp_path / "mine.json"
    damage(path)
    assert str(path) in str(refused(says, read_scores, path))
