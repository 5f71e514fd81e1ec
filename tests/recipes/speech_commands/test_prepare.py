"""Speech Commands preparation: protocols, draws, reuse, and every kind of broken data set."""

import dataclasses
import hashlib
import json
import math
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import refusals
import soundfile
import torch
from data_folders import edit, refusal, write_noise

from auricle.processing.data import manifest, scan
from auricle.processing.data.dataset import read_row
from auricle.processing.data.download import DownloadError
from auricle.recipes.speech_commands import corpus as corpus_module
from auricle.recipes.speech_commands import prepare as script
from auricle.recipes.speech_commands.data import build_datasets
from auricle.recipes.speech_commands.draw import draw, split_noises, uniform
from auricle.recipes.speech_commands.protocols import (
    KEYWORDS,
    PROTOCOLS,
    TWELVE_LABELS,
    V1,
    V2,
    which_set,
)
from auricle.recipes.speech_commands.record import SpeechCommandsRecord
from auricle.recipes.training.preparation import PreparationError

RATE_HZ = 16000
NOISES = (
    "doing_the_dishes",
    "dude_miaowing",
    "exercise_bike",
    "pink_noise",
    "running_tap",
    "white_noise",
)
# Speakers by split; which split is which is up to the lists.
SPEAKERS = {
    "train": ("aaaa0001", "aaaa0002", "aaaa0003"),
    "valid": ("bbbb0001", "bbbb0002"),
    "test": ("cccc0001",),
}
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}


def _write_clip(path, num_samples=1600, **options):
    write_noise(path, num_samples, **options)


def make_corpus(
    folder, words=V2.words, suffix=".wav", lists=True, noises=NOISES, speakers=SPEAKERS
):
    """A data set in the published layout: one clip per word and speaker."""
    listed = {"train": [], "valid": [], "test": []}
    for word in words:
        (folder / word).mkdir(parents=True)
        for split, names in speakers.items():
            for name in names:
                _write_clip(folder / word / f"{name}_nohash_0{suffix}")
                listed[split].append(f"{word}/{name}_nohash_0.wav")
    for split, name in LISTS.items():
        if lists:
            (folder / name).write_text("".join(f"{line}\n" for line in listed[split]))
    if noises:
        (folder / "_background_noise_").mkdir()
        (folder / "_background_noise_" / "README.md").write_text("about the noises")
    for noise in noises:
        _write_clip(folder / "_background_noise_" / f"{noise}.wav", 3 * RATE_HZ)
    (folder / "LICENSE").write_text("CC BY 4.0")
    return folder


def _make_official_test(folder):
    for label in TWELVE_LABELS:
        (folder / label).mkdir(parents=True)
        for i in range(2):
            # some files of the real archive have the suffix twice
            _write_clip(folder / label / f"dddd000{i}_nohash_0.wav{'.wav' * i}")
    return folder


def prepare(data_folder, output_folder=None, **options):
    output_folder = output_folder or data_folder.parent / "out"
    return script.prepare(data_folder, output_folder, progress=False, **options)


def refused(match, *arguments, **options):
    refusals.refused(match, prepare, *arguments, error=PreparationError, **options)


def _by_split(record):
    return {
        split: {row["id"] for row in rows}
        for split, rows in (
            (s, [r for r in record.rows(s) if r["label"] != "_silence_"]) for s in manifest.SPLITS
        )
    }


# --- the split rule and the protocols ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split"),
    # SHA-1 of the speaker, its last 27 bits m, and 100 m / (2^27 - 1), from sha1sum and a
    # calculator. Seven hex digits are 28 bits: 0x8000000 is taken off where that leaves less.
    [
        ("00000000_nohash_0.wav", "valid"),  # ...0c3b38b -> 12825483 -> 9.556
        ("00000002_nohash_1.wav", "test"),  # ...1502aaa -> 22031018 -> 16.414
        ("bb05582b_nohash_3.flac", "test"),  # ...1735b75 -> 24337269 -> 18.133
        ("0a7c2a8d_nohash_0.wav", "train"),  # ...c8c025b -> 76284507 -> 56.836
        ("c50f55b8_nohash_12.wav", "train"),  # ...be0cd8f -> 65064335 -> 48.477
        ("00000003_nohash_0.wav.wav", "train"),  # ...b3beda8 -> 54259112 -> 40.426
    ],
)
def test_the_hash_rule_gives_the_splits_worked_out_by_hand(name, split):
    assert which_set(name) == split


