"""Units: what is trained on, what is scored, and that they come back from a bundle as they were."""

import copy
import json
import pickle
import random

import pytest
from refusals import refused

from auricle.processing.scoring.transcription.sequence import EditCounts
from auricle.processing.transcription.phones import UnknownPhone, fold, phones
from auricle.processing.transcription.spoken_text import spoken_text
from auricle.processing.transcription.unit_options import KINDS, unit_problems
from auricle.processing.transcription.units import Units

TEXTS = (
    "She had your dark suit in greasy wash water all year.",
    "Don't ask me to carry an oily rag like that!",
    "The quick brown fox jumps over the lazy dog.",
    "Bright sunshine shimmers on the ocean.",
)
PHONES = "h# q ae tcl t zh uw pau epi sh ax hv eh dcl d nx ux h#"
ROWS = [{"id": f"u{i}", "text": text, "phones": PHONES} for i, text in enumerate(TEXTS)]
PHONE_KINDS = ("phones39", "phones48", "phones61")


def build(kind, **options):
    return Units.build(kind, ROWS, **({"bpe_size": 60} | options))


@pytest.mark.parametrize("kind", KINDS)
def test_index_0_is_the_blank_and_is_never_a_target(kind):
    units = build(kind)
    assert units.labels[0] == "<blank>"
    assert len(set(units.labels)) == len(units.labels)
    for row in ROWS:
        assert 0 < min(units.encode(row)) and max(units.encode(row)) < len(units.labels)


@pytest.mark.parametrize(
    ("kind", "rule", "size"),
    [
        ("phones39", "delete", 39),
        ("phones48", "delete", 48),
        ("phones61", "delete", 60),
        ("phones39", "keep", 40),
        ("phones48", "keep", 49),
        ("phones61", "keep", 61),
    ],
)
def test_the_labels_are_all_phones_of_the_set(kind, rule, size):
    # whatever occurs in training
    units = Units.build(kind, [{"id": "u", "phones": "sh iy"}], glottal_stop=rule)
    assert units.labels[1:] == phones(int(kind[-2:]), rule)
    assert len(units.labels) == size + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("silence_rule", ["keep", "collapse", "optional"])
@pytest.mark.parametrize("glottal_stop", ["delete", "keep"])
def test_what_is_recognised_without_error_scores_0(kind, silence_rule, glottal_stop):
    units = build(kind, silence_rule=silence_rule, glottal_stop=glottal_stop)
    score = EditCounts(units.scored_as, units.convention)
    score.append(
        [row["id"] for row in ROWS],
        [units.reference(row) for row in ROWS],
        [units.decode(units.encode(row)) for row in ROWS],
    )
    summary = score.summarize()
    assert summary["edits"] == 0 and summary["reference_tokens"] > 0
    assert summary["unit"] == units.scored_as == KINDS[kind]


@pytest.mark.parametrize("kind", PHONE_KINDS)
def test_phones_are_scored_on_39_whatever_is_trained_on(kind):
    units = build(kind)
    assert units.reference(ROWS[0]) == fold(PHONES.split())
    assert units.decode(units.encode(ROWS[0])) == fold(PHONES.split())
    summary = EditCounts(units.scored_as, units.convention)
    summary.append(["u"], [["sil", "sh"]], [["sil"]])
    assert summary.summarize()["phone_set"] == "timit39"
    assert units.describe()["kind"] == kind and units.describe()["phone_set"] == "timit39"


def test_what_39_does_not_tell_apart_is_no_error():
    units = build("phones61")
    index = {label: i for i, label in enumerate(units.labels)}
    assert units.decode([index[x] for x in ("zh", "ux", "ix", "tcl")]) == ["sh", "uw", "ih", "sil"]


def test_the_targets_of_each_kind():
    targets = {}
    for kind in PHONE_KINDS:
        units = build(kind)
        targets[kind] = " ".join(units.labels[i] for i in units.encode(ROWS[0]))
    assert targets == {
        "phones61": "h# ae tcl t zh uw pau epi sh ax hv eh dcl d nx ux h#",
        "phones48": "sil ae cl t zh uw sil epi sh ax hh eh vcl d n uw sil",
        "phones39": "sil ae sil t sh uw sil sil sh ah hh eh sil d n uw sil",
    }


