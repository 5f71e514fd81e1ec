"""The phones of TIMIT: sizes, every mapping total, the classes of Lee and Hon, the two rules."""

import pytest
from refusals import refused

from auricle.processing.transcription.phones import (
    PHONE_SETS,
    PhoneConvention,
    UnknownPhone,
    collapse_runs,
    fold,
    folding,
    phones,
    silences,
)

PAIRS = [(61, 61), (61, 48), (61, 39), (48, 48), (48, 39), (39, 39)]

# The 61 symbols by kind, as the corpus' documentation lists them.
DOCUMENTED = (
    "b d g p t k dx q jh ch s sh z zh f th v dh m n ng em en eng nx l r w y hh hv el "
    "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h "
    "bcl dcl gcl pcl tcl kcl pau epi h#"
)
# What Lee and Hon (1989) put into one class: allophones for the 48, confusions within for the 39.
CLASSES_48 = "uw ux/er axr/ax ax-h/hh hv/m em/n nx/ng eng/pcl tcl kcl/bcl dcl gcl/h# pau".split("/")
CLASSES_39 = "sil cl vcl epi/el l/en n/sh zh/ao aa/ih ix/ah ax".split("/")


def classes(source, target):
    table = folding(source, target)
    found = {}
    for symbol, new in table.items():
        found.setdefault(new, set()).add(symbol)
    found.pop(None)
    return {frozenset(members) for members in found.values() if len(members) > 1}


def test_the_symbols_are_those_of_the_corpus():
    assert set(phones(61, "keep")) == set(DOCUMENTED.split())
    assert len(DOCUMENTED.split()) == 61
    assert [len(phones(size)) for size in PHONE_SETS] == [60, 48, 39]
    assert [len(phones(size, "keep")) for size in PHONE_SETS] == [61, 49, 40]


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("rule", ["delete", "keep"])
def test_every_mapping_is_total_and_onto(source, target, rule):
    table = folding(source, target, rule)
    assert set(table) == set(phones(source, "keep"))
    assert set(table.values()) - {None} == set(phones(target, rule))
    assert [symbol for symbol in table if table[symbol] is None] == ["q"] * (rule == "delete")
    with pytest.raises(TypeError):
        table["b"] = "p"


def test_the_classes_are_those_of_lee_and_hon():
    assert classes(61, 48) == {frozenset(group.split()) for group in CLASSES_48}
    assert classes(48, 39) == {frozenset(group.split()) for group in CLASSES_39}


@pytest.mark.parametrize("rule", ["delete", "keep"])
def test_folding_in_two_steps_is_folding_in_one(rule):
    symbols = phones(61, "keep")
    by_way_of_48 = fold(fold(symbols, 61, 48, rule), 48, 39, rule)
    assert by_way_of_48 == fold(symbols, 61, 39, rule)
    for size in PHONE_SETS:  # and doing it again changes nothing
        assert fold(phones(size, rule), size, size, rule) == list(phones(size, rule))


def test_a_symbol_keeps_its_name_where_the_set_has_it_unless_it_is_merged():
    for source, target in PAIRS:
        for symbol, new in folding(source, target).items():
            assert new is None or symbol not in phones(target) or new == symbol


def test_silences_are_what_the_next_set_calls_silence():
    assert silences(39) == silences(48) == ("sil",)
    assert set(fold(silences(61), 61, 48)) == {"sil"}
    assert silences(61) == ("h#", "pau")


def test_a_sentence_worked_by_hand():
    sentence = "h# sh iy q ae dcl d epi w axr pau h#".split()
    assert fold(sentence) == "sil sh iy ae sil d sil w er sil sil".split()
    assert fold(sentence, 61, 48) == "sil sh iy ae vcl d epi w er sil sil".split()
    assert fold(sentence, 61, 39, "keep") == "sil sh iy q ae sil d sil w er sil sil".split()
    collapse = PhoneConvention.timit(39, "collapse")
    assert collapse.prepare(fold(sentence)) == "sil sh iy ae sil d sil w er sil".split()


def test_glottal_stops_go_before_runs_of_silence_are_collapsed():
    convention = PhoneConvention.timit(39, "collapse")
    assert convention.prepare("sil q sil t t sil sil".split()) == "sil t t sil".split()
    kept = PhoneConvention.timit(39, "collapse", "keep")
    assert kept.prepare("sil q sil".split()) == "sil q sil".split()
    assert convention.prepare(convention.prepare(["sil", "q", "sil"])) == ["sil"]


def test_collapsing_keeps_edges_repeated_phones_and_the_first_of_a_run():
    assert collapse_runs(["sil"] * 3) == ["sil"]
    assert collapse_runs([]) == []
    assert collapse_runs(["h#", "pau", "t", "t", "pau", "h#"], silences(61)) == [
        *("h#", "t", "t", "pau")
    ]


@pytest.mark.parametrize("silence", ["keep", "optional"])
def test_the_other_rules_leave_the_string_alone(silence):
    convention = PhoneConvention.timit(39, silence)
    assert convention.prepare("sil sil t sil".split()) == "sil sil t sil".split()
    assert convention.optional == (("sil",) if silence == "optional" else ())


def test_an_unknown_symbol_is_named_with_its_place():
    with pytest.raises(UnknownPhone, match=r"train.PHN line 3: 'zz' \(token 2\).*61 phones"):
        fold(["h#", "zz"], where="train.PHN line 3")
    refused("'SH'.*'sh'.*lower case", fold, ["h#", "SH"], error=UnknownPhone)
    refused("'ao'.*39 symbols", PhoneConvention.timit().prepare, ["ao"], error=UnknownPhone)
    refused("'sil'", fold, ["sil"], error=UnknownPhone)  # a symbol of the 48, not of the 61


def test_a_convention_of_other_phones_has_its_own_name():
    convention = PhoneConvention("speechocean762", ["AA", "SIL"], ["SIL"], "collapse")
    assert convention.prepare(["SIL", "SIL", "AA"]) == ["SIL", "AA"]
    assert convention.describe()["phone_set"] == "speechocean762"
    assert PhoneConvention(**convention.state()) == convention
    refused("'q'", convention.prepare, ["q"], error=UnknownPhone)  # no glottal-stop rule, so no q


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: phones(40), "phone_set must.*61, 48, 39.*40"),
        (lambda: phones(39, "drop"), "glottal_stop must.*'drop'"),
        (lambda: folding(39, 61), "39 .*61"),
        (lambda: PhoneConvention.timit(39, "remove"), "silence must.*'remove'"),
        (lambda: PhoneConvention.timit("39"), "phone_set must.*'39'"),
        (lambda: PhoneConvention("", ["a"]), "name of the set"),
        (lambda: PhoneConvention("x", []), "symbols"),
        (lambda: PhoneConvention("x", "abc"), "not the string|list of symbols"),
        (lambda: PhoneConvention("x", ["a b"]), "without spaces"),
        (lambda: PhoneConvention("x", ["a", "a"]), r"repeat: \['a'\]"),
        (lambda: PhoneConvention("x", ["a"], ["b"]), r"no symbols of x: \['b'\]"),
        (lambda: PhoneConvention("x", ["a"], silence="collapse"), "x has no silences"),
    ],
)
def test_what_is_refused(call, message):
    refused(message, call)