def test_the_hash_rule_splits_80_10_10_and_keeps_speakers_together():
    counts = Counter(which_set(f"{i:08x}_nohash_0.wav") for i in range(4000))
    assert abs(counts["train"] - 3200) < 100
    assert abs(counts["valid"] - 400) < 80 and abs(counts["test"] - 400) < 80
    assert all(
        which_set(f"{i:08x}_nohash_0.wav") == which_set(f"{i:08x}_nohash_4.flac") for i in range(99)
    )


def test_the_protocols_have_the_published_words_counts_and_class_order():
    assert list(PROTOCOLS) == [
        "v2-12-official",
        "v2-12-hash",
        "v2-35",
        "v1-12-official",
        "v1-30",
    ]
    assert TWELVE_LABELS == tuple(
        "_silence_ _unknown_ yes no up down left right on off stop go".split()
    )
    for release, num_words, num_files in ((V1, 30, 64_721), (V2, 35, 105_829)):
        assert len(set(release.words)) == num_words and set(KEYWORDS) < set(release.words)
        assert sum(release.split_num_files.values()) == release.archive.num_files == num_files
    assert PROTOCOLS["v2-35"].labels == tuple(sorted(V2.words))
    assert not PROTOCOLS["v1-30"].has_extra_classes
    refusals.refused("'v2-36'.* did you mean 'v2-35'.*v2-12-official, ", PROTOCOLS.find, "v2-36")


def test_the_official_protocol_has_the_lists_split_and_ten_percent_of_each_extra_class(corpus):
    record = prepare(corpus)
    assert record.labels == list(TWELVE_LABELS)
    # 10 keywords x 3, 2 and 1 speakers, and ceil(10 %) of 30, 20 and 10
    for split, per_word, extra in (("train", 3, 3), ("valid", 2, 2), ("test", 1, 1)):
        expected = dict.fromkeys(TWELVE_LABELS, per_word)
        assert record.counts[split] == expected | {"_silence_": extra, "_unknown_": extra}
        rows = record.rows(split)
        assert Counter(row["label"] for row in rows) == record.counts[split]
        assert {row["speaker"] for row in rows} - {""} <= set(SPEAKERS[split])
        for row in rows:
            word = row["id"].split("/")[0]
            assert row["label"] == (word if word in TWELVE_LABELS else "_unknown_")
            if row["label"] != "_silence_":
                assert row["path"] == row["id"] + ".wav" and row["duration_s"] == 0.1
    assert (record.split_source, record.test_source) == ("lists", "testing_list")
    assert record.skipped == [] and record.notes == []
    manifest.validate(record.rows(), labels=record.labels)


def test_the_percentages_are_of_the_keyword_clips_rounded_up(corpus):
    record = prepare(corpus, silence_percentage=34, unknown_percentage=51)
    for split, keywords in (("train", 30), ("valid", 20), ("test", 10)):
        assert record.counts[split]["_silence_"] == math.ceil(keywords * 0.34)
        assert record.counts[split]["_unknown_"] == math.ceil(keywords * 0.51)
    # more than there are: all 25 other words
    every = prepare(corpus, unknown_percentage=1000)
    assert every.counts["test"]["_unknown_"] == 25 and every.counts["train"]["_unknown_"] == 75
    refused("unknown_percentage is -1", corpus, unknown_percentage=-1)


def test_the_hash_protocol_ignores_the_lists_and_is_the_fallback_without_them(tmp_path):
    # One speaker of each split by the hash rule (see above); the lists say something else.
    speakers = {"train": ("00000000",), "valid": ("00000002",), "test": ("0a7c2a8d",)}
    corpus = make_corpus(tmp_path / "data", speakers=speakers)
    by_hash = prepare(corpus, protocol="v2-12-hash")
    assert (by_hash.split_source, by_hash.test_source) == ("hash", "hash")
    for split, speaker in (("valid", "00000000"), ("test", "00000002"), ("train", "0a7c2a8d")):
        assert {row["speaker"] for row in by_hash.rows(split)} - {""} == {speaker}
    by_lists = prepare(corpus, tmp_path / "lists")
    assert {row["speaker"] for row in by_lists.rows("test")} - {""} == {"0a7c2a8d"}

    for name in LISTS.values():
        (corpus / name).unlink()
    fallback = prepare(corpus, tmp_path / "fallback")
    assert fallback.digest == by_hash.digest and fallback.split_source == "hash"
    assert "no list files: split by the hash rule" in fallback.notes


