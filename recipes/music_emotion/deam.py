"""Read the tables of DEAM, and of the mini corpus in its layout."""

from .annotation_tables import Reader
from .corpus import Song, build_corpus
from .scales import DYNAMIC, ONE_TO_NINE

STATIC = "static_annotations_averaged_songs_1_2000.csv"
STATIC_2015 = "static_annotations_averaged_songs_2000_2058.csv"
LAST_2014_ID = 2000

_COLUMNS = ["song_id", "valence_mean", "arousal_mean"]


def holds(tree):
    """Whether a folder holds DEAM."""
    return bool(tree.find(STATIC))


def read(tree):
    """Read the tables, and list the audio. () -> Corpus"""
    reader, songs = Reader(tree.root), {}
    tables = [tree.find_one(STATIC), tree.find_one(STATIC_2015, required=False)]
    for path in filter(None, tables):
        for id, row in reader.songs(path, _COLUMNS, "static label", songs):
            songs[id] = Song(id, reader.emotion(path, id, row, _COLUMNS[1:], ONE_TO_NINE))
    for dimension, path, by_song in reader.wide_tables(tree, "dynamic*/{}.csv", DYNAMIC):
        tables.append(path)
        for id, series in by_song.items():
            songs.setdefault(id, Song(id)).dynamic[dimension] = series
    for path in tree.find("metadata_2013.csv", "metadata_2014.csv", "metadata_2015.csv"):
        tables.append(path)
        for row in reader.rows(path, []):
            # The three tables spell their columns differently, and the artist decides on nothing.
            id = (row.get("song_id") or row.get("id") or "").lstrip("0")
            if id in songs:
                songs[id].artist = row.get("artist", "")
    for song in songs.values():
        song.is_test = int(song.id) > LAST_2014_ID
    return build_corpus("DEAM", tree, reader, songs, tables, (ONE_TO_NINE, DYNAMIC))
