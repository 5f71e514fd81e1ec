"""`auricle check labels` and `check leakage`: what they find, print, and return."""

import json
import shutil

import music_folders as folders
import numpy as np
import pytest
import soundfile

from auricle.recipes.music_emotion.corpus import Corpus, Song
from auricle.recipes.music_emotion.datasets import DYNAMIC, ONE_TO_NINE, read_corpus
from auricle.recipes.music_emotion.labels import check_agreement, decide_exchange, exchange
from auricle.recipes.music_emotion.leakage import find_shared, fingerprint
from auricle.recipes.music_emotion.prepare import prepare


def corpus_of(ids, read, dataset="DEAM", noise=0.05):
    """Songs whose static labels are `read` of (valence, arousal) and noise."""
    rng = np.random.default_rng(0)
    songs = {}
    for id in ids:
        v, a = rng.uniform(-0.8, 0.8, 2)
        v = 0.5 * a + 0.5 * v  # as correlated as in the data set
        static = tuple(5 + 4 * (x + rng.normal(0, noise)) for x in read(v, a))
        dynamic = {"valence": {15.0: v - 0.1, 15.5: v + 0.1}, "arousal": {15.0: a}}
        songs[str(id)] = Song(str(id), static, dynamic)
    scales = {"static": ONE_TO_NINE, "dynamic": DYNAMIC}
    return Corpus(dataset, None, songs, scales, [], [])


def straight(v, a):
    return v, a


def swapped(v, a):
    return a, v


# --- labels ---------------------------------------------------------------------------------------


def test_correlations_by_hand():
    """Static valence is dynamic arousal but for one song; numpy's own correlation agrees."""
    corpus = corpus_of(range(1, 31), swapped)
    [block] = check_agreement(corpus)
    static = np.array([song.static for song in corpus.songs.values()])
    dynamic = np.array(
        [
            [np.mean(list(song.dynamic[d].values())) for d in ("valence", "arousal")]
            for song in corpus.songs.values()
        ]
    )
    r = np.corrcoef(static.T, dynamic.T)[:2, 2:]
    assert block.correlation["valence"]["arousal"] == pytest.approx(r[0, 1])
    assert block.correlation["arousal"]["arousal"] == pytest.approx(r[1, 1])
    assert block.mean_correlation[1] == pytest.approx((r[0, 1] + r[1, 0]) / 2)
    assert (block.name, block.songs, block.verdict) == ("1-1000", 30, "exchanged")


def test_each_block_is_judged_for_itself():
    corpus = corpus_of([*range(2, 50), *range(1001, 1050), *range(2001, 2005)], straight)
    exchange(corpus)
    assert [(b.name, b.verdict) for b in check_agreement(corpus)] == [
        ("1-1000", "exchanged"),
        ("1001-2000", "straight"),
        ("from 2001", "too few songs"),
    ]
    assert decide_exchange(corpus, "auto")[0] is True
    exchange(corpus)
    assert decide_exchange(corpus, "auto")[0] is False
    assert [b.verdict for b in check_agreement(corpus)][:2] == ["straight", "straight"]


def test_noise_and_constants_decide_nothing():
    noise = corpus_of(range(2, 100), lambda v, a: (0.0, 0.0), noise=0.3)
    [block] = check_agreement(noise)
    assert block.verdict == "undecided"
    with pytest.raises(ValueError, match=r"cannot tell .* \(undecided\)"):
        decide_exchange(noise, "auto")
    constant = corpus_of(range(2, 100), lambda v, a: (0.0, 0.0), noise=0.0)
    [block] = check_agreement(constant)
    assert block.verdict == "undecided" and block.correlation["valence"]["valence"] == 0.0


def test_other_data_sets_are_one_block_and_are_not_exchanged():
    corpus = corpus_of([*range(2, 20), *range(1500, 1520)], swapped, "EmoMusic")
    [block] = check_agreement(corpus)
    assert (block.songs, block.verdict) == (38, "exchanged")
    assert decide_exchange(corpus, "auto")[0] is False


@pytest.mark.parametrize(("exchanged", "status"), [(True, 1), (False, 0)])
def test_check_labels(auricle, tmp_path, exchanged, status):
    folder = folders.make_deam(tmp_path / "deam", exchanged=exchanged, audio=False)
    found, text, _ = auricle("check", "labels", folder)
    assert found == status
    assert ("are EXCHANGED; swap_2013_static" in text) is exchanged
    assert ("no block is exchanged" in text) is not exchanged
    found, text, _ = auricle("check", "labels", folder, "--json")
    blocks = json.loads(text)["blocks"]
    assert found == status
    assert [b["ids"] for b in blocks] == ["1-1000", "1001-2000", "from 2001"]
    crossed = "arousal" if exchanged else "valence"
    assert blocks[0]["correlation"]["valence"][crossed] > 0.99


def test_check_labels_of_emomusic_and_pmemo(auricle, tmp_path):
    folders.make_emomusic(tmp_path / "emomusic", audio=False)
    assert auricle("check", "labels", tmp_path / "emomusic")[0] == 0
    shutil.rmtree(folders.make_pmemo(tmp_path / "pmemo") / "chorus")
    assert auricle("check", "labels", tmp_path / "pmemo")[0] == 0


