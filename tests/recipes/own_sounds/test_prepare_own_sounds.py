"""Own recordings: folders and tables, splits that divide no group, what is refused and what is said."""

import csv
import zlib
from collections import Counter

import numpy as np
import pytest
import soundfile
from refusals import refused

from auricle.recipes.own_sounds.corpus import Sound, pattern_problem, read_corpus
from auricle.recipes.own_sounds.prepare import prepare
from auricle.recipes.training.group_splits import draw_splits
from auricle.recipes.training.preparation import PreparationError

RATE_HZ = 8000


def write(folder, name, seed=None, rate=RATE_HZ, channels=1):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(name.encode()) if seed is None else seed
    wav = np.random.default_rng(seed).integers(-9000, 9000, (400, channels), np.int16)
    soundfile.write(path, wav, rate)
    return name


def make(folder, labels=("ja", "nein"), count=8):
    for label in labels:
        for number in range(count):
            write(folder, f"{label}/{label}{number // 2}_{number % 2}.wav")
    return folder


def table(folder, rows, name="sounds.csv"):
    with open(folder / name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def prepared(folder, **options):
    options = {"sample_rate": RATE_HZ, "progress": False, **options}
    return prepare(folder, folder.parent / "prepared", **options)


def says(folder, pattern, **options):
    refused(f"(?s){pattern}", prepared, folder, **options, error=PreparationError)


def test_folders_are_classes_whatever_their_names(tmp_path):
    folder = make(tmp_path / "in", ("two words", "10", "2", "да", "日本"))
    write(folder, "да/deeper/b.flac")
    (folder / "да" / "notes.txt").touch()
    (folder / "empty").mkdir()
    record = prepared(folder)
    assert record.classes == sorted(["two words", "10", "2", "да", "日本"])
    assert sum(record.counts["train"].values()) > 2 * sum(record.counts["test"].values())
    assert record.protocol == "random" and "no groups are given" in " ".join(record.notes)
    assert "notes.txt" in record.describe() and "empty" in record.describe()
    assert {row["path"] for row in record.rows()} >= {"да/deeper/b.flac"}


def test_folders_of_splits_are_a_split(tmp_path):
    folder = tmp_path / "in"
    for split in ("train", "val", "test"):
        make(folder / split, count=4)
        for path in folder.glob(f"{split}/*/*.wav"):
            write(folder, str(path.relative_to(folder)))
    record = prepared(folder)
    assert record.protocol == "given"
    assert {row["path"].split("/")[0] for row in record.rows("valid")} == {"val"}


def test_a_pattern_finds_groups_and_folds(tmp_path):
    folder = make(tmp_path / "in")
    record = prepared(folder, name_pattern=r"(?P<fold>(?P<group>\d)_)")
    assert record.protocol == "folds" and record.fold == "0_" and record.grouped
    assert {row["speaker"] for row in record.rows("test")} == {"0"}
    says(
        folder,
        r"not found in 16 of 16 paths.*Correct the pattern",
        name_pattern="(?P<group>x)",
    )
    assert "no regular expression" in pattern_problem("(")
    assert "(?P<group>" in pattern_problem("(?P<speaker>x)")


def test_a_table_cuts_parts_and_its_tags_are_several(tmp_path):
    folder = tmp_path / "in"
    names = [write(folder, f"{number}.wav") for number in range(20)]
    tags = ["dog;rain", "rain", "", "dog"]
    rows = [(name, tags[i % 4], i, "0.01", "0.03") for i, name in enumerate(names)]
    table(folder, [("path", "label", "group", "start_s", "end_s"), *rows])
    record = prepared(folder)
    assert record.task == "tagging" and record.classes == ["dog", "rain"]
    row = record.rows("train")[0]
    assert (row["start_sample"], row["num_samples"]) == (80, 160)
    assert row["id"].endswith("@0.01-0.03")


def test_no_group_and_no_copy_is_divided_and_rare_labels_are_everywhere():
    sounds = [Sound(f"{i}.wav", ("often",), group=f"g{i % 30}") for i in range(300)]
    sounds += [Sound(f"r{i}.wav", ("rare",), group=f"r{i}") for i in range(3)]
    same = {"0.wav": "copy", "1.wav": "copy"}
    shares = {"train": 0.7, "valid": 0.15, "test": 0.15}
    drawn = draw_splits(sounds, same, shares, 0)
    splits_of_groups = {(sound.group, drawn[sound.id]) for sound in sounds}
    assert len(splits_of_groups) == len({sound.group for sound in sounds})
    assert drawn["0.wav"] == drawn["1.wav"]
    assert {drawn[f"r{i}.wav"] for i in range(3)} == set(shares)
    sizes = Counter(drawn.values())
    assert abs(sizes["test"] - 45) <= 10 and abs(sizes["valid"] - 45) <= 10
    assert drawn == draw_splits(sounds[::-1], same, shares, 0)
    assert drawn != draw_splits(sounds, same, shares, 1)


def test_copies_in_two_splits_are_refused_or_left_out(tmp_path):
    folder = tmp_path / "in"
    rows = [("path", "label", "split")]
    for split in ("train", "valid", "test"):
        for label in "ab":
            rows += [(write(folder, f"{label}{split}{i}.wav"), label, split) for i in range(2)]
    rows.append((write(folder, "copy.flac", seed=5), "a", "train"))
    rows.append((write(folder, "original.wav", seed=5), "a", "test"))
    table(folder, rows)
    says(
        folder,
        r"1 of train: identical recordings in test, e\.g\. copy\.flac.*--protocol random",
    )
    record = prepared(folder, skip_broken=True)
    assert [skip["path"] for skip in record.skipped] == ["copy.flac"]
    assert "copy.flac" not in {row["path"] for row in record.rows()}
    record = prepared(folder, protocol="random", valid_share=0.2, test_share=0.2)
    assert "1 recordings are copies" in " ".join(record.notes)


def test_a_group_in_two_splits_is_refused(tmp_path):
    folder = make(tmp_path / "in")
    rows = [
        (path.relative_to(folder), path.parent.name, "anna", ("train", "test")[i % 2])
        for i, path in enumerate(sorted(folder.rglob("*.wav")))
    ]
    table(folder, [("path", "label", "group", "split"), *rows])
    says(
        folder,
        r"of train: speakers of test.*--protocol random",
        valid_share=0.3,
    )


def test_rates_channels_imbalance_and_absent_classes_are_said(tmp_path):
    folder, rows = tmp_path / "in", [("path", "label", "split")]
    counts = {("many", "train"): 56, ("many", "valid"): 2, ("many", "test"): 2}
    counts |= {("few", split): 1 for split in ("train", "valid", "test")}
    for (label, split), count in {**counts, ("third", "train"): 1}.items():
        stereo = {"rate": 16000, "channels": 2} if (label, split) == ("few", "train") else {}
        names = [write(folder, f"{label}{split}{i}.wav", **stereo) for i in range(count)]
        rows += [(name, label, split) for name in names]
    table(folder, rows)
    notes = " ".join(prepared(folder).notes)
    assert "56 recordings of many and 1 of" in notes and "balanced: true" in notes
    assert "test has no recording of third" in notes
    assert "1 of 64 files are at 16000 Hz" in notes and "several channels" in notes


@pytest.mark.parametrize(
    ("rows", "pattern"),
    [
        ([("file", "label")], r"lacks the column path.*path,label,split"),
        ([("path", "label", "spilt")], r"column 'spilt'; did you mean 'split'"),
        (
            [("path", "label"), ("ja/ja0_0.wav", "")],
            r"line 2: ja/ja0_0.wav has no label",
        ),
        ([("path", "label"), ("../a.wav", "x")], r"line 2: .*outside the data folder"),
        (
            [("path", "label"), ("a.wav", "x")],
            r"a\.wav \(line 2\) is not in the data folder",
        ),
        (
            [("path", "label"), *[("ja/ja0_0.wav", "x")] * 2],
            r"there already, in line 2",
        ),
        (
            [("path", "label", "split"), ("ja/ja0_0.wav", "x", "t")],
            r"split .* is 't'; it can be",
        ),
        (
            [("path", "label", "end_s"), ("ja/ja0_0.wav", "x", "1,5")],
            r"end_s is '1,5'.*in s",
        ),
        (
            [("path", "label", "end_s"), ("ja/ja0_0.wav", "x", "9")],
            r"the file ends at 0\.05 s",
        ),
        ([("path", "label"), ("ja/ja0_0.wav", "x")], r"1 class \(x\).*add recordings"),
    ],
)
def test_a_wrong_table_is_refused_with_what_to_do(tmp_path, rows, pattern):
    folder = make(tmp_path / "in", count=2)
    table(folder, rows)
    says(folder, pattern)


def test_folders_and_options_that_do_not_fit_are_refused(tmp_path):
    folder = make(tmp_path / "in", count=4)
    says(tmp_path / "gone", r"data folder .*gone does not exist.*--data_folder")
    says(folder / "ja", r"no folder with recordings.*Put the recordings")
    says(folder, r"table .*list\.csv is not there.*--table", table="list.csv")
    says(folder, r"task tagging needs a table", task="tagging")
    says(folder, r"protocol folds needs the fold.*none for 8 of 8", protocol="folds")
    says(folder, r"fold is '1'.*split by random.*--protocol folds", fold="1")
    (folder / "ja" / "ja0_0.wav").write_bytes(b"RIFF")
    says(folder, r"1 files or entries cannot be used.*ja0_0\.wav.*--skip_broken true")


def test_a_prepared_folder_is_used_until_a_file_is_added(tmp_path):
    folder = make(tmp_path / "in", count=6)
    first = prepared(folder)
    assert len(read_corpus(folder).sounds) == 12 and prepared(folder) == first
    write(folder, "ja/new.wav")
    assert prepared(folder).digest != first.digest
