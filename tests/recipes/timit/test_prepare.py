"""TIMIT preparation: forms of the corpus, splits, completeness, tables, every kind of bad input."""

import csv
import hashlib
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import soundfile
import torch
from data_folders import edit, refusal, write_noise
from refusals import refused
from speechbrain.dataio.batch import PaddedBatch

from auricle.lobes import build_encoder, build_frontend
from auricle.processing.data import manifest
from auricle.processing.data.dataset import read_row
from auricle.processing.data.mini import timit as mini_timit
from auricle.processing.data.mini import write_mini
from auricle.processing.transcription.forced_alignment import steps_needed
from auricle.processing.transcription.phones import fold, phones
from auricle.processing.transcription.timit_speakers import CORE_TEST, DEVELOPMENT
from auricle.processing.transcription.units import Units
from auricle.recipes.timit import data, protocols
from auricle.recipes.timit import prepare as script
from auricle.recipes.timit.checks import check_tokens, find_missing
from auricle.recipes.timit.corpus import Sentence, find_corpus
from auricle.recipes.timit.prepare import prepare, problems
from auricle.recipes.timit.protocols import SPEAKERS_BY_REGION

RATE_HZ = 16000
LENGTH = 4800
PHONES = (
    (0, 800, "h#"),
    (800, 1600, "sh"),
    (1600, 2400, "q"),
    (2400, 4000, "iy"),
    (4000, LENGTH, "h#"),
)
# Training speakers, of the core test, of development, and one that the standard leaves out.
PEOPLE = {
    "TRAIN": {"DR1": ["FAAA0", "MBBB0"], "DR7": ["MCCC1"]},
    "TEST": {"DR1": ["MDAB0", "FELC0"], "DR2": ["FAKS0", "MRJM4"], "DR8": ["MZZZ0"]},
}
NAMES = ("SA1", "SA2", "SI1027", "SX37")


def lines(segments):
    return "".join(f"{begin} {end} {what}\n" for begin, end, what in segments)


def write_audio(path, length=LENGTH, rate_hz=RATE_HZ, format="NIST"):
    write_noise(path, length, rate_hz, format=format, subtype="PCM_16")


def make_corpus(folder):
    """A small one, which says that it is mini."""
    for part, regions in PEOPLE.items():
        for region, speakers in regions.items():
            for speaker in speakers:
                for name in NAMES:
                    stem = folder / part / region / speaker / name
                    write_audio(stem.with_suffix(".WAV"))
                    stem.with_suffix(".PHN").write_text(lines(PHONES))
                    stem.with_suffix(".WRD").write_text("800 2400 she\n2300 4000 had\n")
                    stem.with_suffix(".TXT").write_text(f"0 {LENGTH} She had.\n")
    mark_as_mini(folder)
    return folder


def mark_as_mini(folder):
    (folder / "mini.json").write_text(json.dumps({"generator": "auricle mini corpus"}))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def file_of(corpus, suffix, who="TRAIN/DR1/FAAA0/SX37"):
    return corpus / f"{who}{suffix}"


# --- protocols and settings ----------------------------------------------------------------------


def test_the_lists_of_speakers():
    assert len(set(CORE_TEST)) == 24 and len(set(DEVELOPMENT)) == 50
    assert not set(CORE_TEST) & set(DEVELOPMENT)
    # Of each region two men and a woman, in its order.
    assert "".join(name[0] for name in CORE_TEST) == "mmf" * 8
    assert Counter(name[0] for name in DEVELOPMENT) == {"m": 32, "f": 18}
    names = " ".join(sorted((*CORE_TEST, *DEVELOPMENT)))
    assert hashlib.sha256(names.encode()).hexdigest().startswith("880ae47600e9cc19")
    assert {part: sum(counts) for part, counts in SPEAKERS_BY_REGION.items()} == {
        "train": 462,
        "test": 168,
    }


def test_good_settings():
    assert problems({}) == []
    good = {"protocol": "standard", "data_seed": 3, "skip_broken": True, "sample_rate": 16000}
    assert problems({**good, "units": "bpe", "bpe_size": 50, "speed_factors": [1.0, 0.9]}) == []


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("protocol", "standart", "did you mean 'standard'?"),
        ("protocol", ["standard"], "is not known"),
        ("data_seed", -1, "whole number"),
        ("data_seed", True, "whole number"),
        ("skip_broken", "yes", "true or false"),
        ("sample_rate", 8000, "must be 16000"),
        ("cache_gb", -1, "0 or more GB"),
        ("speed_factors", [0.9], "the first of them 1"),
        ("units", "phones", "phones39"),
        ("silence_rule", "skip", "collapse"),
    ],
)
def test_bad_settings(key, value, text):
    (found,) = problems({key: value})
    assert text in found and key in found


