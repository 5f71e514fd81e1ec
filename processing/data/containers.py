"""What the container of an audio file promises, compared with the bytes that are there.

libsndfile reads a file that was cut as a shorter one, in most containers without an error. The
container is told by its first bytes, behind ID3 tags, and never by the suffix of the name.
"""

import os
import stat
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from .audio_errors import AudioError, audio_error
from .media import MEDIA_REMEDY

# What programs write that cannot go back to the header of a pipe: none, sox and espeak, the largest
# signed number, arecord, and about the largest number (ffmpeg, with room for the header).
_UNKNOWN_SIZES = (0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000)
_UNKNOWN_FROM = 0xFFFFFF00
# A file beyond 4 GiB has more bytes than its 32-bit size by 2^32 (at most 64 KiB of other chunks).
_WRAPPED_BYTES = 2**32 - 2**16
_MAX_NIST_HEADER_BYTES = 2**20
_MAX_CHUNKS = 10_000
# More than this (or a fiftieth) behind the audio has to be something else than audio.
_FEW_BYTES = 512
_TAGS_BEHIND = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
# An MP3 file of variable bit rate tells its length by a count of frames in the first of them (or VBRI
# does); the encoder's delay and padding are among them.
_MP3_COUNTERS = (b"Xing", b"Info")
_MP3_PADDING_FRAMES = 4
# Ogg sums bits from the highest on, zlib from the lowest.
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Container:
    """A container by name, and what it says about its length.

    Attributes
    ----------
    name : str
        As libsndfile calls it; "" where only libsndfile can tell.
    audio_bytes : int or None
        Bytes of audio that are promised or, where the length is unknown, there; None: not counted
        in bytes.
    known : bool
        Whether the file tells how long it is.
    num_samples : int or None
        Samples that are promised at least (MP3, AIFF), then: to read. None: not known yet.
    frame_bytes : int or None
        Of a WAV file: what its header says that one sample of all channels takes.
    short : bool
        Of an MP3 file, whose counts are not exact for every encoder: fewer bytes are there than are
        counted.
    patch : (int, bytes) or None
        Where the header says that the length is unknown in a way that libsndfile does not
        understand, and what to put in its place.
    """

    name: str
    audio_bytes: int | None = None
    known: bool = True
    patch: tuple[int, bytes] | None = None
    short: bool = False
    num_samples: int | None = None
    frame_bytes: int | None = None


def open_audio(path) -> BinaryIO:
    """Open a file that has bytes; AudioError for what the file system shows."""
    try:
        status = os.stat(path)
        # A pipe would be waited for.
        file = open(path, "rb") if stat.S_ISREG(status.st_mode) else None
    except FileNotFoundError:
        raise AudioError(path, "no such file", "check the path", "missing") from None
    except OSError as error:
        problem = f"cannot be opened ({error.strerror})"
        raise AudioError(path, problem, "check the permissions", "missing") from error
    except ValueError:
        raise AudioError(path, "has a NUL in its name", "correct the name", "missing") from None
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(path, "is a folder", "name an audio file", "missing")
    if file is None:
        raise AudioError(path, "is a pipe or a device", "write it into a file", "missing")
    if not status.st_size:
        file.close()
        raise AudioError(path, "is empty (0 bytes)", "restore or remove the file", "empty")
    return file


