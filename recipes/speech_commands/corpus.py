"""List the clips of a Speech Commands folder, and check that it fits the protocol."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ...processing.data.audio import AUDIO_SUFFIXES
from ...processing.data.scan import list_folder
from ...processing.system.files import read_text
from ...processing.system.listing import first_of
from ..training.preparation import PreparationError, check_folder, contents, subfolders
from .protocols import KEYWORDS, NOISE, PROTOCOLS, RELEASES, SILENCE, UNKNOWN, V1, V2, which_set

LIST_FILES = {"valid": "validation_list.txt", "test": "testing_list.txt"}
OFFICIAL_TEST = "official_test"  # name of the second root in the manifest
_REMEDY = (
    f"Name the folder the archive was unpacked into (it holds {KEYWORDS[0]}/, {KEYWORDS[1]}/, "
    "...), or fetch it with --download true."
)


@dataclass
class Corpus:
    """The files of a data folder, by clip, and how the lists split them.

    Attributes
    ----------
    clips : dict
        AudioFile by clip, where a clip is `<word>/<name without suffix>`.
    noises : list of AudioFile
        The files of `_background_noise_`.
    official_test : dict
        AudioFile by `<label>/<file name>` of the official test archive.
    lists : dict
        Clips by split, or empty without list files.
    problems : list of (str, str)
        (path, reason) of what is wrong without being read.
    overlap : dict
        What was taken out because splits share it, as `shared_recordings` counts it.
    """

    clips: dict = field(default_factory=dict)
    noises: list = field(default_factory=list)
    official_test: dict = field(default_factory=dict)
    lists: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)
    overlap: dict = field(default_factory=dict)

    def files(self):
        """Every audio file."""
        return [*self.clips.values(), *self.noises, *self.official_test.values()]

    def split_of(self, clip):
        """Split of a clip: by the lists where there are lists, by the hash where not."""
        if not self.lists:
            return which_set(clip.partition("/")[2])
        return next((split for split, clips in self.lists.items() if clip in clips), "train")


def read_corpus(data_folder, protocol, official_test_folder=None):
    """List the data folder, its list files and the official test archive.

    Raises
    ------
    PreparationError
        A folder is missing, or holds another data set or another release than the protocol's.
    """
    data_folder = Path(data_folder)
    check_folder(data_folder, "data folder", _REMEDY)
    folders = subfolders(data_folder)
    words = {name for name in folders if not name.startswith("_")}
    _check_words(data_folder, words, protocol)
    corpus = Corpus()
    for name in sorted(words | ({SILENCE} & set(folders) if protocol.has_extra_classes else set())):
        for file in list_folder(folders[name]):
            clip = _clip(file.key)
            if clip in corpus.clips:
                first = corpus.clips[clip].key
                corpus.problems.append((file.key, f"is the same clip as {first}; keep one of them"))
            else:
                corpus.clips[clip] = file
    if NOISE in folders:
        corpus.noises = [
            file
            for file in list_folder(folders[NOISE])
            if file.key.lower().endswith(AUDIO_SUFFIXES)
        ]
    if protocol.split == "lists":
        _read_lists(data_folder, corpus, protocol)
    if official_test_folder is not None:
        corpus.official_test = _read_official_test(Path(official_test_folder), protocol)
    return corpus


def _read_lists(data_folder, corpus, protocol):
    paths = {split: data_folder / name for split, name in LIST_FILES.items()}
    present = [path for path in paths.values() if path.is_file()]
    if not present:
        return
    if len(present) < len(paths):
        (absent,) = (path.name for path in paths.values() if path not in present)
        raise PreparationError(
            f"{present[0]} is there, but {absent} is not: the split would be neither the lists' "
            "nor the hash rule's. Restore it, or remove both list files to split by hash."
        )
    for split, path in paths.items():
        corpus.lists[split] = clips = {}
        for line in read_text(path).split("\n"):
            if name := line.strip().replace("\\", "/"):
                clips[_clip(str(PurePosixPath(name)))] = f"{path.name}: {name}"
        for clip, entry in clips.items():
            used = protocol.has_extra_classes or not clip.startswith(SILENCE)
            if used and clip not in corpus.clips:
                corpus.problems.append((entry, "is listed, but there is no such file"))
    for clip in sorted(corpus.lists["valid"].keys() & corpus.lists["test"].keys()):
        corpus.problems.append((corpus.lists["test"][clip], "is in both lists; it counts as valid"))


def _read_official_test(folder, protocol):
    if not protocol.takes_official_test:
        names = ", ".join(name for name, p in PROTOCOLS.items() if p.takes_official_test)
        raise PreparationError(
            f"protocol {protocol.name} takes no official_test_folder: the archive has the 12 "
            f"classes of {names}. Leave it out, or name one of these."
        )
    check_folder(folder, "official_test_folder", _REMEDY)
    folders = subfolders(folder)
    missing = [label for label in protocol.labels if label not in folders]
    if missing:
        raise PreparationError(
            f"official_test_folder {folder} lacks the folders {', '.join(missing)}: the archive "
            f"{Path(protocol.release.test_archive.url).name} holds the ten words, {SILENCE} and "
            f"{UNKNOWN}. Unpack it into a folder of its own and name that folder."
        )
    files = {}
    for label in protocol.labels:
        for file in list_folder(folders[label], f"{OFFICIAL_TEST}:"):
            files[file.key.partition(":")[2]] = file
    for release in RELEASES:
        if release.name != protocol.release.name and len(files) == release.test_archive.num_files:
            raise PreparationError(
                f"official_test_folder {folder} holds {len(files)} files, as the test archive of "
                f"{release.name} does, but protocol {protocol.name} wants that of "
                f"{protocol.release.name}: {protocol.release.test_archive.url}"
            )
    return files


def _check_words(data_folder, words, protocol):
    release = protocol.release
    if not words & set(release.words):
        below = [path for path in data_folder.iterdir() if (path / KEYWORDS[0]).is_dir()]
        hint = f" Did you mean {below[0]}?" if below else ""
        raise PreparationError(
            f"data folder {data_folder} holds none of the {len(release.words)} word folders of "
            f"Speech Commands {release.name} ({release.words[0]}/, ..., {release.words[-1]}/); "
            f"it holds {contents(data_folder)}.{hint}"
        )
    only_v2 = set(V2.words) - set(V1.words)
    looks_like = V2 if words & only_v2 else V1 if words == set(V1.words) else None
    if looks_like and looks_like.name != release.name and words <= set(looks_like.words):
        fitting = ", ".join(p.name for p in PROTOCOLS.values() if p.release is looks_like)
        raise PreparationError(
            f"data folder {data_folder} holds Speech Commands {looks_like.name} ({len(words)} "
            f"words), but protocol {protocol.name} is for {release.name} "
            f"({len(release.words)} words). Protocols that fit: {fitting}."
        )
    strange = sorted(words - set(release.words))
    if strange:
        raise PreparationError(
            f"data folder {data_folder} holds folders that are no words of Speech Commands "
            f"{release.name}: {first_of(strange)}. Move them away; the words are "
            f"{', '.join(release.words)}."
        )


def _clip(key):
    """`yes/a.wav`, `yes/a.flac` and `yes/a.wav.wav` are the same clip, `yes/a`."""
    while (lower := key.lower()).endswith(AUDIO_SUFFIXES):
        key = key[: lower.rindex(".")]
    return key
