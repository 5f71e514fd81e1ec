"""Hold the songs of a data set with their labels, and find its files by the end of their paths."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ...processing.data.audio import AUDIO_SUFFIXES
from ...processing.data.scan import AudioFile
from ...processing.system.listing import first_of
from ..training.preparation import PreparationError, check_folder

_MAX_DEPTH = 7


@dataclass
class Song:
    """One song and its labels on their own scales.

    Attributes
    ----------
    id : str
        Its number in the data set.
    static : tuple of float or None
        Valence and arousal of the whole song, as the table says.
    dynamic : dict of dict
        By "valence" and "arousal": value by time in seconds.
    audio : AudioFile or None
    artist : str
        Empty where the tables do not say.
    is_test : bool
        Whether the data set's own tables set it aside for testing.
    """

    id: str
    static: tuple | None = None
    dynamic: dict = field(default_factory=dict)
    audio: AudioFile | None = None
    artist: str = ""
    is_test: bool = False


@dataclass
class Corpus:
    """The songs of a data folder by id, and what is wrong without decoding anything.

    Attributes
    ----------
    dataset : "DEAM", "EmoMusic" or "PMEmo"
    root : Path
        The data folder.
    songs : dict
        `Song` by id, in the order of the numbers.
    scales : dict
        By "static" and "dynamic": {"low", "high"}.
    tables : list of Path
        The files that were read.
    problems : list of (str, str, str)
        (path, kind, reason that names the file).
    notes : list of str
        What is as published and still unusual.
    """

    dataset: str
    root: Path
    songs: dict
    scales: dict
    tables: list
    problems: list
    notes: list = field(default_factory=list)


class Tree:
    """The files below a folder, found by the end of their paths.

    Upper and lower case are the same, and so are a space and an underscore: copies differ in both.
    """

    def __init__(self, root):
        self.root = Path(root)
        check_folder(self.root, "data folder", "Name a folder above the tables and the audio.")
        self.by_key = {}
        self._walk(self.root, "", _MAX_DEPTH)

    def _walk(self, folder, prefix, depth):
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    # DEAM's features are 1,802 tables with the songs' numbers as names.
                    if depth and entry.name.lower() != "features":
                        self._walk(entry.path, f"{prefix}{entry.name}/", depth - 1)
                elif entry.is_file():
                    key = f"{prefix}{entry.name}"
                    self.by_key[key] = Path(entry.path)

    def find(self, *endings):
        """Paths whose last parts are one of the endings ("dynamic*/valence.csv": * stays in its part)."""
        return [
            path
            for key, path in self.by_key.items()
            if any(PurePosixPath(_plain(key)).match(ending) for ending in endings)
        ]

    def find_one(self, *endings, required=True):
        """The one path with such an end; None where it may be missing.

        Raises
        ------
        PreparationError
            There is none, or several.
        """
        paths = self.find(*endings)
        if len(paths) > 1:
            names = ", ".join(str(path.relative_to(self.root)) for path in paths)
            raise PreparationError(f"{self.root} holds {endings[0]} {len(paths)} times: {names}")
        if not paths and required:
            raise PreparationError(f"{self.root} holds no {' or '.join(endings)}")
        return paths[0] if paths else None

    def songs(self):
        """([(number as text, AudioFile)], of every audio file that is called by a number)."""
        files = []
        for key, path in self.by_key.items():
            stem, suffix = os.path.splitext(path.name)
            if suffix.lower() in AUDIO_SUFFIXES and stem.isascii() and stem.isdigit():
                files.append((stem.lstrip("0") or "0", AudioFile.at(key, path)))
        return files


def build_corpus(dataset, tree, reader, songs, tables, scales, unlabelled_is_published=False):
    """The corpus of songs that were read, with their audio.

    Audio that is there twice or has no row in a table is a problem.

    Arguments
    ---------
    dataset : str
    tree : Tree
    reader : Reader
        That read the tables.
    songs : dict
        `Song` by id.
    tables : list of Path or None
    scales : (dict, dict)
        Of static and of dynamic labels.
    unlabelled_is_published : bool
        Whether the data set comes with audio that nobody labelled: then it is a note.

    Raises
    ------
    PreparationError
        Tables lack columns.
    """
    reader.finish()
    corpus = Corpus(
        dataset,
        tree.root,
        dict(sorted(songs.items(), key=lambda item: int(item[0]))),
        dict(zip(("static", "dynamic"), scales, strict=True)),
        [path for path in tables if path],
        reader.problems,
        reader.notes + _losses(songs),
    )
    unlabelled = []
    for number, file in tree.songs():
        song = corpus.songs.get(number)
        if song is None:
            unlabelled.append(file.key)
        elif song.audio is not None:
            reason = f"{file.key}: song {number} is also {song.audio.key}; keep one of them"
            corpus.problems.append((file.key, "there twice", reason))
        else:
            song.audio = file
    if unlabelled and unlabelled_is_published:
        corpus.notes.append(
            f"{len(unlabelled)} audio files are in no table of labels and not used, "
            f"e.g. {unlabelled[0]}"
        )
    elif unlabelled:
        corpus.problems += [
            (key, "audio without a row", f"{key}: no table has a row for it") for key in unlabelled
        ]
    return corpus


def _losses(songs):
    """Notes on what some songs have and others lack, as after a table was cut off or damaged."""
    notes, songs = [], songs.values()
    without = [song.id for song in songs if not song.artist]
    if 0 < len(without) < len(songs):
        notes.append(f"{len(without)} of {len(songs)} songs have no artist: {first_of(without)}")
    static = [song for song in songs if song.static]
    without = [song.id for song in static if not song.dynamic]
    if 0 < len(without) < len(static):
        notes.append(
            f"{len(without)} of {len(static)} songs with a static label have none over time: "
            + first_of(without)
        )
    times = {
        song.id: [set(song.dynamic.get(d) or ()) for d in ("valence", "arousal")] for song in songs
    }
    alone = {id: len(valence ^ arousal) for id, (valence, arousal) in times.items()}
    if lost := sum(alone.values()):
        notes.append(
            f"{lost} labels over time are of valence or of arousal alone and not used: of songs "
            + first_of(id for id, n in alone.items() if n)
        )
    return notes


def _plain(name):
    return name.lower().replace(" ", "_")
