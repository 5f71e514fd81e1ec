"""VoxCeleb2's m4a files to wav or flac by ffmpeg, once, resumable and in parallel."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...processing.data.audio import AudioError
from ..training.preparation import PreparationError
from .corpus import CODED_SUFFIXES, Files
from .protocols import SAMPLE_RATE_HZ

CODECS = {"wav": "pcm_s16le", "flac": "flac"}
CONVERTED = "_converted"  # the root of what was converted is called after the root it is from

_BLOCK = 1024


def coded(files):
    """Places of the files that libsndfile cannot read."""
    needs = np.array([s.lower() in CODED_SUFFIXES for s in files.suffixes] or [False])
    return np.flatnonzero(needs[files.suffix]) if len(files) else np.zeros(0, np.int64)


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
        Processes of ffmpeg at a time; by default one per processor.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    (Files that has the converted in place of the sources, dict of AudioError by place)

    Raises
    ------
    PreparationError
        ffmpeg is missing, or the disc is full.
    """
    if not len(places):
        return files, {}
    folder = Path(folder)
    names = [name for name in files.root_names if np.any(files.roots_of(places) == name)]
    roots = files.roots | {name + CONVERTED: folder / name for name in names}
    suffixes = [*files.suffixes, *([] if f".{codec}" in files.suffixes else [f".{codec}"])]
    made = Files(
        files.names, files.root.copy(), files.suffix.copy(), files.size.copy(),
        files.mtime_ns.copy(), roots, suffixes, files.doubles,
    )  # fmt: skip
    number = {name: made.root_names.index(name + CONVERTED) for name in names}
    for name in names:
        made.root[places[files.roots_of(places) == name]] = number[name]
    made.suffix[places] = suffixes.index(f".{codec}")

    def is_done(place):
        try:
            stat = os.stat(made.path(place))
        except FileNotFoundError:
            return False
        if stat.st_mtime_ns < files.mtime_ns[place]:
            return False
        made.size[place], made.mtime_ns[place] = stat.st_size, stat.st_mtime_ns
        return True

    todo = [place for place in places.tolist() if not is_done(place)]
    if not todo:
        return made, {}
    program = find_ffmpeg(len(todo), files.path(todo[0]))

    def work(place):
        try:
            _convert_one(program, files.path(place), made.path(place), codec)
            is_done(place)
        except AudioError as error:
            return error
        return None

    errors = {}
    with (
        tqdm(total=len(todo), desc="converting", unit="file", disable=not progress) as bar,
        ThreadPoolExecutor(num_workers or os.cpu_count() or 1) as pool,
    ):
        for start in range(0, len(todo), _BLOCK):
            block = todo[start : start + _BLOCK]
            for place, error in zip(block, pool.map(work, block), strict=True):
                if error is not None:
                    errors[place] = error
                bar.update()
    broken = list(errors)  # they are still called what they are
    made.root[broken], made.suffix[broken] = files.root[broken], files.suffix[broken]
    return made, errors


def find_ffmpeg(count, example):
    """Path of ffmpeg.

    Raises
    ------
    PreparationError
        It is not installed; the text says what it is needed for.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise PreparationError(
            f"{count} files, such as {example}, are AAC (m4a), which libsndfile cannot read, and "
            "ffmpeg, which can convert them, is not on the PATH. Install it (e.g. apt-get install "
            "ffmpeg, or conda install ffmpeg), or convert the files elsewhere and put the results "
            "beside them under the same names: "
            f"ffmpeg -i 00001.m4a -ac 1 -ar {SAMPLE_RATE_HZ} -c:a pcm_s16le 00001.wav"
        )
    return program


def _convert_one(program, source, target, codec):
    if os.stat(source).st_size == 0:
        raise AudioError(source, "is empty (0 bytes)", "restore or remove the file", "empty")
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    command = [program, "-nostdin", "-v", "error", "-xerror", "-y", "-i", source]
    command += ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"]
    command += ["-vn", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "-c:a", CODECS[codec]]
    try:
        done = subprocess.run(
            [*command, "-f", codec, str(partial)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        said = done.stderr.decode(errors="replace").strip().splitlines()
        if any("No space left on device" in line for line in said):
            raise PreparationError(
                f"the disc of {target.parent} is full. Make room, or name another folder "
                "(cache_folder); what is converted already is kept."
            )
        if done.returncode or not partial.is_file() or not partial.stat().st_size:
            raise AudioError(
                source,
                f"cannot be converted: ffmpeg says {said[-1] if said else 'nothing'!r} "
                f"(exit status {done.returncode})",
                "restore it from the archive, or remove it",
                "not_convertible",
            )
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
