"""VoxCeleb2: conversion of m4a by PyAV, and both corpora together."""

import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_folders import refusal
from media_files import write_m4a
from refusals import refused

from auricle.recipes.training.preparation import PreparationError
from auricle.recipes.voxceleb import convert
from auricle.recipes.voxceleb import prepare as script

RATE_HZ = 16000
VOX1 = ("id10001", "id10002", "id10003", "id10004", "id10005", "id10006")
VOX2 = ("id00012", "id00015", "id00016", "id00017", "id00018")


@pytest.fixture
def converted(watched):
    """The files that are decoded for conversion, in no order."""
    return watched(convert, "decode_media")


@pytest.fixture
def no_av(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)


def write_clip(path, num_samples=10 * 1024):
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = list("/".join(path.with_suffix("").parts[-3:]).encode())
    data = 0.1 * np.random.default_rng(seed).standard_normal(num_samples)
    if path.suffix == ".m4a":
        write_m4a(path, data[None], RATE_HZ)
    else:
        soundfile.write(path, data.astype("float32"), RATE_HZ)


def make_speakers(folder, speakers, suffix):
    for speaker in speakers:
        for video in ("va", "vb"):
            write_clip(folder / speaker / video / f"00001{suffix}")


def make_corpus(folder):
    """Both corpora and a list of trials."""
    make_speakers(folder / "vox1" / "wav", VOX1, ".wav")
    make_speakers(folder / "vox2" / "dev" / "aac", VOX2, ".m4a")
    make_speakers(folder / "vox2" / "test" / "aac", ("id00020",), ".m4a")
    (folder / "vox1" / "trials.txt").write_text(
        "1 id10001/va/00001.wav id10001/vb/00001.wav\n0 id10001/va/00001.wav id10002/va/00001.wav\n"
    )
    return folder


def prepare(corpus, output="out", **options):
    options = {
        "protocol": "list",
        "trial_list": "trials.txt",
        "train_on": "voxceleb2",
        "voxceleb2_folder": corpus / "vox2",
        "valid_speakers": 2,
    } | options
    return script.prepare(
        corpus / "vox1", corpus / output, progress=False, num_workers=2, **options
    )


def test_m4a_is_converted_once(corpus, converted):
    record = prepare(corpus)
    assert record.counts["train"]["utterances"] == 6 and len(converted) == 10
    train = record.utterances["train"]
    assert all(name.endswith(".wav") and name.split("/")[0] in VOX2 for name in train)
    assert "id00020/va/00001.wav" not in train  # VoxCeleb2's test set is not trained on
    for name in train:
        info = soundfile.info(train.path(name))
        shape = (info.samplerate, info.channels, info.subtype, info.frames)
        assert shape == (RATE_HZ, 1, "PCM_16", 10 * 1024)
    cache = corpus / "voxceleb_cache"
    assert all(Path(train.path(name)).is_relative_to(cache) for name in train)
    assert prepare(corpus).digest == record.digest
    prepare(corpus, output="other", seed=5)  # another manifest of the same data
    assert len(converted) == 10
    assert not list(cache.rglob("*.part"))


