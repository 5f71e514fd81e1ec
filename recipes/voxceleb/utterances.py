"""Hold the utterances of a split as columns, and write and read them as a manifest.

1.2 million utterances as dictionaries take more than 500 MB, in every worker of a data loader; as
columns they take about 50 MB, which workers share because reading them writes nothing.
"""

import csv
import itertools
from array import array
from bisect import bisect_left
from collections.abc import Mapping

import numpy as np

from ...processing.data.manifest import SPLITS, ManifestError
from ...processing.system.files import replacing
from .corpus import pack, split_suffix, to_bytes, to_text
from .protocols import SAMPLE_RATE_HZ

COLUMNS = ("id", "path", "duration_s", "split", "label", "speaker", "root")


class Utterances(Mapping):
    """Utterances by id, in the order of the ids: {"path": str, "duration_s": float, "speaker": str}.

    Arguments
    ---------
    ids : (n,) bytes array
        UTF-8, sorted, all different.
    durations_s : (n,) float32
    speaker_index : (n,) int
        Places in `speakers`.
    speakers : list of str
        Sorted.
    root_index, suffix_index : (n,) int
        Places in `roots` and in `suffixes`.
    roots : list of str
        Folders.
    prefixes : list of str
        What the ids of each root have in front of the path below it.
    suffixes : list of str
        As the files have them; an id may have another one.

    Example
    -------
    >>> utterances = Utterances(
    ...     np.array([b"id1/v/1.wav", b"id2/v/1.wav"]), np.array([2.5, 4.0], np.float32),
    ...     np.array([0, 1]), ["id1", "id2"], np.array([0, 0]), np.array([0, 0]),
    ...     ["/data/wav"], [""], [".flac"])
    >>> utterances["id2/v/1.wav"]
    {'path': '/data/wav/id2/v/1.flac', 'duration_s': 4.0, 'speaker': 'id2'}
    >>> list(utterances), utterances.path("id1/v/1.wav")
    (['id1/v/1.wav', 'id2/v/1.wav'], '/data/wav/id1/v/1.flac')
    """

    def __init__(
        self, ids, durations_s, speaker_index, speakers, root_index, suffix_index,
        roots, prefixes, suffixes,
    ):  # fmt: skip
        self.ids, self.durations_s = ids, durations_s
        self.speaker_index, self.speakers = speaker_index, speakers
        self.root_index, self.suffix_index = root_index, suffix_index
        self.roots, self.prefixes, self.suffixes = roots, prefixes, suffixes

    def __len__(self):
        return len(self.ids)

    def __iter__(self):
        return map(to_text, self.ids)

    def __contains__(self, utterance):
        return isinstance(utterance, str) and self._find(utterance) is not None

    def __getitem__(self, utterance):
        place = self.index(utterance)
        return {
            "path": self._path(utterance, place),
            "duration_s": float(self.durations_s[place]),
            "speaker": self.speakers[self.speaker_index[place]],
        }

    def index(self, utterance):
        """Place of an id in the order of iteration; KeyError where there is none."""
        place = self._find(utterance)
        if place is None:
            raise KeyError(utterance)
        return place

    def path(self, utterance):
        """The file of an utterance."""
        return self._path(utterance, self.index(utterance))

    def __repr__(self):
        return f"Utterances({len(self)} of {len(self.speakers)} speakers)"

    def _find(self, utterance):
        name = to_bytes(utterance)
        place = bisect_left(self.ids, name)
        return place if place < len(self.ids) and self.ids[place] == name else None

    def _path(self, utterance, place):
        root = self.root_index[place]
        name = split_suffix(utterance)[0][len(self.prefixes[root]) :]
        return f"{self.roots[root]}/{name}{self.suffixes[self.suffix_index[place]]}"


