"""`auricle listen` and `auricle evaluate --events` on a model that knows two tones."""

import io
import json
import sys

import numpy as np
import pytest
import soundfile
import torch
from random_bundle import random_bundle

from auricle.lobes import bundles
from auricle.processing.data.audio_blocks import file_blocks, pcm_blocks
from auricle.processing.data.resampling import resampled_blocks, resampler
from auricle.recipes.inference.listen import Listener, read_events
from auricle.recipes.inference.options import Listening

RATE, CLIP_S, BANDS = 8000, 0.4, 8
TONES = {"low": 500.0, "high": 2000.0}
#: Begin, end and tone of what is in the recording.
EVENTS = [(1.0, 1.5, "low"), (3.0, 3.5, "high"), (5.0, 5.5, "low")]
WORDS = ("--smooth-s", "0", "--threshold", "0.9", "--refractory-s", "1.2")


def two_tones(model):
    """Weights that compare the levels in the bands of the two tones with what is around them."""
    head = model.classifier
    (layer,) = [part for part in head.modules() if hasattr(part, "weight")]
    frames = layer.weight.shape[1] // BANDS
    bank = model.compute_features.bank
    weight = torch.zeros(3, frames, BANDS)
    for row, hz in enumerate(TONES.values(), 1):
        bin_ = round(hz * model.compute_features.n_fft / RATE)
        weight[row, :, int(bank[bin_].argmax())] = 2.0 / frames
    layer.weight.copy_(weight.flatten(1))
    layer.bias.copy_(torch.tensor([10.0, 0.0, 0.0]))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    options = {"num_features": BANDS}
    about = {"sample_rate": RATE, "clip_s": CLIP_S, "normalization": "none", "change": two_tones}
    labels = ("_unknown_", *TONES)
    folder = tmp_path_factory.mktemp("bundle")
    return random_bundle(folder, "mel", "linear", labels, frontend_options=options, **about)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two recordings of 7 s, in the second of which is nothing, and the table of events."""
    folder, time_s = tmp_path_factory.mktemp("recordings"), np.arange(7 * RATE) / RATE
    wav = 0.001 * np.random.default_rng(0).standard_normal((2, len(time_s)))
    for start_s, end_s, label in EVENTS:
        inside = (start_s <= time_s) & (time_s < end_s)
        wav[0, inside] += 0.8 * np.sin(2 * np.pi * TONES[label] * time_s[inside])
    for name, samples in zip("ab", wav, strict=True):
        soundfile.write(folder / f"{name}.wav", samples, RATE, subtype="PCM_16")
    rows = [f"a.wav,{start_s},{end_s},{label}" for start_s, end_s, label in EVENTS]
    (folder / "events.csv").write_text("\n".join(["path,start_s,end_s,label", *rows, "b.wav,,,"]))
    return folder


@pytest.fixture
def heard(auricle, bundle):
    """The lines that the command prints for a source."""

    def lines(*words, of=bundle):
        status, out, err = auricle("listen", of, *words)
        assert status == 0 and "listening for" in err, err
        return [line.split("\t") for line in out.splitlines()]

    return lines


def test_keywords_of_a_file_are_printed_with_their_times(heard, folder):
    detections = heard(folder / "a.wav", *WORDS)
    assert [label for _, label, _ in detections] == ["low", "high", "low"]
    for (time_s, _, score), (start_s, end_s, _) in zip(detections, EVENTS, strict=True):
        assert start_s - 0.2 <= float(time_s) <= end_s + 0.2 and 0.9 <= float(score) <= 1
    lines = heard(folder / "a.wav", *WORDS, "--keywords", "high", "--json")
    assert [json.loads(line)["label"] for (line,) in lines] == ["high"]


@pytest.mark.slow
@pytest.mark.parametrize("kind, rate", [("s16le", RATE), ("f32le", 16000)])
def test_a_pipe_is_heard_as_the_file_is(heard, folder, monkeypatch, kind, rate):
    wav, _ = soundfile.read(folder / "a.wav", dtype="float32")
    wav = resampler(RATE, rate)(torch.from_numpy(wav)).numpy() if rate != RATE else wav
    raw = wav.astype("<f4") if kind == "f32le" else np.round(wav * 32768).astype("<i2")
    pipe = io.TextIOWrapper(io.BytesIO(raw.tobytes()))
    monkeypatch.setattr(sys, "stdin", pipe)
    lines = heard("-", "--format", kind, "--rate", rate, *WORDS)
    assert [row[:2] for row in lines] == [row[:2] for row in heard(folder / "a.wav", *WORDS)]


def test_blocks_of_a_resampled_file_are_the_whole(folder):
    wav, _ = soundfile.read(folder / "a.wav", dtype="float32")
    whole = resampler(RATE, 11025)(torch.from_numpy(wav))
    torch.testing.assert_close(torch.cat([*file_blocks(folder / "a.wav", 11025)]), whole)
    parts = torch.from_numpy(wav).split(777)
    torch.testing.assert_close(torch.cat([*resampled_blocks(parts, RATE, 11025)]), whole)


def test_damaged_sound_is_refused(folder, tmp_path):
    wav, _ = soundfile.read(folder / "a.wav")
    soundfile.write(tmp_path / "whole.flac", wav, RATE)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "whole.flac").read_bytes()[:-5000])
    with pytest.raises(ValueError, match="cut.flac"):
        list(file_blocks(tmp_path / "cut.flac", RATE))
    not_finite = np.array([0.0, np.nan], "<f4").tobytes()
    with pytest.raises(ValueError, match="NaN"):
        list(pcm_blocks(io.BytesIO(not_finite), "f32le", RATE, RATE))
    with pytest.raises(ValueError, match="within a sample"):
        list(pcm_blocks(io.BytesIO(b"abc"), "s16le", RATE, RATE))
    with pytest.raises(ValueError, match="rate"):
        list(pcm_blocks(io.BytesIO(b""), "s16le", 10, RATE))


@pytest.mark.slow
def test_misses_and_false_alarms_of_recordings(auricle, bundle, folder, tmp_path):
    command = ("evaluate", bundle, folder, "--events", folder / "events.csv", *WORDS)
    scores = auricle.json(*command, "--out", tmp_path / "out")["scores"]
    assert (scores["events"], scores["misses"], scores["false_alarms"]) == (3, 0, 0)
    assert scores["recordings"] == 2 and scores["hours"] == pytest.approx(14 / 3600)
    assert scores["curve"][-1]["threshold"] > 0.99
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"evaluation.json", "curve.csv", "curve.png"}
    text = auricle.output(*command, "--keywords", "low,high", "--threshold", "0.999999")
    assert "misses: 3, 100.0 %" in text


@pytest.mark.parametrize(
    "row, words",
    [
        ("a.wav,1,0.5,low", "line 2.*no part"),
        ("a.wav,1,x,low", "line 2.*'x'"),
        ("a.wav,1,2,lwo", "line 2.*'lwo'.*low"),
        ("a.wav,1,2,low,3", "line 2.*cells"),
        (",1,2,low", "line 2.*no path"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, row, words):
    (tmp_path / "events.csv").write_text(f"path,start_s,end_s,label\n{row}\n")
    with pytest.raises(ValueError, match=words):
        read_events(tmp_path / "events.csv", ["low", "high"])


def test_what_is_refused(auricle, bundle, folder, tmp_path):
    (tmp_path / "events.csv").write_text("path,label\na.wav,low\n")
    with pytest.raises(ValueError, match="start_s"):
        read_events(tmp_path / "events.csv", ["low"])
    (tmp_path / "late.csv").write_text("path,start_s,end_s,label\na.wav,6,60,low\n")
    late = auricle.refusal("evaluate", bundle, folder, "--events", tmp_path / "late.csv")
    assert "60 s" in late
    assert "--events" in auricle.refusal("evaluate", bundle, folder, "--smooth-s", "1")
    assert "--rate" in auricle.refusal("listen", bundle, folder / "a.wav", "--rate", "8000")
    model = bundles.load(bundle)
    for changes, words in (
        ({"threshold": 1.0}, "threshold"),
        ({"smooth_s": -1.0}, "smooth_s"),
        ({"keywords": ["lwo"]}, "low"),
    ):
        with pytest.raises(ValueError, match=words):
            Listener(model, Listening(**changes))


@pytest.mark.long
def test_an_exported_file_listens_as_its_bundle_does(heard, auricle, bundle, folder, tmp_path):
    auricle.output("export", bundle, tmp_path / "tones.onnx")
    lines = heard(folder / "a.wav", *WORDS, of=tmp_path / "tones.onnx")
    for row, expected in zip(lines, heard(folder / "a.wav", *WORDS), strict=True):
        # Windows of samples and windows of frames do not begin at the same sample.
        assert row[1] == expected[1] and float(row[0]) == pytest.approx(float(expected[0]), abs=0.1)


def test_without_sounddevice_there_is_no_microphone(auricle, bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    status, out, err = auricle("listen", bundle)
    assert (status, out) == (2, "") and "auricle[microphone]" in err and "PCM" in err
