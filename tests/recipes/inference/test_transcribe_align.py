"""`auricle transcribe` and `auricle align`: what they print and write, and what they refuse."""

import json
import math
import shutil

import numpy as np
import pytest
import soundfile
import torch
from random_bundle import random_bundle
from refusals import refused
from segment_files import is_contiguous, read_textgrid

from auricle.lobes.bundles import bundle as pretrained
from auricle.processing.scoring.transcription.transcripts import read_transcripts
from auricle.processing.transcription.bigram import Bigram
from auricle.processing.transcription.segments import Segment, read_segments
from auricle.processing.transcription.units import Units
from auricle.recipes.inference import align
from auricle.recipes.inference.transcribe import log_probabilities, open_recogniser, read_whole

RATE_HZ = 16000
ROWS = [
    {"id": "u1", "phones": "h# sh iy h#", "text": "She had your dark suit in greasy wash water."},
    {"id": "u2", "phones": "h# q ae t h#", "text": "Don't ask me to carry an oily rag like that."},
]
PHONES = "h# sh iy hv ae dcl d h#"


def make_bundle(folder, kind="phones39", description=None, **options):
    """A recogniser with random weights."""
    units = Units.build(kind, ROWS, **({"bpe_size": 40} if kind == "bpe" else {}), **options)
    return random_bundle(
        folder,
        "mel",
        "blstm",
        units.labels,
        sample_rate=RATE_HZ,
        clip_s=None,
        frontend_options={"num_features": 8},
        encoder_options={"hidden": 4, "layers": 1},
        **{"task": "phone_recognition", "units": units.state(), **(description or {})},
    )


TRUE_ENDS = [0.20, 0.32, 0.44, 0.60, 1.0]  # s
KNOWN = "h# sh tcl iy h#"


def known_row(name="u1"):
    ends = " ".join(str(round(end * RATE_HZ)) for end in TRUE_ENDS)
    return {"id": name, "path": "a.wav", "phones": KNOWN, "phone_ends": ends}


def late_model(units, late_steps):
    """Log-probabilities of a model that hears every phone so many steps late, with short peaks."""

    def posteriors(bundle, wav):
        steps = torch.arange(101, dtype=torch.float64) - late_steps
        logits = torch.zeros(101, len(units.labels), dtype=torch.float64)
        logits[:, 0] = 6.0
        starts = [0.0, *TRUE_ENDS]
        phones = ["sil", "sh", "sil", "iy", "sil"]
        for phone, start, end in zip(phones, starts, TRUE_ENDS, strict=False):
            unit = units.labels.index(phone)
            inside = (steps >= 100 * start) & (steps < 100 * end)
            logits[inside, unit] = 4.0
            logits[int(round(50 * (start + end) + late_steps)), unit] = 12.0
        return logits.log_softmax(-1)

    return posteriors


def always(folder, unit):
    """Make a bundle say this unit at every step."""
    bundle, units = open_recogniser(folder)
    with torch.no_grad():
        bundle.classifier.linear.weight.zero_()
        bundle.classifier.linear.bias.copy_(
            10.0 * torch.eye(len(units.labels))[units.labels.index(unit)]
        )
    pretrained.save(folder, bundle.description, bundle)


def write_noise(path, duration_s=1.0, rate_hz=RATE_HZ, channels=1, seed=0):
    size = (round(duration_s * rate_hz), channels)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(size), rate_hz)


@pytest.fixture
def auricle(auricle, tmp_path, monkeypatch):
    """The command in a folder with recordings a.wav, b.wav."""
    monkeypatch.chdir(tmp_path)
    write_noise("a.wav")
    write_noise("b.wav", 0.7, seed=1)
    return auricle