def test_bad_settings_of_a_call(corpus, out):
    text = refusal(prepare, corpus, out, "standrad", seed=-1)
    assert "did you mean 'standard'?" in text and "data_seed is -1" in text


# --- splits --------------------------------------------------------------------------------------


def test_standard_drops_sa_and_takes_the_listed_speakers(corpus, out):
    record = prepare(corpus, out)
    assert {s: {row["speaker"] for row in record.rows(s)} for s in manifest.SPLITS} == {
        "train": {"faaa0", "mbbb0", "mccc1"},
        "valid": {"faks0", "mrjm4"},
        "test": {"mdab0", "felc0"},
    }
    assert all("_sa" not in row["id"] for row in record.rows())
    assert record.counts["train"] == {
        "utterances": 6,
        "speakers": 3,
        "hours": round(6 * LENGTH / RATE_HZ / 3600, 4),
        "phones": 6 * 4,
    }
    assert record.counts["test"]["phones"] == 4 * 4  # q is deleted, silence kept
    assert (record.completeness, record.comparable) == ("mini", False)
    assert record.dataset == "mini TIMIT" and "mini TIMIT" in record.describe()


def test_a_row(corpus, out):
    (row,) = [r for r in prepare(corpus, out).rows("train") if r["id"] == "faaa0_sx37"]
    assert row == {
        "id": "faaa0_sx37",
        "path": "TRAIN/DR1/FAAA0/SX37.WAV",
        "duration_s": LENGTH / RATE_HZ,
        "split": "train",
        "label": "",
        "speaker": "faaa0",
        "dialect": "dr1",
        "text": "She had.",
        "words": "she had",
        "phones": "h# sh q iy h#",
        "phone_ends": f"800 1600 2400 4000 {LENGTH}",
    }
    wav = read_row(row, prepare(corpus, out).roots, RATE_HZ)
    expected, _ = soundfile.read(corpus / row["path"], dtype="float32")
    assert torch.equal(wav, torch.from_numpy(expected))


def test_trainable_stft_divides_as_torch_does(corpus, out):
    record = prepare(corpus, out, "trainable_stft")
    names = [
        f"{speaker}_{name}".lower()
        for region in PEOPLE["TRAIN"].values()
        for speaker in region
        for name in NAMES
    ]
    sizes = [10, 2]
    assert round(12 * 4000 / 4620) == sizes[0]
    halves = torch.utils.data.random_split(names, sizes, torch.Generator().manual_seed(0))
    for split, half in zip(("train", "valid"), halves, strict=True):
        assert {row["id"] for row in record.rows(split)} == set(half)
    assert len(record.rows("test")) == 5 * 4  # everybody, SA included
    assert not record.comparable and "not comparable" in record.describe()
    other = prepare(corpus, out, "trainable_stft", seed=1)
    assert other.test_digest == record.test_digest and other.digest != record.digest
    assert any("seed 1" in note for note in other.notes)


def test_a_speaker_in_train_and_test_is_an_error(corpus, out):
    shutil.copytree(corpus / "TEST/DR1/MDAB0", corpus / "TRAIN/DR1/MDAB0")
    for name in NAMES:  # not the same utterances
        for suffix in (".WAV", ".PHN", ".WRD", ".TXT"):
            path = corpus / f"TRAIN/DR1/MDAB0/{name}{suffix}"
            path.rename(path.with_name(f"{name}9{suffix}"))
    for protocol in ("standard", "trainable_stft"):
        assert "train and test: mdab0" in refusal(prepare, corpus, out, protocol, skip_broken=True)


# --- forms ---------------------------------------------------------------------------------------


def lower_case(corpus):
    for path in sorted(corpus.rglob("*"), key=lambda p: -len(p.parts)):
        if path.name != "mini.json":
            path.rename(path.with_name(path.name.lower()))


def mixed_case(corpus):
    (corpus / "TRAIN").rename(corpus / "train")
    (corpus / "TEST/DR1").rename(corpus / "TEST/dr1")
    for path in corpus.rglob("*.WAV"):
        path.rename(path.with_suffix(".wav"))


def riff(corpus, keep=False):
    for path in list(corpus.rglob("*.WAV")):
        wav, rate = soundfile.read(path, dtype="int16")
        soundfile.write(f"{path}.wav", wav, rate, format="WAV")
        if not keep:
            path.unlink()


