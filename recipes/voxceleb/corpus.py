"""Find the folders of VoxCeleb, and list their files as columns.

VoxCeleb has 1.2 million files, so that a file is a row of arrays here and not an object.
"""

import hashlib
import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...processing.data.audio import AUDIO_SUFFIXES, OTHER_SUFFIXES, split_suffix
from ...processing.system.terminal import no_bar
from ..training.preparation import PreparationError, check_folder, contents

# What PyAV has to decode comes last: a converted file beside it is taken instead.
CODED_SUFFIXES = (".m4a", ".mp4", ".aac")
SUFFIXES = AUDIO_SUFFIXES + OTHER_SUFFIXES

_NAMES = {
    "voxceleb1": ("voxceleb1", "VoxCeleb1", "vox1"),
    "voxceleb2": ("voxceleb2", "VoxCeleb2", "vox2"),
}
# A head holds a folder named by the kind of its files, which holds the speakers; or the speakers.
_HEADS = {
    "voxceleb1": ("", "vox1_dev_wav", "vox1_test_wav", "dev", "test"),
    "voxceleb2": ("", "vox2_dev_aac/dev", "vox2_dev_aac", "dev"),
}
_LAYOUTS = {
    "voxceleb1": "Name the folder VoxCeleb1 was unpacked into: it holds "
    "wav/id10001/VIDEO/00001.wav, or vox1_dev_wav/wav and vox1_test_wav/wav, or dev/wav and "
    "test/wav, or the id folders.",
    "voxceleb2": "Name the folder VoxCeleb2 was unpacked into with voxceleb2_folder: it holds "
    "dev/aac/id00012/VIDEO/00001.m4a (or dev/wav, dev/flac), or the id folders.",
}
_KINDS = {"voxceleb1": ("wav", "flac"), "voxceleb2": ("wav", "flac", "aac", "m4a")}
_SPEAKER = re.compile(r"id\d+")
_FOREIGN_SPEAKER = {  # how the other corpus numbers its speakers
    "voxceleb1": re.compile(r"id0\d{4}"),
    "voxceleb2": re.compile(r"id1[01]\d{3}"),
}


@dataclass
class Files:
    """Audio files as columns, sorted by name; a name is `speaker/video/utterance`, no suffix.

    Attributes
    ----------
    names : (n,) bytes array
        UTF-8, all different.
    root, suffix : (n,) uint8
        Places in `roots` and in `suffixes`.
    size, mtime_ns : (n,) int64
    roots : dict
        Folders by root name.
    suffixes : list of str
        As they are spelled on disk.
    doubles : int
        Files left out because another one of the same name can be read.
    """

    names: np.ndarray
    root: np.ndarray
    suffix: np.ndarray
    size: np.ndarray
    mtime_ns: np.ndarray
    roots: dict
    suffixes: list
    doubles: int = 0
    root_names: list = field(init=False)

    def __post_init__(self):
        self.root_names = list(self.roots)

    def __len__(self):
        return len(self.names)

    def name(self, index):
        return to_text(self.names[index])

    def file_name(self, index):
        """Path relative to the root, with forward slashes."""
        return self.name(index) + self.suffixes[self.suffix[index]]

    def path(self, index):
        root = self.roots[self.root_names[self.root[index]]]
        return os.path.join(root, *self.file_name(index).split("/"))

    def roots_of(self, places):
        """Root names of some files, as an array."""
        return np.array(self.root_names)[self.root[places]]

    def find(self, names):
        """Places of names (str) among the files, -1 where there is none."""
        width = self.names.dtype.itemsize
        sought = [to_bytes(name) for name in names]
        too_long = np.array([len(name) > width for name in sought], bool)
        sought = np.array(sought or [b""]).astype(self.names.dtype)[: len(sought)]
        place = np.searchsorted(self.names, sought)
        place[place == len(self)] = 0
        hit = (
            (self.names[place] == sought) & ~too_long if len(self) else np.zeros(len(sought), bool)
        )
        return np.where(hit, place, -1)

    def speakers(self):
        """(names of the speakers, sorted; (n,) int32 place of each file's speaker)."""
        of_file = pack(name.partition(b"/")[0] for name in self.names)
        names, place = np.unique(of_file, return_inverse=True)
        return [to_text(name) for name in names], place.astype(np.int32)

    def fingerprint(self):
        """SHA-256 of what shows without opening a file."""
        total = hashlib.sha256(repr((self.root_names, self.suffixes, len(self))).encode())
        for column in (self.names, self.root, self.suffix, self.size, self.mtime_ns):
            total.update(np.ascontiguousarray(column).view(np.uint8))
        return total.hexdigest()


def to_text(name):
    return name.decode("utf-8", "surrogateescape")


def to_bytes(name):
    return name.encode("utf-8", "surrogateescape")


def pack(strings, block=65536):
    """Bytes objects as one array, without a list of them all."""
    strings, blocks = iter(strings), [np.zeros(0, "S1")]
    while strings_of_block := list(itertools.islice(strings, block)):
        blocks.append(np.array(strings_of_block))
    return np.concatenate(blocks)


