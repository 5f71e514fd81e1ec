"""VoxCeleb2: conversion by ffmpeg (a script stands in for it), and both corpora together."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auricle.recipes.training.preparation import PreparationError
from auricle.recipes.voxceleb import prepare as script

RATE_HZ = 16000
VOX1 = ("id10001", "id10002", "id10003", "id10004", "id10005", "id10006")
VOX2 = ("id00012", "id00015", "id00016", "id00017", "id00018")

# Writes what lies in the "m4a" file, which is a wav file in these tests, and logs the call.
_FAKE = """#!{python} -S
import os, sys
arguments = sys.argv[1:]
source, target = arguments[arguments.index("-i") + 1], arguments[-1]
with open({log!r}, "a") as log:
    log.write(" ".join(arguments) + "\\n")
if os.path.exists({full!r}):
    sys.stderr.write("av_interleaved_write_frame(): No space left on device\\n")
    sys.exit(1)
data = open(source, "rb").read()
open(target, "wb").write(data[:100] if b"broken" in data else data)
if b"broken" in data:
    sys.stderr.write(source + ": Invalid data found when processing input\\n")
    sys.exit(183)
"""


class Ffmpeg:
    def __init__(self, folder):
        self.log, self.full = folder / "calls.txt", folder / "full"

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    made = Ffmpeg(folder)
    program = folder / "ffmpeg"
    program.write_text(_FAKE.format(python=sys.executable, log=str(made.log), full=str(made.full)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return made


@pytest.fixture
def no_ffmpeg(tmp_path, monkeypatch):
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


def write_clip(path, num_samples=RATE_HZ * 6 // 10):
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, "/".join(path.with_suffix("").parts[-3:])))
    data = 0.1 * np.random.default_rng(seed).standard_normal(num_samples)
    soundfile.write(path, data.astype("float32"), RATE_HZ, format="WAV")


def make_speakers(folder, speakers, suffix):
    for speaker in speakers:
        for video in ("va", "vb"):
            write_clip(folder / speaker / video / f"00001{suffix}")


@pytest.fixture(scope="module")
def _corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    make_speakers(folder / "vox1" / "wav", VOX1, ".wav")
    make_speakers(folder / "vox2" / "dev" / "aac", VOX2, ".m4a")
    make_speakers(folder / "vox2" / "test" / "aac", ("id00020",), ".m4a")
    (folder / "vox1" / "trials.txt").write_text(
        "1 id10001/va/00001.wav id10001/vb/00001.wav\n0 id10001/va/00001.wav id10002/va/00001.wav\n"
    )
    return folder


@pytest.fixture
def corpora(_corpora, tmp_path):
    return Path(shutil.copytree(_corpora, tmp_path / "corpora"))


def prepare(corpora, output="out", **options):
    options = {
        "protocol": "list",
        "trial_list": "trials.txt",
        "train_on": "voxceleb2",
        "voxceleb2_folder": corpora / "vox2",
        "valid_speakers": 2,
    } | options
    return script.prepare(
        corpora / "vox1", corpora / output, progress=False, num_workers=2, **options
    )


def test_m4a_is_converted_once(corpora, ffmpeg):
    prepared = prepare(corpora)
    assert prepared.counts["train"]["utterances"] == 6 and len(ffmpeg.calls()) == 10
    for call in ffmpeg.calls():
        assert "-ac 1 -ar 16000 -c:a pcm_s16le" in call
    train = prepared.utterances["train"]
    assert all(name.endswith(".wav") and name.split("/")[0] in VOX2 for name in train)
    assert "id00020/va/00001.wav" not in train  # VoxCeleb2's test set is not trained on
    assert all(soundfile.info(train.path(name)).samplerate == RATE_HZ for name in train)
    cache = corpora / "voxceleb_cache"
    assert all(Path(train.path(name)).is_relative_to(cache) for name in train)
    assert prepare(corpora).digest == prepared.digest
    prepare(corpora, output="other", seed=5)  # another manifest of the same data
    assert len(ffmpeg.calls()) == 10
    assert not list(cache.rglob("*.part"))


def test_a_conversion_that_was_stopped_goes_on(corpora, ffmpeg):
    ffmpeg.full.touch()
    with pytest.raises(PreparationError, match="the disc of .* is full.*cache_folder"):
        prepare(corpora)
    assert not list((corpora / "voxceleb_cache").rglob("*.wav"))
    assert not list((corpora / "voxceleb_cache").rglob("*.part"))
    ffmpeg.full.unlink()
    prepared = prepare(corpora)
    train = prepared.utterances["train"]
    gone, stale = (train.path(name) for name in list(train)[:2])
    os.unlink(gone)
    os.utime(stale, ns=(1, 1))  # older than its source
    ffmpeg.log.unlink()
    prepare(corpora, output="other", seed=1)
    assert len(ffmpeg.calls()) == 2


def test_a_broken_m4a_is_an_error_or_a_listed_skip(corpora, ffmpeg):
    root = corpora / "vox2" / "dev" / "aac" / "id00012" / "vc"
    root.mkdir()
    (root / "00001.m4a").write_bytes(b"broken" * 50)
    (root / "00002.m4a").write_bytes(b"")
    with pytest.raises(PreparationError) as error:
        prepare(corpora)
    text = str(error.value)
    assert "not_convertible (1):" in text and "Invalid data found" in text and "empty (1):" in text
    prepared = prepare(corpora, skip_broken=True)
    assert {skip["path"]: skip["kind"] for skip in prepared.skipped} == {
        "id00012/vc/00001.m4a": "not_convertible",
        "id00012/vc/00002.m4a": "empty",
    }
    assert not list((corpora / "voxceleb_cache").rglob("*.part"))
    used = sum(prepared.counts[split]["utterances"] for split in ("train", "valid"))
    assert used == 10


def test_without_ffmpeg_the_error_says_what_to_do(corpora, no_ffmpeg):
    with pytest.raises(PreparationError, match="10 files.*id00012.*ffmpeg.*is not on the PATH"):
        prepare(corpora)


def test_converted_files_beside_need_no_ffmpeg(corpora, no_ffmpeg):
    make_speakers(corpora / "vox2" / "dev" / "wav", VOX2[:3], ".wav")
    make_speakers(corpora / "vox2" / "dev" / "aac", VOX2[3:], ".flac")
    prepared = prepare(corpora)
    train = prepared.utterances["train"]
    assert prepared.counts["train"]["utterances"] == 6
    assert not any(train.path(name).endswith(".m4a") for name in train)
    assert not any("second time" in note for note in prepared.notes)


def test_flac_takes_half_the_room(corpora, ffmpeg):
    prepared = prepare(corpora, codec="flac")
    assert all("-c:a flac" in call and call.endswith(".part") for call in ffmpeg.calls())
    train = prepared.utterances["train"]
    assert all(train.path(name).endswith(".flac") for name in train)


def test_both_corpora_are_trained_on_with_all_their_speakers(corpora, ffmpeg):
    alone = prepare(corpora, output="alone", train_on="voxceleb1")
    both = prepare(corpora, train_on="both")
    assert len(alone.labels) == 2 and len(both.labels) == 7
    assert set(both.labels) < {*VOX1[2:], *VOX2}
    assert both.digest != alone.digest
    assert set(both.roots) == {"voxceleb1", "voxceleb2", "voxceleb2_converted"}
    for name, row in both.utterances["train"].items():
        assert row["path"].endswith(name) and row["speaker"] == name.split("/")[0]


def test_voxceleb2_may_lie_in_the_data_folder(corpora, ffmpeg):
    shutil.move(corpora / "vox2" / "dev", corpora / "vox1" / "dev")
    prepared = prepare(corpora, voxceleb2_folder=None)
    assert prepared.counts["train"]["utterances"] == 6
    shutil.rmtree(corpora / "vox1" / "dev")
    with pytest.raises(PreparationError, match="voxceleb2_folder"):
        prepare(corpora, voxceleb2_folder=None)


def test_swapped_folders_are_noticed(corpora):
    with pytest.raises(PreparationError, match="numbered as those of the other VoxCeleb"):
        prepare(corpora, voxceleb2_folder=corpora / "vox1")


def test_speakers_of_one_name_in_both_corpora_get_a_prefix(corpora, ffmpeg):
    # of an own corpus: VoxCeleb's two never clash
    make_speakers(corpora / "vox2" / "dev" / "aac", ("id10001", "id10003"), ".m4a")
    prepared = prepare(corpora, train_on="both")
    splits = [prepared.utterances[split] for split in ("train", "valid")]
    rows = {name: row for split in splits for name, row in split.items()}
    assert "voxceleb2-id00012/va/00001.wav" in rows and "id10004/va/00001.wav" in rows
    assert "voxceleb2-id10003/va/00001.wav" in rows and "id10003/va/00001.wav" in rows
    # who is called like a test speaker is not trained on, whoever it is
    assert not any("id10001" in name for name in rows)
    for name, row in rows.items():
        assert row["speaker"] == name.split("/")[0] and Path(row["path"]).is_file()
        assert ("voxceleb2-" in name) == ("voxceleb_cache" in row["path"])
    assert any("2 speakers have one name in both corpora" in note for note in prepared.notes)
    assert prepare(corpora, train_on="both").digest == prepared.digest
