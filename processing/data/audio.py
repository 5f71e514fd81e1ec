"""Read audio files with libsndfile, and check that they are whole.

libsndfile is lenient: it reads a WAV file cut in half as a shorter file and stops early in an MP3
file, both without an error. A data set read that way is smaller than it should be, so the length in
the header is compared here with what the file holds.
"""

import functools
import math
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import torchaudio
from speechbrain.dataio import audio_io
from tqdm import tqdm

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".sph")
"""Suffixes of audio files when a folder is listed."""

# Files that need ffmpeg: AAC in an MP4 container, or bare.
_FFMPEG_SUFFIXES = (".m4a", ".mp4", ".aac")
# The sample count in an MP3's Xing header is not exact for every encoder: allow two MPEG frames.
_MP3_TOLERANCE_SAMPLES = 2 * 1152
_OGG_MAX_PAGE_BYTES = 27 + 255 + 255 * 255


class AudioError(ValueError):
    """One audio file that cannot be used: which, why, and what to do about it.

    Arguments
    ---------
    path : str or Path
        The file.
    problem : str
        What is wrong with it.
    cure : str
        What to do next.
    kind : str
        "missing", "empty", "not_audio", "needs_ffmpeg", "needs_av", "truncated", "nan", "rate",
        "channels" or "range"; for counting.
    """

    def __init__(self, path, problem="", cure="", kind=""):
        super().__init__(str(path), problem, cure, kind)
        self.path, self.problem, self.cure, self.kind = str(path), problem, cure, kind

    def __str__(self):
        # A DataLoader rebuilds an error from its finished text alone.
        return f"{self.path}: {self.problem}; {self.cure}" if self.problem else self.path


@dataclass(frozen=True)
class AudioInfo:
    """Length and layout of one audio file."""

    num_samples: int
    sample_rate_hz: int
    channels: int
    format: str = ""

    @property
    def duration_s(self):
        return self.num_samples / self.sample_rate_hz


def read_audio(
    path,
    sample_rate_hz=None,
    *,
    start_sample=0,
    num_samples=None,
    resample="error",
    channels="error",
):
    """Read one file as a mono waveform.

    Arguments
    ---------
    path : str or Path
        A wav, flac, ogg, mp3 or NIST SPHERE file.
    sample_rate_hz : int, optional
        The rate the caller works at; None takes the file's own.
    start_sample : int
        First sample to read, counted at the file's own rate.
    num_samples : int, optional
        How many samples to read, counted at the file's own rate; None reads to the end.
    resample : "error" or "convert"
        What to do with a file of another rate.
    channels : "error" or "mix"
        What to do with a file of several channels; "mix" takes their mean.

    Returns
    -------
    torch.Tensor
        float32, full scale is 1.

    Shape
    -----
    (T,), where T is the number of samples read, or
    ``ceil(samples read * sample_rate_hz / rate of the file)`` after resampling.

    Raises
    ------
    AudioError
        The file is missing, empty, no audio, cut off, holds NaN or infinite samples, has another
        rate or several channels where that is not allowed, or is shorter than the part asked for.

    Example
    -------
    >>> import soundfile, tempfile
    >>> path = Path(tempfile.mkdtemp(), "tone.wav")
    >>> soundfile.write(path, torch.sin(torch.arange(800) * 0.3).numpy(), 8000)
    >>> read_audio(path, 8000).shape
    torch.Size([800])
    >>> read_audio(path, 16000, resample="convert").shape
    torch.Size([1600])
    """
    if resample not in ("error", "convert") or channels not in ("error", "mix"):
        raise ValueError(
            f"resample can be error or convert, channels error or mix: got {resample!r}, {channels!r}"
        )
    waveform, rate_hz, _ = _decode(path, start_sample, num_samples)
    _check_layout(
        path,
        waveform.shape[0] if channels == "error" else 1,
        rate_hz,
        sample_rate_hz if resample == "error" else None,
    )
    waveform = waveform.mean(0) if waveform.shape[0] > 1 else waveform[0]
    if sample_rate_hz is not None and rate_hz != sample_rate_hz:
        waveform = resampler(rate_hz, sample_rate_hz)(waveform)
    return waveform


def probe_audio(path):
    """Length, rate and channels of one file, from its header alone.

    Audio that is cut off behind a good header is noticed where that takes no decoding (wav, NIST,
    ogg); ``scan_audio`` notices it everywhere.

    Raises
    ------
    AudioError
        As `read_audio`, but for what only the samples show.
    """
    _, container = _check_container(path)
    try:
        info = audio_io.info(str(path))
    except RuntimeError as error:
        raise _decoding_error(path, container, error) from error
    if info.frames <= 0:
        raise audio_error(path, "empty")
    return AudioInfo(info.frames, info.sample_rate, info.channels, info.format)