def riff_with_the_published_names(corpus):
    for path in list(corpus.rglob("*.WAV")):
        wav, rate = soundfile.read(path, dtype="int16")
        soundfile.write(path, wav, rate, format="WAV", subtype="PCM_16")


def extra_folders(corpus):
    below = corpus / "data" / "lisa" / "TIMIT"
    below.mkdir(parents=True)
    (corpus / "train_data.csv").write_text("x\n")
    for part in ("TRAIN", "TEST"):
        (corpus / part).rename(below / part)


def strangers(corpus):
    """What archives and operating systems leave behind."""
    for name in ("._SX37.WAV", "Thumbs.db", "SX37.MAT", "notes.wav"):
        file_of(corpus, "", "TRAIN/DR1/FAAA0/" + name).write_bytes(b"x")
    for folder in ("TRAIN/DR1/README", "TRAIN/DOC", "DOC"):
        (corpus / folder).mkdir()


@pytest.mark.parametrize(
    "change",
    [lower_case, mixed_case, riff, riff_with_the_published_names, extra_folders, strangers],
)
def test_every_form_is_the_same_corpus(untouched, corpus, tmp_path, change):
    published = prepare(untouched, tmp_path / "published")
    change(corpus)
    record = prepare(corpus, tmp_path / "out")
    assert record.digest == published.digest and record.counts == published.counts
    assert record.notes == []
    for row in record.rows():
        assert len(read_row(row, record.roots, RATE_HZ)) == LENGTH


def test_both_files_side_by_side_count_once_and_the_published_one_is_read(corpus, out):
    riff(corpus, keep=True)
    record = prepare(corpus, out)
    assert record.counts["train"]["utterances"] == 6
    assert all(row["path"].endswith("7.WAV") for row in record.rows())
    (note,) = record.notes
    assert note.startswith("14 recordings are there more than once")
    assert re.search(r"SI1027\.WAV and not .*SI1027\.WAV\.wav$", note)


def test_words_in_the_path_above_mean_nothing(corpus, tmp_path):
    home = tmp_path / "train" / "test" / "dr1"
    home.parent.mkdir(parents=True)
    corpus.rename(home)
    record = prepare(home, tmp_path / "out")
    assert {s: record.counts[s]["utterances"] for s in manifest.SPLITS} == {
        "train": 6,
        "valid": 4,
        "test": 4,
    }


def test_folders_that_are_not_timit(corpus, tmp_path):
    assert "does not exist" in refusal(find_corpus, tmp_path / "none")
    assert "is a file" in refusal(find_corpus, corpus / "mini.json")
    text = refusal(find_corpus, corpus / "TRAIN")
    assert "does not hold TIMIT" in text and f"name {corpus}" in text
    shutil.copytree(corpus, tmp_path / "two" / "a")
    shutil.copytree(corpus, tmp_path / "two" / "b")
    assert "holds TIMIT 2 times" in refusal(find_corpus, tmp_path / "two")
    shutil.rmtree(corpus / "TEST")
    assert "has no TEST/DR1" in refusal(find_corpus, corpus)


def test_an_utterance_in_two_folders_is_not_counted_twice(corpus, out):
    shutil.copytree(corpus / "TRAIN/DR1/FAAA0", corpus / "TRAIN/DR1/faaa0")
    text = refusal(prepare, corpus, out)
    assert (
        "there twice (4):" in text and "is the same utterance as TRAIN/DR1/FAAA0/SX37.WAV" in text
    )
    record = prepare(corpus, out, skip_broken=True)
    assert record.counts["train"]["utterances"] == 6 and len(record.skipped) == 4


# --- the whole corpus ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """6,300 utterances that are one file each time, with the published numbers of phones."""
    folder = tmp_path_factory.mktemp("whole")
    write_audio(folder / "one.WAV", 400)
    for count in (37, 38):
        segments = [(10 * i, 10 * i + 10, "aa") for i in range(count)]
        (folder / f"{count}.PHN").write_text(lines(segments))
    (folder / "one.TXT").write_text("0 400 Ah.\n")
    longer = {"test": 7215 - 192 * 37, "valid": 15057 - 400 * 37}
    people = {"train": [f"fq{chr(97 + i // 26)}{chr(97 + i % 26)}0" for i in range(462)]}
    others = [f"mz{chr(97 + i // 26)}{chr(97 + i % 26)}0" for i in range(94)]
    people["test"] = [*CORE_TEST, *DEVELOPMENT, *others]
    for part, names in people.items():
        regions = [f"DR{i + 1}" for i, n in enumerate(SPEAKERS_BY_REGION[part]) for _ in range(n)]
        for region, name in zip(regions, names, strict=True):
            home = folder / "TIMIT" / part.upper() / region / name.upper()
            home.mkdir(parents=True)
            split = "test" if name in CORE_TEST else "valid" if name in DEVELOPMENT else None
            for sentence in ("SA1", "SA2", *(f"SX{i}" for i in range(5)), "SI1", "SI2", "SI3"):
                count = 37
                if split and sentence[:2] != "SA" and longer[split]:
                    count, longer[split] = 38, longer[split] - 1
                for source, suffix in (("one", ".WAV"), (count, ".PHN"), ("one", ".TXT")):
                    os.link(folder / f"{source}{suffix}", home / f"{sentence}{suffix}")
    return folder / "TIMIT"