def test_collapsed_silences_are_collapsed_in_training_and_optional_ones_are_not():
    row = {"id": "u", "phones": "h# pau sh epi pau sh h#"}
    found = {}
    for rule in ("keep", "collapse", "optional"):
        units = Units.build("phones39", [row], silence_rule=rule)
        found[rule] = [units.labels[i] for i in units.encode(row)]
    kept = ["sil", "sil", "sh", "sil", "sil", "sh", "sil"]
    assert found == {"keep": kept, "optional": kept, "collapse": ["sil", "sh"] * 2 + ["sil"]}
    # 61 tells epi from pau, so that it is collapsed in the score alone
    units = Units.build("phones61", [row], silence_rule="collapse")
    assert [units.labels[i] for i in units.encode(row)] == "h# sh epi pau sh h#".split()
    assert units.decode(units.encode(row)) == units.reference(row) == found["collapse"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_through_json_and_gives_the_same_units(kind):
    units = build(kind, silence_rule="collapse", glottal_stop="keep")
    again = Units.from_state(json.loads(json.dumps(units.state())))
    assert again.state() == units.state() and again.labels == units.labels
    draw = random.Random(0)
    line = [draw.randrange(1, len(units.labels)) for _ in range(30)]
    for other in (again, copy.deepcopy(units), pickle.loads(pickle.dumps(units))):
        assert other.decode(line) == units.decode(line)
        assert other.encode(ROWS[1]) == units.encode(ROWS[1])
        assert other.convention == units.convention


def test_subwords_repeat_and_their_number_is_what_was_asked_for():
    assert build("bpe").state() == build("bpe").state()
    for size in (45, 60, 80):
        assert len(build("bpe", bpe_size=size).labels) == size + 1
    assert any(len(label) > 2 for label in build("bpe").labels[2:])


def test_subwords_of_an_unseen_word_are_that_word():
    units = build("bpe")
    row = {"id": "u", "text": "a dozen ducks"}
    assert units.decode(units.encode(row)) == units.reference(row) == ["a", "dozen", "ducks"]


def test_what_a_transcript_has_and_training_had_not_is_unknown_and_an_error_of_the_score():
    row = {"id": "u", "text": "caf\N{LATIN SMALL LETTER E WITH ACUTE} 9"}
    for kind in ("char", "bpe"):
        units = build(kind)
        assert units.labels.index("<unk>") in units.encode(row)
        score = EditCounts(units.scored_as, units.convention)
        score.append(["u"], [units.reference(row)], [units.decode(units.encode(row))])
        assert score.summarize()["edits"] == 2


def test_characters_are_scored_with_single_spaces_between_words():
    units = build("char")
    place = {label: i for i, label in enumerate(units.labels)}
    line = [place[c] for c in "  a  b "]
    assert units.decode(line) == ["a", " ", "b"]
    assert units.reference({"id": "u", "text": "It's  a-B."}) == list("it's a b")


def test_blanks_are_passed_over_and_indices_beyond_the_units_are_refused():
    units = build("phones39")
    assert units.decode([0, 1, 0, 1]) == ["aa", "aa"]
    assert units.decode([]) == []
    for index in (40, -1):
        refused(f"index {index} is no unit: phones39 has 40", units.decode, [index])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "Don't - stop_it, \N{RIGHT SINGLE QUOTATION MARK}now' !"}, "don't stop it 'now'"),
        ({"words": "she had", "text": "Other."}, "she had"),
        ({"text": "' '"}, ""),
        ({}, ""),
    ],
)
def test_spoken_text(row, said):
    assert spoken_text(row) == said


@pytest.mark.parametrize("kind", KINDS)
def test_an_utterance_without_a_unit_is_named(kind):
    refused("'lost'.*transcript", build(kind).encode, {"id": "lost", "text": " .", "phones": "q"})


def test_a_symbol_that_is_not_timits_is_named_with_its_utterance():
    with pytest.raises(UnknownPhone, match=r"u7: 'ZH' \(token 2\).*lower case"):
        build("phones48").encode({"id": "u7", "phones": "sh ZH"})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"units": "phones40"}, "phones39, phones48, phones61, char or bpe"),
        ({"units": ["bpe"]}, "units is"),
        ({"silence_rule": "drop"}, "keep, collapse or optional"),
        ({"glottal_stop": "fold"}, "delete or keep"),
        ({"bpe_size": 3}, "10 or more"),
        ({"bpe_size": 100.0}, "10 or more"),
        ({"bpe_size": True}, "10 or more"),
    ],
)
def test_options_that_do_not_exist(options, text):
    (found,) = unit_problems(options)
    assert text in found
    kind = options.pop("units", "bpe")
    refused(text, Units.build, kind, ROWS, **options)


def test_all_options_are_checked_at_once():
    assert unit_problems({"units": "bpe", "bpe_size": 100, "silence_rule": "keep"}) == []
    assert (
        len(unit_problems({"units": 1, "bpe_size": 0, "silence_rule": 2, "glottal_stop": 3})) == 4
    )


def test_a_number_of_subwords_that_the_transcripts_do_not_give():
    refused(r"bpe_size is 5000.*at most \d+$", build, "bpe", bpe_size=5000)
    refused(r"bpe_size is 12.*at least \d+$", build, "bpe", bpe_size=12)
    refused("no training row", Units.build, "char", [])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": 99}, "newer auricle"),
        ({"kind": "phones12"}, "units is 'phones12'"),
        ({"labels": ["sil", "<blank>"]}, "begin with '<blank>'"),
        ({"labels": ["<blank>", "aa"]}, "not those of phones39"),
        ({"kind": "bpe"}, "do not fit"),
        ({"labels": None}, "no state of units"),
    ],
)
def test_a_damaged_state(changes, text):
    refused(text, Units.from_state, build("phones39").state() | changes)
    refused("no state of units", Units.from_state, {"version": 1})