def test_check_labels_of_what_cannot_be_checked(auricle, tmp_path):
    assert "none of the data sets" in auricle.refusal("check", "labels", tmp_path)
    folder = folders.make_deam(tmp_path / "deam", audio=False)
    for path in folder.rglob("dynamic*/*.csv"):
        path.unlink()
    assert "static and dynamic labels" in auricle.refusal("check", "labels", folder)
    few = folders.make_deam(tmp_path / "few", ids=range(2, 6), audio=False)
    status, text, _ = auricle("check", "labels", few)
    assert status == 1 and "too few songs to tell" in text


# --- leakage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["leakage", "A"], "auricle check leakage A B"),
        (["labels", "A", "B"], "'B' is for auricle check leakage"),
        (["frontend", "mel", "--no-audio"], "--no-audio is for auricle check leakage"),
        (["labels", "A", "--options", '{"x": 1}'], "--options is for lobes only"),
    ],
)
def test_wrong_words(auricle, words, expected):
    assert expected in auricle.refusal("check", *words)


@pytest.mark.slow
def test_emomusic_is_in_deam_by_number_and_by_sound(auricle, tmp_path):
    ids = range(2, 8)
    deam = folders.make_deam(tmp_path / "deam", ids=[*ids, 1001])
    emomusic = folders.make_emomusic(tmp_path / "emomusic", ids=range(4, 10), audio=False)
    status, text, _ = auricle("check", "leakage", deam, emomusic)
    assert status == 1 and "4 songs are shared" in text and "sounds are not compared" in text
    for id in range(4, 10):
        folders.write_song(emomusic / "clips_45seconds" / f"{id}.mp3", id, 8.0, 44100)
        folders.write_song(deam / "DEAM_audio" / "MEMD_audio" / f"{id}.mp3", id, 8.0, 44100)
    status, text, _ = auricle("check", "leakage", deam, emomusic, "--json")
    shared = {(song["a"], song["b"]): song["reason"] for song in json.loads(text)["shared"]}
    assert shared.pop(("4", "4")) == "same id and same audio"
    assert set(shared) == {(str(id), str(id)) for id in range(5, 8)}


def test_numbers_of_other_data_sets_mean_other_songs(auricle, tmp_path):
    deam = folders.make_deam(tmp_path / "deam", ids=range(2, 8), audio=False)
    pmemo = folders.make_pmemo(tmp_path / "pmemo", ids=range(1, 4))
    status, text, error = auricle("check", "leakage", deam, pmemo)
    assert status == 2 and "mean different songs" in error and "need their audio" in error
    assert find_shared(read_corpus(deam), read_corpus(pmemo), audio=False) == []
    other = folders.make_deam(tmp_path / "other", ids=range(1001, 1004), audio=False)
    assert auricle("check", "leakage", deam, other)[0] == 0


def test_fingerprints_survive_encoding_level_and_rate_and_tell_songs_apart(tmp_path):
    def play(name, seed, rate_hz, gain, **options):
        rng = np.random.default_rng(seed)
        t = np.arange(10 * rate_hz) / rate_hz
        samples = np.zeros(len(t))
        for start in np.arange(0, 10, 0.25):
            now = (t >= start) & (t < start + 0.25)
            for f in rng.uniform(150, 3500, 5):
                samples[now] += rng.uniform(0.2, 1) * np.sin(2 * np.pi * f * t[now])
        path = tmp_path / name
        soundfile.write(path, (0.05 * gain * samples).astype("float32"), rate_hz, **options)
        return fingerprint(path)

    def agreement(one, other):
        frames = min(len(one), len(other))
        products = one[:frames].astype(int) * other[:frames]
        assert np.abs(products).sum() > 150
        return (products.sum() / np.abs(products).sum() + 1) / 2

    first = play("a.wav", 0, 44100, 1.0)
    low = {"bitrate_mode": "CONSTANT", "compression_level": 0.8}
    assert agreement(first, play("b.mp3", 0, 44100, 0.3, **low)) > 0.9
    assert agreement(first, play("c.wav", 0, 16000, 1.0)) > 0.9
    assert abs(agreement(first, play("d.wav", 1, 44100, 1.0)) - 0.5) < 0.1


@pytest.mark.slow
def test_prepare_leaves_out_what_is_tested_on(tmp_path):
    deam = folders.make_deam(tmp_path / "deam")
    emomusic = folders.make_emomusic(tmp_path / "emomusic", ids=[3, 5, 6, 900], audio=False)
    options = {"window_s": folders.WINDOW_S, "sample_rate": 8000}
    record = prepare(deam, tmp_path / "out", exclude_leakage=emomusic, **options)
    ids = {row["id"] for row in record.rows()}
    assert ids == {str(id) for id in folders.DEAM_IDS} - {"3", "5", "6"}
    assert any(note.startswith("3 songs are also in") for note in record.notes)
    assert len(prepare(deam, tmp_path / "out", **options).rows()) == len(folders.DEAM_IDS)
