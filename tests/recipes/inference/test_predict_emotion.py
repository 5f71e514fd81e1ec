"""`auricle predict` with bundles of music emotion: windows, scales, curves, and what is refused."""

import json
import math

import numpy as np
import pytest
import soundfile
import torch
from media_files import write_headless_mp3
from prediction import predicts_past_bad_files
from random_bundle import emotion_bundle

from auricle.lobes.bundles import bundle as pretrained
from auricle.lobes.bundles.predictions import predict_curve, predict_values
from auricle.recipes.inference.predict import read_recording

RATE = 8000
SCALE = {"low": 1.0, "high": 9.0}
OPTIONS = {"linear": {}, "blstm": {"layers": 1, "hidden": 8}}


def save(folder, encoder="blstm", clip_s=2.0, **changes):
    return emotion_bundle(
        folder,
        encoder,
        clip_s=clip_s,
        in_frames=None if clip_s else 51,
        frontend_options={"num_features": 12},
        encoder_options=OPTIONS[encoder],
        **{"window_s": [15.0, 45.0], **changes},
    )


def song(seconds, seed=0, rate=RATE):
    """Noise whose level changes, so that windows differ."""
    drawn = np.random.default_rng(seed)
    level = np.repeat(drawn.uniform(0.01, 0.5, math.ceil(4 * seconds)), -(-rate // 4))
    size = round(seconds * rate)
    return (level[:size] * drawn.standard_normal(size)).astype("float32")


def write(path, seconds, rate=RATE, channels=1, seed=0):
    soundfile.write(path, np.stack([song(seconds, seed, rate)] * channels, 1), rate)
    return path


def windows_by_hand(wav, clip_s):
    """Half a window between starts; the last ends with the song."""
    size = round(clip_s * RATE)
    start, windows = 0, []
    while start + size < len(wav):
        windows.append((start / RATE, wav[start : start + size]))
        start += size // 2
    start = max(0, len(wav) - size)
    return [*windows, (start / RATE, wav[start:])]


@torch.no_grad()
def outputs_by_hand(bundle, window):
    """(N', 2) of one window, on the scale of the labels; `linear` takes no shorter one."""
    clip, lengths = torch.from_numpy(window)[None], None
    size = round((bundle.clip_s or 0) * RATE)
    if bundle.embedding_model.output == "utterance" and len(window) < size:
        lengths = torch.tensor([len(window) / size])
        clip = torch.nn.functional.pad(clip, (0, size - len(window)))
    values = bundle.classifier(bundle.embed(clip, lengths))[0].double()
    return 1 + (values.numpy() + 1) * 4


# -- values ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["linear", "blstm"])
@pytest.mark.parametrize("seconds", [0.7, 2.0, 5.3, 21.0])
def test_a_song_is_the_mean_of_its_windows(tmp_path, encoder, seconds):
    bundle = pretrained.load(save(tmp_path / "bundle", encoder))
    wav = song(seconds)
    windows = windows_by_hand(wav, 2.0)
    each = np.stack([outputs_by_hand(bundle, window).mean(0) for _, window in windows])
    if len(windows) > 1:
        assert each.std(0).min() > 1e-3, "windows that say the same prove nothing"
    found = predict_values(bundle, torch.from_numpy(wav))
    np.testing.assert_allclose(found.numpy(), each.mean(0), atol=1e-4)


def curve_by_hand(bundle, wav, clip_s):
    """Each half second's values from every window, with a share of a window's steps each."""
    points = max(1, round(min(clip_s, len(wav) / RATE) / 0.5))
    found = {}
    for start_s, window in windows_by_hand(wav, clip_s):
        steps = outputs_by_hand(bundle, window)
        for point in range(points):
            # The steps that the share touches, as averaging into bins defines it.
            low = math.floor(point * len(steps) / points)
            high = math.ceil((point + 1) * len(steps) / points)
            time_s = start_s + 0.5 * point
            place = math.ceil(time_s / 0.5 - 0.5 - 1e-9)
            found.setdefault(place, []).append(steps[low:high].mean(0))
    count = math.ceil(len(wav) / RATE / 0.5)
    return np.stack([np.mean(found[place], axis=0) for place in range(min(count, len(found)))])


@pytest.mark.parametrize("clip_s", [2.0, 1.5, 1.1])  # starts on a half second, between, anywhere
@pytest.mark.parametrize("seconds", [0.4, 2.0, 5.3])
def test_a_curve_has_a_row_per_half_second(tmp_path, clip_s, seconds):
    bundle = pretrained.load(save(tmp_path / "bundle", target="dynamic", clip_s=clip_s))
    wav = song(seconds)
    times_s, values = predict_curve(bundle, torch.from_numpy(wav))
    expected = curve_by_hand(bundle, wav, clip_s)
    np.testing.assert_allclose(values.numpy(), expected, atol=1e-4)
    assert times_s.tolist() == [0.5 * i for i in range(len(expected))]
    assert abs(len(expected) * 0.5 - seconds) <= 0.5
    if len(expected) > 1:
        assert expected.std(0).min() > 1e-3
    mean = predict_values(bundle, torch.from_numpy(wav))
    np.testing.assert_allclose(mean.numpy(), expected.mean(0), atol=1e-4)


def test_a_bundle_without_a_clip_length_hears_all_at_once(tmp_path):
    bundle = pretrained.load(save(tmp_path / "bundle", clip_s=None))
    wav = song(3.3)
    expected = outputs_by_hand(bundle, wav).mean(0)
    found = predict_values(bundle, torch.from_numpy(wav))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


# -- the command -------------------------------------------------------------------------------------


def test_songs_of_any_rate_channels_and_length(auricle, tmp_path):
    bundle = save(tmp_path / "bundle")
    files = [
        write(tmp_path / "a.wav", 3.0),
        write(tmp_path / "stereo.flac", 0.9, rate=22050, channels=2),
    ]
    text = auricle.output("predict", bundle, *files)
    rows = [line.split("\t") for line in text.splitlines()]
    assert [row[0] for row in rows] == [str(file) for file in files]
    status, text, _ = auricle("predict", bundle, *files, "--json")
    found = [json.loads(line) for line in text.splitlines()]
    assert status == 0 and [each["windows"] for each in found] == [2, 1]
    for row, each in zip(rows, found, strict=True):
        assert row[1:3] == [f"valence {each['valence']:.3f}", f"arousal {each['arousal']:.3f}"]
        assert row[3] == "on 1 to 9" and each["scale"] == SCALE and each["target"] == "static"
        assert each["window_s"] == 2.0 and "curve" not in each
    wav, _ = soundfile.read(files[0], dtype="float32")
    expected = predict_values(pretrained.load(bundle), torch.from_numpy(wav)).tolist()
    assert [found[0]["valence"], found[0]["arousal"]] == pytest.approx(expected, abs=1e-6)
    assert found[0]["duration_s"] == 3.0 and found[1]["duration_s"] == pytest.approx(0.9, abs=1e-3)


def test_a_part_of_a_song_is_heard_on_request_and_windows_are_said(auricle, tmp_path):
    bundle, file = save(tmp_path / "bundle", window_s=[1.0, 3.0]), write(tmp_path / "a.wav", 5.3)
    assert "mean of 5 windows of 2 s, one every 1 s" in auricle.output("predict", bundle, file)
    part = tmp_path / "part.wav"
    soundfile.write(part, song(5.3)[RATE : 3 * RATE], RATE, subtype="FLOAT")
    expected = auricle.json("predict", bundle, part)
    for window in ("test", "1,3"):
        found = auricle.json("predict", bundle, file, "--window", window)
        for name in ("valence", "arousal"):
            assert found[name] == pytest.approx(expected[name], abs=1e-3)
        assert found["heard_s"] == [1.0, 3.0] and found["windows"] == 1
    for window, said in (("4,6", "5.30 s"), ("3,1", "START,END"), ("1", "START,END")):
        assert said in auricle.refusal("predict", bundle, file, "--window", window)


def test_a_curve_is_csv_and_json(auricle, tmp_path):
    bundle = save(tmp_path / "bundle", target="dynamic")
    files = [write(tmp_path / "a.wav", 3.2), write(tmp_path / "b.wav", 1.0, seed=2)]
    text = auricle.output("predict", bundle, files[0], "--curve")
    lines = text.splitlines()
    assert lines[0] == "time_s,valence,arousal"
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    np.testing.assert_array_equal(table[:, 0], 0.5 * np.arange(6))
    status, text, _ = auricle("predict", bundle, *files, "--curve", "--json")
    found = [json.loads(line) for line in text.splitlines()]
    assert status == 0 and [len(each["curve"]["time_s"]) for each in found] == [6, 2]
    curve = np.stack([found[0]["curve"][name] for name in lines[0].split(",")], 1)
    np.testing.assert_allclose(table, curve, atol=5.1e-4)
    assert found[0]["valence"] == pytest.approx(curve[:, 1].mean())
    text = auricle.output("predict", bundle, files[0])
    assert text.count("\n") == 1 and "on 1 to 9" in text


def test_an_mp3_that_does_not_say_its_length_is_heard_whole(auricle, tmp_path):
    samples = np.concatenate([np.zeros(22050), 0.3 * song(6.0, rate=22050)]).astype("float32")
    whole, headless = tmp_path / "whole.mp3", tmp_path / "headless.mp3"
    write_headless_mp3(whole, headless, samples, 22050)
    assert len(read_recording(headless, RATE)) == pytest.approx(7.0 * RATE, abs=0.2 * RATE)
    bundle = save(tmp_path / "bundle")
    text = auricle.output("predict", bundle, headless, "--json")
    assert json.loads(text)["duration_s"] == pytest.approx(7.0, abs=0.2)


def test_a_bad_file_does_not_keep_the_others_back(auricle, tmp_path):
    bundle = save(tmp_path / "bundle")
    good = [write(tmp_path / f"{i}.wav", 0.5) for i in range(2)]
    predicts_past_bad_files(auricle, bundle, good)


# -- what is refused ---------------------------------------------------------------------------------


def test_a_curve_that_there_is_not(auricle, tmp_path):
    file = write(tmp_path / "a.wav", 1.0)
    static, labels = save(tmp_path / "static"), save(tmp_path / "labels", head="classifier")
    error = auricle.refusal("predict", static, file, "--curve")
    assert "--curve" in error and "target static" in error
    error = auricle.refusal("predict", labels, file, "--curve")
    assert "--curve" in error and "keyword_spotting" in error
    dynamic = save(tmp_path / "dynamic", target="dynamic")
    error = auricle.refusal("predict", dynamic, file, file, "--curve")
    assert "--curve" in error and "got 2" in error
    with pytest.raises(pretrained.BundleError, match="no curve over time"):
        predict_curve(pretrained.load(static), torch.zeros(RATE))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scale": None}, "its scale is None"),
        ({"scale": {"low": 9, "high": 1}}, "its scale is"),
        ({"scale": {"low": 1}}, "its scale is"),
        ({"target": "both"}, "its target is 'both'"),
        ({"target": "dynamic", "encoder": "linear"}, "linear gives one embedding per clip"),
    ],
)
def test_a_bundle_that_does_not_tell_enough(auricle, tmp_path, changes, says):
    bundle = save(tmp_path / "bundle", **changes)
    assert says in auricle.refusal("predict", bundle, write(tmp_path / "a.wav", 1.0))


def test_labels_and_values_are_not_mistaken_for_each_other(tmp_path):
    file = write(tmp_path / "a.wav", 1.0)
    with pytest.raises(pretrained.BundleError, match="music_emotion.*classification"):
        pretrained.load(save(tmp_path / "emotion")).predict_file(file)
    labels = pretrained.load(save(tmp_path / "labels", head="classifier"))
    with pytest.raises(pretrained.BundleError, match="keyword_spotting with the head 'classifier'"):
        predict_values(labels, torch.zeros(RATE))
