"""Read the tables of DEAM, and of the mini corpus in its layout."""

import re

from .annotation_tables import Reader
from .corpus import Corpus, Song, assign_audio, in_order
from .scales import DYNAMIC, ONE_TO_NINE

STATIC = "static_annotations_averaged_songs_1_2000.csv"
STATIC_2015 = "static_annotations_averaged_songs_2000_2058.csv"
LAST_2013_ID, LAST_2014_ID = 1000, 2000

_COLUMNS = ["song_id", "valence_mean", "arousal_mean"]


def holds(tree):
    """Whether a folder holds DEAM."""
    return bool(tree.find(STATIC))


def read(tree):
    """Read the tables, and list the audio. () -> Corpus"""
    reader, songs = Reader(tree.root), {}
    tables = [tree.find_one(STATIC), tree.find_one(STATIC_2015, required=False)]
    for path in filter(None, tables):
        for row in reader.rows(path, _COLUMNS):
            id = reader.song_id(path, row["song_id"])
            if id is None:
                continue
            if id in songs:
                reader.problem(path, "there twice", f"song {id} has more than one static label")
                continue
            values = [
                reader.number(path, id, column, row[column], ONE_TO_NINE) for column in _COLUMNS[1:]
            ]
            songs[id] = Song(id, None if None in values else tuple(values))
    for dimension in ("valence", "arousal"):
        path = tree.find_one(f"dynamic*/{dimension}.csv", required=False)
        tables.append(path)
        for id, series in reader.wide_table(path, DYNAMIC).items() if path else ():
            songs.setdefault(id, Song(id)).dynamic[dimension] = series
    for path in tree.find("metadata_2013.csv", "metadata_2014.csv", "metadata_2015.csv"):
        tables.append(path)
        for row in reader.rows(path, []):
            # The three tables spell their columns differently, and the artist decides on nothing.
            id = row.get("song_id") or row.get("id") or ""
            found = re.fullmatch(r"0*(\d+)", id)
            if found and found[1] in songs:
                songs[found[1]].artist = row.get("artist", "")
    reader.finish()
    for song in songs.values():
        song.is_test = int(song.id) > LAST_2014_ID
    corpus = Corpus(
        "DEAM",
        tree.root,
        in_order(songs),
        {"static": ONE_TO_NINE, "dynamic": DYNAMIC},
        [path for path in tables if path],
        reader.problems,
    )
    assign_audio(corpus, tree)
    return corpus