@pytest.fixture(scope="module")
def phones39(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundles") / "phones39")


# --- transcribe ----------------------------------------------------------------------------------


def test_transcripts_are_what_score_reads(auricle, tmp_path):
    folder = make_bundle("bundle")
    always(folder, "sh")
    out = auricle.output("transcribe", folder, "a.wav", "b.wav")
    assert out == "a sh\nb sh\n"
    (tmp_path / "hyp.txt").write_text(out)
    (tmp_path / "ref.txt").write_text("a sh iy\nb sh\n")
    assert read_transcripts("hyp.txt") == {"a": ["sh"], "b": ["sh"]}
    assert auricle.output("score", "--hyp", "hyp.txt", "--ref", "ref.txt").startswith("PER 33.33%")


@pytest.mark.slow
def test_a_file_of_another_rate_and_nothing_said(auricle):
    folder = make_bundle("bundle")
    write_noise("c.flac", rate_hz=22050, channels=2)
    always(folder, "<blank>")
    assert auricle("transcribe", folder, "c.flac") == (0, "c\n", "")
    found = json.loads(auricle.output("transcribe", folder, "c.flac", "--format", "json"))
    assert found == {"file": "c.flac", "unit": "phone", "tokens": []}


def test_greedy_is_what_the_model_says(auricle, phones39):
    bundle, units = open_recogniser(phones39)
    path = log_probabilities(bundle, read_whole(bundle, "a.wav")).argmax(1).tolist()
    by_hand = [i for i, before in zip(path, [None, *path], strict=False) if i != before and i]
    _, out, _ = auricle("transcribe", phones39, "a.wav")
    assert out.split() == ["a", *units.decode(by_hand)]


@pytest.mark.slow
def test_beam_search_and_its_bigram(auricle):
    folder = make_bundle("bundle")
    _, units = open_recogniser(folder)
    beam = ("transcribe", folder, "a.wav", "--decoding", "beam", "--beam-size", 4)
    without = auricle.output(*beam)
    assert without.startswith("a ")
    err = auricle.refusal(*beam, "--lm-weight", 5)
    assert "bigram.json" in err and "--lm-weight 0" in err
    Bigram.train([[3, 7, 3, 7]], len(units.labels)).save(folder / "bigram.json")
    assert auricle(*beam)[1] == without
    assert auricle.output(*beam, "--lm_weight", 5) != without
    Bigram.train([[1]], 3).save(folder / "bigram.json")
    assert "3 labels and the units 40" in auricle.refusal(*beam, "--lm-weight", 5)
    (folder / "bigram.json").write_text('{"version": 1, "num_')
    err = auricle.refusal(*beam, "--lm-weight", 5)
    assert "bigram.json, line 1" in err and "--lm-weight 0" in err


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_characters_and_subwords_are_printed_as_words(auricle, monkeypatch, kind):
    folder = make_bundle("bundle", kind)
    _, units = open_recogniser(folder)
    said = units.encode({"id": "u", "text": "she had"})
    monkeypatch.setattr(
        "auricle.processing.transcription.ctc_decoding.ctc_greedy_decode", lambda *_, **__: [said]
    )
    assert auricle("transcribe", folder, "a.wav") == (0, "a she had\n", "")


def test_one_bad_file_does_not_stop_the_others(auricle, tmp_path, phones39):
    (tmp_path / "bad.wav").write_text("no audio")
    write_noise("short.wav", 0.01)
    status, out, err = auricle("transcribe", phones39, "bad.wav", "a.wav", "short.wav", "b.wav")
    assert status == 2
    assert [line.split()[0] for line in out.splitlines()] == ["a", "b"]
    first, second = err.splitlines()
    assert "bad.wav" in first
    assert "short.wav: lasts 10.0 ms" in second and "25 ms or more" in second


def test_names_that_a_transcript_cannot_hold(auricle, tmp_path, phones39):
    (tmp_path / "sub").mkdir()
    write_noise("sub/a.wav")
    write_noise("my file.wav")
    err = auricle.refusal("transcribe", phones39, "a.wav", "sub/a.wav")
    assert "'a'" in err and "--names path" in err
    out = auricle.output("transcribe", phones39, "a.wav", "sub/a.wav", "--names", "path")
    assert [line.split()[0] for line in out.splitlines()] == ["a.wav", "sub/a.wav"]
    assert "white space" in auricle.refusal("transcribe", phones39, "my file.wav")
    assert auricle("transcribe", phones39, "my file.wav", "--format", "json")[0] == 0


def test_options_that_do_not_belong_together(auricle, phones39):
    for option in ("--beam-size", "--lm-weight"):
        assert f"{option}" in auricle.refusal("transcribe", phones39, "a.wav", option, 3)
    err = auricle.refusal("transcribe", phones39, "a.wav", "--decoding", "beam", "--beam-size", 0)
    assert "beam_size is 0" in err


@pytest.mark.parametrize("command", ["transcribe", "align"])
def test_a_bundle_of_another_task(auricle, command):
    folder = make_bundle("bundle", description={"task": "speaker_verification", "units": None})
    transcript = ["h#"] if command == "align" else []
    err = auricle.refusal(command, folder, "a.wav", *transcript)
    assert "speaker_verification" in err and "transcription" in err


def test_a_bundle_whose_units_are_not_its_models(auricle):
    folder = make_bundle("bundle")
    description = json.loads((folder / "bundle.json").read_text())
    description["units"] = Units.build("phones48", ROWS).state()
    (folder / "bundle.json").write_text(json.dumps(description))
    err = auricle.refusal("transcribe", folder, "a.wav")
    assert "40 labels" in err and "49" in err


# --- align ---------------------------------------------------------------------------------------


def test_phones_are_printed_with_their_times(auricle, phones39):
    out = auricle.output("align", phones39, "a.wav", PHONES)
    segments = [Segment(int(a), int(b), c) for a, b, c in map(str.split, out.splitlines())]
    assert [segment.text for segment in segments] == PHONES.split()  # as they were given
    assert is_contiguous(segments, RATE_HZ)


def test_the_three_formats_and_a_phn_as_input(auricle, phones39):
    status, out, _ = auricle("align", phones39, "a.wav", PHONES, "--out", "found.PHN")
    assert (status, out) == (0, "found.PHN\n")
    segments = read_segments("found.PHN")
    assert auricle("align", phones39, "a.wav", "found.PHN", "--out", "again.phn")[0] == 0
    assert read_segments("again.phn") == segments
    assert auricle("align", phones39, "a.wav", "found.PHN", "--out", "a.TextGrid")[0] == 0
    assert read_textgrid("a.TextGrid", RATE_HZ) == {"phones": segments}


def test_times_count_at_the_files_own_rate(auricle, monkeypatch, phones39):
    _, units = open_recogniser(phones39)
    monkeypatch.setattr(align, "log_probabilities", late_model(units, 0))
    for rate_hz in (8000, 16000, 44100):
        write_noise("c.wav", rate_hz=rate_hz, channels=2)
        assert auricle("align", phones39, "c.wav", KNOWN, "--out", "found.phn")[0] == 0
        segments = read_segments("found.phn")
        assert is_contiguous(segments, rate_hz)
        ends_s = [segment.end_samples / rate_hz for segment in segments]
        assert ends_s == pytest.approx(TRUE_ENDS, abs=0.006)  # of steps of 0.01


def test_a_shift_moves_every_boundary(auricle, tmp_path, phones39):
    def ends(*options, bundle=phones39):
        out = auricle("align", bundle, "a.wav", PHONES, *options)[1]
        return np.array([int(line.split()[1]) for line in out.splitlines()])[:-1]

    plain = ends()
    moved = ends("--shift-ms", 2.0) - plain
    assert abs(moved - 32).max() <= 1
    stored = make_bundle("bundle", description={"boundary_shift_ms": 2.0})
    assert (ends(bundle=stored) == plain + moved).all()
    assert (ends("--shift_ms", 0, bundle=stored) == plain).all()


def test_a_lexicon_gives_words(auricle, tmp_path, phones39):
    (tmp_path / "lexicon.txt").write_text(";;; comment\nSHE SH IY1\nhad hh ae d\nhad(2) hv ae d\n")
    words = ("align", phones39, "a.wav", "She had.", "--lexicon", "lexicon.txt")
    assert auricle(*words, "--out", "found.TextGrid")[0] == 0
    tiers = read_textgrid("found.TextGrid", RATE_HZ)
    phones = tiers["phones"]
    assert [s.text for s in phones] == ["sil", "sh", "iy", "hh", "ae", "d", "sil"]
    assert tiers["words"] == [
        Segment(0, phones[0].end_samples, ""),
        Segment(phones[1].start_samples, phones[2].end_samples, "she"),
        Segment(phones[3].start_samples, phones[5].end_samples, "had"),
        Segment(phones[6].start_samples, RATE_HZ, ""),
    ]
    assert auricle(*words, "--out", "found.WRD")[0] == 0
    assert read_segments("found.WRD") == tiers["words"][1:3]
    err = auricle.refusal("align", phones39, "a.wav", "she ran far", "--lexicon", "lexicon.txt")
    assert "not in the lexicon: far, ran" in err
    err = auricle.refusal("align", phones39, "a.wav", PHONES, "--out", "found.WRD")
    assert "words are not known" in err
    err = auricle.refusal("align", phones39, "a.wav", "she", "--lexicon", "missing.txt")
    assert "missing.txt: no such file" in err
    (tmp_path / "lexicon.txt").write_text("she sh iyy\n")
    err = auricle.refusal("align", phones39, "a.wav", "she", "--lexicon", "lexicon.txt")
    assert "word 'she': 'iyy' (token 2)" in err
    assert "lexicon" in err and "--lexicon" not in err


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_text_is_aligned_as_characters_and_subwords(auricle, kind):
    folder = make_bundle("bundle", kind)
    auricle.output("align", folder, "a.wav", "She had, she had.", "--out", "a.TextGrid")
    tiers = read_textgrid("a.TextGrid", RATE_HZ)
    units = tiers["characters" if kind == "char" else "subwords"]
    assert is_contiguous(units, RATE_HZ)
    spelled = "".join(s.text for s in units).replace("|", " ").replace("\u2581", " ").strip()
    assert spelled == "she had she had"
    words = [s for s in tiers["words"] if s.text]
    assert [s.text for s in words] == ["she", "had", "she", "had"]
    edges = {s.start_samples for s in units} | {s.end_samples for s in units}
    assert all({word.start_samples, word.end_samples} <= edges for word in words)
    assert auricle("align", folder, "a.wav", "she", "--out", "a.phn")[0] == 0
    assert "\u00f1" in auricle.refusal("align", folder, "a.wav", "she \u00f1ot")
    # Phones would otherwise be spelled: 's', 'h', 'i', 'y'.
    err = auricle.refusal("align", folder, "a.wav", PHONES)
    assert f"holds phones (h# sh iy hv ...), and the bundle knows {kind}" in err
    assert auricle("align", folder, "a.wav", "ah")[0] == 0  # a word


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("phones39", "h# zh tcl ao", "h# zh tcl ao"),
        ("phones39", "sil sh cl aa", "sil sh cl aa"),  # 39 and 48
        ("phones48", "sil cl ao", "sil cl ao"),
        ("phones61", "h# tcl q ao", "h# tcl ao"),
    ],
)
def test_phones_of_another_set_are_folded(auricle, kind, given, expected):
    folder = make_bundle("bundle", kind)
    status, out, err = auricle("align", folder, "a.wav", given)
    assert status == 0 and [line.split()[2] for line in out.splitlines()] == expected.split()
    assert ("1 x q" in err) == ("q" in given.split())