def scan_audio(paths, sample_rate_hz=None, num_workers=None, progress=False):
    """Decode every file once, to find the broken ones before a training run meets them.

    Threads suffice, because libsndfile decodes without holding the interpreter.

    Arguments
    ---------
    paths : iterable of str or Path
        The files.
    sample_rate_hz : int, optional
        The rate every file must have; None accepts any.
    num_workers : int, optional
        Threads; by default one per processor, eight at most.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    list of AudioInfo or AudioError
        One per path, in the order of the paths. Files of several channels are errors.
    """
    paths = list(paths)
    num_workers = num_workers or min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(num_workers) as pool:
        results = pool.map(lambda path: _scan_one(path, sample_rate_hz), paths)
        bar = tqdm(results, "checking audio", len(paths), unit="file", disable=not progress)
        return list(bar)


def audio_below(folder):
    """Paths of the audio files anywhere below a folder, sorted; hidden files are left out."""
    return sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )


@functools.lru_cache(maxsize=16)
def resampler(from_hz, to_hz):
    """As `torchaudio.functional.resample`, which computes its filter anew for every clip."""
    return torchaudio.transforms.Resample(from_hz, to_hz, dtype=torch.float32)


def _check_layout(path, channels, rate_hz, required_hz):
    """Refuse several channels, and another rate than the required one (None: any)."""
    if channels > 1:
        raise audio_error(path, "channels", channels)
    if required_hz is not None and rate_hz != required_hz:
        raise audio_error(path, "rate", rate_hz, required_hz)


def _scan_one(path, sample_rate_hz):
    try:
        waveform, rate_hz, container = _decode(path)
        _check_layout(path, waveform.shape[0], rate_hz, sample_rate_hz)
    except AudioError as error:
        return error
    return AudioInfo(waveform.shape[1], rate_hz, waveform.shape[0], container)


def _decode(path, start_sample=0, num_samples=None):
    """Waveform (channels, samples), sample rate and container name of a file; AudioError if broken."""
    promised_samples, container = _check_container(path)
    try:
        waveform, rate_hz = audio_io.load(
            str(path),
            dtype=torch.float32,
            frame_offset=start_sample,
            num_frames=-1 if num_samples is None else num_samples,
        )
    except RuntimeError as error:
        if start_sample and start_sample > probe_audio(path).num_samples:
            raise _range_error(path, start_sample, num_samples) from error
        raise _decoding_error(path, container, error) from error
    if num_samples is not None:
        if waveform.shape[1] < num_samples:
            raise _range_error(path, start_sample, num_samples)
    else:
        decoded = start_sample + waveform.shape[1]
        promise = "its header promises {} samples, {} can be decoded"
        _check_promise(path, promised_samples, decoded, promise)
    if waveform.shape[1] == 0:
        raise _range_error(path, start_sample) if start_sample else audio_error(path, "empty")
    # The sum is fast, and not finite when any sample is not; a sum too large is no error.
    if not math.isfinite(waveform.sum()) and not torch.isfinite(waveform).all():
        bad = int((~torch.isfinite(waveform)).sum())
        raise AudioError(
            path, f"{bad} samples are NaN or infinite", "restore or remove the file", "nan"
        )
    return waveform, rate_hz, container


