"""Music emotion: layouts, splits, the exchange, the cache, every kind of bad input."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import music_folders as folders
import numpy as np
import pytest
import soundfile
import torch
from data_folders import edit, refusal
from music_folders import WINDOW_S, emotion_of

from auricle.processing.data.dataset import read_row
from auricle.processing.data.scan import AudioFile
from auricle.processing.scoring.regression.scales import from_unit, to_unit
from auricle.recipes.music_emotion import cache, corpus, datasets, protocols
from auricle.recipes.music_emotion import prepare as script
from auricle.recipes.music_emotion.annotation_tables import Reader
from auricle.recipes.music_emotion.corpus import Song
from auricle.recipes.music_emotion.datasets import read_corpus
from auricle.recipes.music_emotion.prepare import prepare, problems
from auricle.recipes.music_emotion.protocols import (
    DEAM_RANDOM,
    EMOMUSIC_OFFICIAL,
    MEDIAEVAL_2015,
    PMEMO_RANDOM,
    split_of_artist,
    splits_of,
)

RATE_HZ = 8000
AUDIO = "DEAM_audio/MEMD_audio"
STATIC = (
    "DEAM_Annotations/annotations/annotations averaged per song/song_level/"
    "static_annotations_averaged_songs_1_2000.csv"
)
DYNAMIC = (
    "DEAM_Annotations/annotations/annotations averaged per song/"
    "dynamic (per second annotations)/arousal.csv"
)


@pytest.fixture(scope="module")
def _deam(tmp_path_factory):
    return folders.make_deam(tmp_path_factory.mktemp("deam") / "data")


@pytest.fixture
def deam(_deam, tmp_path):
    """A small DEAM that the test may change."""
    return Path(shutil.copytree(_deam, tmp_path / "deam"))


@pytest.fixture(scope="module")
def emomusic(tmp_path_factory):
    return folders.make_emomusic(tmp_path_factory.mktemp("emomusic") / "data")


@pytest.fixture(scope="module")
def pmemo(tmp_path_factory):
    return folders.make_pmemo(tmp_path_factory.mktemp("pmemo") / "data")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def run(folder, out, protocol="deam-random", **options):
    return prepare(
        folder,
        out,
        protocol,
        **{"window_s": WINDOW_S, "sample_rate": RATE_HZ, "num_workers": 2, **options},
    )


# --- settings -------------------------------------------------------------------------------------


def test_good_settings():
    assert problems({}) == []
    good = {"protocol": "mediaeval-2015", "target": "dynamic", "swap_2013_static": False}
    assert problems({**good, "window_s": [0, 2.5], "short_clips": "shift", "data_seed": 3}) == []


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ({"protocol": "pmemo-randon"}, "did you mean 'pmemo-random'?"),
        ({"target": "both"}, "target is 'both'; it can be static or dynamic"),
        ({"protocol": "mediaeval-2015", "target": "static"}, "for target dynamic only"),
        ({"swap_2013_static": "yes"}, "swap_2013_static is 'yes'; it can be auto, true or false"),
        ({"window_s": [15, 15]}, "window_s is [15, 15]"),
        ({"window_s": 30}, "window_s is 30"),
        ({"window_s": [0, float("inf")]}, "window_s"),
        ({"short_clips": "pad"}, "short_clips is 'pad'; it can be error, shift or null"),
        ({"sample_rate": 44.1}, "sample_rate is 44.1"),
        ({"data_seed": -1}, "data_seed is -1"),
        ({"skip_broken": "no"}, "skip_broken is 'no'"),
    ],
)
def test_bad_settings(bad, expected):
    [problem] = problems(bad)
    assert expected in problem


def test_bad_settings_are_told_all_at_once(tmp_path):
    text = refusal(prepare, tmp_path, tmp_path / "out", "deam", target="all", window_s=(3, 2))
    assert text.count("\n") == 2


# --- scales ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [datasets.ONE_TO_NINE, datasets.ZERO_TO_ONE, datasets.DYNAMIC])
def test_scales_have_their_ends_and_an_inverse(scale):
    ends = torch.tensor([scale["low"], scale["high"]])
    assert to_unit(ends, scale).tolist() == [-1.0, 1.0]
    values = torch.linspace(scale["low"], scale["high"], 7)
    back = from_unit(to_unit(values, scale), scale)
    assert torch.allclose(back, values, atol=1e-6)


# --- DEAM -----------------------------------------------------------------------------------------


def test_deam(deam, out):
    record = run(deam, out)
    assert record.dataset == "DEAM" and record.completeness == "subset (26 of 1802 songs)"
    assert not record.comparable and record.scale == {"low": 1.0, "high": 9.0}
    rows = {row["id"]: row for row in record.rows()}
    assert set(rows) == {str(id) for id in folders.DEAM_IDS}
    for id, row in rows.items():
        # The labels of the right dimension, in both blocks: exchanged back where they were.
        found = [(row["valence"] - 5) / 4, (row["arousal"] - 5) / 4]
        assert found == pytest.approx(emotion_of(id), abs=0.02), id
        expected = [emotion_of(id)[0] + 0.01 * t for t in (1.0, 1.5, 2.0, 2.5)]
        assert row["dynamic_valence"] == pytest.approx(expected, abs=1e-3)
        assert (row["dynamic_start_s"], row["start_s"]) == (0.0, 1.0)
        assert row["duration_s"] == 2.0 and row["label"] == ""
        wav = read_row(row, record.roots, RATE_HZ)
        assert wav.shape == (2 * RATE_HZ,)
    assert sum(c["songs"] for c in record.counts.values()) == 26
    text = record.describe()
    assert "EXCHANGED BACK" in text and "1 to 3 s at 8000 Hz" in text and "1 to 9" in text


def test_both_spellings_of_the_folders_are_one(deam, out, tmp_path):
    other = folders.make_deam(tmp_path / "other", underscores=True, audio=False)
    shutil.move(deam / "DEAM_audio", other / "audio")
    shutil.copytree(other / "audio", deam / "DEAM_audio")
    assert run(deam, out).digest == run(other, tmp_path / "out2").digest


@pytest.mark.parametrize(
    ("really", "setting", "expected"),
    [
        (True, "auto", True),
        (False, "auto", False),
        (True, False, False),
        (True, True, True),
        (False, True, True),
    ],
)
def test_the_exchange_is_decided_and_stored(deam, out, tmp_path, really, setting, expected):
    if not really:
        folders.make_deam(deam, exchanged=False, audio=False)
    record = run(deam, out, swap_2013_static=setting)
    assert record.exchange["exchanged"] is expected
    assert record.exchange["setting"] == setting
    assert json.loads((out / "prepare.json").read_text())["exchange"]["exchanged"] is expected
    row = next(row for row in record.rows() if row["id"] == "12")
    right = really == expected
    assert (abs((row["valence"] - 5) / 4 - emotion_of(12)[0]) < 0.02) == right
    against = [note for note in record.notes if "against what the dynamic labels say" in note]
    assert bool(against) is not right


def test_auto_without_dynamic_labels_asks(deam, out):
    shutil.rmtree((deam / DYNAMIC).parent)
    text = refusal(run, deam, out)
    assert "swap_2013_static auto cannot tell" in text and "needs true" in text
    record = run(deam, out, swap_2013_static=True)
    assert record.rows()[0]["dynamic_valence"] == []


@pytest.mark.slow
def test_mini_deam_names_its_window(tiny, out):
    record = prepare(tiny("music_emotion"), out, sample_rate=RATE_HZ)
    assert record.dataset == "mini DEAM" and record.completeness == "mini"
    assert record.window_s == (10.0, 20.0) and not record.comparable
    assert record.exchange["exchanged"]
    assert [c["songs"] for c in record.counts.values()] == [16, 4, 4]
    dynamic = prepare(
        tiny("music_emotion"), out, "mediaeval-2015", target="dynamic", sample_rate=RATE_HZ
    )
    assert dynamic.window_s == (15.0, 20.0)
    assert {len(row["dynamic_arousal"]) for row in dynamic.rows()} == {10}
    assert {int(row["id"]) > 2000 for row in dynamic.rows("test")} == {True}


# --- EmoMusic and PMEmo ---------------------------------------------------------------------------


def test_emomusic(emomusic, out):
    record = run(emomusic, out, "emomusic-official")
    rows = {row["id"]: row for row in record.rows()}
    assert {id for id, row in rows.items() if row["split"] == "test"} == {"4", "8", "12"}
    for id, row in rows.items():
        # Arousal comes first in its table.
        found = [(row["valence"] - 5) / 4, (row["arousal"] - 5) / 4]
        assert found == pytest.approx(emotion_of(id), abs=0.02)
        assert (
            row["speaker"] == f"Artist {chr(97 + int(id) % 26)}"
            and len(row["dynamic_valence"]) == 4
        )
        if row["split"] != "test":
            assert row["split"] == split_of_artist(row["speaker"])
    assert not record.exchange["exchanged"]
    assert "xchanged" not in record.describe(), "that is of DEAM alone"


def test_emomusic_audio_without_labels_is_as_published(emomusic, out, tmp_path):
    folder = Path(shutil.copytree(emomusic, tmp_path / "emomusic"))
    folders.write_song(folder / "clips_45seconds" / "999.mp3", 999)
    record = run(folder, out, "emomusic-official")
    assert any("1 audio files are in no table" in note for note in record.notes)


def test_pmemo(pmemo, out):
    record = run(pmemo, out, "pmemo-random")
    assert record.scale == {"low": 0.0, "high": 1.0}
    rows = {row["id"]: row for row in record.rows()}
    assert "1" not in rows and len(rows) == 11
    assert any("1 songs have no static labels" in note for note in record.notes)
    for id, row in rows.items():
        found = to_unit(np.array([row["valence"], row["arousal"]]), record.scale)
        assert found == pytest.approx(emotion_of(id), abs=1e-3)
    # A chorus shorter than the window is taken whole, and its labels move with it.
    assert rows["2"]["start_s"] == 0.0 and rows["2"]["duration_s"] == 1.5
    assert rows["2"]["dynamic_start_s"] == 1.0 and len(rows["2"]["dynamic_valence"]) == 1
    assert record.decoded["shifted"] == 1
    dynamic = run(pmemo, out, "pmemo-random", target="dynamic")
    assert "1" in {row["id"] for row in dynamic.rows()}


# --- splits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [DEAM_RANDOM, PMEMO_RANDOM])
def test_random_splits_have_their_sizes(protocol):
    songs = [Song(str(id)) for id in range(2, 2 + sum(protocol.shares))]
    splits = splits_of(songs, protocol, seed=0)
    counts = Counter(splits.values())
    assert tuple(counts[split] for split in ("train", "valid", "test")) == protocol.shares
    assert splits == splits_of(songs[::-1], protocol, seed=0)
    other = splits_of(songs, protocol, seed=1)
    assert sum(splits[id] != other[id] for id in splits) > len(songs) / 5
    fewer = splits_of(songs[3:], protocol, seed=0)
    assert sum(splits[id] != fewer[id] for id in fewer) <= 6


def test_mediaeval_tests_on_2015():
    ids = [*range(2, 746), *range(1001, 2059)]
    songs = [Song(str(id), is_test=id > 2000) for id in ids]
    splits = splits_of(songs, MEDIAEVAL_2015, seed=0)
    assert {int(id) for id, split in splits.items() if split == "test"} == set(range(2001, 2059))
    assert Counter(splits.values())["valid"] == 262


def test_artists_are_in_one_split():
    songs = [Song(str(id), artist=f"Band {chr(97 + id % 26)}") for id in range(300)]
    songs += [Song(str(id), artist="x", is_test=True) for id in range(300, 320)]
    splits = splits_of(songs, EMOMUSIC_OFFICIAL, seed=0)
    by_artist = {}
    for song in songs[:300]:
        by_artist.setdefault(song.artist, set()).add(splits[song.id])
    assert all(len(found) == 1 for found in by_artist.values())
    share = Counter(splits[song.id] for song in songs[:300])["valid"] / 300
    assert 0.05 < share < 0.4
    assert {splits[song.id] for song in songs[300:]} == {"test"}
    digest = int(hashlib.sha1(b"the beatles").hexdigest(), 16)
    assert split_of_artist(" The  Beatles 1!") == ("train" if digest % 10 < 8 else "valid")


# --- cache ----------------------------------------------------------------------------------------


def test_a_second_run_reads_only_the_cache(deam, out, monkeypatch):
    first = run(deam, out)
    monkeypatch.setattr(cache, "read_audio", forbidden)
    again = run(deam, out)
    assert again == first
    # Another split of the same songs needs no decoding either.
    assert run(deam, out, seed=4).digest != first.digest


def forbidden(path, **how):
    raise AssertionError(f"{path} is decoded again")


def test_an_interrupted_run_goes_on_where_it_stopped(deam, out, monkeypatch, watched):
    decoded = []
    read = cache.read_audio

    def read_some(path, **how):
        if len(decoded) == 5:
            raise KeyboardInterrupt
        decoded.append(path)
        return read(path, **how)

    monkeypatch.setattr(cache, "read_audio", read_some)
    with pytest.raises(KeyboardInterrupt):
        run(deam, out, num_workers=1)
    assert len(decoded) == 5
    monkeypatch.setattr(cache, "read_audio", read)
    rest = watched(cache, "read_audio")
    run(deam, out)
    assert len(rest) == 26 - 5 and not set(decoded) & {path for (path,) in rest}


def test_what_changed_is_decoded_again(deam, out, watched):
    run(deam, out)
    folders.write_song(deam / AUDIO / "5.mp3", 77, 3.2)
    (out / "audio" / "deam" / "1-3s-8000hz" / "6.wav").unlink()
    (out / "audio" / "deam" / "1-3s-8000hz" / "7.wav").write_bytes(b"half")
    decoded = watched(cache, "read_audio")
    run(deam, out)
    assert sorted(Path(path).stem for (path,) in decoded) == ["5", "6", "7"]
    clip = out / "audio" / "deam" / "1-3s-8000hz" / "8.wav"  # as long as before, and silent
    whole = clip.read_bytes()
    clip.write_bytes(whole[:44] + bytes(len(whole) - 44))
    run(deam, out)
    assert [Path(path).stem for (path,) in decoded[3:]] == ["8"] and clip.read_bytes() == whole


def test_songs_without_an_artist_and_labels_off_the_grid_are_counted():
    songs = {id: Song(id, artist=artist) for id, artist in (("1", "a"), ("2", ""))}
    assert corpus._losses(songs) == ["1 of 2 songs have no artist: 2"]
    songs["1"].artist = ""
    assert corpus._losses(songs) == []  # tables that say no artist at all have lost none
    series = {0.5: 0.1, 1.0: 0.2, 1.2: 0.3}
    song = Song("1", dynamic={"valence": series, "arousal": series})
    row = {"start_s": "0", "duration_s": 2.0, **script._labels_in_window(song, 0, 2)}
    assert script._count_labels(row) == 2 and script._off_grid(song, row) == 1


def test_a_row_of_metadata_that_cannot_be_read_is_a_note(tmp_path):
    (tmp_path / "m.csv").write_text("song_id,artist\n1,A, B\n2,C\n")
    reader = Reader(tmp_path)
    assert [row["artist"] for row in reader.rows(tmp_path / "m.csv", [], decisive=False)] == ["C"]
    assert "m.csv, line 2" in reader.notes[0] and not reader.problems


def test_what_tables_have_lost_is_said(deam, out):
    assert not any("alone" in note or "over time" in note for note in run(deam, out).notes)
    text = (deam / DYNAMIC).read_text().splitlines()
    text[1] = text[1].rsplit(",", 1)[0] + ",nan"
    (deam / DYNAMIC).write_text("\n".join(text[: len(text) // 2]))
    notes = "\n".join(run(deam, out).notes)
    assert "labels over time are of valence or of arousal alone" in notes
    assert "1 labels are NaN" in notes
    for name in ("valence", "arousal"):
        path = deam / DYNAMIC.replace(DYNAMIC.rsplit("/")[-1], f"{name}.csv")
        path.write_text("\n".join(path.read_text().splitlines()[:9]))
    assert "with a static label have none over time" in "\n".join(run(deam, out).notes)


def test_the_clip_is_the_window_of_the_song(tmp_path):
    """A tone that changes at the window's ends, stereo, to another rate."""
    rate, t = 44100, np.arange(4 * 44100) / 44100
    tone = 0.5 * np.sin(2 * np.pi * np.where((t >= 1) & (t < 3), 440, 2000) * t)
    path = tmp_path / "1.wav"
    soundfile.write(path, np.stack([tone, tone * 0.5], 1), rate)
    stat = path.stat()
    song = Song("1", audio=cache_file(path, stat))
    window = cache.Window(1.0, 3.0, 16000)
    clip = cache.decode_songs([song], tmp_path / "cache", window)["1"]
    wav, found_rate = soundfile.read(tmp_path / "cache" / cache.clip_path(window, "1"))
    assert (len(wav), found_rate, clip.num_samples) == (32000, 16000, 32000)
    expected = 0.375 * np.sin(2 * np.pi * 440 * (1 + np.arange(32000) / 16000))
    assert np.abs(wav - expected)[200:-200].max() < 2e-3
    assert (clip.start_s, clip.song_s, clip.padded_samples) == (1.0, 4.0, 0)


