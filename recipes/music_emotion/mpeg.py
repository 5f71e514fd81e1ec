"""Read a whole song, also from an mp3 file that does not say how long it is.

An mp3 file of variable bit rate needs a first frame that counts the others. Where it is missing,
libsndfile 1.2.2 takes the first frame's bit rate for that of all, and reads only as much as it then
expects: of one file of 20 s, 7 s. Such a file is read here with a first frame that was counted.
"""

import io
import os

import soundfile
import torch

from ...processing.data.audio import AudioError, read_audio

__all__ = ["count_frames", "read_song"]

_KBPS = {  # by whether it is MPEG 1
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_COUNTERS = (b"Xing", b"Info", b"VBRI")


def read_song(path):
    """A whole file as a mono waveform (T,) at its own rate.

    Raises
    ------
    AudioError
        As `read_audio`.
    """
    if os.path.splitext(path)[1].lower() == ".mp3" and os.path.isfile(path):
        with open(path, "rb") as file:
            data = file.read()
        start = _first_frame(data)
        if start is not None and not any(c in data[start : start + 200] for c in _COUNTERS):
            try:
                counted = io.BytesIO(_counter(data, start) + data[start:])
                samples, _ = soundfile.read(counted, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise AudioError(
                    path,
                    f"is cut off or damaged: MP3 decoding fails ({error})",
                    "copy or unpack the file again, or remove it",
                    "truncated",
                ) from error
            return torch.from_numpy(samples).mean(1)
    return read_audio(path, channels="mix")


def count_frames(data, start=0):
    """Whole MPEG layer III frames from a frame's first byte on, up to what is no frame.

    Example
    -------
    >>> count_frames(b"TAG and other things")
    0
    """
    count = 0
    while (length := _frame_length(data, start)) and start + length <= len(data):
        start += length
        count += 1
    return count


def _frame_length(data, start):
    """Bytes of the frame that begins there; 0: none does."""
    head = data[start : start + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, rate, kbps = (head[1] >> 3) & 3, (head[2] >> 2) & 3, head[2] >> 4
    if version == 1 or rate == 3 or kbps in (0, 15):
        return 0
    bits = _KBPS[version == 3][kbps] * 1000
    return (144 if version == 3 else 72) * bits // _RATES_HZ[version][rate] + ((head[2] >> 1) & 1)


def _first_frame(data):
    """Where the first frame begins that another one follows; None: there are no two."""
    start = 0
    if data[:3] == b"ID3" and len(data) > 10:
        size = data[6:10]
        start = 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    end = min(len(data), start + 65536)
    while start < end:
        start = data.find(b"\xff", start, end)
        if start < 0:
            return None
        length = _frame_length(data, start)
        if length and _frame_length(data, start + length):
            return start
        start += 1
    return None


def _counter(data, start):
    """A silent frame like the first one that says how many follow."""
    head = bytearray(data[start : start + 4])
    head[1] |= 1  # without a checksum
    is_first_version, is_mono = (head[1] >> 3) & 3 == 3, head[3] >> 6 == 3
    side_bytes = (17 if is_mono else 32) if is_first_version else (9 if is_mono else 17)
    frame = bytearray(_frame_length(data, start))
    body = b"Xing" + (3).to_bytes(4, "big") + count_frames(data, start).to_bytes(4, "big")
    body += (len(data) - start + len(frame)).to_bytes(4, "big")
    frame[:4] = head
    frame[4 + side_bytes : 4 + side_bytes + len(body)] = body
    return bytes(frame)