def _check_container(path):
    """Number of samples by the header (None where it has none) and the container's name.

    Raises AudioError for what the file system and the sizes in the container show.
    """
    path = Path(path)
    try:
        file = open(path, "rb")
    except IsADirectoryError:
        raise AudioError(path, "is a folder", "name an audio file", "missing") from None
    except FileNotFoundError:
        raise AudioError(path, "no such file", "check the path", "missing") from None
    except OSError as error:
        raise AudioError(
            path, f"cannot be opened ({error.strerror})", "check the permissions", "missing"
        ) from error
    with file:
        num_bytes = os.fstat(file.fileno()).st_size
        head = file.read(64)
        if not head:
            raise AudioError(path, "is empty (0 bytes)", "restore or remove the file", "empty")
        if head[4:8] == b"ftyp" or path.suffix.lower() in _FFMPEG_SUFFIXES:
            raise AudioError(
                path,
                "is AAC in an MP4 container, which libsndfile cannot read",
                f"convert it: ffmpeg -i {path.name} {path.stem}.wav",
                "needs_ffmpeg",
            )
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            _check_promise(path, *_riff_data_bytes(path, file, num_bytes))
            return None, "WAV"
        if head[:7] == b"NIST_1A":
            _check_promise(path, *_nist_data_bytes(file, num_bytes))
            return None, "NIST"
        if head[:4] == b"OggS":
            _check_last_ogg_page(path, file, num_bytes)
            return None, "OGG"
        if head[:4] == b"fLaC":
            # STREAMINFO always comes first; its total is 36 bits wide, and 0 means unknown.
            total_samples = int.from_bytes(head[18:26], "big") & (2**36 - 1)
            return total_samples or None, "FLAC"
    if path.suffix.lower() == ".mp3":
        try:
            promised_samples = audio_io.info(str(path)).frames - _MP3_TOLERANCE_SAMPLES
        except RuntimeError as error:
            # libsndfile calls it a missing file; an ID3 tag or the sync word tells the two apart.
            if head[:3] == b"ID3" or (head[0] == 0xFF and head[1:2] >= b"\xe0"):
                raise audio_error(path, "truncated", "it holds no complete MPEG stream") from error
            raise audio_error(path, "not_audio", "no MPEG frames found") from error
        return promised_samples, "MP3"
    return None, ""


def _riff_data_bytes(path, file, num_bytes):
    """Bytes of audio that a RIFF header promises, and bytes that are there."""
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", chunk)
        if name == b"data":
            # All ones means that whoever wrote the header could not know (a pipe).
            unknown = length == 0xFFFFFFFF
            return (None if unknown else length), num_bytes - file.tell()
        file.seek(length + length % 2, os.SEEK_CUR)
    raise audio_error(path, "truncated", "it ends before its audio begins")


def _nist_data_bytes(file, num_bytes):
    """Bytes of audio that a NIST SPHERE header promises, and bytes that are there."""
    file.seek(0)
    words = file.read(1024).decode("ascii", "replace").split("end_head")[0].split()
    fields = {words[i]: words[i + 2] for i in range(2, len(words) - 2, 3)}
    try:
        header_bytes = int(words[1])
        sizes = [int(fields[key]) for key in ("sample_count", "channel_count", "sample_n_bytes")]
    except (IndexError, KeyError, ValueError):
        return None, num_bytes  # libsndfile reports what is wrong
    return sizes[0] * sizes[1] * sizes[2], num_bytes - header_bytes


def _check_last_ogg_page(path, file, num_bytes):
    file.seek(max(0, num_bytes - 2 * _OGG_MAX_PAGE_BYTES))
    tail = file.read()
    page = tail[tail.rfind(b"OggS\0") :]
    num_segments = page[26] if len(page) > 26 else 0
    page_bytes = 27 + num_segments + sum(page[27 : 27 + num_segments])
    _check_promise(path, page_bytes, len(page), "its last page promises {} bytes, {} are there")


def _check_promise(
    path, promised, present, text="its header promises {} bytes of audio, {} are there"
):
    """Refuse a file that holds less than it promises (None: it promises nothing)."""
    if promised is not None and present < promised:
        raise audio_error(path, "truncated", text.format(promised, present))


_PROBLEMS = {
    "truncated": ("is cut off or damaged: {}", "copy or unpack the file again, or remove it"),
    "empty": ("holds no samples", "restore or remove the file"),
    "range": ("does not hold the samples from {} to {}", "prepare the manifest again"),
    "channels": (
        "has {} channels where one is required",
        "mix it down, e.g. ffmpeg -i IN -ac 1 OUT",
    ),
    "rate": (
        "has a sample rate of {} Hz where {} Hz is required",
        "resample it, e.g. ffmpeg -i IN -ar {1} OUT",
    ),
    "not_audio": (
        "is no audio file that libsndfile can read ({})",
        "wav, flac, ogg, mp3 and NIST SPHERE are read; restore, convert or remove the file",
    ),
}


def audio_error(path, kind, *values):
    """An `AudioError` of one of the usual kinds; its problem is completed with `values`."""
    problem, cure = _PROBLEMS[kind]
    return AudioError(path, problem.format(*values), cure.format(*values), kind)


def _range_error(path, start_sample, num_samples=None):
    end = "the end" if num_samples is None else start_sample + num_samples
    return audio_error(path, "range", start_sample, end)


def _decoding_error(path, container, error):
    reason = str(error.__cause__ or error).rstrip(".")
    if container:
        return audio_error(path, "truncated", f"{container} decoding fails ({reason})")
    return audio_error(path, "not_audio", reason)