def test_runs_of_silence_are_one_where_the_bundle_was_trained_so(auricle):
    folder = make_bundle("bundle", silence_rule="collapse")
    _, out, _ = auricle("align", folder, "a.wav", "h# pau tcl t h#")
    assert [line.split()[2] for line in out.splitlines()] == ["h#", "t", "h#"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "empty"),
        ("empty.TXT", "empty.TXT holds no segment"),
        ("q", "transcript is empty"),
        ("h# she h#", "'she' (token 2)"),
        ("h# SH h#", "'SH' (token 2)"),
        (" ".join(["ae", "t"] * 60), "a.wav: 120 units need 120 steps, and the model gives 101"),
        ("missing.PHN", "missing.PHN: no such file"),
        ("words.WRD", "--lexicon"),
        ("broken.PHN", "line 1"),
    ],
)
def test_transcripts_that_cannot_be(auricle, tmp_path, phones39, given, says):
    (tmp_path / "words.WRD").write_text("0 100 she\n100 200 had\n")
    (tmp_path / "broken.PHN").write_text("she had\n")
    (tmp_path / "empty.TXT").write_text("")
    assert says in auricle.refusal("align", phones39, "a.wav", given, "--out", "found.PHN")
    assert not (tmp_path / "found.PHN").exists()


