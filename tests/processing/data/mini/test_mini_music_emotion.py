"""The mini DEAM has the dataset's layout, and its sound and labels follow valence and arousal."""

import csv
import hashlib

import numpy as np
import pytest
import soundfile

from auricle.processing.data import mini
from auricle.processing.data.mini import music_emotion, music_score, music_tones
from auricle.processing.data.seeding import generator_for

RATE_HZ = 22050
SONGS = "DEAM_Annotations/annotations/annotations averaged per song"
STATIC = f"{SONGS}/song_level/static_annotations_averaged_songs_1_2000.csv"
DYNAMIC = f"{SONGS}/dynamic (per second annotations)"
PLAIN_ARTIST = music_score.Artist(0.8, 0.0, 0.2, 0.8)
NO_DEVIATION = music_score.Deviation(*[0.0] * 9, key=0)


@pytest.fixture(scope="module")
def corpus(tiny):
    folder = tiny("music_emotion")
    return folder, mini.mini_info(folder)


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, skipinitialspace=True))


def song(valence, arousal, seed=0, duration_s=6.0):
    """A song without deviations whose emotion stays the same."""
    return music_score.play(
        lambda t: valence,
        lambda t: arousal,
        duration_s,
        RATE_HZ,
        PLAIN_ARTIST,
        NO_DEVIATION,
        generator_for("song", seed),
    )


def centroid_hz(samples):
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float((power * np.fft.rfftfreq(len(samples), 1 / RATE_HZ)).sum() / power.sum())


# --- layout ---------------------------------------------------------------------------------------


def test_layout_is_the_datasets(corpus):
    folder, info = corpus
    audio = sorted((folder / "DEAM_audio" / "MEMD_audio").glob("*.mp3"), key=lambda p: int(p.stem))
    ids = [path.stem for path in audio]
    assert len(ids) == 24 == info["counts"]["songs"]
    assert [int(id) <= 1000 for id in ids].count(True) == info["counts"]["songs_2013"] == 10
    first_line = (folder / STATIC).read_text().splitlines()[0]
    assert first_line == "song_id, valence_mean, valence_std, arousal_mean, arousal_std"
    static = table(folder / STATIC)
    static += table(folder / STATIC.replace("1_2000", "2000_2058"))
    assert [row["song_id"] for row in static] == ids
    for row in static:
        assert 1 <= float(row["valence_mean"]) <= 9 and 1 <= float(row["arousal_mean"]) <= 9
        assert 0 <= float(row["valence_std"]) < 3
    for name in ("valence", "arousal"):
        rows = table(folder / DYNAMIC / f"{name}.csv")
        assert [row["song_id"] for row in rows] == ids
        assert list(rows[0])[1:3] == ["sample_15000ms", "sample_15500ms"]
        assert list(rows[0])[-1] == "sample_19500ms"
        assert all(-1 <= float(v) <= 1 for row in rows for v in list(row.values())[1:])
    assert "espeak" not in (folder / "README.md").read_text()


def test_audio_is_mp3_of_44_khz_and_20_s(corpus):
    channels = set()
    for path in sorted((corpus[0] / "DEAM_audio" / "MEMD_audio").glob("*.mp3")):
        header = soundfile.info(path)
        assert (header.format, header.samplerate) == ("MP3", 44100)
        assert header.frames == 20 * 44100
        channels.add(header.channels)
    assert channels == {1, 2}


def test_years_share_as_in_the_dataset():
    songs = music_emotion._songs(music_emotion.SIZES["small"].num_songs, seed=0)
    assert len(songs) == len({song.id for song in songs}) >= 200
    shares = [sum(song.year == year for song in songs) / len(songs) for year in (2013, 2014, 2015)]
    assert shares == pytest.approx([744 / 1802, 1000 / 1802, 58 / 1802], abs=0.005)
    levels = np.array([song.level for song in songs])
    assert 0.1 < np.corrcoef(levels.T)[0, 1] < 0.5
    assert (levels.std(0) > 0.35).all()


