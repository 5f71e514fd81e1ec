"""The annotation schema: what is written is read, the digest sees content and nothing else."""

import pytest
import soundfile
import torch
from refusals import refused

from auricle.processing.data import manifest
from auricle.processing.data.dataset import read_row
from auricle.processing.data.manifest import ManifestError


def _rows():
    return [
        {
            "id": f"{word}/{i}",
            "path": f"{word}/{i}.wav",
            "duration_s": 1 / 3 + i,
            "split": split,
            "label": word,
            "speaker": f"s{i}",
        }
        for word in ("yes", "no")
        for i, split in enumerate(manifest.SPLITS)
    ] + [
        {
            "id": "_silence_/0",
            "path": "noise.wav",
            "duration_s": 1.0,
            "split": "train",
            "label": "_silence_",
            "speaker": "",
            "start_sample": 30,
            "num_samples": 40,
            "gain": 0.25,
        }
    ]


def test_reading_gives_back_what_was_written(tmp_path):
    path = tmp_path / "manifest.csv"
    manifest.write_manifest(_rows(), path)
    rows = manifest.read_manifest(path)
    expected = sorted(_rows(), key=lambda row: row["id"])
    for row in expected:
        row["duration_s"] = round(row["duration_s"], 6)
    assert rows == expected
    assert manifest.digest(rows) == manifest.digest(_rows())


def test_the_file_has_the_same_bytes_for_any_order_of_rows_and_columns(tmp_path):
    shuffled = [dict(reversed(row.items())) for row in reversed(_rows())]
    manifest.write_manifest(_rows(), tmp_path / "a.csv")
    manifest.write_manifest(shuffled, tmp_path / "b.csv")
    data = (tmp_path / "a.csv").read_bytes()
    assert data == (tmp_path / "b.csv").read_bytes()
    assert data.startswith(
        b"id,path,duration_s,split,label,speaker,start_sample,num_samples,gain\n"
    )
    assert b"\r" not in data
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_the_digest_changes_with_any_field_and_not_with_the_order():
    reference = manifest.digest(_rows())
    assert manifest.digest(reversed(_rows())) == reference
    seen = {reference, manifest.digest(_rows()[1:])}
    for column, value in (
        ("id", "x"),
        ("path", "x"),
        ("duration_s", 9.0),
        ("split", "test"),
        ("label", "x"),
        ("speaker", "x"),
        ("start_sample", 31),
        ("num_samples", 41),
        ("gain", 0.5),
    ):
        rows = _rows()
        rows[-1][column] = value
        seen.add(manifest.digest(rows))
    assert len(seen) == 11


def test_all_problems_are_reported_at_once():
    rows = _rows()
    rows[1]["id"] = rows[0]["id"]
    rows[1]["split"] = "dev"
    rows[2]["label"] = ""
    rows[3]["duration_s"] = 0.0
    rows[4]["duration_s"] = float("nan")
    rows[5]["path"] = "/data/no/2.wav"
    del rows[6]["speaker"]
    rows.append(rows[3] | {"id": "no path", "path": "", "duration_s": 1.0})
    text = str(refused("", manifest.validate, rows, error=ManifestError))
    for line in (
        "the column speaker is missing in 1 rows",
        "1 ids occur more than once: yes/0",
        "1 rows have a split that is none of train, valid, test: yes/0",
        "1 rows have an empty label: yes/2",
        "2 rows have a duration that is not positive: no/0, no/1",
        "1 rows have a path that is not relative with forward slashes: no/2",
        "1 rows have no path and are not digital silence: no path",
    ):
        assert line in text
    assert len(text.splitlines()) == 8


def test_good_rows_pass_and_unknown_labels_and_nothing_do_not():
    assert manifest.validate(_rows()) == _rows()
    manifest.validate(_rows(), labels=("yes", "no", "_silence_"))
    with pytest.raises(ManifestError, match="3 rows have an unknown label: no/0, no/1, no/2"):
        manifest.validate(_rows(), labels=("yes", "_silence_"))
    refused("is empty", manifest.validate, [], error=ManifestError)
    unlabelled = [row | {"label": ""} for row in _rows()]
    assert manifest.find_problems(unlabelled, label_required=False) == []


def test_a_file_that_is_no_manifest_says_so(tmp_path):
    path = tmp_path / "m.csv"
    refused("no such manifest.*prepare the data", manifest.read_manifest, path, error=ManifestError)
    path.write_text("id,path,split\na,b,train\n")
    refused("duration_s, label, speaker are", manifest.read_manifest, path, error=ManifestError)
    path.write_text("id,path,duration_s,split,label,speaker\na,b,long,train,yes,\n")
    refused("line 2.*long", manifest.read_manifest, path, error=ManifestError)
    path.write_text("id,path,duration_s,split,label,speaker\na,b,1,train,yes,s,more\n")
    refused("line 2.*7 cells", manifest.read_manifest, path, error=ManifestError)
    with pytest.raises(ManifestError, match="column label is missing in 1 rows"):
        manifest.write_manifest([{k: v for k, v in _rows()[0].items() if k != "label"}], path)


def test_rows_are_read_cut_scaled_and_from_their_root(tmp_path):
    for name, value in (("data", 0.5), ("other", 0.25)):
        (tmp_path / name).mkdir()
        ramp = value * torch.arange(100) / 100
        soundfile.write(tmp_path / name / "noise.wav", ramp.numpy(), 16000, subtype="FLOAT")
    roots = {"": tmp_path / "data", "other": tmp_path / "other"}
    row = _rows()[-1]
    expected = 0.25 * 0.5 * torch.arange(30, 70) / 100
    assert torch.allclose(read_row(row, roots, 16000), expected)
    assert torch.allclose(read_row(row, tmp_path / "data", 16000), expected)
    elsewhere = read_row(row | {"root": "other"}, roots, 16000)
    assert torch.allclose(elsewhere, expected / 2)
    silence = row | {"path": "", "gain": 0.0}
    assert torch.equal(read_row(silence, roots, 16000), torch.zeros(40))
