"""Alignments of token sequences: by hand, against SpeechBrain and a recursion, and by invariance."""

import pytest
from refusals import refused
from speechbrain.utils import edit_distance

from auricle.processing.scoring.transcription import alignment
from auricle.processing.scoring.transcription.alignment import align
from auricle.processing.transcription.phones import phones


def steps(reference, hypothesis, optional=()):
    return align([reference.split()], [hypothesis.split()], optional)[0].steps


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c", "a b c", "CCC"),
        ("a b c", "a x c", "CSC"),
        ("a b c", "a c", "CDC"),
        ("a c", "a b c", "CIC"),
        ("a b", "", "DD"),
        ("", "a b", "II"),
        ("", "", ""),
        # ties: from the end an insertion comes before a deletion, a deletion before the rest
        ("a b", "b a", "ICD"[::-1]),
        ("a", "b c", "SI"),
        ("b c", "a", "SD"),
    ],
)
def test_alignments_worked_by_hand(reference, hypothesis, expected):
    assert steps(reference, hypothesis) == expected


@pytest.mark.parametrize("alphabet", [2, 3, 39])
def test_alignments_are_those_of_speechbrain(strings, alphabet):
    references, hypotheses = strings(200, phones(39)[:alphabet], seed=alphabet)
    for found in align(references, hypotheses):
        table = edit_distance.op_table(found.reference, found.hypothesis)
        theirs = "".join(operation for operation, _, _ in edit_distance.alignment(table))
        assert found.steps == theirs.replace("=", "C")


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("sil a sil", "a", "dCd"),
        ("a", "sil a sil", "iCi"),
        ("sil a sil", "sil a sil", "CCC"),
        ("sil sil a", "sil a", {"dCC", "CdC"}),
        ("a sil", "a b", {"CdI", "CId"}),  # a silence is never taken for a phone
        ("a sil b", "a c b", {"CdIC", "CIdC"}),
        ("a b", "sil", {"iDD", "DiD", "DDi"}),
    ],
)
def test_optional_silence_worked_by_hand(reference, hypothesis, expected):
    expected = {expected} if isinstance(expected, str) else expected
    assert steps(reference, hypothesis, ["sil"]) in expected


def fewest_edits_most_matches(a, b):
    """(edits, -matched silences) of the best alignment, by plain recursion over both strings."""

    def best(i, j):
        # (edits, -matched silences) of the rests, smallest first
        if (i, j) not in known:
            ways = [(0, 0)] if i == len(a) and j == len(b) else []
            if i < len(a):
                edits, matched = best(i + 1, j)
                ways.append((edits + (a[i] != "sil"), matched))
            if j < len(b):
                edits, matched = best(i, j + 1)
                ways.append((edits + (b[j] != "sil"), matched))
            if i < len(a) and j < len(b) and (a[i] == b[j] or "sil" not in (a[i], b[j])):
                edits, matched = best(i + 1, j + 1)
                ways.append((edits + (a[i] != b[j]), matched - (a[i] == b[j] == "sil")))
            known[i, j] = min(ways)
        return known[i, j]

    known = {}
    return best(0, 0)


def test_optional_silence_has_the_fewest_edits_then_the_most_matches(strings):
    references, hypotheses = strings(150, ["sil", "sil", "a", "b"], longest=9, seed=7)
    for found in align(references, hypotheses, ["sil"]):
        bare = [[t for t in side if t != "sil"] for side in (found.reference, found.hypothesis)]
        ops = edit_distance.count_ops(edit_distance.op_table(*bare))
        assert found.edits == sum(ops.values())
        matched = sum(pair == ("sil", "sil") for pair in found.pairs())
        assert (found.edits, -matched) == fewest_edits_most_matches(
            found.reference, found.hypothesis
        )
        for step, pair in zip(found.steps, found.pairs(), strict=True):
            assert (step in "di") == (pair in {("sil", None), (None, "sil")})


def test_blocks_do_not_change_alignments(strings, monkeypatch):
    references, hypotheses = strings(90, ["a", "b", "sil"], seed=5)
    together = align(references, hypotheses, ["sil"])
    alone = [align([r], [h], ["sil"])[0] for r, h in zip(references, hypotheses, strict=True)]
    monkeypatch.setattr(alignment, "_MAX_CELLS", 300)
    assert together == alone == align(references, hypotheses, ["sil"])
    assert [list(a.reference) for a in together] == references


def test_swapping_the_sides_swaps_deletions_and_insertions(strings):
    references, hypotheses = strings(60, ["a", "b", "c"], seed=6)
    forth, back = align(references, hypotheses), align(hypotheses, references)
    assert [a.edits for a in forth] == [a.edits for a in back]
    assert all(
        a.steps.count("D") - a.steps.count("I") == b.steps.count("I") - b.steps.count("D")
        for a, b in zip(forth, back, strict=True)
    )


def test_pairs_rebuild_both_sides(strings):
    for found in align(*strings(60, ["a", "b", "sil"], seed=8), ["sil"]):
        left, right = ([p[k] for p in found.pairs() if p[k] is not None] for k in (0, 1))
        assert (tuple(left), tuple(right)) == (found.reference, found.hypothesis)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: align([["a"]], []), "give pairs"),
        (lambda: align([["a"], "b c"], [["a"], ["b"]]), "reference 2: .*split"),
        (lambda: align([["a"]], [3]), "hypothesis 1: .*list.* 3"),
        (lambda: align([["a"]], [["a", ["b"]]]), r"hypothesis 1: \['b'\] \(token 2\)"),
        (lambda: align([["sil"]], [[]], "sil"), "optional: .*not the string 'sil'"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_would_take_all_memory_is_refused():
    tokens = ["a"] * 40_000
    refused("40000 and 40000 tokens", align, [tokens], [tokens])
