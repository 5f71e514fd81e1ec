"""Each container: a cut file is refused, one that does not tell its length is read to its end."""

import os
import struct

import numpy as np
import pytest
import soundfile
import torch
from refusals import refused

from auricle.processing.data.audio import AudioError, probe_audio, read_audio
from auricle.processing.data.scan import list_folder

RATE_HZ, NUM_SAMPLES = 16000, 64000
WAVE = np.random.default_rng(0).normal(size=NUM_SAMPLES) * 0.1
FORMATS = {
    "rf64": {"format": "RF64"},
    "rifx": {"format": "WAV", "endian": "BIG"},
    "float": {"format": "WAV", "subtype": "FLOAT"},
    "wavex": {"format": "WAVEX", "subtype": "PCM_24"},
    "adpcm": {"format": "WAV", "subtype": "IMA_ADPCM"},
    "w64": {"format": "W64"},
    "aiff": {"format": "AIFF"},
    "sowt": {"format": "AIFF", "endian": "LITTLE"},
    "au": {"format": "AU"},
    "dns": {"format": "AU", "endian": "LITTLE"},
    "caf": {"format": "CAF"},
    "nist": {"format": "NIST", "subtype": "ULAW"},
    "flac": {"format": "FLAC"},
    "mp3": {"format": "MP3"},
    "ogg": {"format": "OGG"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}
ID3 = b"ID3\3\0\0\0\0\0\x0a" + bytes(10)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a recording of 4 s, by format."""
    path = tmp_path_factory.mktemp("sound") / "a"

    def of(name):
        soundfile.write(path, WAVE, RATE_HZ, **FORMATS[name])
        return path.read_bytes()

    return {name: of(name) for name in FORMATS}


def _put(folder, data, name="a.wav"):
    path = folder / name  # of another container, for most
    path.write_bytes(data)
    return path


def _read_whole(path, tolerance=1e-3):
    waveform = read_audio(path)
    assert probe_audio(path).num_samples == len(waveform) == NUM_SAMPLES
    assert (waveform - torch.from_numpy(WAVE)).abs().max() < tolerance


def _refused(path, kind, *texts):
    error = refused("", read_audio, path, error=AudioError)
    assert error.kind == kind and all(text in str(error) for text in texts), str(error)


@pytest.mark.parametrize("tag", [b"", ID3], ids=["plain", "ID3"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_is_read_and_half_of_it_is_refused_whatever_its_suffix(
    tmp_path, content, name, tag
):
    if tag and name in ("rf64", "w64", "nist", "ogg", "opus", "caf", "dns", "au"):
        tag = b""  # libsndfile looks behind a tag in front of wav, aiff, flac and mp3
    data = content[name]
    waveform = read_audio(_put(tmp_path, tag + data))
    assert abs(len(waveform) - NUM_SAMPLES) < (1024 if name == "adpcm" else 1)
    _refused(_put(tmp_path, tag + data[: len(data) // 2], "cut.wav"), "truncated", "cut off")


@pytest.mark.parametrize("name", ["mp3", "ogg", "flac", "rf64", "aiff"])
def test_the_last_bytes_of_a_file_are_missed(tmp_path, content, name):
    for num_bytes in (200, 10):
        _refused(_put(tmp_path, content[name][:-num_bytes]), "truncated", "cut off")


def test_chunks_that_end_far_beyond_the_file_are_damage(tmp_path):
    for size in (2**62, 2**64 - 1):
        junk = b"junk" + bytes(12) + struct.pack("<Q", size)
        head = b"riff" + bytes(20) + b"wave" + bytes(12)
        _refused(_put(tmp_path, head + junk), "truncated", "cut off")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFF00, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_is_read_to_the_end(tmp_path, size, order):
    path = _put(tmp_path, _wav(size, order) + _pcm(order))
    _read_whole(path)
    assert read_audio(path, start_sample=100, num_samples=7).shape == (7,)


def _pcm(order="<"):
    return (WAVE * 32767).astype(f"{order}i2").tobytes()


def _wav(size, order="<", riff_size=None):
    riff_size = min(size + 36, 0xFFFFFFFF) if riff_size is None else riff_size
    head = b"RIFF" if order == "<" else b"RIFX"
    layout = struct.pack(f"{order}IHHIIHH", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    sizes = struct.pack(f"{order}I", riff_size), struct.pack(f"{order}I", size)
    return head + sizes[0] + b"WAVEfmt " + layout + b"data" + sizes[1]


def test_a_closed_wav_without_samples_is_empty_whatever_follows(tmp_path):
    tail = b"LIST\x04\0\0\0INFO"
    _refused(_put(tmp_path, _wav(0, riff_size=36 + len(tail)) + tail), "empty", "no samples")
    _refused(_put(tmp_path, _wav(0)), "empty", "no samples")


def test_other_containers_that_do_not_tell_their_length_are_read_to_the_end(tmp_path, content):
    data = content["au"]
    _read_whole(_put(tmp_path, data[:8] + b"\xff" * 4 + data[12:]))
    at = content["caf"].index(b"data") + 4
    _read_whole(_put(tmp_path, content["caf"][:at] + b"\xff" * 8 + content["caf"][at + 8 :]))


def _without_total(flac):
    fields = int.from_bytes(flac[18:26], "big") & ~(2**36 - 1)
    return flac[:18] + fields.to_bytes(8, "big") + flac[26:]


def test_a_flac_of_unknown_length_is_read_to_its_last_frame(tmp_path, content):
    data = _without_total(content["flac"])
    path = _put(tmp_path, data)
    _read_whole(path)
    whole = read_audio(path)
    assert torch.equal(read_audio(path, start_sample=50000), whole[50000:])
    assert torch.equal(read_audio(path, start_sample=100, num_samples=50), whole[100:150])
    refused("samples from 63000", read_audio, path, start_sample=63000, num_samples=1001)
    _refused(_put(tmp_path, data[: len(data) // 2]), "truncated", "FLAC")


def test_a_wav_beyond_4_gib_says_so(tmp_path):
    path = _put(tmp_path, _wav(64000) + bytes(64000))
    with open(path, "r+b") as file:
        file.truncate(44 + 2**32 + 64000)  # a hole: nothing is written
    for read in (read_audio, probe_audio):
        error = refused("beyond 4 GiB.*ignore-length", read, path, error=AudioError)
        assert error.kind == "unsupported"
    with open(path, "r+b") as file:
        file.truncate(44 + 64000 + 4096)  # padded to a block
    assert probe_audio(path).num_samples == 32000


def test_more_audio_than_a_wav_header_promises_is_not_left_out(tmp_path):
    data = _wav(2 * 1000) + _pcm()
    _refused(_put(tmp_path, data), "unsupported", "promises 2000", "128000")


def test_what_follows_the_audio_is_not_read_as_audio(tmp_path, content):
    for name, data in (
        ("nist", _sphere()),
        ("w64", content["w64"]),
        ("wav", _wav(128000) + _pcm()),
    ):
        _read_whole(_put(tmp_path, data + b"\1" * 500, name))
        _refused(_put(tmp_path, data + b"\1" * 9000), "unsupported", "137000")
        _read_whole(_put(tmp_path, data + bytes(9000)))
    _read_whole(_put(tmp_path, _wav(128000) + _pcm() + b"LIST\x38\x23\0\0" + b"i" * 9016))
    _refused(_put(tmp_path, _sphere() + b"LIST\x38\x23\0\0" + b"i" * 9016), "unsupported", "NIST")


def test_files_one_behind_the_other_are_not_read_as_the_first(tmp_path, content):
    for name, remedy in (("mp3", "several MP3 files"), ("flac", "behind the samples")):
        data = content[name]
        _refused(_put(tmp_path, data + data), "unsupported", remedy, "ffmpeg")
        assert len(read_audio(_put(tmp_path, data + b"TAG" + bytes(125)))) == NUM_SAMPLES


def test_a_header_that_contradicts_itself_is_refused(tmp_path, content):
    wav = bytearray(_wav(128000) + _pcm())
    wav[34] = 24  # bits in 2 bytes
    _refused(_put(tmp_path, bytes(wav)), "truncated", "contradicts itself", "says 2")
    aiff = bytearray(content["aiff"])
    aiff[aiff.index(b"COMM") + 15] = 24
    _refused(_put(tmp_path, bytes(aiff)), "truncated", "promises 64000 samples")
    caf = content["caf"]
    at = caf.index(b"data") + 4
    _refused(_put(tmp_path, caf[:at] + b"\xff" * 7 + b"\xfb" + caf[at + 8 :]), "truncated", "-9")
    mp3 = content["mp3"]
    _refused(_put(tmp_path, mp3[:600] + mp3[-600:]), "truncated", "promises")
    soundfile.write(tmp_path / "a.iff", WAVE, RATE_HZ, format="SVX", subtype="PCM_16")
    _refused(tmp_path / "a.iff", "unsupported", "IFF", "sox")


def test_an_ogg_with_a_hole_or_cut_at_a_page_is_refused(tmp_path, content):
    ogg = content["ogg"]
    pages = [i for i in range(len(ogg)) if ogg[i : i + 5] == b"OggS\0"]
    _refused(_put(tmp_path, ogg[: pages[-1]]), "truncated", "marked as the last")
    _refused(_put(tmp_path, ogg[: pages[4]] + ogg[pages[5] :]), "truncated", "page 4 is missing")
    for page in (pages[4], pages[-1]):
        flipped = bytearray(ogg)
        flipped[page + 300] ^= 1  # libsndfile leaves the page out, the last one without a word
        _refused(_put(tmp_path, bytes(flipped)), "truncated", f"page at byte {page}")
    _refused(_put(tmp_path, ogg[: pages[4]] + b"?" + ogg[pages[4] :]), "truncated", "no page")
    for between in (b"", bytes(9)):
        _refused(_put(tmp_path, ogg + between + ogg), "unsupported", "2 Ogg files", "ffmpeg")
    _refused(_put(tmp_path, ID3 + ogg), "unsupported", "ID3", "ffmpeg")
    _read_whole(_put(tmp_path, ogg + b"TAG" + bytes(125)), 0.3)


def _sphere(*fields):
    head = ["NIST_1A", "   1024", "database_id -s11 TIMIT speech", "channel_count -i 1"]
    head += [f"sample_count -i {NUM_SAMPLES}", "sample_rate -i 16000", "sample_n_bytes -i 2"]
    head += ["sample_byte_format -s2 01", "sample_sig_bits -i 16", *fields, "end_head", ""]
    return "\n".join(head).encode().ljust(1024) + _pcm()


def test_sphere_with_blanks_in_a_value_and_compressed_sphere(tmp_path):
    _read_whole(_put(tmp_path, _sphere()))
    _refused(_put(tmp_path, _sphere()[:-2]), "truncated", "127998")
    for coding, tool in (("pcm,embedded-shorten-v2.00", "sph2pipe"), ("ulaw,wavpack", "w_decode")):
        path = _put(tmp_path, _sphere(f"sample_coding -s26 {coding}"))
        _refused(path, "unsupported", coding, tool)


def test_what_is_in_the_file_counts_and_not_its_suffix(tmp_path, content, monkeypatch):
    monkeypatch.setattr("auricle.processing.data.audio.find_av", lambda: None)
    _read_whole(_put(tmp_path, content["rf64"], "a.m4a"))
    _read_whole(_put(tmp_path, content["rifx"], "a.raw"))
    soundfile.write(tmp_path / "a.voc", WAVE, RATE_HZ, format="VOC", subtype="PCM_16")
    _refused(tmp_path / "a.voc", "unsupported", "VOC", "ffmpeg")
    _refused(_put(tmp_path, b"\xff\xf1" + bytes(99), "a.mp3"), "needs_ffmpeg", "AAC", "ffmpeg -i")
    os.mkfifo(tmp_path / "pipe.wav")
    _refused(tmp_path / "pipe.wav", "missing", "pipe")


@pytest.mark.parametrize(
    "data", [b"RIFF\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", b"caff\0\1\0\0", b".snd"]
)
def test_a_header_without_audio_is_damaged_however_many_chunks_it_has(tmp_path, data):
    chunks = data + bytes(200_000)
    for cut in (chunks, chunks[: len(data) + 20], data):
        error = refused("", read_audio, _put(tmp_path, cut), error=(AudioError))
        assert error.kind in ("truncated", "not_audio")


@pytest.mark.parametrize("rate_hz", [1, 999, 768_001])
def test_rates_outside_1_to_768_khz_are_refused(tmp_path, rate_hz):
    data = bytearray(_wav(2000) + bytes(2000))
    data[24:28] = struct.pack("<I", rate_hz)
    for read in (read_audio, probe_audio):
        text = f"rate of {rate_hz} Hz; 1000 to 768000"
        refused(text, read, _put(tmp_path, data), error=AudioError)


def test_a_name_that_is_no_utf_8_is_read_and_can_be_printed(tmp_path, content):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(content["rf64"])
    _read_whole(path)
    path.write_bytes(content["rf64"][:1000])
    error = refused(r"caf\\xe9.wav: is cut off", read_audio, path, error=AudioError)
    str(error).encode()
    refused(r"caf\\xe9.wav: .*not UTF-8.*rename", list_folder, tmp_path, error=AudioError)


def test_opposite_channels_are_named_and_not_taken_for_silence(tmp_path):
    noise = np.random.default_rng(1).normal(size=(2, 8000)) * 0.1
    for name, left, right in (
        ("opposite", noise[0], -noise[0]),
        ("nearly", noise[0], -noise[0] + 0.001 * noise[1]),
    ):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.stack([left, right], 1), RATE_HZ, subtype="FLOAT")
        refused("2 channels that cancel.*ffmpeg", read_audio, path, channels="mix")
    for right in (noise[1], -0.9 * noise[0], 0 * noise[0]):
        soundfile.write(path, np.stack([noise[0], right], 1), RATE_HZ, subtype="FLOAT")
        assert read_audio(path, channels="mix").any()
    soundfile.write(path, np.zeros((100, 2)), RATE_HZ)
    assert not read_audio(path, channels="mix").any()