def find_folders(folder, corpus, taken=()):
    """The folders that hold the speakers of a corpus, by root name.

    Arguments
    ---------
    folder : str or Path
        What the user calls the data folder.
    corpus : "voxceleb1" or "voxceleb2"
    taken : collection of Path
        Folders that are the other corpus.

    Raises
    ------
    PreparationError
        The folder is missing or holds no speakers.
    """
    folder = Path(folder)
    check_folder(folder, f"{corpus} folder", _LAYOUTS[corpus])
    bases = [folder, *(folder / name for name in _NAMES[corpus] if (folder / name).is_dir())]
    matches, foreign = [], []
    for base in bases:
        for head in _HEADS[corpus]:
            places = [base / head / kind for kind in _KINDS[corpus]]
            hits = [place for place in places if place.is_dir() and _speakers_in(place, False)]
            top = base / head
            if not hits and top.is_dir() and _speakers_in(top, True):
                hits = [top]
            for place in hits:
                place = place.resolve()
                names = _speakers_in(place, False)
                if all(_FOREIGN_SPEAKER[corpus].fullmatch(name) for name in names):
                    foreign.append(place)
                elif place not in matches and place not in taken:
                    matches.append(place)
        if matches:
            break
    if not matches:
        hint = ""
        if foreign:
            hint = f" The speakers in {foreign[0]} are numbered as those of the other VoxCeleb."
        raise PreparationError(
            f"{corpus} folder {folder} holds no speakers; it holds {contents(folder)}.{hint} "
            f"{_LAYOUTS[corpus]}"
        )
    return {corpus + (f"_{number}" if number else ""): path for number, path in enumerate(matches)}


def _speakers_in(folder, named_so):
    with os.scandir(folder) as entries:
        return [
            entry.name
            for entry in entries
            if not entry.name.startswith(".")
            and (not named_so or _SPEAKER.fullmatch(entry.name))
            and entry.is_dir()
        ]


def list_files(roots, speakers=None, num_workers=None, progress=False):
    """List the audio files below the speakers' folders.

    Arguments
    ---------
    roots : dict
        Folders by root name.
    speakers : collection of str, optional
        The only ones to list.
    num_workers : int, optional
        Threads, which hide the latency of a network's file system.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    Files
    """
    folders = [
        (number, os.path.join(folder, name))
        for number, folder in enumerate(roots.values())
        for name in sorted(_speakers_in(folder, False))
        if speakers is None or name in speakers
    ]
    suffixes = []
    parts = [(np.zeros(0, "S1"), *np.zeros((2, 0), np.uint8), *np.zeros((2, 0), np.int64))]
    with ThreadPoolExecutor(num_workers or min(8, os.cpu_count() or 1)) as pool:
        listed = pool.map(_list_speaker, (path for _, path in folders))
        bar = tqdm(
            listed, "listing files", len(folders), unit="speaker", disable=no_bar(progress), delay=1
        )
        for (number, _), rows in zip(folders, bar, strict=True):
            if not rows:
                continue
            names, its_suffixes, sizes, times = zip(*rows, strict=True)
            suffixes += sorted(set(its_suffixes).difference(suffixes))
            places = np.array([suffixes.index(suffix) for suffix in its_suffixes], np.uint8)
            root = np.full(len(rows), number, np.uint8)
            parts.append((np.array(names), root, places, np.array(sizes), np.array(times)))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return _one_of_each(*columns, roots, suffixes)


def _one_of_each(names, root, suffix, size, mtime_ns, roots, suffixes):
    """Sort by name; of files of one name take what libsndfile reads, in the order of SUFFIXES."""
    rank = np.array([SUFFIXES.index(s.lower()) for s in suffixes])[suffix].astype(np.int16)
    order = np.argsort(rank * np.int16(64) + root, kind="stable")
    order = order[np.argsort(names[order], kind="stable")]
    first = np.ones(len(order), bool)
    in_order = names[order]
    first[1:] = in_order[1:] != in_order[:-1]
    coded = rank[order] >= SUFFIXES.index(CODED_SUFFIXES[0])
    doubles = int((~first & ~coded).sum())
    order, names = order[first], in_order[first]
    columns = (column[order] for column in (root, suffix, size, mtime_ns))
    return Files(names, *columns, roots, suffixes, doubles)


def _list_speaker(folder):
    """(name, suffix, size, mtime_ns) of every audio file below a speaker's folder."""
    rows, todo = [], [(folder, os.path.basename(folder))]
    while todo:
        path, prefix = todo.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    todo.append((entry.path, f"{prefix}/{entry.name}"))
                    continue
                stem, suffix = split_suffix(entry.name)
                if suffix:
                    stat = entry.stat()
                    name = to_bytes(f"{prefix}/{stem}")
                    rows.append((name, suffix, stat.st_size, stat.st_mtime_ns))
    return rows
