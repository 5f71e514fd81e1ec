"""The record of a preparation: written, read again, refused when anything changed, described."""

import hashlib
import json
import os
from dataclasses import dataclass

import pytest
from refusals import refused

from auricle.processing.data.manifest import ManifestError
from auricle.processing.data.scan import AudioFile
from auricle.recipes.training.preparation import PreparationError
from auricle.recipes.training.record import Record, Rows, fingerprint

ROWS = [
    {
        "id": f"{split}/a",
        "path": f"{split}/a.wav",
        "duration_s": 1.0,
        "split": split,
        "label": label,
        "speaker": "x",
    }
    for split, label in (("train", "yes"), ("valid", "no"), ("test", "no"))
]


@dataclass(kw_only=True)
class Small(Record):
    test_digest: str

    VERSION = 1
    COLUMNS = {"songs": 8, "hours": 8, "dynamic_labels": 16}
    dataset = "small"

    def heading(self):
        return [f"protocol {self.protocol}"]


VALUES = {
    "roots": {"": "/data"},
    "protocol": "p",
    "counts": {"train": {"songs": 2, "hours": 1.5, "dynamic_labels": 7}},
    "completeness": "complete",
    "skipped": [],
    "notes": ["é"],
    "settings": {"seed": 0},
}


def create(folder, rows=ROWS, **changes):
    return Small.create(rows, folder, "abc", **{**VALUES, **changes})


def test_it_is_read_as_it_was_written_with_the_roots_of_the_run(tmp_path, caplog):
    record = create(tmp_path)
    assert "small: é" in caplog.text
    assert Small.read(tmp_path, "abc", {"": "/data"}) == record
    assert Small.read(tmp_path, "abc", {"": "/else"}).roots == {"": "/else"}
    assert [row["id"] for row in record.rows("test")] == ["test/a"] and len(record.rows()) == 3
    values = json.loads((tmp_path / "prepare.json").read_text())
    assert set(values) - set(VALUES) == {
        "manifest_path",
        "digest",
        "overlap",
        "test_digest",
        "fingerprint",
        "sha256",
    }
    assert "roots" not in values and values["manifest_path"] == "manifest.csv"
    sha256 = hashlib.sha256((tmp_path / "manifest.csv").read_bytes()).hexdigest()
    assert values["sha256"] == {"manifest.csv": sha256}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.csv", "id\n"),
        ("manifest.csv", None),
        ("prepare.json", "{"),
        ("prepare.json", "[]"),
        ("prepare.json", None),
        ("prepare.json", '{"fingerprint": "abc", "sha256": {}, "manifest_path": "manifest.csv"}'),
    ],
)
def test_what_is_not_whole_or_of_another_version_is_not_used(tmp_path, file, content):
    create(tmp_path)
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_text(content)
    assert Small.read(tmp_path, "abc", {}) is None


def test_a_record_of_somebody_else_names_no_file_outside(tmp_path):
    folder = tmp_path / "prepared"
    folder.mkdir()
    create(folder)
    os.mkfifo(tmp_path / "outside")  # who opened it would wait
    values = json.loads((folder / "prepare.json").read_text())
    values["manifest_path"] = "../outside"
    values["sha256"]["../outside"] = "0" * 64
    (folder / "prepare.json").write_text(json.dumps(values))
    assert Small.read(folder, "abc", {}).manifest_path == str(folder / "manifest.csv")


def test_other_input_is_not_used(tmp_path):
    create(tmp_path)
    assert Small.read(tmp_path, "abd", {}) is None


def test_paths_are_not_digested_and_everything_else_is(tmp_path):
    digests = set()
    for number, change in enumerate(({}, {"path": "b.wav"}, {"speaker": "y"}, {"label": "yes"})):
        (folder := tmp_path / str(number)).mkdir()
        digests.add(create(folder, [*ROWS[:2], ROWS[2] | change]).test_digest)
    assert len(digests) == 3


def test_rows_are_checked(tmp_path):
    with pytest.raises(ManifestError, match="unknown label"):
        create(tmp_path, labels=["yes"])
    assert not list(tmp_path.iterdir())


def test_the_description(tmp_path):
    skipped = [{"path": f"a/{i}.wav", "reason": "is empty"} for i in range(30)]
    skipped[0] |= {"kind": "broken"}
    skipped[1] |= {"kind": "broken", "reason": "a/1.phn: is empty"}
    lines = create(tmp_path, skipped=skipped).describe().splitlines()
    assert lines[:5] == [
        "protocol p",
        "",
        "split    songs   hours  dynamic labels",
        "train        2    1.50               7",
        "note: é",
    ]
    assert lines[5:9] == [
        "skipped 30:",
        "  broken: a/0.wav: is empty",
        "  broken: a/1.phn: is empty",
        "  a/2.wav: is empty",
    ]
    assert len(lines) == 27 and "prepare.json" in lines[-1]


def test_the_fingerprint_is_that_of_earlier_versions():
    """What was prepared with 0.1.0 is used again."""
    file = AudioFile("yes/a.wav", "/data/yes/a.wav", 10, 20)
    total = hashlib.sha256(b'[2, {"a": 1, "b": null}]yes/a.wav\n10\n20\n-\n\x01[{}, []]')
    parts = ([2, {"b": None, "a": 1}], file, None, b"\x01", [{}, []])
    assert fingerprint(*parts) == total.hexdigest()


def test_rows_of_somebodys_own_are_a_prepared_data_set(tmp_path):
    for row in ROWS:
        (tmp_path / row["path"]).parent.mkdir()
        (tmp_path / row["path"]).touch()
    data = Rows.of(ROWS, tmp_path, completeness="half")
    assert data.labels == ["no", "yes"] and list(data.by_id("test")) == ["test/a"]
    assert data.counts == {"train": 1, "valid": 1, "test": 1} and "half" in data.describe()
    assert data.digest != Rows.of([{**ROWS[0], "label": "on"}, *ROWS[1:]], tmp_path).digest
    wrong = [{**ROWS[0], "path": "gone.wav"}, {**ROWS[1], "id": "train/a", "duration_s": 0}]
    error = refused("", Rows.of, wrong, tmp_path, error=PreparationError)
    for words in ("gone.wav", "more than once", "not positive", "split test", str(tmp_path)):
        assert words in str(error)
    gone = tmp_path / "gone"
    refused("gone cannot be used:\n.*no such folder\n.*split train", Rows.of, [], gone)