def test_the_word_protocols_have_every_word_and_nothing_drawn(corpus, tmp_path):
    record = prepare(corpus, protocol="v2-35")
    assert record.labels == sorted(V2.words)
    assert record.counts["train"] == dict.fromkeys(sorted(V2.words), 3)
    v1 = prepare(make_corpus(tmp_path / "v1", words=V1.words), protocol="v1-30")
    assert v1.counts["test"] == dict.fromkeys(sorted(V1.words), 1)


def test_another_release_is_named_with_the_protocols_that_fit(corpus, tmp_path):
    v1 = make_corpus(tmp_path / "v1", words=V1.words, noises=())
    refused("holds Speech Commands v0.01 .*v1-12-official, v1-", v1)
    for protocol in ("v1-12-official", "v1-30"):
        refused("v0.02 .*fit: v2-12-official, v2-12-hash, v2-3", corpus, protocol=protocol)
    (corpus / "hello").mkdir()
    refused("no words of Speech Commands v0.02: hello", corpus)


def test_lists_that_say_wav_find_flac_and_draw_the_same_clips(corpus, tmp_path):
    flac = make_corpus(tmp_path / "flac", suffix=".flac")
    assert "_0.wav" in (flac / "testing_list.txt").read_text()
    a, b = prepare(corpus), prepare(flac, tmp_path / "out_flac")
    assert a.counts == b.counts
    assert {row["id"]: row["split"] for row in a.rows()} == {
        row["id"]: row["split"] for row in b.rows()
    }
    assert all(row["path"].endswith(".flac") for row in b.rows() if row["speaker"])


def test_the_official_test_archive_is_the_test_set(corpus, tmp_path):
    official = _make_official_test(tmp_path / "test_set")
    record = prepare(corpus, official_test_folder=official)
    assert record.test_source == "official_archive"
    assert record.counts["test"] == dict.fromkeys(TWELVE_LABELS, 2)
    rows = record.rows("test")
    assert {row["root"] for row in rows} == {"official_test"}
    assert sorted(row["path"] for row in rows)[:2] == [
        "_silence_/dddd0000_nohash_0.wav",
        "_silence_/dddd0001_nohash_0.wav.wav",
    ]
    for row in record.rows():
        assert read_row(row, record.roots, RATE_HZ).ndim == 1
    # everything else is as without the archive
    without = prepare(corpus, tmp_path / "without")
    for split in ("train", "valid"):
        assert record.rows(split) == without.rows(split)


def test_an_official_test_folder_that_does_not_fit_is_refused(corpus, tmp_path, monkeypatch):
    nowhere = tmp_path / "nowhere"
    refused("official_test_folder .*nowhere does not exist", corpus, official_test_folder=nowhere)
    official = _make_official_test(tmp_path / "test_set")
    refused("takes no official", corpus, protocol="v2-35", official_test_folder=official)
    # as many files as the archive of the other release has
    fake_v1 = dataclasses.replace(
        V1, test_archive=dataclasses.replace(V1.test_archive, num_files=24)
    )
    monkeypatch.setattr(corpus_module, "RELEASES", (fake_v1, V2))
    refused("24 files, as the test archive of v0.01 does", corpus, official_test_folder=official)
    shutil.rmtree(official / "_unknown_")
    refused("lacks the folders _unknown_", corpus, official_test_folder=official)


# --- draws ---------------------------------------------------------------------------------------


def test_the_manifest_depends_neither_on_the_folder_nor_on_the_order_of_its_files(corpus, tmp_path):
    other = tmp_path / "elsewhere" / "renamed"
    for path in sorted(corpus.rglob("*"), reverse=True):
        if path.is_file():
            target = other / path.relative_to(corpus)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    a, b = prepare(corpus), prepare(other)
    assert a.digest == b.digest == manifest.digest(a.rows())
    assert Path(a.manifest_path).read_bytes() == Path(b.manifest_path).read_bytes()
    assert str(tmp_path) not in Path(a.manifest_path).read_text()


def test_the_seed_changes_the_training_draws_and_nothing_that_is_scored(corpus, tmp_path):
    runs = [prepare(corpus, tmp_path / f"s{seed}", seed=seed) for seed in range(4)]
    trains = {manifest.digest(run.rows("train")) for run in runs}
    assert len(trains) == 4
    assert len({run.test_digest for run in runs}) == 1
    assert runs[0].rows("valid") == runs[3].rows("valid")
    assert prepare(corpus, tmp_path / "again", seed=2).digest == runs[2].digest


