"""Read the tables of PMEmo: choruses, arousal before valence, labels from 0 to 1."""

from .annotation_tables import Reader
from .corpus import Song, build_corpus
from .scales import ZERO_TO_ONE

METADATA = "metadata.csv"
STATIC = "static_annotations.csv"
DYNAMIC = "dynamic_annotations.csv"

_TIMES_S = {"low": 0.0, "high": 36000.0}
_VALUES = ("Valence(mean)", "Arousal(mean)")


def holds(tree):
    """Whether a folder holds PMEmo."""
    return bool(tree.find(METADATA)) and bool(tree.find(STATIC)) and not tree.find("songs_info.csv")


def read(tree):
    """Read the tables, and list the audio. () -> Corpus"""
    reader, songs = Reader(tree.root), {}
    metadata, static = tree.find_one(METADATA), tree.find_one(STATIC)
    dynamic = tree.find_one(DYNAMIC, required=False)
    for id, row in reader.songs(metadata, ["musicId", "artist"], "row"):
        songs[id] = Song(id, artist=row["artist"])
    for id, row in reader.songs(static, ["musicId", *_VALUES], "static label"):
        song = songs.setdefault(id, Song(id))
        song.static = reader.emotion(static, id, row, _VALUES, ZERO_TO_ONE)
    rows = reader.songs(dynamic, ["musicId", "frameTime", *_VALUES]) if dynamic else ()
    for id, row in rows:
        song = songs.setdefault(id, Song(id))
        time_s = reader.number(dynamic, id, "frameTime", row["frametime"], _TIMES_S)
        if time_s is None:
            continue
        for dimension, column in zip(("valence", "arousal"), _VALUES, strict=True):
            value = reader.number(dynamic, id, column, row[column.lower()], ZERO_TO_ONE)
            if value is not None:
                song.dynamic.setdefault(dimension, {})[time_s] = value
    tables, scales = [metadata, static, dynamic], (ZERO_TO_ONE, ZERO_TO_ONE)
    return build_corpus("PMEmo", tree, reader, songs, tables, scales, True)