@pytest.mark.long
def test_the_whole_corpus_is_complete_and_by_standard_comparable(whole, tmp_path):
    record = prepare(whole, tmp_path)
    assert [record.counts[s]["utterances"] for s in manifest.SPLITS] == [3696, 400, 192]
    assert [record.counts[s]["speakers"] for s in manifest.SPLITS] == [462, 50, 24]
    assert record.completeness == "complete" and record.comparable
    assert record.counts["test"]["phones"] == 7215 and record.dataset == "TIMIT"
    # the same folder: what was decoded is not decoded again
    record = prepare(whole, tmp_path, "trainable_stft")
    assert [record.counts[s]["utterances"] for s in manifest.SPLITS] == [4000, 620, 1680]
    assert record.completeness == "complete" and not record.comparable


def test_what_is_missing_is_named(corpus, out):
    (corpus / "mini.json").unlink()
    for suffix in (".WAV", ".PHN", ".WRD", ".TXT"):
        file_of(corpus, suffix).unlink()
    text = refusal(prepare, corpus, out)
    absent = [name for name in CORE_TEST if name not in ("mdab0", "felc0")]
    for line in (
        "5 of 3696 training utterances",
        "4 of 192 test utterances",
        "3 of 462 training speakers",
        "2 of 50 development speakers",
        f"core test speakers that are not there: {', '.join(absent)}",
        "speakers in TRAIN: dr1 2 of 38, dr2 0 of 76, ",
        "7 speakers have not 8 utterances: felc0 2, mdab0 2, faks0 2, mrjm4 2, faaa0 1, ",
    ):
        assert f"\n  {line}" in text
    text = refusal(prepare, corpus, out, "trainable_stft")
    assert "\n  speakers in TEST: dr1 2 of 11, dr2 2 of 26, " in text and "10 utterances: " in text
    record = prepare(corpus, out, skip_broken=True)
    assert record.completeness.startswith("subset (5 of 3696") and not record.comparable
    assert record.dataset == "TIMIT"


def test_one_that_is_missing_from_the_whole_corpus_is_the_only_one_named():
    counts = {s: {"utterances": n} for s, n in protocols.STANDARD.utterances.items()}
    for split, n in protocols.STANDARD.speakers.items():
        counts[split]["speakers"] = n
    assert find_missing(protocols.STANDARD, [], counts) == []
    counts["test"]["utterances"] -= 1
    people = [
        (part, f"dr{i + 1}", f"{part}{i}{k}")
        for part, regions in SPEAKERS_BY_REGION.items()
        for i, number in enumerate(regions)
        for k in range(number)
    ]
    people += [("test", "dr1", name) for name in (*CORE_TEST, *DEVELOPMENT)]
    sentences = [
        Sentence(*who, f"sx{i}") for who in people for i in range(7 if "mdab0" in who else 8)
    ]
    assert find_missing(protocols.STANDARD, sentences, counts) == [
        "191 of 192 test utterances",
        "1 speakers have not 8 utterances: mdab0 7",
    ]


def test_other_labels_than_the_published_are_noticed():
    counts = {"valid": {"phones": 15057}, "test": {"phones": 7333}}
    assert "7333 phones where 7215" in refusal(check_tokens, counts, protocols.STANDARD)


# --- bad input -----------------------------------------------------------------------------------


def phn(old, new):
    return lambda corpus: edit(file_of(corpus, ".PHN"), old, new)


def bytes_of(change):
    def damage(corpus):
        path = file_of(corpus, ".WAV")
        path.write_bytes(change(path.read_bytes()))

    return damage


