"""Read the tables of EmoMusic ("1000 songs")."""

from .annotation_tables import Reader
from .corpus import Song, build_corpus
from .scales import DYNAMIC, ONE_TO_NINE

INFO = "songs_info.csv"
STATIC = "static_annotations.csv"

_SET = "mediaeval 2013 set"


def holds(tree):
    """Whether a folder holds EmoMusic."""
    return bool(tree.find(INFO)) and bool(tree.find(STATIC))


def read(tree):
    """Read the tables, and list the audio. () -> Corpus"""
    reader, songs = Reader(tree.root), {}
    info, static = tree.find_one(INFO), tree.find_one(STATIC)
    tables = [info, static]
    for id, row in reader.songs(info, ["song_id", "Artist", "Mediaeval 2013 set"], "row"):
        if row[_SET].lower() not in ("development", "evaluation"):
            reader.problem(
                info, "no set", f"song {id}: {_SET} is {row[_SET]!r}, not development or evaluation"
            )
        songs[id] = Song(id, artist=row["artist"], is_test=row[_SET].lower() == "evaluation")
    columns = ["mean_valence", "mean_arousal"]
    for id, row in reader.songs(static, ["song_id", *columns], "static label"):
        if id not in songs:
            reader.problem(static, "no set", f"song {id} is not in {INFO}")
        else:
            songs[id].static = reader.emotion(static, id, row, columns, ONE_TO_NINE)
    for dimension, path, by_song in reader.wide_tables(tree, "{}_cont_average.csv", DYNAMIC):
        tables.append(path)
        for id, series in by_song.items():
            if id in songs:
                songs[id].dynamic[dimension] = series
    scales = ONE_TO_NINE, DYNAMIC
    # 1,000 clips were published; 744 of them are labelled and different songs.
    return build_corpus("EmoMusic", tree, reader, songs, tables, scales, True)
