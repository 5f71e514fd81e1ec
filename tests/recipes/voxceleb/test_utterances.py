"""Columns of utterances: a mapping like a dict, at a tenth of its memory."""

import hashlib
import pickle
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from auricle.processing.data import manifest
from auricle.recipes.voxceleb.corpus import Files, pack
from auricle.recipes.voxceleb.utterances import Rows, read_rows, write_rows

# In the order of the bytes of the ids, which is not that of the names without suffix.
NAMES = ("id1/v/1", "id1/v/1-b", "id1/v/10", 'id2/ü,"x/1', "id3/deep/er/1")


def make_files(names, root="voxceleb1", suffix=".flac"):
    names = sorted(name.encode() for name in names)
    count = len(names)
    columns = np.zeros((2, count), np.uint8), np.zeros((2, count), np.int64)
    return Files(np.array(names), *columns[0], *columns[1], {root: Path("/data") / root}, [suffix])


@pytest.fixture
def written(tmp_path):
    one = make_files(NAMES)
    other = make_files(("id1/v/1", "id9/w/2"), "voxceleb2", ".wav")
    train, valid, test = (Rows(split) for split in manifest.SPLITS)
    samples = np.arange(1, 6) * 16000 + 1
    places = np.array([4, 0, 1, 2])
    train.add(one, places, samples, [one.name(p) + ".wav" for p in places])
    train.add(other, np.array([0, 1]), samples, ["x-id1/v/1.wav", "x-id9/w/2.wav"], "x-")
    test.add(one, np.array([3]), samples, ['id2/ü,"x/1.wav'])
    total = hashlib.sha256()
    path = tmp_path / "manifest.csv"
    counts = write_rows([train, valid, test], path, total)
    roots = {"voxceleb1": "/data/one", "voxceleb2": "/data/two"}
    prefixes = {"voxceleb1": "", "voxceleb2": "x-"}
    return path, counts, read_rows(path, counts, roots, prefixes), total.hexdigest()


def test_what_is_written_is_read(written):
    path, counts, utterances, _ = written
    train = utterances["train"]
    assert isinstance(train, Mapping) and len(train) == 6
    assert list(train) == sorted(train)
    expected = {
        "id1/v/1-b.wav": ("/data/one/id1/v/1-b.flac", 2, "id1"),
        "id1/v/1.wav": ("/data/one/id1/v/1.flac", 1, "id1"),
        "id1/v/10.wav": ("/data/one/id1/v/10.flac", 3, "id1"),
        "id3/deep/er/1.wav": ("/data/one/id3/deep/er/1.flac", 5, "id3"),
        "x-id1/v/1.wav": ("/data/two/id1/v/1.wav", 1, "x-id1"),
        "x-id9/w/2.wav": ("/data/two/id9/w/2.wav", 2, "x-id9"),
    }
    assert list(train) == list(expected)
    for (name, row), (file, seconds, speaker) in zip(train.items(), expected.values(), strict=True):
        assert row["path"] == train.path(name) == file
        assert row["speaker"] == speaker
        assert row["duration_s"] == pytest.approx(seconds + 1 / 16000)
    assert train.durations_s.dtype == np.float32
    assert train.durations_s.tolist() == [row["duration_s"] for row in train.values()]
    assert train.speakers == ["id1", "id3", "x-id1", "x-id9"]
    assert counts["train"] == {"utterances": 6, "speakers": 4, "hours": 0.0039}
    assert list(utterances["test"]) == ['id2/ü,"x/1.wav'] and len(utterances["valid"]) == 0
    assert [row["id"] for row in manifest.read_manifest(path)] == [*train, *utterances["test"]]


def test_an_unknown_id_is_a_key_error(written):
    train = written[2]["train"]
    for name in ("id1/v/2.wav", "id1/v/1.flac", "a", "z" * 99, ""):
        assert name not in train and train.get(name) is None
        with pytest.raises(KeyError):
            train.path(name)
    assert 3 not in train and "id1/v/1.wav" in train
    assert "id1/v/1.wav" not in written[2]["valid"]


def test_utterances_go_to_another_process(written):
    train = written[2]["train"]
    assert dict(pickle.loads(pickle.dumps(train))) == dict(train)


def test_the_digest_is_of_what_is_used_and_not_of_how_it_is_stored(written, tmp_path):
    digests = []
    for suffix, root, samples in (
        (".wav", "a", 16000),
        (".flac", "b", 16000),
        (".wav", "a", 16001),
    ):
        files = make_files(NAMES, root, suffix)
        rows, total = Rows("train"), hashlib.sha256()
        places = np.arange(5)
        rows.add(files, places, np.full(5, samples), [name + suffix for name in sorted(NAMES)])
        write_rows([rows], tmp_path / "m.csv", total)
        digests.append(total.hexdigest())
    assert digests[0] == digests[1] != digests[2]


def test_names_are_found_by_their_whole(written):
    files = make_files(NAMES)
    assert files.find(["id1/v/10", "id1/v/1", "id1/v", "zz", NAMES[3], NAMES[4] + "0" * 9]).tolist() == [
        2, 0, -1, -1, 3, -1,
    ]  # fmt: skip
    assert files.find([]).tolist() == []


@pytest.mark.long
def test_memory_is_that_of_the_columns(tmp_path):
    """40,000 utterances; a dict of dicts takes about 500 bytes for one."""
    count = 40_000
    names = (b"id%05d/%011d/%05d" % (i // 200, i // 5, i % 5) for i in range(count))
    files = Files(
        pack(names), *np.zeros((2, count), np.uint8), *np.zeros((2, count), np.int64),
        {"voxceleb2": Path("/data")}, [".m4a"],
    )  # fmt: skip
    samples = np.full(count, 128_000)
    rows = [Rows(split) for split in manifest.SPLITS]
    path = tmp_path / "manifest.csv"
    tracemalloc.start()
    try:
        rows[0].add(files, np.arange(count), samples, map(files.name, range(count)))
        counts = write_rows(rows, path, hashlib.sha256())
        assert tracemalloc.get_traced_memory()[1] / count < 200
        del rows
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        utterances = read_rows(path, counts, {"voxceleb2": "/data"}, {"voxceleb2": ""})
        now, peak = (size - before for size in tracemalloc.get_traced_memory())
    finally:
        tracemalloc.stop()
    assert len(utterances["train"]) == count
    assert now / count < 45 and peak / count < 150