BAD = {
    "no .PHN": (lambda c: file_of(c, ".PHN").unlink(), "missing .PHN", "SX37.WAV: has no .PHN"),
    "overlap": (
        phn("1600 2400 q", "1500 2400 q"),
        "overlapping or unsorted phone times",
        "SX37.PHN, line 3: begins at 1500, before the phone above it ends (1600)",
    ),
    "unsorted": (
        phn("800 1600 sh\n1600 2400 q\n", "1600 2400 q\n800 1600 sh\n"),
        "overlapping or unsorted phone times",
        "SX37.PHN, line 3: begins at 800",
    ),
    "backwards": (phn("800 1600 sh", "1600 800 sh"), "impossible phone times", "line 2: begins at 1600"),
    "symbol": (phn("sh", "shh"), "unknown phone", "SX37.PHN, line 2: 'shh' is none of the 61"),
    "upper case": (phn("iy", "IY"), "unknown phone", "line 4: 'IY' is none of the 61 symbols of TIMIT ('iy' is)"),
    "no times": (phn("800 1600 sh", "sh"), "unreadable line", "line 2: 'sh' is not 'BEGIN END SYMBOL'"),
    "float": (phn("1600 sh", "1600.5 sh"), "unreadable line", "SX37.PHN, line 2"),
    "no phones": (lambda c: file_of(c, ".PHN").write_text("\n"), "empty transcript", "holds no phone"),
    "no words": (
        lambda c: file_of(c, ".TXT").write_text("0 4800\n"),
        "empty transcript",
        "SX37.TXT: holds no words",
    ),
    "latin": (
        lambda c: file_of(c, ".TXT").write_bytes(b"0 4800 caf\xe9\n"), "not UTF-8", "SX37.TXT, line 1"
    ),
    "beyond": (
        phn("2400 4000 iy\n4000 4800 h#", "2400 5000 iy"),
        "times beyond the end of the audio",
        "SX37.PHN, line 4: ends at sample 5000, the audio has 4800",
    ),
    "far beyond": (
        phn("4000 4800 h#", "4000 9000 h#"),
        "times beyond the end of the audio",
        "line 5: ends at sample 9000",
    ),
    "header": (
        bytes_of(lambda b: b[:7] + bytes(300) + b[307:]),
        "broken audio, truncated",
        "SX37.WAV: is cut off or damaged: NIST decoding fails",
    ),
    "no header": (bytes_of(lambda b: b[1024:]), "broken audio, not audio", "SX37.WAV: is no audio"),
    "cut": (bytes_of(lambda b: b[:3000]), "broken audio, truncated", "promises 9600 bytes"),
    "empty": (bytes_of(lambda b: b""), "broken audio, empty", "SX37.WAV: is empty"),
    "no audio": (lambda c: file_of(c, ".WAV").unlink(), "missing audio", "FAAA0/SX37: labels without"),
    "rate": (lambda c: write_audio(file_of(c, ".WAV"), rate_hz=8000), "broken audio, rate", "8000 Hz"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_can_be_left_out(corpus, out, name):
    damage, kind, reason = BAD[name]
    damage(corpus)
    text = refusal(prepare, corpus, out)
    assert f"  {kind} (1):\n" in text and reason in text and "--skip_broken" in text
    record = prepare(corpus, out, skip_broken=True)
    assert "faaa0_sx37" not in {row["id"] for row in record.rows()}
    assert record.counts["train"]["utterances"] == 5
    (skipped,) = record.skipped
    assert skipped["kind"] == kind and reason in skipped["reason"]
    assert f"{kind}: {skipped['reason']}" in record.describe()


def test_everything_wrong_is_one_error_with_five_examples_of_a_kind(corpus, out):
    for path in sorted(corpus.glob("TRAIN/*/*/S[XI]*.PHN")):
        path.unlink()
    phn_file = file_of(corpus, ".PHN", "TEST/DR1/MDAB0/SX37")
    phn_file.write_text("0 800 xx\n0 1600 sh\n")
    text = refusal(prepare, corpus, out)
    assert "missing .PHN (6):" in text and text.count("has no .PHN") == 5 and "and 1 more" in text
    assert "unknown phone (1):" in text and "overlapping or unsorted phone times (1):" in text
    text = refusal(prepare, corpus, out, skip_broken=True)
    assert "none of the utterances is left for train" in text


def test_what_is_not_used_may_be_broken(corpus, out):
    for who in ("TRAIN/DR1/FAAA0/SA1", "TEST/DR8/MZZZ0/SX37"):
        file_of(corpus, ".PHN", who).unlink()
    assert prepare(corpus, out).skipped == []
    assert "missing .PHN (2)" in refusal(prepare, corpus, out, "trainable_stft")


def test_a_silence_that_outlasts_the_audio_ends_with_it(corpus, out):
    edit(file_of(corpus, ".PHN"), "4000 4800 h#", "4000 5600 h#")
    record = prepare(corpus, out)
    (row,) = [row for row in record.rows() if row["id"] == "faaa0_sx37"]
    assert row["phone_ends"].endswith(f" {LENGTH}")
    assert any("in 1 utterances the silence at the end" in note for note in record.notes)


def test_without_word_files_the_sentence_is_the_text(corpus, out):
    for path in corpus.rglob("*.WRD"):
        path.unlink()
    record = prepare(corpus, out)
    row = record.rows()[0]
    assert "words" not in row and row["text"] == "She had."
    assert any("no .WRD" in note for note in record.notes)
    assert Units.build("char", [row]).reference(row) == list("she had")


# --- again ---------------------------------------------------------------------------------------


def test_prepared_once_and_again_when_a_label_changes(corpus, out, monkeypatch):
    record = prepare(corpus, out)
    with monkeypatch.context() as patch:
        patch.setattr(script, "scan_files", lambda *a, **k: pytest.fail("decoded again"))
        assert prepare(corpus, out) == record
    path = file_of(corpus, ".PHN")
    edit(path, "sh", "zh")
    os.utime(path, ns=(1, 1))
    assert prepare(corpus, out).digest != record.digest


def test_command_line(corpus, out, capsys):
    script.main([str(corpus), str(out)])
    assert "mini TIMIT, protocol standard: mini" in capsys.readouterr().out
    wrong = [str(corpus), str(out), "--protocol", "standart"]
    refused("did you mean 'standard'", script.main, wrong, error=SystemExit)


# --- a table -------------------------------------------------------------------------------------


def make_table(folder, name="manifest.tsv", below="", **changes):
    """Ten training speakers and two of test, two recordings each."""
    columns = ["path", "speaker", "split", "age", "text", "phones"]
    rows = []
    for number in range(24):
        speaker = f"s{number // 2:02}"
        path = f"{speaker}/{number}.wav"
        write_audio(folder / below / path, format="WAV")
        split = "train" if number < 20 else "test"
        rows.append([path, speaker, split, "9", 'SHE "HAD"', "SH IY1 HH AE0 D ZH AO2"])
    for (row, column), value in changes.get("cells", {}).items():
        rows[row][columns.index(column)] = value
    separator = "\t" if name.endswith("tsv") else ","
    with open(folder / name, "w", newline="", encoding="utf-8") as file:
        if separator == ",":
            csv.writer(file).writerows([columns, *rows])
        else:
            file.writelines(separator.join(row) + "\n" for row in [columns, *rows])
    return folder


@pytest.mark.parametrize(("name", "below"), [("manifest.tsv", ""), ("manifest.csv", "wav")])
def test_a_table_of_recordings(tmp_path, name, below):
    folder = make_table(tmp_path / "my_speech", name, below)
    record = prepare(folder, tmp_path / "out", "manifest")
    assert record.dataset == "my_speech" and record.completeness == "own table"
    assert not record.comparable and "TIMIT;" in record.describe()
    row = record.rows("test")[0]
    assert row["phones"] == "sh iy hh ae d zh ao" and row["text"] == 'SHE "HAD"'
    assert fold(row["phones"].split()) == "sh iy hh ae d sh aa".split()
    assert row["id"] == "s10/20" and row["path"] == os.path.join(below, "s10/20.wav")
    assert len(read_row(row, record.roots, RATE_HZ)) == LENGTH
    assert record.counts["test"] | {"hours": 0} == {
        "utterances": 4,
        "speakers": 2,
        "hours": 0,
        "phones": 28,
    }


def test_validation_of_a_table_is_a_share_of_the_training_speakers(tmp_path):
    folder = make_table(tmp_path / "a")
    held_out = {}
    for seed in (0, 0, 1, 2):
        record = prepare(folder, tmp_path / "out", "manifest", seed=seed)
        speakers = {s: {r["speaker"] for r in record.rows(s)} for s in manifest.SPLITS}
        assert {s: len(who) for s, who in speakers.items()} == {"train": 9, "valid": 1, "test": 2}
        assert not speakers["train"] & speakers["valid"]
        held_out.setdefault(seed, speakers["valid"])
        assert held_out[seed] == speakers["valid"]
    assert len({name for who in held_out.values() for name in who}) > 1
    assert any("held out" in note for note in record.notes)


def test_a_table_that_has_a_validation_split_keeps_it(tmp_path):
    folder = make_table(tmp_path / "a", cells={(0, "split"): "dev", (5, "split"): "valid"})
    record = prepare(folder, tmp_path / "out", "manifest")
    assert {row["id"] for row in record.rows("valid")} == {"s00/0", "s02/5"}
    assert record.notes == [
        "2 speakers are in both train and valid, e.g. s00, s02",
    ]
    assert record.overlap == {"kept in train: speakers of valid": 2}


def test_a_recording_that_a_table_trains_on_and_tests_is_refused_or_left_out(tmp_path):
    folder = make_table(tmp_path / "a", cells={(0, "split"): "valid"})
    rows = [line.split("\t") for line in (folder / "manifest.tsv").read_text().splitlines()]
    split, path = rows[0].index("split"), rows[0].index("path")
    paths = {row[split]: row[path] for row in rows[1:]}
    shutil.copy(folder / paths["test"], folder / paths["train"])
    out = tmp_path / "out"
    text = refusal(prepare, folder, out, "manifest")
    assert "1 of train: identical recordings in test" in text and "--skip_broken true" in text
    record = prepare(folder, out, "manifest", skip_broken=True)
    assert record.overlap["left out of train: identical recordings in test"] == 1
    assert paths["train"] not in {row["path"] for row in record.rows("train")}


@pytest.mark.parametrize(
    ("cell", "value", "kind", "reason"),
    [
        ("phones", "SH XX1", "unknown phone", "manifest.tsv, line 4: 'XX1' is neither ARPAbet"),
        ("phones", " ", "empty transcript", "line 4: no phones"),
        ("split", "holdout", "unknown split", "line 4: split 'holdout'"),
        ("speaker", "", "no speaker", "line 4: the speaker is empty"),
        ("path", "../x.wav", "impossible path", "line 4: path '../x.wav'"),
        ("path", "s00/0.wav", "there twice", "line 4: s00/0.wav is in manifest.tsv, line 2"),
        ("text", "well\tb", "more cells than columns", "line 4: 7 cells for 6 columns"),
        ("path", "none.wav", "broken audio, missing", "none.wav: no such file"),
    ],
)
def test_bad_tables(tmp_path, cell, value, kind, reason):
    folder = make_table(tmp_path / "a", cells={(2, cell): value})
    text = refusal(prepare, folder, tmp_path / "out", "manifest")
    assert f"{kind} (1):" in text and reason in text
    assert "Mend the table or its recordings, or" in text  # there is no corpus to restore it from
    record = prepare(folder, tmp_path / "out", "manifest", skip_broken=True)
    assert len(record.rows()) == 23 and record.skipped[0]["kind"] == kind


def test_tables_that_are_none(tmp_path):
    tmp_path.joinpath("a").mkdir()
    assert "holds no table" in refusal(prepare, tmp_path / "a", tmp_path / "out", "manifest")
    folder = make_table(tmp_path / "b")
    (folder / "manifest.csv").write_text("path\n")
    text = refusal(prepare, folder, tmp_path / "out", "manifest")
    assert "holds manifest.tsv and manifest.csv" in text
    (folder / "manifest.tsv").unlink()
    text = refusal(prepare, folder, tmp_path / "out", "manifest")
    assert "lacks the columns speaker, split, phones; it has path. Needed are path" in text
    assert text.endswith("separated by commas")
    (folder / "manifest.csv").write_text("path,speaker,split,phones\n")
    assert "holds no recording" in refusal(prepare, folder, tmp_path / "out", "manifest")


def test_a_folder_called_timit_makes_no_timit_of_a_table(tmp_path):
    record = prepare(make_table(tmp_path / "TIMIT"), tmp_path / "out", "manifest")
    assert record.dataset == "table TIMIT"


# --- datasets ------------------------------------------------------------------------------------


HPARAMS = {"sample_rate": RATE_HZ, "cache_gb": 0.1, "seed": 1, "speed_factors": []}


def sets_of(corpus, out, kind="phones39", **changes):
    record = prepare(corpus, out)
    units = Units.build(kind, record.rows("train"), bpe_size=15)
    return data.build_datasets({**HPARAMS, **changes}, record, units), units


def test_items_and_batches(corpus, out):
    sets, units = sets_of(corpus, out)
    item = sets["test"][0]
    assert set(item) == {"id", "sig", "target", "reference"}
    assert item["sig"].shape == (LENGTH,) and item["target"].dtype == torch.int64
    assert item["reference"] == ["sil", "sh", "iy", "sil"]
    assert units.decode(item["target"].tolist()) == item["reference"]
    assert sets["test"].durations_s == [LENGTH / RATE_HZ] * 4
    batch = PaddedBatch([sets["train"][i] for i in range(3)])
    assert batch.sig.data.shape == (3, LENGTH) and batch.target.data.shape == (3, 4)
    assert batch.reference == [["sil", "sh", "iy", "sil"]] * 3


def test_speed_changes_the_length_and_nothing_else(corpus, out):
    sets, _ = sets_of(corpus, out, speed_factors=[1.0, 0.8, 1.25])
    lengths = set()
    train = sets["train"]
    for epoch in range(1, 6):
        train.set_epoch(epoch)
        items = [train[i] for i in range(len(train))]
        again = [train[i] for i in range(len(train))]
        lengths |= {len(item["sig"]) for item in items}
        for item, same in zip(items, again, strict=True):
            assert torch.equal(item["sig"], same["sig"])
            assert item["reference"] == ["sil", "sh", "iy", "sil"]
    assert lengths == {LENGTH, 6000, 3840}
    assert train.durations_s == pytest.approx([6000 / RATE_HZ] * 6)
    assert train.shortest_samples == [3840] * 6
    for split in ("valid", "test"):
        for epoch in range(1, 4):
            sets[split].set_epoch(epoch)
            assert {len(sets[split][i]["sig"]) for i in range(4)} == {LENGTH}
        assert sets[split].durations_s == [LENGTH / RATE_HZ] * 4
        assert sets[split].shortest_samples == [LENGTH] * 4


def test_runs_on_one_corpus_share_its_preparation(corpus, tmp_path):
    plain = {"results_folder": str(tmp_path / "r"), "protocol": "standard", "data_seed": 0}
    record = data.prepare_from({**plain, "skip_broken": False}, corpus)
    assert data.prepare_from({**plain, "skip_broken": False}, corpus) == record
    expected = tmp_path / "r" / "prepared" / "corpus-standard-seed0" / "manifest.csv"
    assert Path(record.manifest_path) == expected and expected.is_file()
    assert record.counts["test"]["utterances"] == 4


def test_an_utterance_without_units_is_named(corpus, out):
    for suffix in (".WRD", ".TXT"):
        file_of(corpus, suffix).unlink()
    refused("'faaa0_sx37' has no words", sets_of, corpus, out, "char")


class Steps:
    """A lobe of which only the number of frames matters."""

    def __init__(self, divisor):
        self.divisor = divisor

    def num_frames(self, num):
        return num // self.divisor


def test_steps_that_ctc_needs(corpus, out):
    edit(file_of(corpus, ".PHN"), "1600 2400 q", "1600 2400 sh")  # a repeat
    sets, _ = sets_of(corpus, out)
    assert steps_needed(sets["train"].targets["faaa0_sx37"].tolist()) == 6
    data.check_steps(sets, Steps(100), Steps(8))  # 48, 6
    text = str(
        refused("1 utterances have fewer", data.check_steps, sets, Steps(100), Steps(9))
    )  # 5
    assert "train faaa0_sx37: 4800 samples give 5 steps, 5 units with their repeats need 6" in text
    assert "smaller stride" in text
    # the fastest speed counts
    faster, _ = sets_of(corpus, out, speed_factors=[1.0, 1.25])
    refused("3840 samples give 4 steps", data.check_steps, faster, Steps(100), Steps(8))
    refused(r"14 utterances(.|\n)*and 9 more", data.check_steps, sets, Steps(100), Steps(20))


def test_steps_of_real_lobes(corpus, out):
    sets, _ = sets_of(corpus, out)
    frontend = build_frontend(name="mel", sample_rate=RATE_HZ, options={})
    encoder = build_encoder(name="blstm", in_features=frontend.num_features, options={})
    data.check_steps(sets, frontend, encoder)


# --- the mini corpus -----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_mini_corpus(tmp_path, monkeypatch):
    size = mini_timit.Size(3, training_sx=1, training_si=1, test_sx=1, test_si=0)
    monkeypatch.setitem(mini_timit.SIZES, "tiny", size)
    monkeypatch.setattr(mini_timit, "CORE_TEST", ["MDAB0"])
    monkeypatch.setattr(mini_timit, "DEVELOPMENT", ["FAKS0"])
    folder = write_mini("timit", tmp_path / "corpus", "tiny")
    record = prepare(folder, tmp_path / "out")
    assert record.completeness == "mini" and record.notes == []
    assert [record.counts[s]["utterances"] for s in manifest.SPLITS] == [6, 1, 1]
    for row in record.rows():
        assert set(row["phones"].split()) <= set(phones(61, "keep"))
        ends = [int(end) for end in row["phone_ends"].split()]
        assert ends == sorted(ends) and ends[-1] == round(row["duration_s"] * RATE_HZ)