def read_container(path, file: BinaryIO) -> Container:
    """The container of an open file.

    Raises
    ------
    AudioError
        Less is there than the container promises ("truncated"), or libsndfile cannot read it
        ("unsupported", "needs_ffmpeg").
    """
    num_bytes = os.fstat(file.fileno()).st_size
    start, head = _skip_id3(file)
    riff = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}.get(head[:4])
    if riff and head[8:12] == b"WAVE":
        return _riff(path, file, start, num_bytes, riff)
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return _w64(path, file, start)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(path, file, start)
    if head[:4] == b"FORM":  # damaged, it can keep libsndfile for ever
        raise audio_error(path, "unsupported", "IFF of another kind than AIFF", "sox IN OUT.wav")
    if head[:4] in (b".snd", b"dns."):
        order = "big" if head[:1] == b"." else "little"
        offset, size = int.from_bytes(head[4:8], order), int.from_bytes(head[8:12], order)
        return _sized(path, file, "AU", size, start + offset)
    if head[:4] == b"caff":
        return _caf(path, file, start)
    if head[:7] == b"NIST_1A":
        return _nist(path, file, start)
    if head[:4] == b"OggS":
        if start:
            what = "an Ogg file behind an ID3 tag, of which libsndfile loses samples"
            raise audio_error(path, "unsupported", what, "ffmpeg -i IN OUT")
        _check_ogg_pages(path, file, num_bytes)
        return Container("OGG")
    if head[:4] == b"fLaC":
        # STREAMINFO always comes first; its count of samples is 36 bits wide, and 0 means unknown.
        return Container("FLAC", known=int.from_bytes(head[18:26], "big") & (2**36 - 1) > 0)
    is_adts = head[:1] == b"\xff" and head[1:2] in (b"\xf0", b"\xf1", b"\xf8", b"\xf9")
    if head[4:8] == b"ftyp" or is_adts:
        coding = "AAC in ADTS frames" if is_adts else "AAC in an MP4 container"
        name = Path(path)
        raise AudioError(
            path,
            f"is {coding}, which libsndfile cannot read",
            f"{MEDIA_REMEDY}; or convert it: ffmpeg -i {name.name} {name.stem}.wav",
            "needs_ffmpeg",
        )
    if start or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return _mp3(path, file, start, num_bytes)
    return Container("")


def _mp3(path, file, start, num_bytes):
    file.seek(start)
    head = file.read(4096)
    if b"VBRI" in head:
        return Container("MP3")
    at = max(head.find(name) for name in _MP3_COUNTERS)
    flags, frames, promised = struct.unpack(">3I", head[at + 4 : at + 16].ljust(12, b"\0"))
    if at < 0 or not flags & 1 or not frames:
        return Container("MP3", known=False)
    is_first_version, layer = head[1] & 8, head[1] >> 1 & 3  # layers are counted backwards
    frame_samples = {3: 384, 2: 1152, 1: 1152 if is_first_version else 576}.get(layer, 0)
    least = max(0, frames - _MP3_PADDING_FRAMES) * frame_samples
    if not flags & 2:
        return Container("MP3", num_samples=least)
    file.seek(start + promised)
    behind = file.read(4096)
    frame_bytes = max(96, head.find(head[:2], 4))  # of some encoders the first frame does not count
    more = len(behind) > 2 * frame_bytes and not behind.startswith(_TAGS_BEHIND)
    if more and (behind.startswith(b"ID3") or head[:2] in behind):
        raise audio_error(
            path,
            "unsupported",
            "several MP3 files one behind the other, of which libsndfile reads the first",
            "ffmpeg -i IN OUT",
        )
    return Container("MP3", num_samples=least, short=num_bytes - start < promised)


def _skip_id3(file):
    """(where the audio begins behind ID3v2 tags, the 64 bytes there)"""
    start, head = 0, file.read(64)
    while head[:3] == b"ID3" and len(head) >= 10:
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        start += 10 + size + (10 if head[5] & 0x10 else 0)
        file.seek(start)
        head = file.read(64)
    return start, head