def test_a_coarse_phone_is_no_unit_of_a_finer_model(auricle):
    folder = make_bundle("bundle", "phones61")
    err = auricle.refusal("align", folder, "a.wav", "sil sh")
    assert "'sil' (token 1)" in err and "phones61" in err


def test_a_wrong_call(auricle, phones39):
    for words, says in (
        (["a.wav"], "FILE and TRANSCRIPT"),
        (["a.wav", PHONES, "--out", "a.csv"], ".TextGrid"),
        (["a.wav", PHONES, "--score", "."], "leave out FILE"),
    ):
        assert says in auricle.refusal("align", phones39, *words)


def test_what_cannot_be_written_is_said_before_the_work(auricle, tmp_path, phones39):
    (tmp_path / "folder.PHN").mkdir()
    for out, says in (
        ("missing/a.PHN", "--out missing/a.PHN"),
        ("folder.PHN", "--out folder.PHN: is a folder"),
    ):
        # The bundle is not even looked for.
        assert says in auricle.refusal("align", "no_bundle", "a.wav", PHONES, "--out", out)


@pytest.mark.parametrize("shift_ms", ["nan", "inf", "-1001"])
def test_a_shift_that_no_model_has(auricle, phones39, shift_ms):
    err = auricle.refusal("align", phones39, "a.wav", PHONES, "--shift-ms=" + shift_ms)
    assert f"shift_ms is {shift_ms}" in err


