"""Decoding with PyAV: lengths to the sample of mp3 and m4a, and errors that say what to do."""

import sys

import av
import numpy as np
import pytest
import soundfile
import torch
from media_files import write_headless_mp3, write_m4a
from refusals import refused

from auricle.processing.data import media
from auricle.processing.data.audio import AudioError, probe_audio, read_audio

RATE_HZ = 16000


def tone(num_samples):
    return 0.3 * np.sin(2 * np.pi * 440 * np.arange(num_samples) / RATE_HZ)[None]


@pytest.mark.parametrize("rate_hz", [44100, 22050])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_without_its_length_is_read_whole(tmp_path, channels, rate_hz):
    """Loud noise after silence: the first frame's rate says little about the others."""
    rng = np.random.default_rng(0)
    samples = np.concatenate([np.zeros(44100), 0.3 * rng.standard_normal(2 * 44100)])
    whole, headless = tmp_path / "a.mp3", tmp_path / "b.mp3"
    write_headless_mp3(whole, headless, np.stack([samples] * channels, 1), rate_hz)
    expected, wav = read_audio(whole, channels="mix"), read_audio(headless, channels="mix")
    assert len(expected) == len(samples)
    frame = 1152 if rate_hz > 32000 else 576
    # Every frame that there is, without the 529 samples of delay of a decoder.
    assert len(wav) % frame == frame - 529 % frame
    assert 0 <= len(wav) - len(samples) < 3 * frame
    delay = 576  # of the encoder, which only the frame that is gone tells
    torch.testing.assert_close(wav[delay:][: len(expected)], expected, atol=1e-5, rtol=0)
    tagged = tmp_path / "c.mp3"
    tagged.write_bytes(
        b"ID3\x04\0\0\0\0\x20\x02" + b"Xing" * 1024 + b"\0\0" + headless.read_bytes()
    )
    torch.testing.assert_close(read_audio(tagged, channels="mix"), wav)
    assert probe_audio(headless).num_samples == len(wav)
    part = read_audio(headless, channels="mix", start_sample=50000, num_samples=1000)
    assert torch.equal(part, wav[50000:51000])


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 44100])
def test_m4a_begins_where_its_edit_list_says(tmp_path, rate_hz):
    noise = np.random.default_rng(0).standard_normal(9607)
    samples = 0.1 * np.convolve(noise, np.ones(8), "valid")[None]
    write_m4a(tmp_path / "a.m4a", samples, rate_hz)
    decoded, found_hz = media.decode_media(tmp_path / "a.m4a")
    # The last frame of 1024 is whole; the first, of nothing but delay, is gone.
    assert decoded.shape == (1, 10240) and found_hz == rate_hz
    assert torch.equal(read_audio(tmp_path / "a.m4a"), torch.from_numpy(decoded[0]))
    lags = range(-15, 16)
    similar = [np.dot(decoded[0, 2048 + d : 8000 + d], samples[0, 2048:8000]) for d in lags]
    assert lags[np.argmax(similar)] == 0
    write_m4a(tmp_path / "b.m4a", np.repeat(samples, 2, 0), rate_hz)
    mixed, found_hz = media.decode_media(tmp_path / "b.m4a", RATE_HZ)
    assert mixed.dtype == np.int16 and found_hz == RATE_HZ
    assert mixed.shape == (1, 10240 * RATE_HZ // rate_hz)


def test_a_file_that_cannot_be_decoded_is_named(tmp_path):
    path = tmp_path / "a.m4a"
    write_m4a(path, tone(48000), RATE_HZ)
    data = bytearray(path.read_bytes())
    for spoilt in (data[: len(data) // 2], b"broken" * 50, b""):
        path.write_bytes(spoilt)
        error = refused(r"a\.m4a: .*decoding fails", media.decode_media, path, error=AudioError)
        assert error.kind == "truncated"
    write_m4a(path, tone(48000), RATE_HZ, movflags="faststart")  # the index comes first
    with av.open(str(path)) as container:
        packets = [packet.pos for packet in container.demux(audio=0) if packet.size]
    path.write_bytes(path.read_bytes()[: packets[-1]])
    refused(r"a\.m4a: .*1 packets of its index", media.decode_media, path, error=AudioError)
    with av.open(str(path), "w", format="mp4") as container:  # a picture, no sound
        stream = container.add_stream("mpeg4", rate=1, width=16, height=16, pix_fmt="yuv420p")
        container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode(None))
    refused(r"a\.m4a: .*no audio", media.decode_media, path, error=AudioError)
    (tmp_path / "b.mp3").write_text("hello" * 100)
    error = refused("", read_audio, tmp_path / "b.mp3", error=AudioError)
    assert error.kind == "not_audio"


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    whole, headless = tmp_path / "a.mp3", tmp_path / "b.mp3"
    rng = np.random.default_rng(0)
    samples = np.concatenate([np.zeros(22050), 0.3 * rng.standard_normal(44100)])
    write_headless_mp3(whole, headless, samples, 22050)
    monkeypatch.setitem(sys.modules, "av", None)
    assert len(read_audio(whole, channels="mix")) == len(samples)
    error = refused(r"b\.mp3: .*auricle\[media\]", read_audio, headless, error=AudioError)
    assert error.kind == "needs_av"
    soundfile.write(tmp_path / "c.wav", tone(100)[0], RATE_HZ)
    assert len(read_audio(tmp_path / "c.wav")) == 100


def test_more_than_eight_channels_are_all_decoded(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (800, 33))
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    assert np.array_equal(media.decode_media(tmp_path / "a.wav")[0].T, samples.astype(np.float32))