class Rows:
    """The rows of one split before they are written: parts of corpora, by place.

    Arguments
    ---------
    split : str
    """

    def __init__(self, split):
        self.split, self.parts = split, []

    def add(self, files, places, num_samples, ids, prefix=""):
        """Add files by place, with their ids (str) and what the speakers have in front."""
        self.parts.append((files, places, num_samples, prefix, pack(map(to_bytes, ids))))

    def __iter__(self):
        """(id, path, number of samples, speaker, root name), by id."""
        ids = np.concatenate([part[4] for part in self.parts] or [np.zeros(0, "S1")])
        order = np.argsort(ids, kind="stable")
        ends = np.cumsum([len(part[4]) for part in self.parts])
        of_part = np.searchsorted(ends, order, side="right").astype(np.uint8)
        starts = [0, *ends.tolist()]
        for number, row in zip(of_part, order, strict=True):
            files, places, num_samples, prefix, _ = self.parts[number]
            place = places[row - starts[number]]
            path = files.file_name(place)
            speaker = prefix + path.partition("/")[0]
            root = files.root_names[files.root[place]]
            yield to_text(ids[row]), path, int(num_samples[place]), speaker, root


def write_rows(splits, path, total):
    """Write the manifest row by row, and feed what is used to a hash.

    Arguments
    ---------
    splits : list of Rows
    path : str or Path
        The CSV file, by split and id; it appears whole or not at all.
    total : hashlib hash
        Takes split, name, number of samples and speaker of every row: the same for the same
        recordings as wav or flac, in any folder.

    Returns
    -------
    dict
        By split: {"utterances", "speakers", "hours"}.
    """
    counts = {}
    with (
        replacing(path) as part,
        open(part, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for rows in splits:
            speakers, samples, count, split = set(), 0, 0, rows.split
            for name, file_name, num_samples, speaker, root in rows:
                duration_s = round(num_samples / SAMPLE_RATE_HZ, 6)
                writer.writerow((name, file_name, duration_s, split, speaker, speaker, root))
                stem = split_suffix(name)[0]
                total.update(to_bytes(f"{split}\t{stem}\t{num_samples}\t{speaker}\n"))
                speakers.add(speaker)
                samples += num_samples
                count += 1
            counts[split] = {
                "utterances": count,
                "speakers": len(speakers),
                "hours": round(samples / SAMPLE_RATE_HZ / 3600, 4),
            }
    return counts


def read_rows(path, counts, roots, prefixes):
    """The columns of every split, from what `write_rows` wrote.

    Arguments
    ---------
    path : str or Path
    counts : dict
        As `write_rows` returned it.
    roots, prefixes : dict
        Folder, and prefix of the ids, by root name.

    Returns
    -------
    dict of Utterances

    Raises
    ------
    ManifestError
        The file has other columns or other numbers of rows.
    """
    root_names, suffixes, columns = list(roots), {}, {}
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != COLUMNS:
            raise ManifestError(f"{path}: not a manifest of VoxCeleb; prepare the data again")
        for split, rows in itertools.groupby(reader, lambda row: row[3]):
            columns[split] = _columns(rows, root_names, prefixes, suffixes)
    folders = [str(roots[name]) for name in root_names]
    shared = (folders, [prefixes[name] for name in root_names], list(suffixes))
    read = {s: Utterances(*(columns.get(s) or _columns((), (), {}, {})), *shared) for s in SPLITS}
    if any(len(read[split]) != counts[split]["utterances"] for split in SPLITS):
        raise ManifestError(f"{path}: rows are missing or too many; prepare the data again")
    return read


def _columns(rows, root_names, prefixes, suffixes):
    """Ids, durations, places of the speakers, their names, places of the roots and suffixes."""
    durations_s, spoken_by, roots, endings = array("f"), array("i"), array("B"), array("B")
    speakers = {}

    def ids():
        for name, file_name, duration_s, _, _, speaker, root in rows:
            suffix = file_name[len(split_suffix(name)[0]) - len(prefixes[root]) :]
            durations_s.append(float(duration_s))
            spoken_by.append(speakers.setdefault(speaker, len(speakers)))
            roots.append(root_names.index(root))
            endings.append(suffixes.setdefault(suffix, len(suffixes)))
            yield to_bytes(name)

    packed = pack(ids())
    names = sorted(speakers)
    place = np.empty(len(names), np.int32)
    place[[speakers[name] for name in names]] = np.arange(len(names))
    index = place[np.array(spoken_by, np.int32)]
    return packed, np.array(durations_s), index, names, np.array(roots), np.array(endings)