def test_draws_are_even_and_a_smaller_one_is_part_of_a_larger_one():
    values = np.array([uniform(0, "x", i) for i in range(4000)])
    assert 0 <= values.min() and values.max() < 1
    # a uniform distribution's mean and variance, within five standard errors
    assert abs(values.mean() - 1 / 2) < 5 * 0.2887 / 4000**0.5
    assert abs(values.var() - 1 / 12) < 5 * 0.0745 / 4000**0.5
    # the first 48 bits of what `printf 0/x/1 | sha256sum` prints, 367bd221d7b7, over 2^48
    assert uniform(0, "x", 1) == 0x367BD221D7B7 / 2**48 == uniform(0, "x", "1")
    names = [f"n{i}" for i in range(50)]
    small, large = draw(names, 10, 7), draw(reversed(names), 30, 7)
    assert len(small) == 10 and set(small) < set(large) < set(names)
    assert draw(names, 99, 7) == sorted(names)
    assert draw(names, 10, 8) != small


def test_no_noise_recording_is_heard_in_two_splits(corpus):
    record = prepare(corpus, silence_percentage=200)
    used = {}
    for split in manifest.SPLITS:
        rows = [row for row in record.rows(split) if row["label"] == "_silence_"]
        zeros = [row for row in rows if not row["path"]]
        assert len(zeros) == len(rows) // 10 and all(row["gain"] == 0 for row in zeros)
        used[split] = {row["path"] for row in rows} - {""}
        for row in rows:
            assert row["num_samples"] == RATE_HZ and row["duration_s"] == 1.0
            assert 0 <= row["gain"] < 1
            assert 0 <= row.get("start_sample", 0) <= 2 * RATE_HZ  # the noises last 3 s
            assert read_row(row, record.roots, RATE_HZ).shape == (RATE_HZ,)
        assert len({(row["path"], row.get("start_sample")) for row in rows}) > len(rows) / 2
    assert used == {split: set(paths) for split, paths in record.noise_files.items()}
    assert [len(used[split]) for split in manifest.SPLITS] == [4, 1, 1]
    assert used["valid"] == {"_background_noise_/running_tap.wav"}
    assert len(used["train"] | used["valid"] | used["test"]) == 6


@pytest.mark.parametrize(
    ("stems", "expected"),
    [
        ((), ([], [], [])),
        (("a",), (["a"], [], [])),
        (("b", "a"), (["a"], [], ["b"])),
        (("c", "b", "a"), (["a"], ["b"], ["c"])),
        (
            ("zzz", *NOISES),
            (
                ["doing_the_dishes", "exercise_bike", "pink_noise", "white_noise", "zzz"],
                ["running_tap"],
                ["dude_miaowing"],
            ),
        ),
    ],
)
def test_noise_files_are_split_by_file(stems, expected):
    assert tuple(split_noises(stems).values()) == expected


def test_without_noise_recordings_silence_is_digital_and_that_is_said(tmp_path):
    record = prepare(make_corpus(tmp_path / "data", noises=()))
    rows = [row for row in record.rows() if row["label"] == "_silence_"]
    assert len(rows) == 6 and all(row["path"] == "" and row["gain"] == 0 for row in rows)
    assert not read_row(rows[0], record.roots, RATE_HZ).any()
    (note,) = record.notes
    assert note.startswith("no background noise for train, valid, test")
    assert note in record.describe()


def test_recorded_silence_is_used_as_the_lists_split_it_and_none_is_drawn(corpus):
    (corpus / "_silence_").mkdir()
    for i in range(6):
        _write_clip(corpus / "_silence_" / f"{i}.flac")
    for split, lines in (
        ("valid", "_silence_/3.wav\n"),
        ("test", "_silence_/4.wav\n_silence_/5.wav"),
    ):
        with open(corpus / LISTS[split], "a") as file:
            file.write(lines)
    record = prepare(corpus)
    assert [record.counts[s]["_silence_"] for s in manifest.SPLITS] == [3, 1, 2]
    # they are no keywords: ten percent of 30, 20 and 10 as before
    assert [record.counts[s]["_unknown_"] for s in manifest.SPLITS] == [3, 2, 1]
    paths = {row["path"] for row in record.rows() if row["label"] == "_silence_"}
    assert paths == {f"_silence_/{i}.flac" for i in range(6)}
    assert "recorded clips of _silence_/" in record.notes[0]
    # the word protocols do not ask what the lists say of silence
    shutil.rmtree(corpus / "_silence_")
    assert prepare(corpus, protocol="v2-35").skipped == []
    refused("3 files or entries", corpus)


