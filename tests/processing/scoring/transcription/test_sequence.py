"""Error rates of sequences: by hand, against SpeechBrain, by invariance, and what is refused."""

import json
import time

import numpy as np
import pytest
from refusals import refused
from speechbrain.utils.metric_stats import ErrorRateStats

from auricle.processing.scoring.transcription.sequence import (
    EditCounts,
    score_transcripts,
)
from auricle.processing.transcription.phones import (
    PhoneConvention,
    UnknownPhone,
    fold,
    phones,
)

TIMIT = PhoneConvention.timit


# ---- by hand -------------------------------------------------------------------------------------


def test_a_score_worked_by_hand():
    counts = EditCounts("phone", TIMIT())
    counts.append(
        ["u1", "u2"],
        references=["sil ae t sil".split(), "sil b iy".split()],
        hypotheses=["sil eh t sil s".split(), "b iy".split()],
    )
    summary = counts.summarize()
    assert summary["per"] == 3 / 7
    expected = {"edits": 3, "hits": 5, "substitutions": 1, "deletions": 1, "insertions": 1}
    expected |= {"reference_tokens": 7, "hypothesis_tokens": 7, "n": 2, "n_with_edits": 2}
    expected |= {"phone_set": "timit39", "silence_rule": "keep", "glottal_stop": "delete"}
    assert {key: summary[key] for key in expected} == expected
    assert summary["optional"] is None
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_tokens_are_added_before_dividing():
    """One edit in 1 token and none in 9: 10 %, where the mean of the rates would be 50 %."""
    counts = score_transcripts({"a": ["x"], "b": ["y"] * 9}, {"a": ["z"], "b": ["y"] * 9}, "word")
    summary = counts.summarize()
    assert summary["wer"] == 0.1 and summary["per_utterance_mean"] == 0.5


def test_confusion_worked_by_hand():
    counts = EditCounts("char")
    counts.append(["u"], references=[list("abcb")], hypotheses=[list("axcbb")])
    symbols, matrix = counts.confusion()
    assert symbols == ["a", "b", "c", "x"]
    where = {symbol: k for k, symbol in enumerate([*symbols, "end"])}
    cells = {(r, h): matrix[where[r], where[h]] for r in where for h in where}
    assert {cell: n for cell, n in cells.items() if n} == {
        **{("a", "a"): 1, ("b", "x"): 1, ("c", "c"): 1, ("b", "b"): 1, ("end", "b"): 1}
    }
    table = counts.summarize()["confusion"]
    assert (
        table["labels"]["reference"][-1] == "<ins>" and table["labels"]["hypothesis"][-1] == "<del>"
    )


def test_confusion_adds_up(strings):
    references, hypotheses = strings(60, phones(39)[:9])
    counts = EditCounts("phone", TIMIT(), allow_empty_references=True)
    counts.append([f"u{k}" for k in range(60)], references, hypotheses)
    summary, (symbols, matrix) = counts.summarize(), counts.confusion()
    assert tuple(symbols) == phones(39) and matrix.shape == (40, 40) and matrix[-1, -1] == 0
    assert matrix[:-1].sum() == summary["reference_tokens"]
    assert matrix[:, :-1].sum() == summary["hypothesis_tokens"]
    assert matrix[:-1, -1].sum() == summary["deletions"] > 0
    assert matrix[-1, :-1].sum() == summary["insertions"] > 0
    assert np.trace(matrix) == summary["hits"]
    assert matrix.sum() - np.trace(matrix) == summary["edits"]


# ---- against SpeechBrain -------------------------------------------------------------------------


def test_counts_are_those_of_error_rate_stats(strings):
    references, hypotheses = strings(80, phones(39)[:6], seed=4)
    ids = [f"u{k}" for k in range(80)]
    oracle = ErrorRateStats()
    oracle.append(ids, hypotheses, references)
    oracle = oracle.summarize()
    counts = EditCounts("phone", TIMIT(), allow_empty_references=True)
    counts.append(ids, references, hypotheses)
    summary = counts.summarize()
    assert summary["per"] == pytest.approx(oracle["WER"] / 100, rel=1e-12)
    assert summary["edits"] == oracle["num_edits"] and summary["edits"] > 50
    assert summary["reference_tokens"] == oracle["num_scored_tokens"]
    for kind in ("insertions", "deletions", "substitutions"):
        assert summary[kind] == oracle[kind] > 0