def _chunks(path, file, at, header, min_bytes=0, align=2):
    """(name, bytes, where they begin) of each chunk; its size counts `min_bytes` of its header."""
    num_header_bytes = struct.calcsize(header)
    num_bytes = os.fstat(file.fileno()).st_size
    for _ in range(_MAX_CHUNKS):
        file.seek(min(at, num_bytes))
        head = file.read(num_header_bytes)
        if len(head) < num_header_bytes:
            raise audio_error(path, "truncated", "it ends before its audio begins")
        name, size = struct.unpack(header, head)
        at += num_header_bytes
        yield name, size - min_bytes, at
        if size < min_bytes:
            raise audio_error(path, "truncated", f"its chunk at byte {at} has the size {size}")
        at += -(-(size - min_bytes) // align) * align
    raise audio_error(path, "truncated", f"no audio among its first {_MAX_CHUNKS} chunks")


def _riff(path, file, start, num_bytes, order):
    file.seek(start)
    kind, riff_size = struct.unpack(order + "4sI", file.read(8))
    long_size = frame_bytes = None
    for name, length, place in _chunks(path, file, start + 12, order + "4sI"):
        if name == b"ds64":
            _, long_size = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))
        if name == b"fmt ":
            frame_bytes = struct.unpack(order + "12xH", file.read(14).ljust(14, b"\0"))[0]
        if name == b"data":
            size, at = length, place
            break
    if kind in (b"RF64", b"BW64"):
        size = long_size if size == 0xFFFFFFFF and long_size else size
        return replace(_sized(path, file, "RF64", size, at), frame_bytes=frame_bytes)
    if size == 0 and abs(num_bytes - start - 8 - riff_size) <= 1:
        return Container("WAV", 0)  # it is closed, and holds nothing
    patch = (at - 4, struct.pack(order + "I", 0xFFFFFFFF)) if size == 0 else None
    return replace(_sized(path, file, "WAV", size, at, patch), frame_bytes=frame_bytes)


def _w64(path, file, start):
    for name, size, at in _chunks(path, file, start + 40, "<16sQ", 24, 8):
        if name == _W64_DATA:
            return _sized(path, file, "W64", size, at, align=8)


def _aiff(path, file, start):
    num_samples = None
    for name, size, at in _chunks(path, file, start + 12, ">4sI"):
        if name == b"COMM":
            num_samples = int.from_bytes(file.read(6)[2:], "big")
        if name == b"SSND":
            skipped = 8 + int.from_bytes(file.read(4), "big")
            size = size if _is_unknown(size) else max(0, size - skipped)
            sized = _sized(path, file, "AIFF", size, at + skipped)
            return replace(sized, num_samples=num_samples if sized.known else None)


def _caf(path, file, start):
    for name, size, at in _chunks(path, file, start + 8, ">4sq", align=1):
        if name == b"data":
            if size != -1:
                return _sized(path, file, "CAF", size - 4, at + 4)  # behind a count of edits
            present = os.fstat(file.fileno()).st_size - at
            return Container("CAF", present - 4, False, (at - 8, present.to_bytes(8, "big")))


def _nist(path, file, start):
    file.seek(start)
    lines = file.read(_MAX_NIST_HEADER_BYTES).partition(b"end_head")[0].split(b"\n")
    fields = [line.decode("latin-1").split(None, 2) for line in lines[2:]]
    values = {field[0]: field[2].strip() for field in fields if len(field) == 3}
    coding = values.get("sample_coding", "pcm")
    if "," in coding:
        raise audio_error(
            path,
            "unsupported",
            f"NIST SPHERE with the coding {coding!r}, which libsndfile cannot decode",
            "sph2pipe -f wav IN OUT, or w_decode of NIST's SPHERE tools",
        )
    try:
        header_bytes = int(lines[1])
        counts = [int(values[name]) for name in ("sample_count", "channel_count", "sample_n_bytes")]
    except (IndexError, KeyError, ValueError):
        return Container("NIST")  # libsndfile reports what is wrong
    promised = counts[0] * counts[1] * counts[2]
    return _sized(path, file, "NIST", promised, start + header_bytes, markers=False)


def _is_unknown(size):
    return size in _UNKNOWN_SIZES or size >= _UNKNOWN_FROM and size < 2**32 or size >= 2**63