def cache_file(path, stat):
    return AudioFile(path.name, str(path), stat.st_size, stat.st_mtime_ns)


@pytest.mark.parametrize(
    ("seconds", "short_clips", "expected"),
    [
        (2.8, "error", (2.0, 1.0, True)),  # padded: encoders round lengths
        (2.4, "error", "short"),
        (2.4, "shift", (2.0, 0.4, False)),
        (1.5, "shift", (1.5, 0.0, False)),
        (0.5, "shift", "short"),
    ],
)
def test_short_clips(tmp_path, seconds, short_clips, expected):
    path = tmp_path / "1.wav"
    folders.write_song(path, 1, seconds)
    song = Song("1", audio=cache_file(path, path.stat()))
    window = cache.Window(1.0, 3.0, RATE_HZ, short_clips)
    clip = cache.decode_songs([song], tmp_path, window)["1"]
    if expected == "short":
        assert clip.kind == "short" and f"lasts {seconds:.2f} s" in str(clip)
    else:
        found = (clip.num_samples / RATE_HZ, round(clip.start_s, 3), clip.padded_samples > 0)
        assert found == expected


# --- bad input ------------------------------------------------------------------------------------


def break_truncated(deam):
    path = deam / AUDIO / "2.mp3"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return "broken audio, truncated (1)", "MEMD_audio/2.mp3: is cut off"


