"""`auricle evaluate`: bundles of every task on folders, tables and prepared data, without training."""

import csv
import json

import numpy as np
import pytest
import soundfile
from random_bundle import emotion_bundle, random_bundle

from auricle.lobes import bundles
from auricle.processing.data import manifest
from auricle.processing.transcription.units import Units

RATE = 8000
SMALL = {"sample_rate": RATE, "clip_s": 0.5, "frontend_options": {"num_features": 8}}


def write(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    wav = np.random.default_rng(number).standard_normal(3000 + 500 * (number % 3))
    soundfile.write(path, 0.1 * wav, RATE)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Two classes of four recordings; a table of tags and values beside them."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = []
    for number in range(8):
        name = f"{('no', 'yes')[number % 2]}/{number}.wav"
        write(folder / name, number)
        rows.append((name, ("no", "no;yes", "", "yes")[number % 4], number, 1 + number, 9 - number))
    with open(folder / "more.csv", "w", newline="") as file:
        names = ("path", "label", "group", "valence", "arousal")
        csv.writer(file).writerows([names, *rows])
    return folder


def record(auricle, bundle, data, *words):
    return auricle.json("evaluate", bundle, data, *words)


def test_classes_of_folders_are_scored_as_predicted(auricle, sounds, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", **SMALL)
    found = record(auricle, bundle, sounds, "--out", tmp_path / "out")
    model = bundles.load(bundle)
    files = sorted(sounds.glob("*/*.wav"))
    right = np.mean([model.predict_file(file)[0] == file.parent.name for file in files])
    assert found["scores"]["accuracy"] == right and found["recordings"] == 8
    rows = list(csv.DictReader((tmp_path / "out/test_predictions.csv").open()))
    assert [row["id"] for row in rows] == [f"{f.parent.name}/{f.name}" for f in files]
    assert json.loads((tmp_path / "out/evaluation.json").read_text())["scores"] == found["scores"]
    text = auricle.output("evaluate", bundle, sounds)
    assert f"accuracy (%): {100 * right:.1f}" in text and "over 8 recordings" in text


def test_tags_values_and_speakers(auricle, sounds, tmp_path):
    tagger = random_bundle(tmp_path / "tags", task="tagging", head="tagger", **SMALL)
    found = record(auricle, tagger, sounds, "--table", "more.csv")["scores"]
    assert found["per_tag"]["yes"]["support"] == 4 and found["interval"]["over"] == "group"
    emotion = emotion_bundle(tmp_path / "values", "linear", **SMALL)
    found = record(auricle, emotion, sounds / "more.csv")["scores"]
    assert found["n"] == 8 and -1 <= found["ccc"] <= 1
    speakers = random_bundle(tmp_path / "speakers", task="speaker_verification", **SMALL)
    found = record(auricle, speakers, sounds)["scores"]
    assert found["counts"]["trials"] == 28 and found["counts"]["target"] == 12


def test_transcripts_of_a_prepared_data_set(auricle, sounds, tmp_path):
    units = Units.build("char", [{"id": "x", "text": "no yes"}])
    bundle = random_bundle(
        *(tmp_path / "bundle", "mel", "blstm", units.labels, "phone_recognition"),
        **{**SMALL, "clip_s": None},
        encoder_options={"layers": 1, "hidden": 8},
        units=units.state(),
    )
    rows = [
        {"id": name, "path": f"{name}.wav", "duration_s": 0.4, "label": "", "speaker": "x"}
        | {"split": split, "text": name.split("/")[0]}
        for name, split in (("no/0", "test"), ("yes/1", "test"), ("no/2", "train"))
    ]
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    manifest.write_manifest(rows, prepared / "manifest.csv")
    (prepared / "prepare.json").write_text("{}")
    assert "--data-folder" in auricle.refusal("evaluate", bundle, prepared)
    found = record(auricle, bundle, prepared, "--data-folder", sounds)
    assert found["scores"]["reference_tokens"] == 5 and "split test" in found["data"]
    whole = record(auricle, bundle, prepared, "--data-folder", sounds, "--split", "all")
    assert whole["scores"]["n"] == 3


def test_what_cannot_be_evaluated_says_why(auricle, sounds, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", labels=("no", "ja"), **SMALL)
    emotion = emotion_bundle(tmp_path / "values", "linear", **SMALL)
    run = tmp_path / "run"
    random_bundle(run / "bundle", **SMALL)
    for words, says in (
        ((bundle, sounds), "none of the model's: yes. It knows no, ja"),
        ((bundle, sounds / "nowhere"), "nowhere does not exist"),
        ((bundle, sounds, "--split", "valid"), "no recording of the split valid"),
        ((bundle, sounds, "--table", "list.csv"), "list.csv is not there"),
        ((bundle, sounds, "--data-folder", sounds), "leave it out"),
        ((emotion, sounds), "path,valence,arousal"),
        ((run / "bundle", sounds, "--out", run), "is the folder of a run"),
    ):
        assert says in auricle.refusal("evaluate", *words), words


def test_a_broken_recording_is_named_and_the_others_are_scored(auricle, sounds, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", **SMALL)
    for number in range(4):
        write(tmp_path / f"in/{('no', 'yes')[number % 2]}/{number}.wav", number)
    (tmp_path / "in/no/0.wav").write_bytes(b"no sound")
    status, out, err = auricle("evaluate", bundle, tmp_path / "in")
    assert status == 2 and "no/0.wav" in err and "on 3 recordings" in out
