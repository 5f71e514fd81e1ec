"""Read the tables of whichever data set of music emotion a folder holds, and list its audio."""

from ..training.preparation import PreparationError
from .annotation_tables import Reader
from .corpus import Song, Tree, build_corpus
from .protocols import PROTOCOLS

ONE_TO_NINE = {"low": 1.0, "high": 9.0}
ZERO_TO_ONE = {"low": 0.0, "high": 1.0}
DYNAMIC = {"low": -1.0, "high": 1.0}

DEAM_STATIC = "static_annotations_averaged_songs_1_2000.csv"
DEAM_STATIC_2015 = "static_annotations_averaged_songs_2000_2058.csv"
LAST_2014_ID = 2000
INFO, METADATA = "songs_info.csv", "metadata.csv"
STATIC, PMEMO_DYNAMIC = "static_annotations.csv", "dynamic_annotations.csv"

_SET = "mediaeval 2013 set"
_TIMES_S = {"low": 0.0, "high": 36000.0}
_VALUES = ("Valence(mean)", "Arousal(mean)")


def read_corpus(data_folder, dataset=None):
    """Read the tables of a data folder, and list its audio; nothing is decoded.

    Arguments
    ---------
    data_folder : str or Path
        A folder somewhere above the tables.
    dataset : "DEAM", "EmoMusic" or "PMEmo", optional
        What it must hold; None takes whichever it holds.

    Returns
    -------
    Corpus

    Raises
    ------
    PreparationError
        The folder holds none of them, another one, several, or tables without their columns.
    """
    tree = Tree(data_folder)
    held = [name for name, (holds, _) in _DATASETS.items() if holds(tree.find)]
    if len(held) > 1:
        raise PreparationError(f"{data_folder} holds {' and '.join(held)}; name the folder of one")
    if held and dataset not in (None, held[0]):
        fitting = [name for name, known in PROTOCOLS.items() if known.dataset == held[0]]
        raise PreparationError(
            f"data folder {data_folder} holds {held[0]}, not {dataset}: choose --protocol "
            + " or ".join(fitting)
        )
    if not held:
        raise PreparationError(
            f"data folder {data_folder} holds none of the data sets"
            + (f", not {dataset}" if dataset else "")
            + ". DEAM is known by static_annotations_averaged_songs_1_2000.csv, EmoMusic by "
            "songs_info.csv and static_annotations.csv, PMEmo by metadata.csv and "
            "static_annotations.csv, in any folder below it."
        )
    return _DATASETS[held[0]][1](tree)


def _read_deam(tree):
    """Read the tables of DEAM, and of the mini corpus in its layout."""
    reader, songs = Reader(tree.root), {}
    columns = ["song_id", "valence_mean", "arousal_mean"]
    tables = [tree.find_one(DEAM_STATIC), tree.find_one(DEAM_STATIC_2015, required=False)]
    for path in filter(None, tables):
        for id, row in reader.songs(path, columns, "static label", songs):
            songs[id] = Song(id, reader.emotion(path, id, row, columns[1:], ONE_TO_NINE))
    for dimension, path, by_song in reader.wide_tables(tree, "dynamic*/{}.csv", DYNAMIC):
        tables.append(path)
        for id, series in by_song.items():
            songs.setdefault(id, Song(id)).dynamic[dimension] = series
    for path in tree.find("metadata_2013.csv", "metadata_2014.csv", "metadata_2015.csv"):
        tables.append(path)
        for row in reader.rows(path, [], decisive=False):
            # The three tables spell their columns differently, and the artist decides on nothing.
            id = (row.get("song_id") or row.get("id") or "").lstrip("0")
            if id in songs:
                songs[id].artist = row.get("artist", "")
    for song in songs.values():
        song.is_test = int(song.id) > LAST_2014_ID
    return build_corpus("DEAM", tree, reader, songs, tables, (ONE_TO_NINE, DYNAMIC))


def _read_emomusic(tree):
    """Read the tables of EmoMusic ("1000 songs")."""
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


def _read_pmemo(tree):
    """Read the tables of PMEmo: choruses, arousal before valence, labels from 0 to 1."""
    reader, songs = Reader(tree.root), {}
    metadata, static = tree.find_one(METADATA), tree.find_one(STATIC)
    dynamic = tree.find_one(PMEMO_DYNAMIC, required=False)
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


#: What files a data set is known by, and who reads its tables.
_DATASETS = {
    "DEAM": (lambda find: find(DEAM_STATIC), _read_deam),
    "EmoMusic": (lambda find: find(INFO) and find(STATIC), _read_emomusic),
    "PMEmo": (lambda find: find(METADATA) and find(STATIC) and not find(INFO), _read_pmemo),
}