def break_no_audio(deam):
    (deam / AUDIO / "3.mp3").unlink()
    return "missing audio (1)", "song 3 is in the tables and has no audio file"


def break_no_row(deam):
    folders.write_song(deam / AUDIO / "1999.mp3", 4)
    return "audio without a row (1)", "MEMD_audio/1999.mp3: no table has a row"


def break_scale(deam):
    edit(deam / STATIC, "\n4,", "\n4,9")
    return "label outside the scale (1)", "song 4: valence_mean is 9"


def break_dynamic_scale(deam):
    text = (deam / DYNAMIC).read_text().splitlines()
    text[1] = text[1].replace(text[1].split(",")[1], "-1.5", 1)
    (deam / DYNAMIC).write_text("\n".join(text))
    return "label outside the scale (1)", "is -1.5, the scale goes from -1 to 1"


def break_number(deam):
    text = (deam / STATIC).read_text().splitlines()
    text[4] = "5,,1,5,1"
    (deam / STATIC).write_text("\n".join(text))
    return "no number (1)", "song 5: valence_mean is ''"


def break_decimal_commas(deam):
    text = (deam / STATIC).read_text().splitlines()
    text[4] = "5,2,9,1,221,3,1,342"
    (deam / STATIC).write_text("\n".join(text))
    return "more cells than columns (1)", "line 5: 8 cells for 5 columns"


