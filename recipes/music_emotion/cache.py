"""Decode the window of every song once, as mono 16-bit WAV at the target rate.

mp3 decoders differ in what they cut off at both ends, and decoding costs more than reading; so a
song is decoded once, and from then on a clip has one length. A journal grows line by line while
songs are decoded: a preparation that was interrupted goes on where it stopped. It has a checksum of
every clip, so that a clip that was damaged later is decoded again.
"""

import csv
import os
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import soundfile
import torch
from tqdm.contrib.concurrent import thread_map

from ...processing.data.audio import AudioError, probe_audio, read_audio
from ...processing.data.resampling import resampler
from ...processing.system.files import replacing, sweep_parts
from ...processing.system.listing import first_of
from ...processing.system.tables import rows_that_parse
from ...processing.system.terminal import no_bar
from ..training.messages import tell

PAD_S = 0.5
"""A clip that ends this much before its window is padded with zeros: encoders round lengths."""
_SHORTEST_S = 1.0
_JOURNAL = "decoded.csv"


@dataclass(frozen=True)
class Window:
    """Which part of each song, and what happens where a song ends before it.

    Attributes
    ----------
    start_s, end_s : float
    sample_rate_hz : int
    short_clips : "error" or "shift"
        shift moves the window back to where the song has it; of a song that is shorter than the
        window, all is taken.
    """

    start_s: float
    end_s: float
    sample_rate_hz: int
    short_clips: str = "error"

    @property
    def folder_name(self):
        """Windows that are not the same lie in different folders."""
        part = f"{self.start_s:g}-{self.end_s:g}s-{self.sample_rate_hz}hz"
        return part + ("-shifted" if self.short_clips == "shift" else "")


@dataclass(frozen=True)
class CachedClip:
    """A decoded clip.

    Attributes
    ----------
    id, key : str
        The song, and its file below the data folder.
    size, mtime_ns : int
        Of that file when it was decoded.
    num_samples : int
        Of the clip.
    start_s : float
        Where in the song it begins.
    song_s : float
        How long the song is.
    padded_samples, clipped_samples : int
        Zeros at the end; samples beyond full scale, as mp3 decoders give them for loud songs.
    checksum : int
        CRC-32 of the clip's file.
    """

    id: str
    key: str
    size: int
    mtime_ns: int
    num_samples: int
    start_s: float
    song_s: float
    padded_samples: int
    clipped_samples: int
    checksum: int


def decode_songs(songs, folder, window, num_workers=None, progress=False):
    """The cached clips of songs; decodes those that are not cached or have changed.

    Arguments
    ---------
    songs : list of Song
        With their audio.
    folder : Path
        The cache; clips go to a folder of their own below it for each window.
    window : Window
    num_workers : int, optional
        Threads; by default one per processor. libsndfile and torch leave the interpreter free.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    dict
        By id: CachedClip, or AudioError; kind "short" is a clip that ends before its window.
    """
    folder = Path(folder) / window.folder_name
    folder.mkdir(parents=True, exist_ok=True)
    known = _read_journal(folder / _JOURNAL)
    clips, unknown = {}, []
    decoded = [
        clip
        for song in songs
        if (clip := known.get(song.id))
        and (clip.key, clip.size, clip.mtime_ns)
        == (song.audio.key, song.audio.size, song.audio.mtime_ns)
    ]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda clip: _is_intact(folder, clip), decoded)
        intact = {clip.id: whole for clip, whole in zip(decoded, found, strict=True)}
    if damaged := [id for id, whole in intact.items() if not whole]:
        tell(
            f"{len(damaged)} decoded clips in {folder} are missing or not as they were written, and "
            f"are decoded again: {first_of(damaged)}"
        )
    for song in songs:
        if intact.get(song.id):
            clips[song.id] = known[song.id]
        else:
            unknown.append(song)
    if not unknown:
        return clips
    sweep_parts(folder)
    lock = threading.Lock()
    with open(folder / _JOURNAL, "a", newline="", encoding="utf-8") as journal:
        writer = csv.writer(journal, lineterminator="\n")

        def decode(song):
            try:
                clip = _decode(song, folder, window)
            except AudioError as error:
                return error
            with lock:
                writer.writerow(asdict(clip).values())
                journal.flush()
            return clip

        results = thread_map(
            decode,
            unknown,
            max_workers=num_workers or os.cpu_count(),
            desc="decoding songs",
            unit="song",
            disable=no_bar(progress),
        )
        clips.update(zip((song.id for song in unknown), results, strict=True))
    return clips


def clip_path(window, id):
    """A clip's file below the cache folder."""
    return f"{window.folder_name}/{id}.wav"


def are_intact(folder, paths):
    """Whether clips are as they were when they were decoded.

    Arguments
    ---------
    folder : Path
        The cache.
    paths : list of str
        Of `clip_path`, of one window.
    """
    folder = (Path(folder) / paths[0]).parent
    known = _read_journal(folder / _JOURNAL)
    clips = [known.get(Path(path).stem) for path in paths]
    with ThreadPoolExecutor() as pool:
        return None not in clips and all(pool.map(lambda clip: _is_intact(folder, clip), clips))


def _decode(song, folder, window):
    path = song.audio.path
    rate_hz = probe_audio(path).sample_rate_hz
    # All of it: only then is it known that the file does not end early.
    samples = read_audio(path, channels="mix")
    total = len(samples)
    window_samples = round((window.end_s - window.start_s) * rate_hz)
    start = round(window.start_s * rate_hz)
    if start + window_samples - total > PAD_S * rate_hz:
        if window.short_clips == "error" or total < _SHORTEST_S * rate_hz:
            raise AudioError(
                path,
                f"lasts {total / rate_hz:.2f} s, which is shorter than the window from "
                f"{window.start_s:g} to {window.end_s:g} s",
                "choose an earlier window_s, or short_clips shift",
                "short",
            )
        start = max(0, total - window_samples)
        window_samples = min(window_samples, total)
    samples = samples[start : start + window_samples]
    num_samples = round(window_samples * window.sample_rate_hz / rate_hz)
    padded = num_samples - round(len(samples) * window.sample_rate_hz / rate_hz)
    if rate_hz != window.sample_rate_hz:
        samples = resampler(rate_hz, window.sample_rate_hz)(samples)
    samples = torch.nn.functional.pad(samples, (0, num_samples - len(samples)))  # cuts as well
    scaled = (samples * 32768).round()
    clipped = int((scaled.abs() > 32768).sum())
    with replacing(folder / f"{song.id}.wav") as partial:
        soundfile.write(
            partial,
            scaled.clamp(-32768, 32767).to(torch.int16).numpy(),
            window.sample_rate_hz,
            subtype="PCM_16",
            format="WAV",
        )
    return CachedClip(
        song.id,
        song.audio.key,
        song.audio.size,
        song.audio.mtime_ns,
        num_samples,
        start / rate_hz,
        total / rate_hz,
        max(0, padded),
        clipped,
        _checksum(folder, song.id),
    )


def _checksum(folder, id):
    return zlib.crc32((folder / f"{id}.wav").read_bytes())


def _is_intact(folder, clip):
    try:
        return _checksum(folder, clip.id) == clip.checksum
    except OSError:
        return False


def _read_journal(path):
    """Clips by id; a line that was cut off when the power failed counts nothing."""
    kinds = [field.type for field in fields(CachedClip)]
    known = {}
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            for row in rows_that_parse(file):
                try:
                    values = [kind(text) for kind, text in zip(kinds, row, strict=True)]
                except ValueError:
                    continue
                known[row[0]] = CachedClip(*values)
    except FileNotFoundError:
        pass
    return known
