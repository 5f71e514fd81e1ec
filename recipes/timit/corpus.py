"""Find TIMIT below a folder, and list its sentences, in any of the forms that are passed around.

The corpus is found by its shape (a folder with TRAIN and TEST, in them DR1 to DR8, in them the
speakers), never by words in a path: a data folder below something called "train" is no training
data.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from ...processing.data.scan import AudioFile, list_folder
from ..training.preparation import PreparationError, check_folder, contents, subfolders

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
    check_folder(data_folder, "data folder", "Name the folder that holds TIMIT's TRAIN and TEST.")
    level, roots = [data_folder], []
    for _ in range(_MAX_DEPTH):
        roots = [folder for folder in level if _parts(folder)]
        if roots:
            break
        level = [below for folder in level for below in subfolders(folder).values()]
    if not roots:
        hint = ""
        if _holds_regions(data_folder):
            hint = f" It is one part of TIMIT itself: name {data_folder.resolve().parent}."
        raise PreparationError(
            f"data folder {data_folder} does not hold TIMIT: no folder in it has TRAIN/DR1 ... DR8 "
            f"and TEST/DR1 ... DR8, in upper or lower case; it holds {contents(data_folder)}.{hint} "
            "For a table of recordings (manifest.tsv) give --protocol manifest."
        )
    if len(roots) > 1:
        raise PreparationError(
            f"data folder {data_folder} holds TIMIT {len(roots)} times: "
            f"{', '.join(map(str, sorted(roots)))}. Name one of them."
        )
    (root,) = roots
    lacking = [part.upper() for part in PARTS if part not in _parts(root)]
    if lacking:
        raise PreparationError(f"{root} has no {lacking[0]}/DR1 ... DR8: half of TIMIT is missing")
    return root


def read_corpus(root):
    """List the sentences below a folder that `find_corpus` found."""
    corpus = Corpus(Path(root), {}, [])
    sentences = [
        sentence
        for part, folders in _parts(root).items()
        for part_folder in folders
        for region, region_folder in subfolders(part_folder).items()
        if _REGION.fullmatch(region.lower())
        for speaker, folder in subfolders(region_folder).items()
        if _SPEAKER.fullmatch(speaker.lower())
        for sentence in _sentences_in(corpus, folder, part, region.lower(), speaker.lower())
    ]
    for sentence in sorted(sentences, key=lambda s: (s.part, s.region, s.speaker, s.name)):
        first = corpus.sentences.setdefault(sentence.id, sentence)
        if first is not sentence:
            reason = f"{sentence.path}: is the same utterance as {first.path}; keep one of them"
            corpus.problems.append((sentence.path, "there twice", reason))
    return corpus


def _sentences_in(corpus, folder, part, region, speaker):
    """The sentences of one speaker's folder; files that are none of TIMIT's are left alone."""
    sentences, audio = {}, {}
    for file in list_folder(folder, f"{folder.parent.relative_to(corpus.root).as_posix()}/"):
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
        (_, _, sentences[name].audio), *others = sorted(files, key=lambda ranked: ranked[:2])
        sentences[name].copies = [key for _, key, _ in others]
    return sentences.values()


def _parts(folder):
    """Folders by "train" and "test": a part may be there in both spellings, half in each."""
    parts = {}
    for name, path in subfolders(folder).items():
        if name.lower() in PARTS and _holds_regions(path):
            parts.setdefault(name.lower(), []).append(path)
    return parts


def _holds_regions(folder):
    return any(_REGION.fullmatch(name.lower()) for name in subfolders(folder))
