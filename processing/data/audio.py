"""Read audio files with libsndfile as mono waveforms, and refuse those that are not whole.

A data set of files that were cut is smaller than it should be, and nobody would know: what was
decoded is compared with what the container promises (`containers`).
"""

import hashlib
import io
import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from ..system.terminal import no_bar
from .audio_errors import AudioError, audio_error
from .containers import Container, open_audio, read_container
from .media import DECODER_DELAY_SAMPLES, decode_media, find_av
from .resampling import resampler

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".sph")
"""Suffixes of audio files when a folder is listed."""
OTHER_SUFFIXES = tuple(".sphere .opus .aiff .aif .w64 .caf .au .m4a .mp4 .aac".split())
"""Suffixes that lists of recordings have besides."""
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1_000, 768_000

# Those whose length `containers` compares with the file, or libsndfile does as it decodes.
_CHECKED_FORMATS = tuple("WAV WAVEX RF64 W64 AIFF AU CAF NIST FLAC OGG MP3".split())
_SAMPLE_BYTES = {
    "PCM_S8": 1,
    "PCM_U8": 1,
    "ULAW": 1,
    "ALAW": 1,
    "PCM_16": 2,
    "PCM_24": 3,
}
_SAMPLE_BYTES |= {"PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
# The sample count in an MP3's Xing header is not exact for every encoder: allow two MPEG frames.
_MP3_TOLERANCE_SAMPLES = 2 * 1152
ENDLESS = 2**62  # libsndfile's length of a FLAC file that does not tell its own is 2^63 - 1
_BAD_SEEK = 39  # libsndfile's SFE_BAD_SEEK
_BLOCK_SAMPLES = 2**20
_FLAC_BLOCK_BYTES = 8192
# -40 dB: below it the mean of the channels is what lossy coding leaves of opposite ones.
_CANCELLED_POWER = 1e-4


@dataclass(frozen=True)
class AudioInfo:
    """Length and layout of one audio file."""

    num_samples: int
    sample_rate_hz: int
    channels: int
    format: str = ""
    #: Of the samples, where all were decoded: equal in every lossless form. "" of digital silence.
    digest: str = field(default="", compare=False)

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
    waveform = mix_channels(path, waveform) if waveform.shape[0] > 1 else waveform[0]
    if sample_rate_hz is not None and rate_hz != sample_rate_hz:
        waveform = resampler(rate_hz, sample_rate_hz)(waveform)
    return waveform


def read_channels(path):
    """All channels (C, T) of a whole file at its own rate, and the rate in Hz; see `read_audio`."""
    return _decode(path)[:2]


def probe_audio(path):
    """Length, rate and channels of one file, from its header alone.

    Audio that is cut off behind a good header is noticed where that takes no decoding (all but flac
    and mp3); ``scan_audio`` notices it everywhere. A file that does not say how long it is, where
    that takes decoding (flac, mp3), is decoded.

    Raises
    ------
    AudioError
        As `read_audio`, but for what only the samples show.
    """
    with opened(path) as (file, container):
        if file is not None and container.num_samples < ENDLESS:
            if container.num_samples <= 0:
                raise audio_error(path, "empty")
            layout = (file.samplerate, file.channels, container.name)
            return AudioInfo(container.num_samples, *layout)
    waveform, rate_hz, name = _decode(path)
    return AudioInfo(waveform.shape[1], rate_hz, waveform.shape[0], name)


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
        bar = tqdm(results, "checking audio", len(paths), unit="file", disable=no_bar(progress))
        return list(bar)


def split_suffix(name: str) -> tuple[str, str]:
    """A recording's name and its suffix, which is empty where it is none of an audio file.

    Example
    -------
    >>> split_suffix("id10270/5r0dWxy17C8/00001.wav"), split_suffix("id1/talk.2")
    (('id10270/5r0dWxy17C8/00001', '.wav'), ('id1/talk.2', ''))
    """
    stem, suffix = os.path.splitext(name)
    return (stem, suffix) if suffix.lower() in AUDIO_SUFFIXES + OTHER_SUFFIXES else (name, "")


def audio_below(folder):
    """Paths of the audio files anywhere below a folder, sorted; hidden files are left out."""
    return sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )


