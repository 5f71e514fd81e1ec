"""Convert VoxCeleb2's m4a files to wav or flac with PyAV, once, resumable and in parallel."""

import errno
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from ...processing.data.audio import AudioError
from ...processing.data.media import MEDIA_REMEDY, decode_media, find_av
from ...processing.system.files import replacing, sweep_parts
from ...processing.system.terminal import no_bar
from ..training.preparation import PreparationError
from .corpus import CODED_SUFFIXES, Files
from .protocols import SAMPLE_RATE_HZ

CODECS = ("wav", "flac")
CONVERTED = "_converted"  # the root of what was converted is called after the root it is from

_BLOCK = 1024


def coded(files):
    """Places of the files that libsndfile cannot read, by their suffix."""
    is_coded = np.array([s.lower() in CODED_SUFFIXES for s in files.suffixes] or [False])
    return np.flatnonzero(is_coded[files.suffix]) if len(files) else np.zeros(0, np.int64)


def convert(files, places, folder, codec="wav", num_workers=None, progress=False):
    """Convert files into `<folder>/<root name>/<the same path>`; what is there already stays.

    A converted file appears whole or not at all, so that a conversion that was stopped goes on
    where it was. One whose source has changed since is made again.

    Arguments
    ---------
    files : Files
    places : (k,) int array
        The files to convert.
    folder : str or Path
        Where the converted files go. 1.1 million files of VoxCeleb2 take 272 GB as wav and
        about half of it as flac.
    codec : "wav" or "flac"
    num_workers : int, optional
        Threads; by default one per processor.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    (Files that has the converted in place of the sources, dict of AudioError by place)

    Raises
    ------
    PreparationError
        PyAV is missing, or the disc is full.
    """
    if not len(places):
        return files, {}
    folder = Path(folder)
    names = [name for name in files.root_names if np.any(files.roots_of(places) == name)]
    roots = files.roots | {name + CONVERTED: folder / name for name in names}
    suffixes = [*files.suffixes, *([] if f".{codec}" in files.suffixes else [f".{codec}"])]
    converted = Files(
        files.names, files.root.copy(), files.suffix.copy(), files.size.copy(),
        files.mtime_ns.copy(), roots, suffixes, files.doubles,
    )  # fmt: skip
    number = {name: converted.root_names.index(name + CONVERTED) for name in names}
    for name in names:
        converted.root[places[files.roots_of(places) == name]] = number[name]
    converted.suffix[places] = suffixes.index(f".{codec}")

    def is_done(place):
        try:
            stat = os.stat(converted.path(place))
        except FileNotFoundError:
            return False
        if stat.st_mtime_ns < files.mtime_ns[place]:
            return False
        converted.size[place], converted.mtime_ns[place] = stat.st_size, stat.st_mtime_ns
        return True

    todo = [place for place in places.tolist() if not is_done(place)]
    if not todo:
        return converted, {}
    if find_av() is None:
        raise PreparationError(
            f"{len(todo)} files, such as {files.path(todo[0])}, are AAC (m4a), which libsndfile "
            f"cannot read: {MEDIA_REMEDY}. Or convert the files elsewhere to {SAMPLE_RATE_HZ} Hz "
            "mono wav or flac and put the results beside them under the same names"
        )

    def work(place):
        try:
            _convert_one(files.path(place), converted.path(place), codec)
            is_done(place)
        except AudioError as error:
            return error
        return None

    errors = {}
    with (
        tqdm(total=len(todo), desc="converting", unit="file", disable=no_bar(progress)) as bar,
        ThreadPoolExecutor(num_workers or os.cpu_count() or 1) as pool,
    ):
        for start in range(0, len(todo), _BLOCK):
            block = todo[start : start + _BLOCK]
            for place, error in zip(block, pool.map(work, block), strict=True):
                if error is not None:
                    errors[place] = error
                bar.update()
    broken = list(errors)  # they keep their names
    converted.root[broken], converted.suffix[broken] = files.root[broken], files.suffix[broken]
    return converted, errors


def _convert_one(source, target, codec):
    """Write one file as 16-bit mono at the corpus' rate, whole or not at all."""
    cure = "restore it from the archive, or remove it"
    if os.stat(source).st_size == 0:
        raise AudioError(source, "is empty (0 bytes)", cure, "empty")
    try:
        samples, _ = decode_media(source, SAMPLE_RATE_HZ)
    except AudioError as error:
        raise AudioError(source, error.problem, cure, "not_convertible") from error
    coded_file = io.BytesIO()
    soundfile.write(coded_file, samples[0], SAMPLE_RATE_HZ, "PCM_16", format=codec)
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_parts(target.parent, target.name)
        with replacing(target) as part:
            part.write_bytes(coded_file.getbuffer())
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise PreparationError(
            f"the disc of {target.parent} is full. Make room, or name another folder "
            "(cache_folder); what is converted already is kept."
        ) from error