@pytest.mark.slow
def test_same_seed_same_bytes_and_other_seed_other_songs(corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(music_emotion.SIZES, "tiny", music_emotion.Size(2))

    def bytes_of(name, seed):
        folder = mini.write_mini("music_emotion", tmp_path / name, "tiny", seed)
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*.*")
            if path.is_file()
        }

    a, b = bytes_of("a", 0), bytes_of("b", 0)
    assert a == b and len(a) > 8
    ids = [[song.id for song in music_emotion._songs(20, seed)] for seed in (0, 0, 3)]
    assert ids[0] == ids[1] != ids[2]


def test_other_output_needs_another_generator_version(corpus):
    """Frozen from version 1: when this fails on purpose, raise GENERATOR_VERSION and freeze anew.

    Levels in dBFS instead of bytes, so that another processor's last bit is no failure.
    """
    paths = sorted(
        (corpus[0] / "DEAM_audio" / "MEMD_audio").glob("*.mp3"), key=lambda path: int(path.stem)
    )
    levels = {path.stem: 20 * np.log10(np.std(soundfile.read(path)[0])) for path in paths[::8]}
    assert music_emotion.GENERATOR_VERSION == 1
    assert levels == pytest.approx({"30": -11.34, "897": -18.72, "1384": -21.04}, abs=0.03)


# --- labels ---------------------------------------------------------------------------------------


def test_static_labels_are_the_truth_exchanged_up_to_id_1000(corpus):
    folder, info = corpus
    assert "exchanged" in info["static_exchanged"]
    for row in table(folder / STATIC):
        valence, arousal = info["truth"][row["song_id"]]
        if int(row["song_id"]) <= 1000:
            valence, arousal = arousal, valence
        assert float(row["valence_mean"]) == pytest.approx(5 + 4 * valence, abs=1.4)
        assert float(row["arousal_mean"]) == pytest.approx(5 + 4 * arousal, abs=1.4)


def test_listeners_err_but_not_together():
    songs = music_emotion._songs(200, seed=5)
    truth = np.array([5 + 4 * music_emotion._mean_emotion(song, 0) for song in songs])
    said = np.array([music_emotion._ratings(song, 0, 5) for song in songs])
    error = said[:, 0] - truth
    assert abs(error.mean()) < 0.1 and 0.2 < error.std() < 0.5
    assert 0.6 < said[:, 1].mean() < 1.4


def test_dynamic_labels_follow_the_song(corpus):
    folder, _ = corpus
    songs = {song.id: song for song in music_emotion._songs(24, seed=0)}
    for dimension, name in enumerate(("valence", "arousal")):
        rows = table(folder / DYNAMIC / f"{name}.csv")
        errors = [
            float(row[f"sample_{ms}ms"]) - songs[int(row["song_id"])].emotion(dimension, ms / 1000)
            for row in rows
            for ms in range(15000, 20000, 500)
        ]
        assert 0.02 < np.std(errors) < 0.15
        spread = [np.ptp([float(v) for v in list(row.values())[1:]]) for row in rows]
        assert max(spread) > 0.2, "nothing changes within a song"


# --- sound ----------------------------------------------------------------------------------------