def test_caps_take_a_part_of_train_and_valid_and_all_of_test(corpus, tmp_path):
    record = prepare(corpus, max_per_class=2, max_valid_per_class=1)
    assert record.counts["train"] == dict.fromkeys(TWELVE_LABELS, 2)
    assert record.counts["valid"] == dict.fromkeys(TWELVE_LABELS, 1)
    whole = prepare(corpus, tmp_path / "whole")
    assert record.test_digest == whole.test_digest and record.digest != whole.digest
    small, large = _by_split(record), _by_split(whole)
    assert small["train"] < large["train"] and small["valid"] < large["valid"]
    assert record.settings["max_per_class"] == 2
    refused("max_per_class is -1", corpus, max_per_class=-1)


# --- what is there, and what is missing ----------------------------------------------------------


def _shrink_release(monkeypatch, extra=0):
    """Make the tests' corpus the whole of v0.02."""
    sizes = {"train": 105, "valid": 70, "test": 35 + extra}
    release = dataclasses.replace(
        V2,
        archive=dataclasses.replace(V2.archive, num_files=210 + extra),
        test_archive=dataclasses.replace(V2.test_archive, num_files=24),
        split_num_files=sizes,
    )
    for name in ("v2-12-official", "v2-12-hash", "v2-35"):
        protocol = dataclasses.replace(PROTOCOLS[name], release=release)
        monkeypatch.setitem(PROTOCOLS, name, protocol)
    return release


def test_a_complete_data_set_is_told_from_a_subset(corpus, tmp_path, monkeypatch):
    official = _make_official_test(tmp_path / "test_set")
    assert prepare(corpus).completeness == (
        "subset of v0.02 (105619 of 105829 word files missing; 84738 of 84843 in train missing; "
        "9911 of 9981 in valid missing; 10970 of 11005 in test missing)"
    )
    _shrink_release(monkeypatch)
    out = tmp_path / "complete"
    complete = prepare(corpus, out, official_test_folder=official)
    assert complete.completeness == "complete"
    (official / "go" / "dddd0000_nohash_0.wav").unlink()
    subset = prepare(corpus, out, official_test_folder=official)
    text = "subset of v0.02 (1 of 24 in the official test archive missing)"
    assert subset.completeness == text and text in subset.describe()
    _write_clip(corpus / "go" / "eeee0000_nohash_0.wav")
    more = prepare(corpus, out)
    assert more.completeness == (
        "subset of v0.02 (1 more than the 210 word files; 1 more than the 105 in train)"
    )


def test_the_description_shows_classes_splits_and_provenance(corpus):
    text = prepare(corpus).describe()
    table = [line.split() for line in text.splitlines()]
    assert ["class", "train", "valid", "test"] in table
    assert ["_unknown_", "3", "2", "1"] in table and ["go", "3", "2", "1"] in table
    assert ["all", "36", "24", "12"] in table
    for words in ("v2-12-official", "split by lists", "testing_list", "seed 0", "subset of v0.02"):
        assert words in text


def test_the_record_on_disk_names_everything_and_no_folder(corpus):
    record = prepare(corpus)
    text = (corpus.parent / "out" / "prepare.json").read_text()
    values = json.loads(text)
    for name in ("protocol", "test_source", "digest", "counts", "labels", "completeness"):
        assert values[name] == getattr(record, name)
    assert str(corpus.parent) not in text


# --- reuse ---------------------------------------------------------------------------------------


@pytest.fixture
def decoded(watched):
    """The files that were decoded, in one list per scan."""
    return watched(scan, "scan_audio")


def test_a_second_run_decodes_nothing_and_rewrites_nothing(corpus, decoded):
    first = prepare(corpus)
    assert [len(files) for files, *_ in decoded] == [210 + 6]
    out = corpus.parent / "out"
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert set(times) == {"manifest.csv", "prepare.json", "audio_scan.csv"}
    second = prepare(corpus)
    assert second == first and isinstance(second, SpeechCommandsRecord) and len(decoded) == 1
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == times


def test_other_settings_give_other_rows_without_decoding_again(corpus, decoded):
    first = prepare(corpus)
    second = prepare(corpus, protocol="v2-35")
    assert len(decoded) == 1 and second.labels != first.labels
    assert prepare(corpus) == first and len(decoded) == 1


def test_a_changed_file_is_decoded_again_and_changes_the_digest(corpus, decoded):
    first = prepare(corpus)
    _write_clip(corpus / "yes" / "aaaa0001_nohash_0.wav", 3200)
    second = prepare(corpus)
    ((only,), *_) = decoded[1]
    assert len(decoded) == 2 and Path(only).name == "aaaa0001_nohash_0.wav"
    assert second.digest != first.digest and second.test_digest == first.test_digest
    (corpus / "yes" / "aaaa0002_nohash_0.wav").unlink()
    assert prepare(corpus).counts["train"]["yes"] == 2 and len(decoded) == 2