def _sized(path, file, name, promised, at, patch=None, markers=True, align=2):
    """A container that counts its audio in bytes, compared with those that are there, from `at` on."""
    present = os.fstat(file.fileno()).st_size - at
    if markers and _is_unknown(promised):
        return Container(name, max(0, present), False, patch)
    if not 0 <= promised <= present:
        promise = f"its header promises {promised} bytes of audio, {present} are there"
        raise audio_error(path, "truncated", promise)
    if name in ("WAV", "AIFF", "AU") and present - promised >= _WRAPPED_BYTES:
        raise audio_error(
            path,
            "unsupported",
            f"a {name} file beyond 4 GiB, whose header can only promise {promised} of {present} "
            "bytes of audio",
            "sox --ignore-length IN OUT.flac",
        )
    unread = present + (-promised // align) * align
    if unread > max(_FEW_BYTES, promised // 50):
        file.seek(-unread, os.SEEK_END)
        rest = file.read(2**20)
        if any(rest) and not _is_chunk(rest, unread, chunks=name not in ("AU", "NIST")):
            raise audio_error(
                path,
                "unsupported",
                f"a {name} file whose header promises {promised} bytes of audio where {present} are "
                "there",
                "sox --ignore-length IN OUT",
            )
    return Container(name, promised)


def _is_chunk(rest, num_bytes, chunks):
    """Whether the bytes behind the audio are a tag or a chunk of the container's, and not audio."""
    if rest.startswith((b"ID3", *_TAGS_BEHIND)):
        return True
    sizes = [int.from_bytes(rest[4:8], order) for order in ("little", "big")]
    sizes += [int.from_bytes(rest[4:12], "big"), int.from_bytes(rest[16:24], "little")]
    name = rest[:4].decode("latin-1")
    return chunks and name.isascii() and name.isprintable() and min(sizes) <= num_bytes


def _check_ogg_pages(path, file, num_bytes):
    """Every page is there and whole, and in each stream one follows the other up to the last."""
    at, next_page, open_streams, num_chains = 0, {}, set(), 0
    while at < num_bytes:
        file.seek(at)
        page = file.read(27 + 255 + 255 * 255)
        if page[:4] != b"OggS" or len(page) < 27:
            if next_page and not open_streams:
                num_chains += b"OggS\0" in page + file.read(2**20)
                break  # something behind the audio, such as a tag
            raise audio_error(path, "truncated", f"no page of Ogg begins at byte {at}")
        flags, serial, number = page[5], *struct.unpack("<II", page[14:22])
        if flags & 2:
            num_chains += not open_streams
            next_page[serial] = number
            open_streams.add(serial)
        if number != next_page.get(serial):
            missing = f"page {next_page.get(serial, 0)} is missing"
            raise audio_error(path, "truncated", f"{missing}, page {number} follows at byte {at}")
        next_page[serial] = number + 1
        page_bytes = 27 + page[26] + sum(page[27 : 27 + page[26]])
        if at + page_bytes > num_bytes:
            promise = f"its last page promises {page_bytes} bytes, {num_bytes - at} are there"
            raise audio_error(path, "truncated", promise)
        checked = (
            page[:22] + bytes(4) + page[26:page_bytes]
        )  # libsndfile leaves out a page that differs
        crc = zlib.crc32(checked.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
        if int(f"{crc:032b}"[::-1], 2) != int.from_bytes(page[22:26], "little"):
            raise audio_error(path, "truncated", f"the checksum of its page at byte {at} is wrong")
        if flags & 4:
            open_streams.discard(serial)
        at += page_bytes
    if open_streams:
        raise audio_error(path, "truncated", "it ends before the page that is marked as the last")
    if num_chains > 1:
        raise audio_error(
            path,
            "unsupported",
            f"{num_chains} Ogg files one behind the other, of which libsndfile reads the first",
            "ffmpeg -i IN OUT",
        )