# ---- optional silence ----------------------------------------------------------------------------


def test_the_three_rules_on_one_pair():
    reference = {"u": "sil aa sil sil b sil".split()}
    hypothesis = {"u": "aa sil b sil sil".split()}
    found = {}
    for rule in ("keep", "collapse", "optional"):
        summary = score_transcripts(reference, hypothesis, "phone", TIMIT(39, rule)).summarize()
        found[rule] = summary["edits"], summary["reference_tokens"], summary["silence_rule"]
        if rule == "optional":
            assert summary["optional"] == {"matched": 2, "deleted": 2, "inserted": 1}
            assert sum(map(sum, summary["confusion"]["counts"])) == 4  # the free ones are left out
    assert found == {
        "keep": (3, 6, "keep"),
        "collapse": (1, 5, "collapse"),
        "optional": (0, 6, "optional"),
    }


# ---- invariances ---------------------------------------------------------------------------------


def test_merge_equals_whole_in_any_order(strings):
    references, hypotheses = strings(50, phones(39)[:7], seed=2)
    references = [reference or ["sil"] for reference in references]
    ids = [f"u{k}" for k in range(50)]

    def collected(which):
        counts = EditCounts("phone", TIMIT(39, "optional"))
        for k in which:
            counts.append([ids[k]], [references[k]], [hypotheses[k]])
        return counts

    whole = collected(range(50)).summarize(seed=3)
    shards = [collected(range(start, 50, 3)) for start in (2, 0, 1)]
    shards[0].summarize()  # what was aligned before merging must not stay behind
    states = json.loads(json.dumps([shard.state() for shard in shards]))
    assert shards[0].merge(shards[1]).merge(shards[2]).summarize(seed=3) == whole
    empty_rank = EditCounts("phone", TIMIT(39, "optional")).state()
    assert EditCounts.from_state(empty_rank, *states).summarize(seed=3) == whole
    low, high = whole["interval"]["per"]
    assert low < whole["per"] < high


# ---- the interval --------------------------------------------------------------------------------


@pytest.mark.slow
def test_interval_covers_the_rate_and_says_what_was_drawn(strings):
    references, hypotheses = strings(200, phones(39)[:9], seed=9)
    references = [reference or ["b"] for reference in references]
    counts = EditCounts("phone", TIMIT())
    counts.append([f"u{k}" for k in range(200)], references, hypotheses)
    interval = counts.summarize(n_resamples=300, seed=1)["interval"]
    low, high = interval["per"]
    assert low < counts.summarize()["per"] < high and high - low < 0.2
    assert {k: interval[k] for k in ("n_resamples", "seed", "over", "n_groups")} == {
        **{"n_resamples": 300, "seed": 1, "over": "utterance", "n_groups": 200}
    }


@pytest.mark.parametrize(
    ("transcripts", "reason"),
    [
        ({"a": ("x y", "x")}, "single utterance"),
        ({"a": ("x y", "x y"), "b": ("z", "z")}, "no edit"),
        ({"a": ("x y", "x q"), "b": ("z y", "z q")}, "same rate"),
        ({"a": ("x y", "x"), "b": ("", "z")}, "empty references"),
    ],
)
def test_no_interval_where_it_would_mean_nothing(transcripts, reason):
    sides = ({n: pair[k].split() for n, pair in transcripts.items()} for k in (0, 1))
    summary = score_transcripts(*sides, "word", allow_empty_references=True).summarize()
    assert summary["interval"]["wer"] is None and reason in summary["interval"]["method"]


# ---- what is refused -----------------------------------------------------------------------------


def test_empty_references():
    sides = {"u1": ["a"], "u2": []}, {"u1": ["a"], "u2": ["b"]}
    refused("'u2'.*empty", score_transcripts, *sides, "word")
    # nothing is left of q
    refused("'u'.*empty", score_transcripts, {"u": ["q"]}, {"u": ["sil"]}, "phone", TIMIT())
    summary = score_transcripts(*sides, "word", allow_empty_references=True).summarize()
    assert (summary["wer"], summary["insertions"]) == (1.0, 1)
    assert summary["per_utterance_mean"] == 0.0  # of "u1" alone: "u2" has nothing to divide by
    empty = score_transcripts({"u": []}, {"u": ["b"]}, "word", allow_empty_references=True)
    refused("no reference", empty.summarize)


