"""`auricle score`: the rate and what it rests on, and a message that names what is wrong."""

import json
import re
import subprocess
import sys

import pytest

from auricle.processing.scoring.transcription.transcripts import FORMATS, read_transcripts
from auricle.processing.transcription.unit_options import RATES

REF = "u1 h# sh iy q ae dcl d pau h#\nu2 h# ao t h#\n"
HYP = "u1 sil sh iy ae sil d sil\nu2 sil aa t s sil\n"
PHONES = ("--ref-phones", 61)


@pytest.fixture
def auricle(auricle, tmp_path, monkeypatch):
    """The command `score` in a folder with the two transcripts that it compares."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ref.txt").write_text(REF)
    (tmp_path / "hyp.txt").write_text(HYP)
    auricle.first = ("score", "--hyp", "hyp.txt", "--ref", "ref.txt")
    return auricle


def test_a_rate_is_printed_with_what_it_rests_on(auricle):
    out = auricle.output(*PHONES)
    rate, interval = out.splitlines()
    # u1: 8 phones without q, one silence missing; u2: 4 phones, one inserted
    assert rate.startswith("PER 16.67% [") and "(2 edits of 12 tokens: 0 sub, 1 del, 1 ins" in rate
    assert rate.endswith("2 utterances; timit39, silence keep, q delete)")
    assert interval == (
        "Interval: 95 %, percentile bootstrap over 2 utterances, 1000 resamples, seed 0"
    )


def test_json_has_the_convention_and_where_it_is_from(auricle):
    found = auricle.json(*PHONES, "--seed", 7)
    assert found["per"] == 2 / 12
    expected = {"hyp": "hyp.txt", "ref": "ref.txt", "hyp_phones": 39, "ref_phones": 61}
    expected |= {"unit": "phone", "phone_set": "timit39", "silence_rule": "keep"}
    expected |= {"glottal_stop": "delete", "reference_tokens": 12, "n": 2, "alignment": None}
    assert {key: found[key] for key in expected} == expected
    assert found["interval"]["seed"] == 7 and len(found["interval"]["per"]) == 2


@pytest.mark.parametrize(
    ("options", "edits", "tokens", "convention"),
    [
        ((), 2, 12, ("timit39", "keep", "delete")),
        (("--silence", "collapse"), 1, 11, ("timit39", "collapse", "delete")),
        (("--silence", "optional"), 1, 12, ("timit39", "optional", "delete")),
        (("--glottal-stop", "keep"), 3, 13, ("timit39", "keep", "keep")),
        # in 48 phones dcl is vcl, and ao is not aa
        (("--phone-set", 48), 4, 12, ("timit48", "keep", "delete")),
    ],
)
def test_the_convention_is_used_and_reported(auricle, options, edits, tokens, convention):
    if "--phone-set" in options:
        options += ("--hyp-phones", 48)
    found = auricle.json(*PHONES, *options)
    assert (found["edits"], found["reference_tokens"]) == (edits, tokens)
    assert tuple(found[k] for k in ("phone_set", "silence_rule", "glottal_stop")) == convention


def test_words_and_characters(auricle, tmp_path):
    (tmp_path / "ref.trn").write_text("to be (u1)\nor not (u2)\n")
    (tmp_path / "hyp.trn").write_text("to bee (u1)\nor not (u2)\n")
    files = ("--hyp", "hyp.trn", "--ref", "ref.trn")
    out = auricle.output("--unit", "word", *files)
    assert out.startswith("WER 25.00% [0.00, 50.00] (1 edits of 4 tokens")
    found = json.loads(auricle("--unit", "char", "--json", *files)[1])
    assert found["cer"] == 1 / 11 and not {"phone_set", "hyp_phones"} & found.keys()


def test_without_an_interval_the_reason_is_said(auricle, tmp_path):
    (tmp_path / "one").write_text("u1 a b\n")
    out = auricle.output("--unit", "word", "--hyp", "one", "--ref", "one")
    assert out.endswith("No interval: a single utterance\n")
    assert out.startswith("WER 0.00% (0 edits of 2 tokens")


def test_every_alignment_is_written(auricle, tmp_path):
    assert auricle.output(*PHONES, "--alignment", "pairs.txt").endswith("Alignments: pairs.txt\n")
    text = (tmp_path / "pairs.txt").read_text()
    assert [name for name in re.findall(r"id: \((.*)\)", text)] == ["u1", "u2"]
    assert "REF:  sil aa t * sil\nHYP:  sil aa t S sil\nEval:          I\n" in text
    assert json.loads(auricle(*PHONES, "--alignment", "a", "--json")[1])["alignment"] == "a"


def test_empty_references_are_scored_when_asked(auricle, tmp_path):
    (tmp_path / "ref").write_text("u1 a b\nu2\n")
    (tmp_path / "hyp").write_text("u1 a b\nu2 c\n")
    files = ("--hyp", "hyp", "--ref", "ref")
    assert "'u2' has an empty" in auricle.refusal("--unit", "word", *files)
    out = auricle.output("--unit", "word", "--allow-empty", *files)
    assert "1 edits of 2 tokens: 0 sub, 0 del, 1 ins" in out


def test_the_format_can_be_said(auricle, tmp_path):
    (tmp_path / "names").write_text("u1 a (b)\nu2 c (d)\n")  # looks like trn and is not
    found = json.loads(
        auricle(
            "--unit", "word", "--format", "kaldi", "--json", "--hyp", "names", "--ref", "names"
        )[1]
    )
    assert found["reference_tokens"] == 4
    assert read_transcripts(tmp_path / "names") == {"b": ["u1", "a"], "d": ["u2", "c"]}


@pytest.mark.parametrize(
    ("hyp", "options", "message"),
    [
        ("u1 sil\nu1 sil\n", (), "hyp.txt, line 2.*'u1'.*line 1"),
        ("sil (u1)\nsil\n", (), "hyp.txt, line 2.* kaldi or trn"),
        ("sil (u1)\nsil\n", ("--format", "trn"), "hyp.txt, line 2|ref.txt, line 1"),
        ("", (), "hyp.txt holds no utterance"),
        ("u1 sil\n", (), "references.*'u2'"),
        (HYP + "u3 sil\n", (), "hypotheses.*'u3'"),
        ("u1 sil\nu2 zz\n", (), "hyp.txt, utterance 'u2': 'zz' .* --hyp-phones, --ref-phones"),
        ("u1 sil\nu2 SIL\n", (), "hyp.txt, utterance 'u2': 'SIL' .* lower case"),
        (HYP, ("--ref-phones", 48), "ref.txt, utterance 'u1': 'h#' .* the 48 phones"),
        (HYP, ("--hyp-phones", 39, "--phone-set", 48), "39 .*48"),
        (HYP, ("--unit", "word", "--hyp-phones", 61), "--hyp-phones.* is for phones"),
        (HYP, ("--unit", "char", "--silence", "keep"), "--silence is for phones, .* char"),
        (HYP, ("--alignment", "./hyp.txt"), "would replace a transcript"),
        (HYP, ("--alignment", "no/such/file"), "--alignment no/such/file"),
        (HYP, ("--alignment", "."), r"--alignment \.: is a folder"),
        (HYP, ("--seed", -1), "seed|negative"),
        (HYP, ("--phone-set", 40), "--phone_set: invalid choice: 40"),
        (HYP, ("--unit", "syllable"), "--unit: invalid choice: 'syllable'"),
        (HYP, ("--hyp", "missing.txt"), "missing.txt: no such file"),
        (HYP, ("--ref", "."), r"\.: is a folder"),
        ("u1 sil\nu2 she had\n", (), "'she' .*--unit word"),
    ],
)
def test_bad_input_is_named(auricle, tmp_path, hyp, options, message):
    (tmp_path / "hyp.txt").write_text(hyp)
    if "--ref-phones" not in options and "--unit" not in options:
        options += PHONES
    err = auricle.refusal(*options)
    assert re.search(message, err), err
    assert (tmp_path / "hyp.txt").read_text() == hyp and (tmp_path / "ref.txt").read_text() == REF


def test_a_file_that_is_no_text(auricle, tmp_path):
    (tmp_path / "hyp.txt").write_bytes(b"u1 \xff\n")
    err = auricle.refusal(*PHONES)
    assert "hyp.txt, line 1" in err and "UTF-8" in err


@pytest.mark.parametrize("missing", ["--hyp", "--ref"])
def test_both_files_are_needed(auricle, missing):
    auricle.first = ("score", *{"--hyp": ["--ref", "r"], "--ref": ["--hyp", "h"]}[missing])
    assert f"required: {missing}" in auricle.refusal()


def test_the_help_has_the_choices_there_are(auricle):
    text = auricle.output("--help")
    auricle.first = ()
    assert "phone, character or word error rate" in auricle.output("--help")
    for choices in (RATES, FORMATS, ("keep", "collapse", "optional"), ("delete", "keep")):
        assert "{" + ",".join(choices) + "}" in text


@pytest.mark.slow
def test_scoring_needs_no_torch():
    code = (
        "import sys\nfrom auricle.recipes.inference import score\n"
        "print([name for name in ('torch', 'speechbrain', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
