"""Read the tables of EmoMusic ("1000 songs")."""

from .annotation_tables import Reader
from .corpus import Corpus, Song, assign_audio, in_order
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
    for row in reader.rows(info, ["song_id", "Artist", "Mediaeval 2013 set"]):
        id = reader.song_id(info, row["song_id"])
        if id is None:
            continue
        if id in songs:
            reader.problem(info, "there twice", f"song {id} has more than one row")
            continue
        if row[_SET].lower() not in ("development", "evaluation"):
            reader.problem(
                info, "no set", f"song {id}: {_SET} is {row[_SET]!r}, not development or evaluation"
            )
        songs[id] = Song(id, artist=row["artist"], is_test=row[_SET].lower() == "evaluation")
    labelled = set()
    for row in reader.rows(static, ["song_id", "mean_arousal", "mean_valence"]):
        id = reader.song_id(static, row["song_id"])
        if id is None:
            continue
        if id not in songs:
            reader.problem(static, "no set", f"song {id} is not in {INFO}")
        elif id in labelled:
            reader.problem(static, "there twice", f"song {id} has more than one static label")
        else:
            labelled.add(id)
            values = [
                reader.number(static, id, column, row[column], ONE_TO_NINE)
                for column in ("mean_valence", "mean_arousal")
            ]
            songs[id].static = None if None in values else tuple(values)
    for dimension in ("valence", "arousal"):
        path = tree.find_one(f"{dimension}_cont_average.csv", required=False)
        tables.append(path)
        for id, series in reader.wide_table(path, DYNAMIC).items() if path else ():
            if id in songs:
                songs[id].dynamic[dimension] = series
    reader.finish()
    corpus = Corpus(
        "EmoMusic",
        tree.root,
        in_order(songs),
        {"static": ONE_TO_NINE, "dynamic": DYNAMIC},
        [path for path in tables if path],
        reader.problems,
    )
    # 1,000 clips were published; 744 of them are labelled and different songs.
    assign_audio(corpus, tree, unlabelled_is_published=True)
    return corpus
