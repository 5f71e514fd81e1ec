"""What lies on disk: TIMIT in any case and in any of the forms in which it goes around.

The corpus is found by its shape (a folder with TRAIN and TEST, in them DR1 to DR8, in them the
speakers), never by words in a path: a data folder below something called "train" is no training
data.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from ...processing.data.scan import AudioFile
from ..training.preparation import PreparationError

# The published file first: where a copy in another container lies beside it, it is the one read.
AUDIO_SUFFIXES = (".wav", ".wav.wav", ".sph", ".flac")
LABEL_SUFFIXES = (".phn", ".wrd", ".txt")
PARTS = ("train", "test")

_REGION = re.compile(r"dr[1-8]")
_SPEAKER = re.compile(r"[fm][a-z]{3}\d")
_SENTENCE = re.compile(r"s[aix]\d+")
_MAX_DEPTH = 4


@dataclass
class Sentence:
    """One utterance and its files; names are in lower case, files as the folder spells them.

    Attributes
    ----------
    part : "train" or "test"
    region : str
        "dr1" to "dr8".
    speaker, name : str
        "fcjf0", "sx37".
    audio : AudioFile or None
    labels : dict
        AudioFile by ".phn", ".wrd" and ".txt", as far as they are there.
    copies : list of str
        Further audio files of the same utterance, which are not read.
    """

    part: str
    region: str
    speaker: str
    name: str
    audio: AudioFile | None = None
    labels: dict = field(default_factory=dict)
    copies: list = field(default_factory=list)

    @property
    def id(self):
        return f"{self.speaker}_{self.name}"

    @property
    def is_sa(self):
        return self.name.startswith("sa")

    @property
    def path(self):
        """What an error names: the audio, or where it should be."""
        if self.audio:
            return self.audio.key
        return next(iter(self.labels.values())).key.rpartition(".")[0]

    def files(self):
        """Every file that is read."""
        return [file for file in (self.audio, *self.labels.values()) if file is not None]


@dataclass
class Corpus:
    """The sentences of a TIMIT folder by id, and what is wrong without reading a file.

    Attributes
    ----------
    root : Path
        The folder that holds TRAIN and TEST.
    sentences : dict
        `Sentence` by id, by part, region, speaker and name.
    problems : list of (str, str, str)
        (path, kind, reason that names the file).
    """

    root: Path
    sentences: dict
    problems: list


def find_corpus(data_folder):
    """The folder that holds TRAIN and TEST: the data folder itself or one below it.

    Raises
    ------
    PreparationError
        There is none, only one of the two parts, or several.
    """
    data_folder = Path(data_folder)
    if not data_folder.is_dir():
        what = "is a file" if data_folder.exists() else "does not exist"
        raise PreparationError(
            f"data folder {data_folder} {what}. Name the folder that holds TIMIT's TRAIN and TEST."
        )
    level, found = [data_folder], []
    for _ in range(_MAX_DEPTH):
        found = [folder for folder in level if _parts(folder)]
        if found:
            break
        level = [below for folder in level for below in _subfolders(folder).values()]
    if not found:
        inside = ", ".join(sorted(p.name for p in data_folder.iterdir())[:5]) or "nothing"
        hint = ""
        if _holds_regions(data_folder):
            hint = f" It is one part of TIMIT itself: name {data_folder.resolve().parent}."
        raise PreparationError(
            f"data folder {data_folder} does not hold TIMIT: no folder in it has TRAIN/DR1 ... DR8 "
            f"and TEST/DR1 ... DR8, in upper or lower case; it holds {inside}.{hint} For a table "
            "of recordings (manifest.tsv) give --protocol manifest."
        )
    if len(found) > 1:
        raise PreparationError(
            f"data folder {data_folder} holds TIMIT {len(found)} times: "
            f"{', '.join(str(folder) for folder in sorted(found))}. Name one of them."
        )
    (root,) = found
    lacking = [part.upper() for part in PARTS if part not in _parts(root)]
    if lacking:
        raise PreparationError(f"{root} has no {lacking[0]}/DR1 ... DR8: half of TIMIT is missing")
    return root


def read_corpus(root):
    """List the sentences below a folder that `find_corpus` found."""
    corpus = Corpus(Path(root), {}, [])
    found = []
    for part, part_folders in _parts(root).items():
        for part_folder in part_folders:
            for name, region in _subfolders(part_folder).items():
                if _REGION.fullmatch(name.lower()):
                    for speaker, folder in _subfolders(region).items():
                        if _SPEAKER.fullmatch(speaker.lower()):
                            found += _sentences_in(
                                corpus, folder, part, name.lower(), speaker.lower()
                            )
    found.sort(key=lambda s: (s.part, s.region, s.speaker, s.name))
    for sentence in found:
        first = corpus.sentences.setdefault(sentence.id, sentence)
        if first is not sentence:
            reason = f"{sentence.path}: is the same utterance as {first.path}; keep one of them"
            corpus.problems.append((sentence.path, "there twice", reason))
    return corpus


def _sentences_in(corpus, folder, part, region, speaker):
    """The sentences of one speaker's folder; files that are none of TIMIT's are left alone."""
    shown = folder.relative_to(corpus.root).as_posix()
    sentences = {}
    audio = {}
    for file in _files(folder, shown):
        name, dot, suffix = file.key.rpartition("/")[2].lower().partition(".")
        suffix = dot + suffix
        if not _SENTENCE.fullmatch(name) or suffix not in AUDIO_SUFFIXES + LABEL_SUFFIXES:
            continue
        sentence = sentences.setdefault(name, Sentence(part, region, speaker, name))
        if suffix in AUDIO_SUFFIXES:
            audio.setdefault(name, []).append((AUDIO_SUFFIXES.index(suffix), file.key, file))
        elif suffix in sentence.labels:
            reason = f"{file.key}: is there beside {sentence.labels[suffix].key}; keep one of them"
            corpus.problems.append((file.key, "there twice", reason))
        else:
            sentence.labels[suffix] = file
    for name, files in audio.items():
        (_, _, sentences[name].audio), *others = sorted(files, key=lambda found: found[:2])
        sentences[name].copies = [key for _, key, _ in others]
    return sentences.values()


def _files(folder, prefix):
    with os.scandir(folder) as entries:
        found = [
            AudioFile(f"{prefix}/{entry.name}", entry.path, stat.st_size, stat.st_mtime_ns)
            for entry in entries
            if not entry.name.startswith(".") and entry.is_file()
            for stat in (entry.stat(),)
        ]
    return sorted(found, key=lambda file: file.key)


def _parts(folder):
    """Folders by "train" and "test": a part may be there in both spellings, half in each."""
    found = {}
    for name, path in _subfolders(folder).items():
        if name.lower() in PARTS and _holds_regions(path):
            found.setdefault(name.lower(), []).append(path)
    return found


def _holds_regions(folder):
    return any(_REGION.fullmatch(name.lower()) for name in _subfolders(folder))


def _subfolders(folder):
    try:
        return {
            path.name: path
            for path in sorted(Path(folder).iterdir())
            if not path.name.startswith(".") and path.is_dir()
        }
    except PermissionError:
        return {}
