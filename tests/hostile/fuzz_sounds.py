"""Sound files for the fuzzer: one of every container, and what a reader may not lose of them."""

import io
import struct
import tempfile
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from fuzz_mutations import mutate_bytes
from media_files import write_m4a

from auricle.processing.data.audio import (
    AudioError,
    probe_audio,
    read_audio,
    read_channels,
)
from auricle.processing.data.media import decode_media

RATE_HZ, SAMPLES = 8000, 8000
#: libsndfile's format, subtype, options, and how many bytes stand before the audio.
FORMATS = {
    "wav": ("WAV", "PCM_16", {}),
    "wav_u8": ("WAV", "PCM_U8", {}),
    "wav_24": ("WAV", "PCM_24", {}),
    "wav_float": ("WAV", "FLOAT", {}),
    "wav_ulaw": ("WAV", "ULAW", {}),
    "wav_adpcm": ("WAV", "IMA_ADPCM", {}),
    "wavex": ("WAVEX", "PCM_16", {}),
    "rifx": ("WAV", "PCM_16", {"endian": "BIG"}),
    "rf64": ("RF64", "PCM_16", {}),
    "w64": ("W64", "PCM_16", {}),
    "aiff": ("AIFF", "PCM_16", {}),
    "aiff_little": ("AIFF", "PCM_16", {"endian": "LITTLE"}),
    "au": ("AU", "PCM_16", {}),
    "caf": ("CAF", "PCM_16", {}),
    "caf_alac": ("CAF", "ALAC_16", {}),
    "sphere": ("NIST", "PCM_16", {}),
    "flac": ("FLAC", "PCM_16", {}),
    "ogg": ("OGG", "VORBIS", {}),
    "opus": ("OGG", "OPUS", {}),
    "mp3": ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "CONSTANT"}),
    "mp3_variable": ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "VARIABLE"}),
}
#: Where what every sample rests on ends, for formats that are not stored sample by sample.
HEADS = {"flac": 86, "ogg": 4200, "opus": 300, "mp3": 1300, "mp3_variable": 1300, "caf_alac": 4200}
#: Two frames of MPEG, or what the packets of Ogg overlap in.
TOLERANCE = {
    "mp3": 2304,
    "mp3_variable": 2304,
    "opus": 960,
    "ogg": 256,
    "m4a": 2048,
    "caf_alac": 192,
}


def signal(channels=1):
    rng = np.random.default_rng(0)
    time = np.arange(SAMPLES)[:, None] / RATE_HZ
    tones = np.sin(2 * np.pi * (300 + 200 * np.arange(channels)) * time)
    return (0.2 * tones + 0.05 * rng.standard_normal((SAMPLES, channels))).squeeze()


def example(name, channels):
    """The bytes of a good file."""
    if name == "m4a":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.m4a")
            write_m4a(path, signal(channels).reshape(SAMPLES, -1).T, RATE_HZ)
            return path.read_bytes()
    kind, subtype, options = FORMATS[name]
    out = io.BytesIO()
    soundfile.write(out, signal(channels), RATE_HZ, format=kind, subtype=subtype, **options)
    data = out.getvalue()
    if name == "wav" and channels == 2:
        data += b"LIST" + struct.pack("<I", 4) + b"INFO"
    return data


def head_bytes(name, data):
    """How many bytes stand before the audio of a good file of `SAMPLES` samples."""
    if name in HEADS:
        return HEADS[name]
    names = {"aiff": b"SSND", "sphere": None, "au": None}
    marker = names.get(name.partition("_")[0], b"data")
    if marker is None:
        return 1024 if name == "sphere" else int.from_bytes(data[4:8], "big")
    return data.index(marker) + 24


def by_ffmpeg(path):
    """(channels, samples) as FFmpeg decodes them and the rate in Hz; None where it cannot."""
    pieces = []
    try:
        with av.open(str(path)) as file:
            resampler = av.AudioResampler("flt")
            for frame in file.decode(audio=0):
                pieces += resampler.resample(frame)
    except (av.FFmpegError, ValueError, IndexError, OverflowError, MemoryError):
        pass
    if not pieces or len({piece.layout.nb_channels for piece in pieces}) > 1:
        return None, 0
    samples = np.concatenate([piece.to_ndarray() for piece in pieces], 1)
    return samples.reshape(-1, pieces[0].layout.nb_channels).T, pieces[0].sample_rate


