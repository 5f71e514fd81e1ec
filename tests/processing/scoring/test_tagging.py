"""Scores of tags: worked by hand and by all pairs, ties, weights, shards, tables of predictions."""

import numpy as np
import pytest
from refusals import refused

from auricle.processing.scoring.classification import ConfusionCounts, balanced_accuracy
from auricle.processing.scoring.predictions import read_predictions, write_predictions
from auricle.processing.scoring.tagging import TagScores, tag_scores
from auricle.processing.scoring.transcription.sequence import EditCounts


def drawn(items=60, tags=4, seed=0):
    random = np.random.default_rng(seed)
    values = random.integers(0, 12, (items, tags)) / 12  # with ties
    return values, random.random((items, tags)) < 0.3


def by_pairs(values, has):
    """ROC-AUC and average precision of one tag, item by item."""
    wins = [(a > b) + (a == b) / 2 for a in values[has] for b in values[~has]]
    precision = [has[values >= value].mean() for value in values[has]]
    return np.mean(precision), np.mean(wins)


def test_scores_are_those_of_all_pairs_and_thresholds():
    values, present = drawn()
    scores = tag_scores(values, present)
    for tag in range(4):
        expected = by_pairs(values[:, tag], present[:, tag])
        found = scores["map"][0, tag], scores["roc_auc"][0, tag]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_weight_is_that_many_items():
    values, present = drawn()
    weights = np.random.default_rng(1).integers(0, 3, (5, 60))
    many = tag_scores(values, present, weights)
    for row, weight in enumerate(weights):
        one = tag_scores(np.repeat(values, weight, 0), np.repeat(present, weight, 0))
        for name in one:
            np.testing.assert_allclose(many[name][row], one[name][0], rtol=1e-12)


def test_a_tag_that_is_everywhere_or_nowhere_has_no_score():
    scores = TagScores(["some", "all", "none"])
    values = [[0.9, 0.1, 0.1], [0.2, 0.3, 0.3]]
    scores.append(["a", "b"], values, [[1, 1, 0], [0, 1, 0]])
    summary = scores.summarize()
    assert summary["map"] == summary["roc_auc"] == 1.0
    assert summary["per_tag"]["all"]["roc_auc"] is summary["per_tag"]["none"]["roc_auc"] is None
    only = TagScores(["all"])
    only.append(["a"], [[0.5]], [[1]])
    refused("nothing can be told apart", only.summarize)


def test_shards_and_their_order_change_nothing_and_groups_widen_the_interval():
    values, present = drawn(120)
    names, groups = [f"i{i:03d}" for i in range(120)], [f"g{i // 12}" for i in range(120)]
    whole, alone = TagScores("abcd"), TagScores("abcd")
    whole.append(names, values, present, groups)
    alone.append(names, values, present)
    shards = [TagScores("abcd") for _ in range(3)]
    for number, shard in enumerate(shards):
        part = slice(number, None, 3)
        shard.append(names[part], values[part], present[part], groups[part])
    merged = TagScores.from_state(*(shard.state() for shard in shards[::-1]))
    assert merged.summarize() == whole.summarize()
    summary = whole.summarize()
    low, high = summary["interval"]["map"]
    assert low < summary["map"] < high and summary["interval"]["n_groups"] == 10
    assert summary["interval"]["map"] != alone.summarize()["interval"]["map"]


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ((["a"], [[0.1, 0.2]], [[1, 0, 1]]), "must have shape"),
        ((["a"], [[0.1, 0.2, np.nan]], [[1, 0, 1]]), "'a' is NaN"),
        ((["a", "a"], [[0.1] * 3] * 2, [[1, 0, 1]] * 2), "scored twice"),
    ],
)
def test_a_bad_batch_is_refused(arguments, pattern):
    refused(pattern, TagScores("xyz").append, *arguments)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_occur():
    assert balanced_accuracy([[90, 10, 0], [4, 4, 0], [0, 0, 0]]) == pytest.approx((0.9 + 0.5) / 2)


def test_tables_of_predictions_hold_what_was_collected(tmp_path):
    values, present = drawn(30)
    tags = TagScores(["a,b", 'x"y', "да", "d"], "place")
    tags.append([f"{i}\t é.wav" for i in range(30)], values, present, ["p"] * 15 + ["q"] * 15)
    classes = ConfusionCounts(["0", "1"], "source")
    classes.append(["a", "b", "c"], [0, 1, 1], [1, 1, 0], ["x", "y", "y"])
    for number, scores in enumerate((tags, classes)):
        again = read_predictions(write_predictions(tmp_path / f"{number}.csv", scores))
        assert again.summarize() == scores.summarize()
    edits = EditCounts("char")
    edits.append(["u"], [list("a b")], [list("ab")])
    again = read_predictions(write_predictions(tmp_path / "e.csv", edits))
    ids, rate = again.resampled("error_rate")
    assert ids == ["u"] and rate(np.ones((1, 1))).tolist() == [1 / 3]