def _check_layout(path, channels, rate_hz, required_hz):
    """Refuse several channels, and another rate than the required one (None: any)."""
    if channels > 1:
        raise audio_error(path, "channels", channels)
    if required_hz is not None and rate_hz != required_hz:
        raise audio_error(path, "rate", rate_hz, required_hz)


def mix_channels(path, waveform):
    """(C, T) -> (T,), the mean of the channels; AudioError where they cancel each other."""
    mean = waveform.mean(0)
    if mean.square().mean() <= _CANCELLED_POWER * waveform.square().mean() and waveform.any():
        raise AudioError(
            path,
            f"has {len(waveform)} channels that cancel each other: their mean is silence, at least "
            "40 dB below them (a microphone wired the wrong way round)",
            "take one of the channels: ffmpeg -i IN -af pan=mono|c0=c0 OUT",
            "channels",
        )
    return mean


def _scan_one(path, sample_rate_hz):
    try:
        waveform, rate_hz, container = _decode(path)
        _check_layout(path, waveform.shape[0], rate_hz, sample_rate_hz)
    except AudioError as error:
        return error
    digest = ""
    if waveform.any():
        digest = hashlib.blake2b(waveform.numpy().tobytes(), digest_size=8).hexdigest()
    return AudioInfo(waveform.shape[1], rate_hz, waveform.shape[0], container, digest)


@contextmanager
def opened(path):
    """(SoundFile, Container) of a file; (None, Container) where PyAV is needed and installed."""
    with open_audio(path) as file:
        try:
            container = read_container(path, file)
        except AudioError as error:
            if error.kind != "needs_ffmpeg" or find_av() is None:
                raise
            yield None, Container("AAC")
            return
        if container.name == "MP3" and not container.known:
            yield None, container
            return
        # The descriptor and not the name: libsndfile guesses by suffixes, and soundfile cannot
        # encode every name.
        source = _patched(file, *container.patch) if container.patch else file.fileno()
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # Python has read from it
        try:
            sound = soundfile.SoundFile(source, closefd=False)
        except (soundfile.LibsndfileError, TypeError) as error:
            raise _decoding_error(path, container.name, error) from error
        with sound:
            num_samples = _check_header(path, sound, container)
            yield sound, replace(container, name=sound.format, num_samples=num_samples)


def _patched(file, at, replacement):
    """The whole file in memory, with other bytes at one place."""
    file.seek(0)
    content = bytearray(file.read())
    content[at : at + len(replacement)] = replacement
    return io.BytesIO(content)


def _check_header(path, sound, container):
    """How many samples there are to read, by libsndfile and by what the container promises."""
    if sound.format not in _CHECKED_FORMATS:
        raise audio_error(
            path,
            "unsupported",
            f"a {sound.format} file, of which nothing tells whether it is whole",
            "ffmpeg -i IN OUT.wav",
        )
    if not LOWEST_RATE_HZ <= sound.samplerate <= HIGHEST_RATE_HZ:
        raise AudioError(
            path,
            f"has a sample rate of {sound.samplerate} Hz; {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz "
            "are read",
            "restore the file, or write the right rate into its header",
            "rate",
        )
    check_promise(path, container.num_samples or 0, sound.frames)
    if container.audio_bytes is not None and sound.subtype in _SAMPLE_BYTES:
        frame_bytes = sound.channels * _SAMPLE_BYTES[sound.subtype]
        if container.frame_bytes not in (None, frame_bytes):
            raise AudioError(
                path,
                f"has a header that contradicts itself: {sound.channels} x {sound.subtype} are "
                f"{frame_bytes} bytes, it says {container.frame_bytes}",
                "restore the file",
                "truncated",
            )
        promised = container.audio_bytes // frame_bytes
        check_promise(path, promised, sound.frames)
        return promised  # of some containers libsndfile reads what follows the audio, too
    return sound.frames


