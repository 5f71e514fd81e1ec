"""Encode and decode a waveform in memory with MP3, Opus or Vorbis.

A decoder gives back the waveform later, or longer, than the encoder took it. libsndfile takes most
of that out, but not all (an MP3 stream with frames too short for its LAME header decodes 1105
samples late), so the delay of every codec and setting is measured once, on a sweep.
"""

import functools
import inspect
import io
from typing import NamedTuple

import numpy as np
import soundfile

from ...system.rules import choice
from .transmission import fit_length, resample


class MissingEncoder(ValueError):
    """The installed libsndfile, or soundfile, cannot write what was asked for."""


class Codec(NamedTuple):
    """A codec: libsndfile's names for it, the rates it takes in Hz (none: any), what is set."""

    title: str
    format: str
    subtype: str
    rates_hz: tuple[int, ...]
    setting: str  # "kbit/s", or "quality" from 0 to 1


#: The codecs by name.
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
CODECS = {
    "mp3": Codec("MP3", "MP3", "MPEG_LAYER_III", _MP3_RATES_HZ, "kbit/s"),
    # 24 kHz is left out: libsndfile 1.2.2 gives it back a part of a sample early
    "opus": Codec("Opus", "OGG", "OPUS", (8000, 12000, 16000, 48000), "kbit/s"),
    "vorbis": Codec("Ogg Vorbis", "OGG", "VORBIS", (), "quality"),
}
_LONGEST_DELAY_S = 0.25


def missing_encoder(codec: str) -> str | None:
    """The reason why the installed libraries cannot encode; None when they can."""
    known = _known(codec)
    if "compression_level" not in inspect.signature(soundfile.SoundFile.__init__).parameters:
        return f"soundfile {soundfile.__version__} cannot set the strength of a codec (0.13 can)"
    formats = soundfile.available_formats()
    if known.format in formats and known.subtype in soundfile.available_subtypes(known.format):
        return None
    return f"libsndfile {soundfile.__libsndfile_version__} has no encoder for {known.title}"


def code(waveform, rate_hz: int, codec: str, setting: float) -> np.ndarray:
    """Encode and decode: the same length, not delayed.

    Arguments
    ---------
    waveform : (T,), full scale 1.
    rate_hz : its sample rate. Where the codec does not take it, the waveform is coded at the next
        higher rate that it takes, and brought back.
    codec : one of `CODECS`.
    setting : kbit/s of "mp3" (constant rate) and "opus" (variable, around it); for "vorbis" the
        quality from 0 to 1 (libvorbis' -q is ten times that).

    Raises
    ------
    MissingEncoder
        The installed libsndfile cannot write it.
    ValueError
        An unknown codec, a setting out of range, a waveform that is none.

    Example
    -------
    >>> tone = 0.5 * np.sin(np.arange(16000) * 0.3)
    >>> coded = code(tone, 16000, "vorbis", 0.5)
    >>> coded.shape, bool(np.abs(coded - tone).max() < 0.1)
    ((16000,), True)
    """
    coding_hz = _coding_rate(_known(codec), rate_hz)
    decoded = _decode(_encode(resample(waveform, rate_hz, coding_hz), coding_hz, codec, setting))
    delay = _delay_samples(codec, setting, coding_hz)
    decoded = decoded[delay:] if delay > 0 else np.pad(decoded, (-delay, 0))
    return fit_length(resample(decoded, coding_hz, rate_hz), len(waveform))


def encode(waveform, rate_hz: int, codec: str, setting: float) -> bytes:
    """The coded file that `code` decodes; what is raised is the same."""
    coding_hz = _coding_rate(_known(codec), rate_hz)
    return _encode(resample(waveform, rate_hz, coding_hz), coding_hz, codec, setting)


def _known(codec: str) -> Codec:
    choice("codec", codec, CODECS)
    return CODECS[codec]


def _coding_rate(codec: Codec, rate_hz: int) -> int:
    if not codec.rates_hz or rate_hz in codec.rates_hz:
        return rate_hz
    return next((rate for rate in codec.rates_hz if rate > rate_hz), codec.rates_hz[-1])


def _encode(waveform: np.ndarray, rate_hz: int, codec: str, setting: float) -> bytes:
    reason = missing_encoder(codec)
    if reason:
        raise MissingEncoder(reason)
    file = io.BytesIO()
    soundfile.write(
        file,
        waveform,
        rate_hz,
        format=CODECS[codec].format,
        subtype=CODECS[codec].subtype,
        compression_level=_compression_level(codec, setting, rate_hz),
        bitrate_mode="CONSTANT" if codec == "mp3" else None,
    )
    return file.getvalue()


def _decode(coded: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(coded), dtype="float32")[0]


def _compression_level(codec: str, setting: float, rate_hz: int) -> float:
    """libsndfile's 0 (best) to 1 (smallest) of a bit rate or quality, as it maps them itself."""
    if codec == "vorbis":
        low, high = 0.0, 1.0
    elif codec == "opus":
        low, high = 6.0, 256.0
    else:  # of MPEG 1, 2 and 2.5
        low = 32.0 if rate_hz >= 32000 else 8.0
        high = 320.0 if rate_hz >= 32000 else 160.0 if rate_hz >= 16000 else 64.0
    # the smallest MP3 is refused by libsndfile 1.2.2
    if not low <= setting <= high or (codec == "mp3" and setting == low):
        raise ValueError(
            f"{CODECS[codec].title} at {rate_hz} Hz takes a {CODECS[codec].setting} from {low:g}"
            f"{' (not itself)' if codec == 'mp3' else ''} to {high:g}, got {setting:g}"
        )
    return (high - setting) / (high - low)


@functools.lru_cache(maxsize=256)
def _delay_samples(codec: str, setting: float, rate_hz: int) -> int:
    """Delay of the decoded waveform in samples, measured with a sweep through speech frequencies."""
    time_s = np.arange(rate_hz) / rate_hz
    sweep = 0.4 * np.sin(2 * np.pi * (200.0 + 1000.0 * time_s) * time_s) * np.hanning(rate_hz)
    coded = _decode(_encode(sweep.astype(np.float32), rate_hz, codec, setting))
    size = 1 << (len(sweep) + len(coded)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(coded, size) * np.fft.rfft(sweep, size).conj(), size)
    reach = round(_LONGEST_DELAY_S * rate_hz)
    lags = np.arange(-reach, reach + 1)
    return int(lags[np.argmax(correlation[lags])])