def test_what_has_no_phone_times_is_not_scored(auricle, tmp_path, phones39):
    table = tmp_path / "speech"
    table.mkdir()
    (table / "manifest.tsv").write_text("path\n")
    err = auricle.refusal("align", phones39, "--score", table)
    assert "manifest.tsv" in err and "--protocol" not in err
    # Before the corpus is read.
    err = auricle.refusal("align", make_bundle("chars", "char"), "--score", "missing")
    assert "bundle of phones" in err


@pytest.mark.slow
def test_the_cure_for_a_broken_corpus_is_an_option_of_this_command(
    auricle, tiny, tmp_path, phones39
):
    corpus = shutil.copytree(tiny("timit"), tmp_path / "corpus")
    next(corpus.glob("TEST/*/*/SX*.PHN")).unlink()
    err = auricle.refusal("align", phones39, "--score", corpus)
    assert "missing .PHN" in err and err.rstrip().endswith("--skip-broken")
    assert auricle("align", phones39, "--score", corpus, "--skip-broken")[0] == 0


# --- how exact it is -----------------------------------------------------------------------------


@pytest.mark.parametrize("late_steps", [0, 3])
def test_a_late_model_is_measured_and_shifted(auricle, monkeypatch, phones39, late_steps):
    bundle, units = open_recogniser(phones39)
    monkeypatch.setattr(align, "log_probabilities", late_model(units, late_steps))
    shift_ms = align.boundary_shift_ms(bundle, units, [known_row()], ".")
    assert shift_ms == pytest.approx(-10 * late_steps, abs=5)  # half a step
    errors = align.score_alignment(bundle, units, [known_row()], ".", shift_ms=shift_ms)
    found = errors.summarize()
    assert (found["boundaries"], found["within_10_ms"]) == (4, 1.0)
    assert abs(found["median_ms"]) < 1
    as_it_is = align.score_alignment(bundle, units, [known_row()], ".").summarize()
    assert as_it_is["median_ms"] == pytest.approx(10 * late_steps, abs=5)


def test_a_row_without_times(auricle, phones39):
    bundle, units = open_recogniser(phones39)
    row = {**known_row("u7"), "phone_ends": ""}
    refused("'u7' has 5 phones", align.score_alignment, bundle, units, [row], ".")


def test_only_phones_have_known_times(auricle):
    bundle, units = open_recogniser(make_bundle("bundle", "char"))
    refused("knows char", align.score_alignment, bundle, units, [], ".")


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["keep", "collapse"])
def test_a_split_of_the_mini_corpus_is_scored(auricle, tiny, rule):
    folder = make_bundle("bundle", silence_rule=rule)
    corpus = tiny("timit")
    out = auricle.output("align", folder, "--score", corpus, "--json")
    found = json.loads(out)
    assert (found["split"], found["units"], found["shift_ms"]) == ("test", "phones39", 0.0)
    assert found["dataset"] == "mini TIMIT" and found["completeness"] == "mini"
    assert found["n"] == 16 and 0 <= found["within_20_ms"] <= found["within_50_ms"] <= 1
    assert math.isfinite(found["mean_absolute_ms"])
    if rule == "keep":
        _, out, _ = auricle("align", folder, "--score", corpus)
        assert f"within 20 ms {100 * found['within_20_ms']:5.1f} %" in out