def _decode(path, start_sample=0, num_samples=None):
    """Waveform (channels, samples), sample rate and container name of a file; AudioError if broken."""
    with opened(path) as (sound, container):
        if sound is None:
            samples, rate_hz = decode_media(path)
            end = None if num_samples is None else start_sample + num_samples
            delay = DECODER_DELAY_SAMPLES if container.name == "MP3" else 0
            waveform = torch.from_numpy(samples[:, delay:][:, start_sample:end])
        else:
            rate_hz = sound.samplerate
            promised = container.num_samples
            if start_sample > promised:
                raise _range_error(path, start_sample, num_samples)
            left = promised - start_sample
            left = left if num_samples is None else min(left, num_samples)
            waveform = _read_blocks(path, sound, start_sample, left).T
            if num_samples is None and promised < ENDLESS:
                exact = sound.format != "MP3" or container.short
                tolerance = 0 if exact else _MP3_TOLERANCE_SAMPLES
                check_promise(path, promised - tolerance, start_sample + waveform.shape[1])
            if num_samples is None and sound.format == "FLAC":
                _check_flac_end(path, sound.name)
    if num_samples is not None and waveform.shape[1] < num_samples:
        raise _range_error(path, start_sample, num_samples)
    if waveform.shape[1] == 0:
        raise (_range_error(path, start_sample) if start_sample else audio_error(path, "empty"))
    # The sum is fast, and not finite when any sample is not; a sum too large is no error.
    if not math.isfinite(waveform.sum()) and not torch.isfinite(waveform).all():
        bad = int((~torch.isfinite(waveform)).sum())
        raise AudioError(
            path,
            f"{bad} samples are NaN or infinite",
            "restore or remove the file",
            "nan",
        )
    return waveform, rate_hz, container.name


def _read_blocks(path, sound, start_sample, left):
    """At most `left` samples (T, channels); memory grows with what is there, not by the header."""
    blocks = [np.zeros((0, sound.channels), np.float32)]
    blocks += decoded_blocks(path, sound, left, start_sample)
    return torch.from_numpy(blocks[1] if len(blocks) == 2 else np.concatenate(blocks))


def decoded_blocks(path, sound, left, start_sample=0, most=_BLOCK_SAMPLES):
    """At most `left` samples of an open file, in blocks (n, channels) of at most `most`."""
    try:
        sound.seek(start_sample)
        while left > 0:
            size = min(left, most)
            # What libsndfile does not write into stays NaN: where the length is unknown, soundfile
            # reads the last samples and then fails to seek to the end that it has just found.
            block = np.full((size, sound.channels), np.nan, np.float32)
            try:
                count = len(sound.read(size, out=block))
            except soundfile.LibsndfileError as error:
                if error.code != _BAD_SEEK or sound.frames < ENDLESS:
                    raise
                count = size - int(np.isnan(block[:, 0]).sum())
            yield block[:count]
            left = left - count if count == size else 0
    except soundfile.LibsndfileError as error:
        raise _decoding_error(path, sound.format, error) from error


def check_promise(path, promised, present):
    """Refuse a file of which less can be decoded than it promises."""
    if present < promised:
        promise = f"its header promises {promised} samples, {present} can be decoded"
        raise audio_error(path, "truncated", promise)


def _check_flac_end(path, descriptor):
    """Refuse a file of which libFLAC, which stops at the promised length, has not read the end."""
    num_bytes = os.fstat(descriptor).st_size
    unread = num_bytes - os.lseek(descriptor, 0, os.SEEK_CUR)
    if unread > max(2 * _FLAC_BLOCK_BYTES, num_bytes // 50):
        what = f"a FLAC file with {unread} bytes behind the samples that its header promises"
        raise audio_error(path, "unsupported", what, "ffmpeg -i IN OUT")


def _range_error(path, start_sample, num_samples=None):
    end = "the end" if num_samples is None else start_sample + num_samples
    return audio_error(path, "range", start_sample, end)


def _decoding_error(path, container, error):
    reason = getattr(error, "error_string", str(error)).rstrip(".")
    if container:
        return audio_error(path, "truncated", f"{container} decoding fails ({reason})")
    return audio_error(path, "not_audio", reason)