def break_twice(deam):
    with open(deam / STATIC, "a") as file:
        file.write("1012,5,1,5,1\n")
    return "there twice (1)", "song 1012 has more than one static label"


def break_audio_twice(deam):
    shutil.copy(deam / AUDIO / "6.mp3", deam / AUDIO / "0006.mp3")
    return "there twice (1)", "keep one of them"


def break_short(deam):
    folders.write_song(deam / AUDIO / "7.mp3", 7, 2.0)
    return "clip shorter than the window (1)", "MEMD_audio/7.mp3: lasts 2.00 s"


def break_not_audio(deam):
    (deam / AUDIO / "8.mp3").write_text("hello" * 100)
    return "broken audio, not_audio (1)", "MEMD_audio/8.mp3"


BREAKS = [
    break_truncated, break_no_audio, break_no_row, break_scale, break_dynamic_scale, break_number,
    break_decimal_commas, break_twice, break_audio_twice, break_short, break_not_audio,
]  # fmt: skip


@pytest.fixture(scope="module")
def decoded(_deam, tmp_path_factory):
    """A cache of the whole songs, so that each break decodes what it broke."""
    folder = tmp_path_factory.mktemp("decoded")
    run(_deam, folder / "out", cache_folder=folder / "cache")
    return folder / "cache"


