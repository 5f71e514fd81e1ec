"""Files of transcripts: what is read, written, refused and scored, and what is printed."""

import itertools
import random

import pytest
from refusals import refused

from auricle.processing.scoring.transcription.alignment import align
from auricle.processing.scoring.transcription.sequence import score_transcripts
from auricle.processing.scoring.transcription.transcripts import (
    best_reading,
    format_alignment,
    format_summary,
    read_transcripts,
    score_files,
)
from auricle.processing.transcription.phones import (
    PhoneConvention,
    UnknownPhone,
    collapse_runs,
    fold,
)


def write(path, transcripts, trn=False):
    """A file of transcripts in Kaldi's format, or sclite's trn."""
    form = "{1} ({0})\n" if trn else "{0} {1}\n"
    path.write_text("".join(form.format(n, " ".join(t)) for n, t in transcripts.items()))


@pytest.mark.parametrize("format", ["kaldi", "trn"])
def test_tokens_may_be_anything_without_a_space(tmp_path, format):
    transcripts = {"s1-u2": ["ax-h", "h#"], "s1-u1": [], "s2": ["é", "(x"]}
    write(tmp_path / "a.txt", transcripts, format == "trn")
    assert read_transcripts(tmp_path / "a.txt", format) == transcripts


def test_files_of_other_systems(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"\xef\xbb\xbfu1  a\tb \r\n\r\nu2 c\x0bd\r\n")
    assert read_transcripts(path) == {"u1": ["a", "b"], "u2": ["c", "d"]}
    path.write_text(";; a comment\na b (u1)\n(u2)\n")
    assert read_transcripts(path) == {"u1": ["a", "b"], "u2": []}


@pytest.mark.parametrize(
    ("content", "format", "message"),
    [
        (b"u1 a\nu2 b\nu1 c\n", "auto", "line 3: utterance 'u1'.*line 1"),
        (b"a (u1)\nb c\n", "auto", "line 2:.*trn"),
        (b"a (u1)\nb c\n", "trn", "line 2:.*'b c'"),
        (b"a { b / c } (u1)\n", "trn", "line 1:.*braces"),
        (b"a (b) (u1)\n", "trn", "line 1:.*optional"),
        (b"a { b (u1)\n", "trn", "line 1:.*do not close"),
        (b"a { b / } (u1)\n", "trn", "line 1:.*empty alternative.*@"),
        (b"a (u1 -7716)\nb (u2 -1.5)\n", "auto", "line 1 .*trn with a score"),
        (b"\n \n", "auto", "t holds no"),
        (b"u1 \xff\xfe\n", "auto", "line 1.*UTF-8"),
        (b"u1 a\n", "ctm", "format must.*'ctm'"),
    ],
)
def test_bad_files(tmp_path, content, format, message):
    (tmp_path / "t").write_bytes(content)
    refused(message, read_transcripts, tmp_path / "t", format)


def test_files_of_phones_are_folded_and_scored(tmp_path):
    sentence = "h# sh iy q ae dcl d pau h#".split()
    write(tmp_path / "ref", {"u1": sentence, "u2": ["h#", "ao"]})
    write(tmp_path / "hyp", {"u1": fold(sentence)[1:], "u2": ["sil", "aa"]}, trn=True)

    def score(**options):
        return score_files(tmp_path / "hyp", tmp_path / "ref", ref_phone_set=61, **options)

    summary = score().summarize()
    assert (summary["edits"], summary["deletions"], summary["reference_tokens"]) == (1, 1, 10)
    assert score(silence="optional").summarize()["per"] == 0
    collapsed = score(silence="collapse").summarize()
    assert collapsed["reference_tokens"] == 9 == len(collapse_runs(fold(sentence))) + 2
    kept = score(glottal_stop="keep").summarize()
    assert (kept["edits"], kept["reference_tokens"], kept["glottal_stop"]) == (2, 11, "keep")
    refused("hyp, utterance 'u1': 'sil'", score, error=UnknownPhone, hyp_phone_set=61)
    files = tmp_path / "hyp", tmp_path / "ref"
    refused("ref, utterance 'u1': 'h#'", score_files, *files, error=UnknownPhone)