def test_an_unknown_symbol_is_named_with_its_utterance():
    for reference, hypothesis, said in (("ae", "zz", "hyp.*'zz'"), ("h#", "sil", "ref.*'h#'")):
        sides = {"u7": [reference]}, {"u7": [hypothesis]}, "phone", TIMIT()
        refused(f"utterance 'u7', {said}", score_transcripts, *sides, error=UnknownPhone)


def test_utterances_of_one_side_only_are_named():
    sides = dict.fromkeys("abc", ["x"]), dict.fromkeys("ad", ["x"])
    refused("without a hypothesis: 'b', 'c'; .* 'd'", score_transcripts, *sides, "word")


def test_nothing_of_a_bad_batch_is_added():
    counts = EditCounts("word")
    refused("", counts.append, ["a", "b"], [["x"], []], [["x"], ["y"]])
    assert len(counts) == 0
    counts.append(["a"], [["x"]], [["x"]])
    for ids in (["a"], ["b", "b"]):
        refused("scored twice", counts.append, ids, [["x"]] * len(ids), [["x"]] * len(ids))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EditCounts("syllable"), "unit must.*'syllable'"),
        (lambda: EditCounts("phone"), "needs its convention"),
        (lambda: EditCounts("word", TIMIT()), "leave it out"),
        (lambda: EditCounts("word").summarize(), "nothing to score"),
        (lambda: EditCounts("word").append([], [], []), "empty batch"),
        (lambda: EditCounts("word").append(["a"], [["x"]], []), "one of each"),
        (lambda: EditCounts("word").append([3], [["x"]], [["x"]]), "non-empty strings"),
        (lambda: EditCounts("word").append(["a"], ["x y"], [["x"]]), "'a', reference: .*split it"),
        (lambda: EditCounts("word").append(["a"], [["x y"]], [["x"]]), "'x y' is no token"),
        (
            lambda: EditCounts("word").append(["a"], [["x"]], [[3]]),
            "'a', hypothesis: 3 ",
        ),
        (lambda: EditCounts("char").append(["a"], [["xy"]], [["x"]]), "not one character"),
        (lambda: EditCounts("word").merge(EditCounts("char")), "'word'.*'char'"),
        (
            lambda: EditCounts("word").append(["a"], [["x"]], [[["y"]]]),
            r"'a', hypothesis: \['y'\] \(token 1\)",
        ),
        (
            lambda: EditCounts("phone", TIMIT()).append(["a"], [["ae", {}]], [[]]),
            r"'a', reference: {} \(token 2\)",
        ),
        (lambda: EditCounts("word").append(["a"], [["x"]], [None]), "'a', hypothesis: .*not None"),
        (lambda: TIMIT().prepare([["ae"]], where="u"), r"u: \['ae'\] \(token 1\)"),
        (lambda: fold(["ae", ["t"]], where="u"), r"u: \['t'\] \(token 2\)"),
    ],
)
def test_what_is_refused(call, message):
    refused(message, call)


def test_shards_of_another_rule_or_with_the_same_utterance_are_not_merged():
    one, other = EditCounts("phone", TIMIT(39)), EditCounts("phone", TIMIT(39, "collapse"))
    refused("'silence_rule': 'collapse'", one.merge, other)
    for counts in (one, twin := EditCounts("phone", TIMIT(39))):
        counts.append(["u"], [["ae"]], [["ae"]])
    refused("'u' is scored twice", one.merge, twin)


# ---- speed ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_full_test_set_of_timit_is_scored_in_under_two_seconds(strings):
    """1,344 utterances of 38 phones with alignments, confusions and interval; best of three."""
    references, hypotheses = strings(1344, phones(39), longest=76, seed=1)
    references = [reference or ["sil"] for reference in references]
    ids = [f"u{k}" for k in range(1344)]
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        counts = EditCounts("phone", TIMIT())
        counts.append(ids, references, hypotheses)
        summary = counts.summarize()
        seconds.append(time.perf_counter() - start)
    assert summary["reference_tokens"] > 48_000
    assert min(seconds) < 2, f"{min(seconds):.2f} s"
