"""Write the mini DEAM: songs synthesised from valence and arousal, in the dataset's layout.

What is like the dataset: `DEAM_audio/MEMD_audio/<id>.mp3` at 44.1 kHz, mono or stereo; the two
static tables, with spaces in their header, of what listeners said once for a song on a scale from 1
to 9 (mean and standard deviation, further columns in the second); the wide dynamic tables at 2 Hz
from 15 s on, from -1 to 1; ids of three years (up to 1000, 2000, 2058); the metadata tables. As in
the dataset, valence and arousal of the static table are exchanged for ids up to 1000; mini.json
says so.

What is not: songs last 20 s instead of 45 s, so that mini.json names the windows that fit; the music
is as `music_score` makes it, and no human has heard it. A listener is the truth plus a bias and an
error of his own, rounded to whole numbers. What changes within a song is slow, and changes sound
and dynamic labels alike.

Bytes repeat with the same versions of numpy and libsndfile (which holds the mp3 encoder).
"""

import csv
import hashlib
import io
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from ..seeding import generator_for
from .music_score import draw_artist, draw_deviation, play

CORPUS = "music_emotion"
GENERATOR_VERSION = 1
"""Raise it with every change that changes bytes: the cache is keyed by it."""
ORIGIN = "the music is computed from random numbers for valence and arousal"

SAMPLE_RATE_HZ = 44100
DURATION_S = 20.0
WINDOW_S = {"static": (10.0, 20.0), "dynamic": (15.0, 20.0)}
LAST_EXCHANGED_ID = 1000

AUDIO_FOLDER = "DEAM_audio/MEMD_audio"
SONGS_FOLDER = "DEAM_Annotations/annotations/annotations averaged per song"
STATIC_FOLDER = f"{SONGS_FOLDER}/song_level"
DYNAMIC_FOLDER = f"{SONGS_FOLDER}/dynamic (per second annotations)"

_FIRST_DYNAMIC_S = 15.0
_DYNAMIC_STEP_S = 0.5
_NUM_LISTENERS = 10
_STEREO_EVERY = 8
# First and last id of the three years, and their shares of the dataset's 1,802 songs.
_YEARS = {2013: (2, 1000, 744), 2014: (1001, 2000, 1000), 2015: (2001, 2058, 58)}


class Size(NamedTuple):
    """How much there is of everything."""

    num_songs: int


SIZES = {"tiny": Size(24), "small": Size(320)}


class Song(NamedTuple):
    """A song: its number, its artist and how its emotion goes."""

    id: int
    year: int
    artist: str
    level: tuple[float, float]
    """Valence and arousal around which it moves, -1..1."""
    swing: tuple[tuple[float, float, float], ...]
    """For each of the two: amplitude, period in seconds, phase."""

    def emotion(self, dimension: int, time_s: float) -> float:
        """Valence (0) or arousal (1) at a time."""
        amplitude, period_s, phase = self.swing[dimension]
        turn = math.sin(2 * math.pi * time_s / period_s + phase)
        return min(1.0, max(-1.0, self.level[dimension] + amplitude * turn))


def write(folder: Path, size: str, seed: int) -> dict:
    """Write the corpus into an existing, empty folder; returns what mini.json shall say.

    Arguments
    ---------
    folder : Path
        Where to write.
    size : str
        A key of `SIZES`.
    seed : int
        Other seeds give other ids, artists and songs.
    """
    songs = _songs(SIZES[size].num_songs, seed)
    (folder / AUDIO_FOLDER).mkdir(parents=True)
    digest = hashlib.sha256()
    # The bar shows itself only if there is more than a second to wait.
    for i, song in enumerate(tqdm(songs, desc="mini DEAM", unit="song", delay=1, disable=None)):
        samples = _record(song, seed, stereo=i % _STEREO_EVERY == 0)
        digest.update(f"{song.id}".encode() + samples.astype("<i2").tobytes())
        path = folder / AUDIO_FOLDER / f"{song.id}.mp3"
        # As float: from 16-bit stereo, libsndfile 1.2.2 encodes what lies behind its buffer.
        soundfile.write(path, samples.astype(np.float32) / 32768, SAMPLE_RATE_HZ, format="MP3")
    _write_static(folder, songs, seed)
    _write_dynamic(folder, songs, seed)
    _write_metadata(folder, songs)
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "counts": {
            "songs": len(songs),
            **{f"songs_{year}": sum(s.year == year for s in songs) for year in _YEARS},
            "artists": len({song.artist for song in songs}),
            "duration_s": round(len(songs) * DURATION_S, 1),
        },
        "window_s": {target: list(window) for target, window in WINDOW_S.items()},
        "static_exchanged": f"valence and arousal are exchanged for ids up to {LAST_EXCHANGED_ID}, "
        "as in the dataset",
        "truth": {
            str(song.id): [round(_mean_emotion(song, d), 4) for d in (0, 1)] for song in songs
        },
        "clips_sha256": digest.hexdigest(),
    }


def _songs(num_songs: int, seed: int) -> list[Song]:
    """The songs by id; the years share as they do in the dataset."""
    rng = generator_for(CORPUS, seed, "ids")
    total = sum(share for _, _, share in _YEARS.values())
    counts = {year: round(num_songs * share / total) for year, (_, _, share) in _YEARS.items()}
    counts[2014] += num_songs - sum(counts.values())
    artists = [f"{_name(rng)} {_name(rng)}" for _ in range(max(2, round(0.7 * num_songs)))]
    songs = []
    for year, (first, last, _) in _YEARS.items():
        for id in sorted(rng.choice(np.arange(first, last + 1), counts[year], replace=False)):
            own = generator_for(CORPUS, seed, "emotion", int(id))
            # Uniform, so that no song is nearly neutral by default; listeners find loud music a
            # little happier than soft music, as in the dataset.
            arousal, other = own.uniform(-0.8, 0.8, 2)
            valence = 0.25 * arousal + 0.85 * other
            swing = tuple(
                (float(own.uniform(0.05, 0.3)), float(own.uniform(8, 20)), float(own.uniform(0, 6)))
                for _ in range(2)
            )
            artist = artists[int(own.integers(len(artists)))]
            songs.append(Song(int(id), year, artist, (float(valence), float(arousal)), swing))
    return songs