def test_a_conversion_that_was_stopped_goes_on(corpus, converted, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disc:
        disc.setattr(Path, "write_bytes", full)
        refused("voxceleb_cache.* is full.*cache_folder", prepare, corpus, error=PreparationError)
    assert not list((corpus / "voxceleb_cache").rglob("*.wav"))
    assert not list((corpus / "voxceleb_cache").rglob("*.part"))
    record = prepare(corpus)
    train = record.utterances["train"]
    gone, stale = (train.path(name) for name in list(train)[:2])
    os.unlink(gone)
    os.utime(stale, ns=(1, 1))  # older than its source
    converted.clear()
    prepare(corpus, output="other", seed=1)
    assert len(converted) == 2


def test_a_broken_m4a_is_an_error_or_a_listed_skip(corpus, converted):
    root = corpus / "vox2" / "dev" / "aac" / "id00012" / "vc"
    root.mkdir()
    (root / "00001.m4a").write_bytes(b"broken" * 50)
    (root / "00002.m4a").write_bytes(b"")
    text = refusal(prepare, corpus)
    assert "not_convertible (1):" in text and "Invalid data found" in text and "empty (1):" in text
    record = prepare(corpus, skip_broken=True)
    assert {skip["path"]: skip["kind"] for skip in record.skipped} == {
        "id00012/vc/00001.m4a": "not_convertible",
        "id00012/vc/00002.m4a": "empty",
    }
    assert not list((corpus / "voxceleb_cache").rglob("*.part"))
    used = sum(record.counts[split]["utterances"] for split in ("train", "valid"))
    assert used == 10


def test_without_pyav_the_error_says_what_to_do(corpus, no_av):
    refused(r"10 files.*id00012.*auricle\[media\]", prepare, corpus, error=PreparationError)


def test_converted_files_beside_need_no_pyav(corpus, no_av):
    make_speakers(corpus / "vox2" / "dev" / "wav", VOX2[:3], ".wav")
    make_speakers(corpus / "vox2" / "dev" / "aac", VOX2[3:], ".flac")
    record = prepare(corpus)
    train = record.utterances["train"]
    assert record.counts["train"]["utterances"] == 6
    assert not any(train.path(name).endswith(".m4a") for name in train)
    assert not any("second time" in note for note in record.notes)


def test_conversion_to_flac(corpus, converted):
    record = prepare(corpus, codec="flac")
    train = record.utterances["train"]
    assert all(train.path(name).endswith(".flac") for name in train)
    assert {soundfile.info(train.path(name)).format for name in train} == {"FLAC"}


def test_both_corpora_are_trained_on_with_all_their_speakers(corpus, converted):
    alone = prepare(corpus, output="alone", train_on="voxceleb1")
    both = prepare(corpus, train_on="both")
    assert len(alone.labels) == 2 and len(both.labels) == 7
    assert set(both.labels) < {*VOX1[2:], *VOX2}
    assert both.digest != alone.digest
    assert set(both.roots) == {"voxceleb1", "voxceleb2", "voxceleb2_converted"}
    for name, row in both.utterances["train"].items():
        assert row["path"].endswith(name) and row["speaker"] == name.split("/")[0]


def test_voxceleb2_may_lie_in_the_data_folder(corpus, converted):
    shutil.move(corpus / "vox2" / "dev", corpus / "vox1" / "dev")
    record = prepare(corpus, voxceleb2_folder=None)
    assert record.counts["train"]["utterances"] == 6
    shutil.rmtree(corpus / "vox1" / "dev")
    refused("voxceleb2_folder", prepare, corpus, error=PreparationError, voxceleb2_folder=None)


def test_swapped_folders_are_noticed(corpus):
    with pytest.raises(PreparationError, match="numbered as those of the other VoxCeleb"):
        prepare(corpus, voxceleb2_folder=corpus / "vox1")


def test_speakers_of_one_name_in_both_corpora_get_a_prefix(corpus, converted):
    # of an own corpus: VoxCeleb's two never clash
    make_speakers(corpus / "vox2" / "dev" / "aac", ("id10001", "id10003"), ".m4a")
    record = prepare(corpus, train_on="both")
    splits = [record.utterances[split] for split in ("train", "valid")]
    rows = {name: row for split in splits for name, row in split.items()}
    assert "voxceleb2-id00012/va/00001.wav" in rows and "id10004/va/00001.wav" in rows
    assert "voxceleb2-id10003/va/00001.wav" in rows and "id10003/va/00001.wav" in rows
    # who is called like a test speaker is not trained on, whoever it is
    assert not any("id10001" in name for name in rows)
    for name, row in rows.items():
        assert row["speaker"] == name.split("/")[0] and Path(row["path"]).is_file()
        assert ("voxceleb2-" in name) == ("voxceleb_cache" in row["path"])
    assert any("2 speakers have one name in both corpora" in note for note in record.notes)
    assert prepare(corpus, train_on="both").digest == record.digest
