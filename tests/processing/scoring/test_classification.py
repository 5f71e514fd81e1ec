"""Classification scores: by hand, by invariance, against scikit-learn, and what is refused."""

import json

import numpy as np
import pytest
import torch
from refusals import refused
from sklearn import metrics

from auricle.processing.scoring.classification import (
    ConfusionCounts,
    accuracy,
    macro_f1,
    per_class,
)

LABELS = ["down", "go", "left", "off"]


def decisions(size=240, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    true = generator.integers(0, classes, size)
    predicted = np.where(generator.random(size) < 0.7, true, generator.integers(0, classes, size))
    ids = [f"utt{i:04d}" for i in range(size)]
    speakers = [f"spk{i}" for i in generator.integers(0, 30, size)]
    return ids, true, predicted, speakers


def collected(ids, true, predicted, groups=None, labels=LABELS, batch=17):
    counts = ConfusionCounts(labels)
    for at in range(0, len(ids), batch):
        part = slice(at, at + batch)
        counts.append(ids[part], true[part], predicted[part], groups and groups[part])
    return counts


# ---- by hand -------------------------------------------------------------------------------------


def test_worked_by_hand():
    #            predicted: a  b  c
    confusion = [[5, 1, 0], [2, 6, 2], [0, 0, 4]]
    assert accuracy(confusion) == 15 / 20
    table = per_class(confusion)
    assert table["support"] == [6, 10, 4]
    assert table["precision"] == [5 / 7, 6 / 7, 4 / 6]
    assert table["recall"] == [5 / 6, 6 / 10, 4 / 4]
    assert table["f1"] == [10 / 13, 12 / 17, 8 / 10]
    assert macro_f1(confusion) == pytest.approx((10 / 13 + 12 / 17 + 8 / 10) / 3, rel=1e-15)


def test_absent_classes():
    """In neither side: left out. Predicted but never true: F1 is 0 and counts."""
    assert macro_f1([[3, 1, 0], [0, 4, 0], [0, 0, 0]]) == pytest.approx((6 / 7 + 8 / 9) / 2)
    assert macro_f1([[3, 0, 1], [0, 4, 0], [0, 0, 0]]) == pytest.approx((6 / 7 + 1 + 0) / 3)
    nowhere = per_class([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert [nowhere[name][2] for name in ("precision", "recall", "f1")] == [None, None, None]
    never_true = per_class([[3, 0, 1], [0, 4, 0], [0, 0, 0]])
    assert [never_true[name][2] for name in ("precision", "recall", "f1")] == [0.0, None, 0.0]
    never_predicted = per_class([[3, 1, 0], [0, 4, 0], [1, 1, 0]])
    assert [never_predicted[name][2] for name in ("precision", "recall", "f1")] == [None, 0.0, 0.0]


def test_summary_holds_what_a_results_file_needs():
    summary = collected(*decisions()).summarize()
    assert summary["n"] == 240 and summary["labels"] == LABELS
    assert list(summary["per_class"]) == LABELS
    assert set(summary["per_class"]["go"]) == {"precision", "recall", "f1", "support"}
    for name in ("accuracy", "macro_f1"):
        low, high = summary["interval"][name]
        assert low < summary[name] < high
    assert np.sum(summary["confusion"]) == 240
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


# ---- against another library ---------------------------------------------------------------------


@pytest.mark.parametrize("classes", [4, 12])
def test_equal_to_scikit_learn(classes):
    ids, true, predicted, _ = decisions(500, classes, seed=classes)
    if classes == 12:  # one class only predicted, one in neither
        true[true == 3], predicted[predicted == 5], true[true == 5] = 2, 6, 6
    labels = [f"word{i}" for i in range(classes)]
    counts = collected(ids, true, predicted, labels=labels)
    summary = counts.summarize(n_resamples=10)
    expected = metrics.confusion_matrix(true, predicted, labels=range(classes))
    np.testing.assert_array_equal(counts.counts, expected)
    assert summary["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted), rel=1e-12)
    theirs = metrics.f1_score(true, predicted, average="macro", zero_division=0)
    assert summary["macro_f1"] == pytest.approx(theirs, rel=1e-12)
    columns = metrics.precision_recall_fscore_support(
        true, predicted, labels=range(classes), zero_division=0
    )
    for name, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        ours = [summary["per_class"][label][name] or 0 for label in labels]
        np.testing.assert_allclose(ours, column, rtol=1e-12)


# ---- invariances ---------------------------------------------------------------------------------


@pytest.mark.parametrize("grouped", [False, True])
def test_order_of_items_and_sharding_change_no_bit(grouped):
    ids, true, predicted, speakers = decisions()
    groups = speakers if grouped else None
    whole = collected(ids, true, predicted, groups)
    order = np.random.default_rng(1).permutation(len(ids))
    shards = [
        collected(
            [ids[i] for i in part],
            true[part],
            predicted[part],
            [speakers[i] for i in part] if grouped else None,
            batch=5,
        )
        for part in np.array_split(order, 3)
    ]
    merged = shards[0].merge(shards[1]).merge(shards[2])
    assert merged.summarize() == whole.summarize()


def test_order_of_classes_changes_no_score():
    ids, true, predicted, _ = decisions()
    place = np.array([2, 0, 3, 1])  # class i becomes class place[i]
    labels = [LABELS[i] for i in np.argsort(place)]
    one = collected(ids, true, predicted).summarize()
    other = collected(ids, place[true], place[predicted], labels=labels).summarize()
    assert other["accuracy"] == one["accuracy"]
    assert other["macro_f1"] == pytest.approx(one["macro_f1"], rel=1e-14)
    assert other["per_class"] == one["per_class"]
    assert other["interval"]["accuracy"] == pytest.approx(one["interval"]["accuracy"], abs=0.01)


def test_states_of_all_ranks_merge_to_the_whole():
    ids, true, predicted, speakers = decisions()
    parts = [slice(0, 100), slice(100, 240)]
    states = [collected(ids[p], true[p], predicted[p], speakers[p]).state() for p in parts]
    states.append(ConfusionCounts(LABELS).state())  # a rank without an item
    states = json.loads(json.dumps(states))  # plain values only
    whole = collected(ids, true, predicted, speakers)
    assert ConfusionCounts.from_state(*states).summarize() == whole.summarize()
    assert ConfusionCounts.from_state(whole.state()).state() == whole.state()


def test_tensors_arrays_and_lists_are_alike():
    ids, true, predicted, _ = decisions(20)
    as_tensors = ConfusionCounts(LABELS)
    as_tensors.append(ids, torch.tensor(true), torch.tensor(predicted, dtype=torch.int32))
    as_lists = ConfusionCounts(LABELS)
    as_lists.append(ids, true.tolist(), predicted.tolist())
    assert as_tensors.state() == as_lists.state()


# ---- intervals -----------------------------------------------------------------------------------


def test_interval_covers_the_true_accuracy():
    generator = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        true = np.arange(120) % 2
        predicted = np.where(generator.random(120) < 0.85, true, 1 - true)
        counts = ConfusionCounts(["no", "yes"])
        counts.append([f"u{i}" for i in range(120)], true, predicted)
        low, high = counts.summarize(n_resamples=300, seed=trial)["interval"]["accuracy"]
        covered += low <= 0.85 <= high
    assert 0.90 <= covered / 200 <= 0.98


def test_the_protocol_chooses_what_is_resampled():
    ids = [f"u{i}" for i in range(400)]
    true = np.arange(400) % 4
    speaker = np.arange(400) // 20
    predicted = np.where(speaker % 4 == 0, (true + 1) % 4, true)  # every 4th speaker all wrong
    counts = collected(ids, true, predicted, [f"s{s:02d}" for s in speaker])
    over_speakers = counts.summarize()["interval"]
    over_utterances = counts.summarize("utterances")["interval"]
    assert counts.summarize("groups")["interval"] == over_speakers
    assert (over_speakers["over"], over_speakers["n_groups"]) == ("speaker", 20)
    assert (over_utterances["over"], over_utterances["n_groups"]) == ("utterance", 400)
    widths = [high - low for low, high in (over_speakers["accuracy"], over_utterances["accuracy"])]
    assert widths[0] / widths[1] == pytest.approx(20**0.5, rel=0.25)
    refused("no groups were given", collected(ids, true, predicted).summarize, "groups")
    refused("'utterances', 'groups', 'auto'", counts.summarize, "speakers")


def test_without_an_error_the_interval_claims_no_certainty():
    true = np.arange(40) % 4
    ids = [f"u{i}" for i in range(40)]
    all_right = collected(ids, true, true).summarize()
    assert all_right["accuracy"] == 1.0 and all_right["interval"]["macro_f1"] is None
    low, high = all_right["interval"]["accuracy"]
    assert (low**40, high) == (pytest.approx(0.025), 1.0)  # P(no error in 40 | low) = 2.5 %
    all_wrong = collected(ids, true, (true + 1) % 4).summarize()
    assert all_wrong["interval"]["accuracy"] == [0.0, pytest.approx(1 - low)]


def test_one_speaker_gives_no_interval_over_speakers():
    ids, true, predicted, _ = decisions(20)
    counts = collected(ids, true, predicted, ["s1"] * 20)
    refused("at least 2", counts.summarize)
    assert counts.summarize("utterances")["n"] == 20


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("score", [accuracy, macro_f1, per_class])
@pytest.mark.parametrize(
    ("confusion", "message"),
    [
        ([[0, 0], [0, 0]], "empty"),
        ([[3, 2], [0, 0]], "one class"),
        ([[0.5, 0.5], [0.1, 0.9]], "counts"),
        ([[3, float("nan")], [1, 1]], "counts"),
        ([[3, -1], [1, 1]], "counts"),
        ([[3, 1, 1], [1, 1, 1]], "shape"),
        ([[3]], "shape"),
        ([], "shape"),
    ],
)
def test_matrices_without_a_score_are_refused(score, confusion, message):
    refused(message, score, confusion)


@pytest.mark.parametrize(
    ("ids", "true", "predicted", "groups", "message"),
    [
        (["a"], [4], [0], None, "0 to 3.*4 at position 0"),
        (["a"], [0], [-1], None, "predicted.*got -1"),
        (["a", "b"], [0, float("nan")], [0, 1], None, "NaN at position 1"),
        (["a"], [0], [0.5], None, "argmax"),
        (["a"], [0], [1.0], None, "argmax"),
        (["a"], [0], [True], None, "got bool"),
        (["a"], [0], torch.tensor([[0.1, 0.9]]), None, "shape"),
        (["a"], ["go"], [0], None, "integers"),
        ([], [], [], None, "empty"),
        (["a", "b"], [0], [0, 1], None, "true.*2 ids"),
        (["a", "b"], [0, 1], [0], None, "predicted.*2 ids"),
        (["a", "b"], [0, 1], [0, 1], ["s"], "groups must be 2"),
        (["a"], [0], [0], [7], "groups must be 1"),
        (["a", "a"], [0, 1], [0, 1], None, "'a'.*twice"),
        (["old"], [0], [0], None, "'old' is scored twice"),
        ([3], [0], [0], None, "non-empty strings"),
        (["a"], [0], [0], ["s1"], "some have none"),
    ],
)
def test_bad_batches_are_refused_and_leave_nothing_behind(ids, true, predicted, groups, message):
    counts = ConfusionCounts(LABELS)
    counts.append(["old"], [1], [2])
    before = counts.state()
    refused(message, counts.append, ids, true, predicted, groups)
    assert counts.state() == before


def test_shards_that_do_not_fit_are_refused():
    counts = ConfusionCounts(LABELS)
    counts.append(["a"], [0], [0])
    other_order = ConfusionCounts(LABELS[::-1])
    other_order.append(["b"], [0], [0])
    same_item = ConfusionCounts(LABELS)
    same_item.append(["b", "a"], [0, 0], [0, 0])
    with_groups = ConfusionCounts(LABELS)
    with_groups.append(["b"], [0], [0], ["s1"])
    for other, message in (
        (other_order, "labels.*'down'.*'off'"),
        (same_item, "'a'.*twice"),
        (with_groups, "some have none"),
        (ConfusionCounts(LABELS, group_unit="song"), "group_unit': 'speaker'.*group_unit': 'song'"),
    ):
        refused(message, counts.merge, other)
    assert counts.state()["ids"] == ["a"]


def test_nothing_and_one_class_are_no_score():
    counts = ConfusionCounts(LABELS)
    refused("empty", counts.summarize)
    counts.append(["a", "b"], [1, 1], [1, 2])
    refused("one class", counts.summarize)


@pytest.mark.parametrize("labels", [[], ["go"], ["go", "go"], "go", ["go", 3]])
def test_label_lists_that_name_no_classes_are_refused(labels):
    refused("class", ConfusionCounts, labels)


def test_no_state_is_refused():
    refused("at least one", ConfusionCounts.from_state)
