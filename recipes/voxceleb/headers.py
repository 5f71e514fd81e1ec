"""Find the length and the faults of every file from its header and a spot in its middle, once.

Decoding 1.2 million files takes days, reading their headers minutes. What was seen is written down
as it is seen, so that a preparation that was stopped goes on where it was.
"""

import csv
import io
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...processing.data.audio import AudioError, audio_error, probe_audio, read_audio
from ...processing.system.tables import rows_that_parse, to_count
from ...processing.system.terminal import no_bar
from .protocols import SAMPLE_RATE_HZ

# Files that are decoded as a whole without being asked: below a minute.
MAX_DECODED = 5000

_BLOCK = 4096  # a pool takes all its work at once, so it is given in portions
_SPOT_SAMPLES = 1600
_HEADER, _DECODED = "header", "decoded"


def check_files(files, wanted, cache_path, decode, num_workers=None, progress=False):
    """Number of samples of every wanted file, and what is wrong with the broken ones.

    By its header a file is known to be missing, empty, no audio, cut off (wav, NIST, ogg) or of
    another rate; the spot in its middle shows one that is silent, and most that are cut off.
    Decoding shows everything.

    Arguments
    ---------
    files : Files
    wanted : (k,) int array
        Places among the files.
    cache_path : str or Path
        The CSV file that remembers; a file counts as seen as long as its size and its time of
        modification are the same. Broken files are looked at again.
    decode : (k,) bool array
        Which of the wanted files to decode as a whole.
    num_workers : int, optional
        Threads.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    ((n,) int64 numbers of samples, -1 for what was not wanted or is broken;
    dict of AudioError by place)
    """
    cache_path = Path(cache_path)
    num_samples = np.full(len(files), -1, np.int64)
    whole = np.zeros(len(files), bool)
    _read_cache(cache_path, files, num_samples, whole)
    to_decode = np.zeros(len(files), bool)
    to_decode[wanted] = decode
    is_wanted = np.zeros(len(files), bool)
    is_wanted[wanted] = True
    num_samples[~is_wanted] = -1
    todo = np.flatnonzero(is_wanted & ((num_samples < 0) | (to_decode & ~whole)))
    errors = {}
    if not len(todo):
        return num_samples, errors

    def check(place):
        try:
            return _check_one(files.path(place), to_decode[place])
        except AudioError as error:
            return error

    bar = tqdm(
        total=len(todo), desc="checking audio", unit="file", disable=no_bar(progress), delay=1
    )
    with (
        bar,
        ThreadPoolExecutor(num_workers or min(8, os.cpu_count() or 1)) as pool,
        _open_cache(cache_path) as cache,
    ):
        for start in range(0, len(todo), _BLOCK):
            block = todo[start : start + _BLOCK]
            lines = io.StringIO()
            writer = csv.writer(lines, lineterminator="\n")
            for place, result in zip(block.tolist(), pool.map(check, block.tolist()), strict=True):
                if isinstance(result, AudioError):
                    errors[place] = result
                    num_samples[place] = -1
                else:
                    num_samples[place] = result
                    kind = _DECODED if to_decode[place] else _HEADER
                    writer.writerow((*_key(files, place), result, kind))
            cache.write(lines.getvalue().encode("utf-8", "surrogateescape"))
            bar.update(len(block))
    return num_samples, errors


def _check_one(path, decode):
    if not decode:
        info = probe_audio(path)
        if info.sample_rate_hz != SAMPLE_RATE_HZ:
            raise audio_error(path, "rate", info.sample_rate_hz, SAMPLE_RATE_HZ)
        spot = min(_SPOT_SAMPLES, info.num_samples)
        start = (info.num_samples - spot) // 2
        try:
            waveform = read_audio(path, SAMPLE_RATE_HZ, start_sample=start, num_samples=spot)
        except AudioError as error:
            if error.kind != "range":
                raise
            promise = f"its header promises {info.num_samples} samples, and the one in the middle"
            raise audio_error(path, "truncated", f"{promise} cannot be decoded") from error
        if waveform.any():
            return info.num_samples
    waveform = read_audio(path, SAMPLE_RATE_HZ)
    if not waveform.any():
        raise AudioError(
            path, "is digital silence", "restore it from the archive, or remove it", "silent"
        )
    return len(waveform)


def _key(files, place):
    return (
        files.root_names[files.root[place]],
        files.name(place),
        files.suffixes[files.suffix[place]],
        int(files.size[place]),
        int(files.mtime_ns[place]),
    )


def _open_cache(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = open(path, "a+b", buffering=0)
    if cache.seek(0, os.SEEK_END):
        cache.seek(-1, os.SEEK_END)
        if cache.read() != b"\n":  # a run was stopped in the middle of a line
            cache.write(b"\n")
    return cache


def _read_cache(path, files, num_samples, whole):
    """Fill in what is known; a line that was cut off or that is of another file is passed over."""
    try:
        lines = open(path, newline="", encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return
    with lines:
        rows = rows_that_parse(lines)
        whole_rows = (row for row in rows if len(row) == 7 and row[6] in (_HEADER, _DECODED))
        while block := list(itertools.islice(whole_rows, 65536)):
            _take(block, files, num_samples, whole)


def _take(block, files, num_samples, whole):
    places = files.find([row[1] for row in block])
    for place, row in zip(places.tolist(), block, strict=True):
        count = to_count(row[5])
        if place < 0 or count is None:
            continue
        if row[:5] == [str(part) for part in _key(files, place)]:
            num_samples[place] = count
            whole[place] = row[6] == _DECODED


def as_problems(files, errors):
    """(file relative to its root, kind, reason) of every broken file."""
    return [
        (files.file_name(place), error.kind, f"{error.problem}; {error.cure}")
        for place, error in sorted(errors.items())
    ]


def too_short(files, places, num_samples, min_duration_s):
    """Places of the files that are shorter, and (file, kind, reason) of each."""
    short = places[num_samples[places] < min_duration_s * SAMPLE_RATE_HZ]
    problems = [
        (
            files.file_name(place),
            "short",
            f"lasts {num_samples[place] / SAMPLE_RATE_HZ:.3g} s, less than min_duration_s "
            f"({min_duration_s:g} s); lower that, or remove the file",
        )
        for place in short.tolist()
    ]
    return short, problems