@pytest.mark.parametrize("spoil", BREAKS, ids=lambda f: f.__name__.removeprefix("break_"))
def test_bad_input_is_named_or_skipped(deam, out, decoded, tmp_path, spoil):
    shutil.copytree(decoded, tmp_path / "cache")
    kind, reason = spoil(deam)
    text = refusal(run, deam, out, cache_folder=tmp_path / "cache")
    assert kind in text and reason in text and "--skip_broken true" in text
    record = run(deam, out, cache_folder=tmp_path / "cache", skip_broken=True)
    assert len(record.skipped) == 1 and reason in record.skipped[0]["reason"]
    assert "skipped 1:" in record.describe()
    assert len(record.rows()) >= 25


def test_a_song_under_two_ids_is_refused_or_leaves_training(deam, out, decoded, tmp_path):
    whole = run(deam, out, cache_folder=decoded)
    first = {split: whole.rows(split)[0]["id"] for split in ("train", "test")}
    shutil.copy(deam / AUDIO / f"{first['test']}.mp3", deam / AUDIO / f"{first['train']}.mp3")
    shutil.copytree(decoded, tmp_path / "cache")
    text = refusal(run, deam, out, cache_folder=tmp_path / "cache")
    assert f"identical recordings in test, e.g. {first['train']}" in text and "two ids" in text
    record = run(deam, out, cache_folder=tmp_path / "cache", skip_broken=True)
    assert record.overlap == {"left out of train: identical recordings in test": 1}
    assert first["train"] not in {row["id"] for row in record.rows()}