def test_arousal_is_heard():
    """Loudness, brightness and events per second rise with it."""
    calm, wild = song(0.0, -0.8), song(0.0, 0.8)
    level_db = [20 * np.log10(np.std(x)) for x in (calm, wild)]
    assert level_db[1] - level_db[0] > 7
    assert centroid_hz(wild) > 1.3 * centroid_hz(calm)

    def onsets(samples):
        level = np.log(np.std(samples[: len(samples) // 441 * 441].reshape(-1, 441), 1) + 1e-4)
        return int((np.diff(level) > 0.3).sum())

    assert onsets(wild) > 1.5 * onsets(calm)


def test_valence_is_heard_in_the_thirds():
    """Major against minor: energy at the major and at the minor third over the key's note."""

    def thirds_db(valence):
        samples = np.concatenate([song(valence, -0.2, seed, 8.0) for seed in range(2)])
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
        freqs = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
        total = {3: 0.0, 4: 0.0}
        for semitones in total:
            for octave in range(3, 6):
                f = music_tones.midi_to_hz(12 * (octave + 1) + semitones)
                total[semitones] += power[np.abs(freqs / f - 1) < 0.012].sum()
        return 10 * np.log10(total[4] / total[3])

    assert thirds_db(0.6) > 3 > -3 > thirds_db(-0.4)


def test_valence_is_heard_in_the_register():
    assert centroid_hz(song(0.7, 0.0)) > 1.1 * centroid_hz(song(-0.7, 0.0))


def test_what_changes_within_a_song_changes_its_sound():
    samples = music_score.play(
        lambda t: 0.0,
        lambda t: -0.7 if t < 4 else 0.7,
        8.0,
        RATE_HZ,
        PLAIN_ARTIST,
        NO_DEVIATION,
        generator_for("step"),
    )
    first, second = samples[: 3 * RATE_HZ], samples[5 * RATE_HZ :]
    assert np.std(second) > 1.5 * np.std(first)
    assert centroid_hz(second) > 1.1 * centroid_hz(first)


def test_songs_of_one_emotion_differ():
    """The deviations: no single side of the music gives the emotion away."""
    levels, brightness = [], []
    for seed in range(6):
        rng = generator_for("deviation", seed)
        samples = music_score.play(
            lambda t: 0.0,
            lambda t: 0.0,
            3.0,
            RATE_HZ,
            music_score.draw_artist(rng),
            music_score.draw_deviation(rng),
            rng,
        )
        assert np.isfinite(samples).all() and np.abs(samples).max() <= 1
        levels.append(20 * np.log10(np.std(samples)))
        brightness.append(np.log2(centroid_hz(samples)))
    assert np.std(levels) > 1 and np.std(brightness) > 0.2


# --- tones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("frequency_hz", [82.4, 440.0, 3000.0])
def test_a_tone_has_its_frequency_and_nothing_beyond_half_the_rate(frequency_hz):
    timbre = music_tones.Timbre(8.0, 1.0, 0.0)
    samples = music_tones.tone(frequency_hz, RATE_HZ, RATE_HZ, timbre)
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    assert abs(int(power.argmax()) - frequency_hz) <= 1
    harmonic = np.zeros(len(power), bool)
    for k in range(1, 41):
        if k * frequency_hz < 0.46 * RATE_HZ:
            place = round(k * frequency_hz)
            harmonic[max(0, place - 4) : place + 5] = True
    assert power[~harmonic].sum() < 1e-3 * power.sum(), "partials are folded back"
    assert np.mean(samples**2) == pytest.approx(0.5, rel=0.02)


def test_detuning_beats_and_hollow_timbres_lack_even_partials():
    plain = music_tones.tone(440, RATE_HZ, RATE_HZ, music_tones.Timbre(8.0, 1.0, 0.0))
    hollow = music_tones.tone(440, RATE_HZ, RATE_HZ, music_tones.Timbre(8.0, 0.0, 0.0))
    rough = music_tones.tone(440, RATE_HZ, RATE_HZ, music_tones.Timbre(30.0, 0.0, 30.0))
    second = [np.abs(np.fft.rfft(x))[880] for x in (plain, hollow)]
    assert second[1] < 0.01 * second[0]
    level = np.std(rough[: RATE_HZ // 210 * 210].reshape(-1, 210), 1)
    assert level.min() < 0.3 * level.max()


def test_envelope_rises_decays_and_ends():
    shape = music_tones.envelope(RATE_HZ, RATE_HZ, attack_s=0.1, decay_s=0.5)
    assert shape[0] == 0 and shape[-1] == 0
    assert np.argmax(shape) == pytest.approx(0.1 * RATE_HZ, abs=2)
    assert shape[RATE_HZ * 8 // 10] / shape[RATE_HZ * 3 // 10] == pytest.approx(1 / np.e, rel=1e-3)
