"""Scan recordings of any rate and channels: length, rate, and a digest that tells copies apart."""

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tqdm import tqdm

from ..system.files import TextError, read_text, replacing
from ..system.tables import rows_that_parse, to_count
from ..system.terminal import no_bar
from .audio import AudioError, mix_channels, read_channels
from .scan import AudioFile


@dataclass(frozen=True)
class Scanned:
    """What a decoded recording holds.

    Attributes
    ----------
    num_samples, sample_rate_hz, channels : of the file.
    digest : SHA-256 of its samples: copies have one digest, whatever container they are in.
    """

    num_samples: int
    sample_rate_hz: int
    channels: int
    digest: str


_COLUMNS = ("key", "size", "mtime_ns", *(field.name for field in fields(Scanned)))


def scan_recordings(
    files: Sequence[AudioFile],
    cache_path: str | os.PathLike,
    num_workers: int | None = None,
    progress: bool = False,
) -> dict[str, Scanned | AudioError]:
    """Decode every file that the cache does not know.

    Arguments
    ---------
    files : of any rate and channels, which are mixed.
    cache_path : a CSV file, written when anything was decoded.
    num_workers : threads; by default one per processor, eight at most.
    progress : whether to draw a progress bar.

    Returns
    -------
    Scanned or AudioError by key.
    """
    known = _read_cache(cache_path)
    results = {
        file.key: known.get((file.key, str(file.size), str(file.mtime_ns))) for file in files
    }
    unknown = [file for file in files if results[file.key] is None]
    if not unknown:
        return results
    with ThreadPoolExecutor(num_workers or min(8, os.cpu_count() or 1)) as pool:
        scanned = pool.map(lambda file: _scan(file.path), unknown)
        bar = tqdm(scanned, "checking audio", len(unknown), unit="file", disable=no_bar(progress))
        results |= {file.key: result for file, result in zip(unknown, bar, strict=True)}
    path = Path(cache_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for file in files:
            if isinstance(result := results[file.key], Scanned):
                writer.writerow((file.key, file.size, file.mtime_ns, *astuple(result)))
    return results


def _scan(path: str) -> Scanned | AudioError:
    try:
        channels, rate_hz = read_channels(path)
        wav = mix_channels(path, channels) if len(channels) > 1 else channels[0]
    except AudioError as error:
        return error
    digest = hashlib.sha256(f"{rate_hz}\n".encode() + wav.contiguous().numpy().tobytes())
    return Scanned(len(wav), rate_hz, len(channels), digest.hexdigest())


def _read_cache(path: str | os.PathLike) -> dict[tuple[str, str, str], Scanned]:
    try:
        rows = rows_that_parse(io.StringIO(read_text(path)))
    except (OSError, TextError):
        return {}
    known = {}
    for key, size, mtime_ns, *counts, digest in (row for row in rows if len(row) == len(_COLUMNS)):
        num_samples, sample_rate_hz, channels = map(to_count, counts)
        if num_samples and sample_rate_hz and channels:
            scanned = Scanned(num_samples, sample_rate_hz, channels, digest)
            known[key, size, mtime_ns] = scanned
    return known