def test_all_bad_input_is_told_at_once(deam, out):
    found = [
        spoil(deam)
        for spoil in BREAKS
        if spoil not in (break_number, break_twice, break_decimal_commas)
    ]
    text = refusal(run, deam, out)
    for _, reason in found:
        assert reason in text


def test_times_that_are_none_are_named(pmemo, out, tmp_path):
    folder = Path(shutil.copytree(pmemo, tmp_path / "pmemo"))
    edit(folder / "annotations" / "dynamic_annotations.csv", "\n3,1.0,", "\n3,soon,")
    text = refusal(run, folder, out, "pmemo-random")
    assert "no number (1)" in text and "song 3: frameTime is 'soon'" in text


def test_missing_columns_of_all_tables_are_named(deam, out):
    edit(deam / STATIC, "arousal_mean", "arousal")
    edit(deam / DYNAMIC, "song_id", "id")
    text = refusal(run, deam, out)
    assert "1_2000.csv has no column arousal_mean; it has song_id, valence_mean" in text
    assert "arousal.csv has no column song_id" in text


def test_what_is_not_there(tmp_path, emomusic, out):
    assert "does not exist" in refusal(run, tmp_path / "nowhere", out)
    (tmp_path / "empty").mkdir()
    assert "none of the data sets, not DEAM" in refusal(run, tmp_path / "empty", out)
    text = refusal(run, emomusic, out, "pmemo-random")
    assert "holds EmoMusic, not PMEmo: choose --protocol emomusic-official" in text


def test_the_songs_of_a_folder_do_not_depend_on_where_it_lies(deam, tmp_path):
    shutil.move(deam, tmp_path / "features" / "deam")
    assert len(read_corpus(tmp_path / "features" / "deam").songs) == 26


# --- command line ---------------------------------------------------------------------------------


def test_the_script_prints_the_decision(deam, out, capsys):
    script.main([
        str(deam), str(out), "--window_s", "1", "3", "--sample_rate", "8000", "--seed", "2",
    ])  # fmt: skip
    text = capsys.readouterr().out
    assert "EXCHANGED BACK" in text and "data seed 2" in text and "manifest.csv" in text
    with pytest.raises(SystemExit, match="did you mean"):
        script.main([str(deam), str(out), "--protocol", "deam-randomm"])


def test_protocols_say_what_they_are():
    for name, protocol in protocols.PROTOCOLS.items():
        assert protocol.remark and name == "table" or sum(protocol.shares) in (1802, 744, 767)
