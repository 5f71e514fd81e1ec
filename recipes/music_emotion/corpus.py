"""What lies on disk: songs with their labels and audio, whatever the data set."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ...processing.data.audio import AUDIO_SUFFIXES
from ...processing.data.scan import AudioFile
from ..training.preparation import PreparationError

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
        What is as published, and still worth saying.
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

    Letters' case counts nothing, and a space is an underscore: both spellings go around.
    """

    def __init__(self, root):
        self.root = Path(root)
        if not self.root.is_dir():
            what = "is a file" if self.root.exists() else "does not exist"
            raise PreparationError(f"data folder {root} {what}")
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
        """Paths whose last parts are one of the endings ("dynamic*/valence.csv": * ends a part)."""
        found = []
        for key, path in self.by_key.items():
            parts = [_plain(part) for part in key.split("/")]
            if any(_ends_with(parts, ending.split("/")) for ending in endings):
                found.append(path)
        return found

    def find_one(self, *endings, required=True):
        """The one path with such an end; None where it may be missing.

        Raises
        ------
        PreparationError
            There is none, or several.
        """
        found = self.find(*endings)
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(self.root)) for path in found)
            raise PreparationError(f"{self.root} holds {endings[0]} {len(found)} times: {names}")
        if not found and required:
            raise PreparationError(f"{self.root} holds no {' or '.join(endings)}")
        return found[0] if found else None

    def songs(self):
        """([(number as text, AudioFile)], of every audio file that is called by a number)."""
        found = []
        for key, path in self.by_key.items():
            stem, suffix = os.path.splitext(path.name)
            if suffix.lower() in AUDIO_SUFFIXES and stem.isascii() and stem.isdigit():
                stat = path.stat()
                file = AudioFile(key, str(path), stat.st_size, stat.st_mtime_ns)
                found.append((stem.lstrip("0") or "0", file))
        return found


def assign_audio(corpus, tree, unlabelled_is_published=False):
    """Give each song its audio file; audio that is there twice or has no row is a problem.

    Arguments
    ---------
    corpus : Corpus
    tree : Tree
    unlabelled_is_published : bool
        Whether the data set comes with audio that nobody labelled: then it is a note.
    """
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


def in_order(songs):
    """Songs by number."""
    return dict(sorted(songs.items(), key=lambda item: int(item[0])))


def _plain(name):
    return name.lower().replace(" ", "_")


def _ends_with(parts, ending):
    if len(ending) > len(parts):
        return False
    pairs = zip(parts[len(parts) - len(ending) :], ending, strict=True)
    return all(
        part.startswith(wanted[:-1]) if wanted.endswith("*") else part == wanted
        for part, wanted in pairs
    )
