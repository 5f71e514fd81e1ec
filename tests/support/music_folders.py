"""Small folders in the layouts of the music emotion data sets, with short noisy songs."""

import csv

import numpy as np
import soundfile

RATE_HZ = 24000
SONG_S = 3.0
WINDOW_S = (1.0, 3.0)
TIMES_S = (1.0, 1.5, 2.0, 2.5)
# Some of two blocks of ids, and two of the third.
DEAM_IDS = [*range(2, 14), *range(1001, 1013), 2001, 2058]


def emotion_of(id):
    """Valence and arousal, -0.7..0.7, not correlated."""
    return tuple(np.random.default_rng(int(id)).uniform(-0.7, 0.7, 2))


def write_song(path, seed, seconds=SONG_S, rate_hz=RATE_HZ):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    samples = 0.1 * np.repeat(rng.standard_normal(round(seconds * 20)), rate_hz // 20)
    samples = samples * rng.standard_normal(len(samples))
    soundfile.write(path, samples.astype("float32"), rate_hz)


def write_table(path, header, rows, separator=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        file.write(separator.join(header) + "\n")
        csv.writer(file).writerows(rows)


def wide_tables(ids, path_of):
    columns = [f"sample_{round(1000 * t)}ms" for t in (*TIMES_S, 15.0)]
    for i, name in enumerate(("valence", "arousal")):
        rows = [[id, *(f"{emotion_of(id)[i] + 0.01 * t:.4f}" for t in TIMES_S), ""] for id in ids]
        write_table(path_of(name), ["song_id", *columns], rows)


def make_deam(folder, exchanged=True, underscores=False, ids=DEAM_IDS, audio=True):
    def plain(name):
        return name.replace(" ", "_") if underscores else name

    place = folder / "DEAM_Annotations" / "annotations" / plain("annotations averaged per song")
    header = ["song_id", "valence_mean", "valence_std", "arousal_mean", "arousal_std"]
    rows = {}
    for id in ids:
        valence, arousal = (round(5 + 4 * x, 1) for x in emotion_of(id))
        if exchanged and id <= 1000:
            valence, arousal = arousal, valence
        rows[id] = [id, valence, 1.0, arousal, 1.1]
    static = place / "song_level"
    name = "static_annotations_averaged_songs_{}.csv"
    early = [row for id, row in rows.items() if id <= 2000]
    write_table(static / name.format("1_2000"), header, early, ", ")
    late = [[row[0], 9, *row[1:]] for id, row in rows.items() if id > 2000]
    write_table(
        static / name.format("2000_2058"), ["song_id", "valence_max", *header[1:]], late, ", "
    )
    dynamic = place / plain("dynamic (per second annotations)")
    wide_tables(ids, lambda name: dynamic / f"{name}.csv")
    if audio:
        for id in ids:
            write_song(folder / "DEAM_audio" / "MEMD_audio" / f"{id}.mp3", id)
    return folder


def make_emomusic(folder, ids=range(2, 14), audio=True):
    info = [
        [id, f"{id}.mp3", f"Artist {chr(97 + id % 26)}", "Song", "0.00", "0.45", "Rock",
         "evaluation" if id % 4 == 0 else "development"]
        for id in ids
    ]  # fmt: skip
    header = "song_id,file_name,Artist,Song title,start of the segment (min.sec),"
    header += "end of the segment (min.sec),Genre,Mediaeval 2013 set"
    write_table(folder / "songs_info.csv", header.split(","), info)
    rows = [
        [id, round(5 + 4 * emotion_of(id)[1], 1), 1.0, round(5 + 4 * emotion_of(id)[0], 1), 1.1]
        for id in ids
    ]
    header = ["song_id", "mean_arousal", "std_arousal", "mean_valence", "std_valence"]
    write_table(folder / "static_annotations.csv", header, rows)
    wide_tables(ids, lambda name: folder / f"{name}_cont_average.csv")
    if audio:
        for id in ids:
            # Another encoding of the same song.
            write_song(folder / "clips_45seconds" / f"{id}.mp3", id)
    return folder


def make_pmemo(folder, ids=range(1, 13)):
    """Song 1 has no static label, song 2 lasts 1.5 s."""
    header = "musicId,fileName,title,artist,album,duration,chorus_start_time,chorus_end_time"
    rows = [[id, f"{id}.mp3", "Song", f"Artist {id}", "", 3, 0, 3] for id in ids]
    write_table(folder / "metadata.csv", header.split(","), rows)
    unit = {id: [(x + 1) / 2 for x in emotion_of(id)] for id in ids}
    rows = [[id, f"{unit[id][1]:.4f}", f"{unit[id][0]:.4f}"] for id in ids if id != 1]
    header = ["musicId", "Arousal(mean)", "Valence(mean)"]
    write_table(folder / "annotations" / "static_annotations.csv", header, rows)
    rows = [[id, t, f"{unit[id][1]:.4f}", f"{unit[id][0]:.4f}"] for id in ids for t in TIMES_S]
    write_table(
        folder / "annotations" / "dynamic_annotations.csv",
        ["musicId", "frameTime", *header[1:]],
        rows,
    )
    for id in ids:
        write_song(folder / "chorus" / f"{id}.mp3", id, 1.5 if id == 2 else SONG_S)
    return folder