class Sound:
    """A kind of file for the fuzzer: a container, with one channel or two."""

    def __init__(self, name):
        self.name, self.suffix = name, "." + name.partition("_")[0]
        self.file = f"case{self.suffix}"
        self.good = [example(name, channels) for channels in (1, 2)]

    def damaged(self, random):
        """(data, about): a damaged file, and the good one."""
        good = random.choice(self.good)
        return mutate_bytes(random, good), good

    def read(self, path, random):
        """What auricle reads, by all its ways; they have to agree."""
        if self.name == "m4a":
            samples, rate_hz = decode_media(path)
            decode_media(path, 16000)
            return torch.from_numpy(samples), rate_hz
        try:
            told = probe_audio(path)
        except AudioError:
            told = None
        wave, rate_hz = read_channels(path)
        try:
            read_audio(path, 16000, resample="convert", channels="mix")
        except AudioError as error:
            assert error.kind == "channels"
        size = wave.shape[1]
        start = random.randrange(size)
        part = (
            read_audio(path, start_sample=start, num_samples=min(500, size - start), channels="mix")
            if len(wave) == 1
            else wave[0, start : start + 500]
        )
        self.part = start, part
        assert told is not None, "probe_audio refuses what read_audio reads"
        assert told.sample_rate_hz == rate_hz and told.channels == len(wave)
        assert abs(told.num_samples - size) <= TOLERANCE.get(self.name, 0), (told, size)
        if self.suffix in (".wav", ".flac", ".aiff"):
            assert torch.equal(part, wave[0, start : start + 500]), (
                "a part is not that of the whole"
            )
        return wave, rate_hz

    names_its_file = True

    def must_read(self, about):
        return False

    def judge(self, read, data, good, path):
        """(what became of it, what was lost or is wrong)."""
        wave, rate_hz = read
        size, tolerance = wave.shape[1], TOLERANCE.get(self.name, 0)
        whole = SAMPLES if self.name == "m4a" else soundfile.info(io.BytesIO(good)).frames
        head = head_bytes(self.name, good)
        same_head = data[:head] == good[:head]
        if same_head and size < whole - tolerance:
            return "shorter", f"{size} of {whole} samples behind an unchanged header"
        if same_head and size > whole + tolerance:
            return "longer", f"{size} samples behind a header that promises {whole}"
        if self.name in STORED and size < whole:
            bytes_each = (len(good) - head) / whole * len(wave) / (1 + (good is self.good[-1]))
            unread = len(data) - head - size * bytes_each
            if unread > 0.05 * len(data) and not any(
                mark in data[-6000:] for mark in (b"LIST", b"TAG")
            ):
                return "shorter", f"{size} of {whole} samples, {unread:.0f} bytes are not read"
        other, other_hz = by_ffmpeg(path)
        if other is not None and other.shape[0] == len(wave):
            others = other.shape[1] * rate_hz // other_hz
            if self.name in BY_FFMPEG and size < others - tolerance:
                return "shorter", f"{size} samples, FFmpeg decodes {others}"
            if self.name in EXACT and other.shape[1] == size:
                error = np.abs(other - wave.numpy()).max()
                if error > 1e-4:
                    return "differs", f"samples differ from FFmpeg's by {error:.2g}"
        if size == whole and rate_hz == RATE_HZ:
            return "read whole", ""
        return ("read as its header says" if size < whole else "read, longer"), ""


EXACT = (
    "wav",
    "wav_u8",
    "wav_24",
    "wav_float",
    "wavex",
    "rf64",
    "w64",
    "aiff",
    "au",
    "caf",
    "flac",
)
#: Sample by sample, and nothing else behind the first of them.
STORED = (*EXACT[:-1], "rifx", "wav_ulaw", "aiff_little", "au", "w64", "sphere")
#: Where FFmpeg is a judge of the length: of the others it passes over what the header says.
BY_FFMPEG = ("ogg", "opus", "wav_adpcm", "m4a")
SOUNDS = (*FORMATS, "m4a")
