"""Read the tables of PMEmo: choruses, arousal before valence, labels from 0 to 1."""

from .annotation_tables import Reader
from .corpus import Corpus, Song, assign_audio, in_order
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
    for row in reader.rows(metadata, ["musicId", "artist"]):
        id = reader.song_id(metadata, row["musicid"])
        if id in songs:
            reader.problem(metadata, "there twice", f"song {id} has more than one row")
        elif id is not None:
            songs[id] = Song(id, artist=row["artist"])
    for row in reader.rows(static, ["musicId", *_VALUES]):
        id = reader.song_id(static, row["musicid"])
        if id is None:
            continue
        song = songs.setdefault(id, Song(id))
        if song.static is not None:
            reader.problem(static, "there twice", f"song {id} has more than one static label")
            continue
        values = [reader.number(static, id, c, row[c.lower()], ZERO_TO_ONE) for c in _VALUES]
        song.static = None if None in values else tuple(values)
    for row in reader.rows(dynamic, ["musicId", "frameTime", *_VALUES]) if dynamic else ():
        id = reader.song_id(dynamic, row["musicid"])
        if id is None:
            continue
        song = songs.setdefault(id, Song(id))
        time_s = reader.number(dynamic, id, "frameTime", row["frametime"], _TIMES_S)
        if time_s is None:
            continue
        for dimension, column in zip(("valence", "arousal"), _VALUES, strict=True):
            value = reader.number(dynamic, id, column, row[column.lower()], ZERO_TO_ONE)
            if value is not None:
                song.dynamic.setdefault(dimension, {})[time_s] = value
    reader.finish()
    corpus = Corpus(
        "PMEmo",
        tree.root,
        in_order(songs),
        {"static": ZERO_TO_ONE, "dynamic": ZERO_TO_ONE},
        [path for path in (metadata, static, dynamic) if path],
        reader.problems,
    )
    assign_audio(corpus, tree, unlabelled_is_published=True)
    return corpus