def test_files_of_words_and_characters(tmp_path):
    write(tmp_path / "ref", {"u": ["to", "be"]})
    write(tmp_path / "hyp", {"u": ["to", "bee"]})
    words, characters = (
        score_files(tmp_path / "hyp", tmp_path / "ref", unit) for unit in ("word", "char")
    )
    assert words.summarize()["wer"] == 1 / 2 and "confusion" not in words.summarize()
    assert characters.summarize()["cer"] == 1 / 5  # a space between two words is a character
    assert characters.alignments()["u"].reference == ("t", "o", " ", "b", "e")


def test_an_alignment_is_printed_in_columns():
    alignment = align(["sil ae ax-h t".split()], ["ae sil b t s".split()], ["sil"])[0]
    assert format_alignment(alignment, "spk-u1").split("\n") == [
        "id: (spk-u1)",
        "Scores: (#C #S #D #I) 2 1 0 1",
        "REF:  sil ae *** AX-H t *",
        "HYP:  *** ae sil B    t S",
        "Eval: d      i   S      I",
    ]
    spaced = align([list("a b")], [list("ab")])[0]
    assert format_alignment(spaced).split("\n")[1:] == ["REF:  a _ b", "HYP:  a * b", "Eval:   D"]


def test_the_line_says_what_the_rate_rests_on():
    counts = score_transcripts(
        {"a": ["ae", "t"], "b": ["t"] * 6},
        {"a": ["t"], "b": ["t"] * 6},
        "phone",
        PhoneConvention.timit(39),
    )
    line = format_summary(counts.summarize())
    assert line.startswith("PER 12.50% [0.00, 50.00] (1 edits of 8 tokens: 0 sub, 1 del, 0 ins")
    assert "timit39, silence keep, q delete" in line


@pytest.mark.parametrize(
    ("reference", "hypothesis", "edits", "tokens"),
    [
        ("i am a (farmer)", "i am a farmer", 0, 4),
        ("i am a (farmer)", "i am a", 0, 3),
        ("i am a (farmer)", "i am a doctor", 1, 4),
        ("{ uh / um / @ } it is { it's / {0} }".replace("{0}", "what it is"), "it is it's", 0, 3),
        ("{it is/it's} here", "it's here", 0, 2),
        ("The {cat/Dog}", "the dog", 2, 2),
    ],
)
def test_a_reference_is_read_as_suits_the_hypothesis(
    tmp_path, reference, hypothesis, edits, tokens
):
    (tmp_path / "ref").write_text(f"{reference} (u)\n")
    (tmp_path / "hyp").write_text(f"{hypothesis} (u)\n")
    files = tmp_path / "hyp", tmp_path / "ref", "word"
    summary = score_files(*files).summarize()
    assert (summary["edits"], summary["reference_tokens"]) == (edits, tokens)
    folded = score_files(*files, case="fold").summarize()
    assert folded["edits"] == (0 if "Dog" in reference else edits)


def test_no_reading_has_fewer_edits():
    generator = random.Random(0)
    for _ in range(40):
        segments = [
            [tuple(generator.choices("abc", k=generator.randrange(3))) for _ in range(generator.randrange(1, 4))]
            for _ in range(4)
        ]  # fmt: skip
        hypothesis = generator.choices("abc", k=generator.randrange(7))
        readings = [sum(map(list, way), []) for way in itertools.product(*segments)]
        edits = [a.edits for a in align(readings, [hypothesis] * len(readings))]
        best = best_reading(segments, hypothesis)
        assert align([best], [hypothesis])[0].edits == min(edits)
        assert len(best) == max(
            len(r) for r, e in zip(readings, edits, strict=True) if e == min(edits)
        )


def test_utterances_that_are_spelt_otherwise_are_shown(tmp_path):
    (tmp_path / "ref").write_text("u1.wav a\n")
    (tmp_path / "hyp").write_text("u1 a\n")
    files = tmp_path / "hyp", tmp_path / "ref", "word"
    refused("'u1.wav' and 'u1' differ in the suffix", score_files, *files)