def test_other_lists_or_a_tampered_manifest_are_noticed(corpus):
    first = prepare(corpus)
    edit(Path(first.manifest_path), "train", "valid")
    assert prepare(corpus) == first and len(first.rows("train")) == 36
    (corpus.parent / "out" / "prepare.json").write_text("{")
    assert prepare(corpus) == first
    for word in V2.words:
        edit(corpus / LISTS["valid"], f"{word}/bbbb0002_nohash_0.wav\n", "")
    assert prepare(corpus).counts["train"]["go"] == 4


def test_runs_can_share_what_was_decoded(corpus, tmp_path, decoded):
    for name in ("a", "b"):
        prepare(corpus, tmp_path / name, scan_cache=tmp_path / "cache" / "scan.csv")
    assert len(decoded) == 1


# --- bad input -----------------------------------------------------------------------------------


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def _nan(path):
    data = np.zeros(1600, "float32")
    data[5] = np.nan
    soundfile.write(path, data, RATE_HZ, subtype="FLOAT")


BROKEN = {
    "truncated": (_truncate, "is cut off", "unpack the file again"),
    "zero bytes": (lambda path: path.write_bytes(b""), "is empty", "restore or remove"),
    "no samples": (lambda path: _write_clip(path, 0), "holds no samples", "restore or remove"),
    "no audio": (lambda path: path.write_text("<html>"), "is no audio file", "restore, convert"),
    "rate": (lambda path: _write_clip(path, rate_hz=8000), "of 8000 Hz where 16000", "resample"),
    "stereo": (lambda path: _write_clip(path, channels=2), "2 channels where one", "mix it down"),
    "nan": (_nan, "1 samples are NaN or infinite", "restore or remove"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_one_clear_error_or_one_listed_skip(corpus, what):
    breaks, problem, cure = BROKEN[what]
    name = "left/aaaa0002_nohash_0.wav"
    breaks(corpus / name)
    text = refusal(prepare, corpus)
    assert text.startswith("1 files or entries") and " (1):" in text
    for part in (name, problem, cure, "--skip_broken true"):
        assert part in text
    assert not (corpus.parent / "out" / "manifest.csv").exists()

    record = prepare(corpus, skip_broken=True)
    (skip,) = record.skipped
    assert skip["path"] == name and problem in skip["reason"]
    assert record.counts["train"] == dict.fromkeys(TWELVE_LABELS, 3) | {"left": 2}
    assert f"skipped 1:\n  {name}" in record.describe()
    assert prepare(corpus, skip_broken=True) == record


def test_many_broken_files_are_counted_by_kind_and_the_first_are_named(corpus):
    for word in KEYWORDS[:7]:
        (corpus / word / "aaaa0001_nohash_0.wav").write_bytes(b"")
    _truncate(corpus / "_background_noise_" / "pink_noise.wav")
    text = refusal(prepare, corpus)
    assert text.startswith("8 files or entries")
    assert "empty (7):" in text and "truncated (1):" in text and "... and 2 more" in text
    record = prepare(corpus, skip_broken=True)
    assert len(record.skipped) == 8
    assert "_background_noise_/pink_noise.wav" not in sum(record.noise_files.values(), [])


def test_a_file_that_is_no_audio_by_its_name_is_not_passed_over(corpus):
    (corpus / "yes" / "aaaa0009_nohash_0.m4a").write_bytes(b"\0\0\0 ftypM4A ")
    refused("aaaa0009_nohash_0.m4a.*damaged", corpus)


def test_lists_that_name_absent_files_are_one_error_with_count_and_examples(corpus):
    for word in V2.words[:8]:
        (corpus / word / "cccc0001_nohash_0.wav").unlink()
    text = refusal(prepare, corpus, protocol="v2-12-official")
    assert "list entry (8):" in text
    assert (
        "testing_list.txt: backward/cccc0001_nohash_0.wav is listed, but there is no such" in text
    )
    assert "... and 3 more" in text and "--skip_broken true" in text
    record = prepare(corpus, skip_broken=True)
    assert len(record.skipped) == 8
    # `down` is among the eight, and loses its only test clip
    assert "test has no clip of down" in record.notes


def test_one_list_without_the_other_is_refused(corpus):
    (corpus / "testing_list.txt").unlink()
    refused("validation_list.txt is there, but testing_l", corpus)


def test_a_clip_in_both_lists_or_twice_on_disk_is_refused(corpus):
    with open(corpus / "testing_list.txt", "a") as file:
        file.write("yes/bbbb0001_nohash_0.wav\n")
    _write_clip(corpus / "no" / "aaaa0001_nohash_0.flac")
    text = refusal(prepare, corpus)
    assert "testing_list.txt: yes/bbbb0001_nohash_0.wav is in both lists" in text
    assert "no/aaaa0001_nohash_0.wav is the same clip as no/aaaa0001_nohash_0.flac" in text


@pytest.mark.parametrize("skip_broken", [False, True])
def test_a_class_that_is_empty_in_train_is_always_an_error(corpus, skip_broken):
    for path in (corpus / "stop").glob("aaaa*"):
        path.unlink()
    options = {"skip_broken": skip_broken}
    refused("by the list files:\n  train: stop\nCheck", corpus, **options)
    refused(r"speaker \(v2-12-hash reads no list", corpus, protocol="v2-12-hash", **options)
    refused("train: _silence_, stop\n", corpus, silence_percentage=0, **options)


def test_a_class_that_is_empty_in_test_only_is_an_error_or_a_note(corpus):
    edit(corpus / "testing_list.txt", "stop/cccc0001_nohash_0.wav\n", "")
    (corpus / "stop" / "cccc0001_nohash_0.wav").unlink()
    refused("by the list files:\n  test: stop\nCheck", corpus)
    assert prepare(corpus, skip_broken=True).notes == ["test has no clip of stop"]


def test_a_missing_word_folder_is_an_empty_class(corpus):
    shutil.rmtree(corpus / "go")
    for name in LISTS.values():
        lines = (corpus / name).read_text().splitlines()
        (corpus / name).write_text("\n".join(line for line in lines if line[:3] != "go/"))
    refused("train: go\n  valid: go\n  test: go\n", corpus)


def test_speakers_of_the_test_are_refused_or_leave_training(corpus):
    edit(corpus / "testing_list.txt", "yes/cccc0001", "yes/aaaa0001")
    refused("(?s)35 of train: speakers of test.*restore the list files", corpus)
    record = prepare(corpus, skip_broken=True)
    assert record.overlap == {"left out of train: speakers of test": 35}
    assert "35 left out of train: speakers of test" in record.describe()
    speakers = {split: {row["speaker"] for row in record.rows(split)} for split in SPEAKERS}
    assert speakers["train"] == {"aaaa0002", "aaaa0003", ""}  # "": silence


def test_what_the_official_archive_tests_leaves_training_by_content_too(corpus, tmp_path):
    official = _make_official_test(tmp_path / "test_set")
    (corpus / "_silence_").mkdir()
    for speaker in SPEAKERS["train"]:
        _write_clip(corpus / "_silence_" / f"{speaker}_nohash_0.wav")
    wave, _ = soundfile.read(corpus / "_silence_" / "aaaa0001_nohash_0.wav", dtype="int16")
    soundfile.write(official / "_silence_" / "7.flac", wave, RATE_HZ)  # another name and coding
    shutil.copy(corpus / "bed/bbbb0001_nohash_0.wav", official / "_unknown_/bed_9_nohash_0.wav")
    shutil.copy(corpus / "yes/aaaa0002_nohash_0.wav", official / "yes/cat_aaaa0002_nohash_0.wav")
    refused(
        f"(?s)archive {official}.*without --official_test", corpus, official_test_folder=official
    )
    record = prepare(corpus, skip_broken=True, official_test_folder=official)
    assert record.overlap == {
        "left out of train: identical recordings in test": 2,
        "left out of train: speakers of test": 35,  # and of _silence_
        "left out of valid: identical recordings in test": 1,
    }
    kept = {row["id"] for split in ("train", "valid") for row in record.rows(split)}
    assert "_silence_/aaaa0001_nohash_0" not in kept and "bed/bbbb0001_nohash_0" not in kept
    assert not any("aaaa0002" in name for name in kept)


def test_a_corpus_that_is_all_in_the_archive_is_refused_even_so(corpus, tmp_path):
    official = _make_official_test(tmp_path / "test_set")
    for speakers in SPEAKERS.values():
        for speaker in speakers:
            shutil.copy(corpus / f"yes/{speaker}_nohash_0.wav", official / "yes")
    options = {"official_test_folder": official, "skip_broken": True}
    refused("(?s)nothing is left of train and valid.*archive", corpus, **options)


def test_clips_longer_than_the_published_ones_are_counted_and_cut_as_asked(corpus):
    assert not any("longer" in note for note in prepare(corpus).notes)
    _write_clip(corpus / "yes" / "cccc0001_nohash_0.wav", 5 * RATE_HZ // 2)
    record = prepare(corpus)
    (note,) = (note for note in record.notes if "longer than 1 s" in note)
    assert note.startswith("1 of ") and "up to 2.5 s (yes/cccc0001_nohash_0)" in note
    (row,) = (row for row in record.rows("test") if row["duration_s"] > 1)
    whole = read_row(row, record.roots, RATE_HZ)
    for how, starts in (
        (None, [0]),
        ("first", [0]),
        ("centre", [12000]),
        ("windows", [0, 12000, 24000]),
    ):
        hparams = {"sample_rate": RATE_HZ, "cache_gb": 0, "clip_s": 1.0, "long_clips": how}
        clips = [
            clip
            for clip in build_datasets(hparams, record)["test"]
            if clip["id"].startswith(row["id"])
        ]
        assert len({clip["id"] for clip in clips}) == len(starts)
        for clip, start in zip(clips, starts, strict=True):
            assert torch.equal(clip["sig"], whole[start : start + RATE_HZ])


def test_a_missing_or_wrong_data_folder_says_what_it_should_hold(corpus, tmp_path):
    refused("nowhere does not exist.*--download true", tmp_path / "nowhere")
    refused("LICENSE is a file", corpus / "LICENSE")
    refused("none of the 35 word folders.*Did you mean .*corpus", tmp_path)
    assert not (tmp_path / "out").exists()


# --- download and command line -------------------------------------------------------------------


def test_download_fetches_checks_and_unpacks_what_is_not_there(corpus, tmp_path, monkeypatch):
    (tmp_path / "server").mkdir()
    archive = tmp_path / "server" / "speech_commands_v0.02.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(corpus, ".")
    release = _shrink_release(monkeypatch)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()

    def publish(url, checksum):
        there = dataclasses.replace(release.archive, url=url, checksum=checksum)
        protocol = dataclasses.replace(
            PROTOCOLS["v2-35"], release=dataclasses.replace(release, archive=there)
        )
        monkeypatch.setitem(PROTOCOLS, "v2-35", protocol)

    folder = tmp_path / "new" / "sc"
    publish("http://127.0.0.1:9/speech_commands_v0.02.tar.gz", f"sha256:{sha256}")
    options = {"protocol": "v2-35", "download": True}
    failed = partial(refusals.refused, call=prepare, data_folder=folder, error=DownloadError)
    failed("127.0.0.1:9/.* could not be fetched .*by hand", **options)
    publish(archive.as_uri(), "md5:0")
    failed("expected 0", **options)
    publish(archive.as_uri(), f"sha256:{sha256}")
    record = prepare(folder, **options)
    assert record.completeness == "complete"
    archive.unlink()  # what is there is not fetched again
    assert prepare(folder, **options) == record


def test_the_command_prints_the_counts_and_errors_in_one_line(corpus, tmp_path, capsys):
    out = tmp_path / "o"
    script.main([str(corpus), str(out), "--protocol", "v2-35", "--seed", "3", "--num_workers", "2"])
    text = capsys.readouterr().out
    assert "protocol v2-35" in text and "seed 3" in text and str(out / "manifest.csv") in text
    for arguments, message in (
        (["--protocol", "v2-36"], "prepare.py: protocol 'v2-36' is not known; did you mean"),
        (
            ["--num_workers", "100000000000000000000"],
            "num_workers must be a whole number from 0 to",
        ),
        (["--official_test_folder", "nowhere"], "official_test_folder nowhere does not exist"),
    ):
        refusals.refused(
            message, script.main, [str(corpus), str(out), *arguments], error=SystemExit
        )
    (corpus / "yes" / "aaaa0001_nohash_0.wav").write_bytes(b"")
    refusals.refused("1 files or entries", script.main, [str(corpus), str(out)], error=SystemExit)
    script.main([str(corpus), str(out), "--skip_broken", "true"])
    assert "skipped 1:" in capsys.readouterr().out


@pytest.mark.long
def test_the_script_runs_by_its_path(corpus, tmp_path):
    command = [sys.executable, script.__file__, str(tmp_path / "nowhere"), str(tmp_path / "o")]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1 and "Traceback" not in run.stderr
    assert run.stderr.strip().startswith("prepare.py: data folder")


def test_the_script_says_so_when_the_package_is_not_installed(tmp_path):
    # -S leaves out site-packages, and with them auricle
    command = [sys.executable, "-S", script.__file__, "--help"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1 and "Traceback" not in run.stderr
    assert (
        run.stderr.strip() == "auricle is not installed; in its repository, run: pip install -e ."
    )