def _record(song: Song, seed: int, stereo: bool) -> np.ndarray:
    """() -> (T,) or (T, 2), int16"""
    rng = generator_for(CORPUS, seed, "song", song.id)
    samples = play(
        lambda t: song.emotion(0, t),
        lambda t: song.emotion(1, t),
        DURATION_S,
        SAMPLE_RATE_HZ,
        draw_artist(generator_for(CORPUS, seed, "artist", song.artist)),
        draw_deviation(rng),
        rng,
    )
    if stereo:
        delay = round(rng.uniform(0.0002, 0.0007) * SAMPLE_RATE_HZ)
        samples = np.stack([samples, np.roll(samples, delay) * rng.uniform(0.6, 1.0)], 1)
    return np.round(np.clip(samples, -1, 1) * 32000).astype(np.int16)


def _mean_emotion(song: Song, dimension: int) -> float:
    times = np.arange(0, DURATION_S, _DYNAMIC_STEP_S)
    return float(np.mean([song.emotion(dimension, t) for t in times]))


def _ratings(song: Song, dimension: int, seed: int) -> tuple[float, float]:
    """Mean and standard deviation (1/n) of what the listeners say, 1 to 9."""
    rng = generator_for(CORPUS, seed, "listeners", song.id, dimension)
    truth = 5 + 4 * _mean_emotion(song, dimension)
    ratings = truth + rng.normal(0, 0.7, _NUM_LISTENERS) + rng.normal(0, 0.8, _NUM_LISTENERS)
    ratings = np.clip(np.round(ratings), 1, 9)
    return float(ratings.mean()), float(ratings.std())


def _write_static(folder: Path, songs: list[Song], seed: int) -> None:
    (folder / STATIC_FOLDER).mkdir(parents=True)
    early, late = [], []
    for song in songs:
        valence, arousal = (_ratings(song, dimension, seed) for dimension in (0, 1))
        if song.id <= LAST_EXCHANGED_ID:
            valence, arousal = arousal, valence
        if song.year < 2015:
            early.append([song.id, *(f"{x:.4g}" for x in (*valence, *arousal))])
        else:
            row = [song.id]
            for mean, std in (valence, arousal):
                for shift in (0.0, 1.0, -1.0):
                    row += [f"{np.clip(mean + shift, 1, 9):.4g}", f"{std:.4g}"]
            late.append(row)
    names = [f"{dimension}{which}" for dimension in ("valence", "arousal")
             for which in ("", "_max", "_min")]  # fmt: skip
    columns = [f"{name}_{moment}" for name in names for moment in ("mean", "std")]
    header = ["valence_mean", "valence_std", "arousal_mean", "arousal_std"]
    for ids, names, rows in (("1_2000", header, early), ("2000_2058", columns, late)):
        path = folder / STATIC_FOLDER / f"static_annotations_averaged_songs_{ids}.csv"
        _write_table(path, ["song_id", *names], rows, ", ")


def _write_dynamic(folder: Path, songs: list[Song], seed: int) -> None:
    (folder / DYNAMIC_FOLDER).mkdir(parents=True)
    times = np.arange(_FIRST_DYNAMIC_S, DURATION_S, _DYNAMIC_STEP_S)
    header = ["song_id", *(f"sample_{round(1000 * t)}ms" for t in times)]
    for dimension, name in enumerate(("valence", "arousal")):
        rows = []
        for song in songs:
            rng = generator_for(CORPUS, seed, "curve", song.id, dimension)
            # What the listeners share: a bias, and an error that changes slowly.
            error = rng.normal(0, 0.06) + np.cumsum(rng.normal(0, 0.015, len(times)))
            truth = np.array([song.emotion(dimension, t) for t in times])
            values = np.clip(truth + error, -1, 1)
            rows.append([song.id, *(f"{value:.6g}" for value in values)])
        _write_table(folder / DYNAMIC_FOLDER / f"{name}.csv", header, rows)


def _write_metadata(folder: Path, songs: list[Song]) -> None:
    (folder / "metadata").mkdir()
    for year in _YEARS:
        rows = [
            [song.id, f"{song.id}.mp3", song.artist, f"Song {song.id}", "Synthetic"]
            for song in songs
            if song.year == year
        ]
        header = ["song_id", "file_name", "Artist", "Song title", "Genre"]
        _write_table(folder / "metadata" / f"metadata_{year}.csv", header, rows)


def _write_table(path: Path, header: list, rows: list[list], separator: str = ",") -> None:
    out = io.StringIO()
    out.write(separator.join(header) + "\n")  # spaces in the header alone, as in the dataset
    csv.writer(out, lineterminator="\n").writerows(rows)
    path.write_bytes(out.getvalue().encode())  # bytes: no \r on any system


def _name(rng: np.random.Generator) -> str:
    syllables = ("ba", "do", "fi", "ka", "le", "mo", "nu", "ri", "sa", "tu")
    return "".join(syllables[i] for i in rng.integers(len(syllables), size=3)).capitalize()
