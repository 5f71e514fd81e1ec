"""Decode every file of a data set once and keep its length and a digest in a CSV file.

A file is decoded again when its size or its time of modification changes, and as long as it is
broken.
"""

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

from ..system.files import TextError, read_text, replacing
from ..system.tables import rows_that_parse, to_count
from .audio import AudioError, AudioInfo, scan_audio

_COLUMNS = ("key", "size", "mtime_ns", "num_samples", "channels", "digest")


@dataclass(frozen=True)
class AudioFile:
    """One file as the folder lists it; the key names it independently of the machine."""

    key: str
    path: str
    size: int
    mtime_ns: int

    def __post_init__(self):
        try:
            self.key.encode()
        except UnicodeEncodeError:
            problem = "has a name that is not UTF-8, which no manifest can hold"
            cure = "rename it, or set PYTHONUTF8=1 where Python takes names for another encoding"
            raise AudioError(self.path, problem, cure, "name") from None

    @classmethod
    def at(cls, key, path):
        """The file at a path, as it is now."""
        stat = os.stat(path)
        return cls(key, str(path), stat.st_size, stat.st_mtime_ns)


def list_folder(folder, key_prefix=""):
    """The visible files directly in a folder, by name.

    Arguments
    ---------
    folder : str or Path
        The folder.
    key_prefix : str
        What comes before `<folder's name>/<file's name>` in the key.
    """
    folder = Path(folder)
    prefix = f"{key_prefix}{folder.name}/"
    with os.scandir(folder) as entries:
        files = [
            AudioFile(prefix + entry.name, entry.path, stat.st_size, stat.st_mtime_ns)
            for entry in entries
            if not entry.name.startswith(".") and entry.is_file()
            for stat in (entry.stat(),)
        ]
    return sorted(files, key=lambda file: file.key)


def scan_files(files, cache_path, sample_rate_hz, num_workers=None, progress=False):
    """The result of `scan_audio` for each file, decoding only those that the cache does not know.

    Arguments
    ---------
    files : list of AudioFile
        The files.
    cache_path : str or Path
        A CSV file, written when anything was decoded.
    sample_rate_hz : int
        The rate every file must have.
    num_workers : int, optional
        As for `scan_audio`.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    dict
        AudioInfo or AudioError by key.
    """
    cache_path = Path(cache_path)
    known = _read_cache(cache_path, sample_rate_hz)
    infos, unknown = {}, []
    for file in files:
        row = known.get((file.key, str(file.size), str(file.mtime_ns)))
        if row is None:
            unknown.append(file)
        else:
            num_samples, channels, digest = row
            infos[file.key] = AudioInfo(num_samples, sample_rate_hz, channels, digest=digest)
    if unknown:
        paths = [file.path for file in unknown]
        results = scan_audio(paths, sample_rate_hz, num_workers, progress)
        infos.update((file.key, result) for file, result in zip(unknown, results, strict=True))
        _write_cache(cache_path, sample_rate_hz, files, infos)
    return infos


def _read_cache(path, sample_rate_hz):
    try:
        rows = rows_that_parse(io.StringIO(read_text(path)))
    except (FileNotFoundError, TextError):
        return {}
    if tuple(next(rows, ())) != (*_COLUMNS, str(sample_rate_hz)):
        return {}
    known = {}
    for key, size, mtime_ns, *counts, digest in (row for row in rows if len(row) == len(_COLUMNS)):
        num_samples, channels = map(to_count, counts)
        if num_samples and channels:
            known[key, size, mtime_ns] = num_samples, channels, digest
    return known


def _write_cache(path, sample_rate_hz, files, infos):
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        # The rate stands in the header: what is broken at one rate is fine at another.
        writer.writerow((*_COLUMNS, sample_rate_hz))
        for file in files:
            result = infos[file.key]
            if not isinstance(result, AudioError):
                found = (result.num_samples, result.channels, result.digest)
                writer.writerow((file.key, file.size, file.mtime_ns, *found))
