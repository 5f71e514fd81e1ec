"""Reading audio: what is read is what was written, and every broken file says what is wrong."""

import pickle

import numpy as np
import pytest
import soundfile
import torch
from refusals import refused

from auricle.processing.data.audio import AudioError, AudioInfo, probe_audio, read_audio, scan_audio
from auricle.processing.data.scan import list_folder, scan_files

RATE_HZ = 16000
# How each container is written; lossy ones give back something near, at the same length.
CONTAINERS = {
    "a.wav": ({"subtype": "PCM_16"}, 1e-4),
    "a.flac": ({}, 1e-4),
    "a_float.wav": ({"subtype": "FLOAT"}, 0.0),
    "a_nist.wav": ({"format": "NIST", "subtype": "PCM_16"}, 1e-4),
    "a.ogg": ({}, 0.2),
    "a.mp3": ({}, 0.2),
}


def _tone(num_samples=8000, rate_hz=RATE_HZ, freq_hz=440.0):
    return (0.5 * np.sin(2 * np.pi * freq_hz * np.arange(num_samples) / rate_hz)).astype("float32")


def _write(folder, name, data=None, rate_hz=RATE_HZ):
    path = folder / name
    options = CONTAINERS.get(name, ({}, 0))[0]
    soundfile.write(path, _tone() if data is None else data, rate_hz, **options)
    return path


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_back_what_was_written(tmp_path, name):
    path = _write(tmp_path, name)
    waveform = read_audio(path, RATE_HZ)
    assert waveform.shape == (8000,) and waveform.dtype == torch.float32
    assert (waveform - torch.from_numpy(_tone())).abs().max() <= CONTAINERS[name][1]
    info = probe_audio(path)
    assert (info.num_samples, info.sample_rate_hz, info.channels) == (8000, RATE_HZ, 1)
    assert info.duration_s == 0.5
    (scanned,) = scan_audio([path], RATE_HZ)
    assert isinstance(scanned, AudioInfo) and scanned.num_samples == 8000


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("kept", [0.3, 0.6])
def test_a_file_cut_short_is_never_read_as_a_shorter_file(tmp_path, name, kept):
    data = _write(tmp_path, name).read_bytes()
    path = tmp_path / f"cut_{name}"
    path.write_bytes(data[: int(len(data) * kept)])
    error = refused(
        "is cut off or damaged.*unpack the file again", read_audio, path, error=AudioError
    )
    assert error.kind == "truncated" and path.name in str(error)


def test_a_single_missing_byte_of_pcm_is_found_by_reading_and_by_the_header_alone(tmp_path):
    path = _write(tmp_path, "a.wav")
    path.write_bytes(path.read_bytes()[:-1])
    for read in (read_audio, probe_audio):
        refused("promises 16000 bytes of audio, 15999 are there", read, path, error=AudioError)


def test_an_ogg_file_cut_within_a_later_page_is_found(tmp_path):
    # Its earlier pages decode without complaint.
    noise = np.random.default_rng(0).uniform(-1, 1, 20 * RATE_HZ).astype("float32")
    path = _write(tmp_path, "a.ogg", noise)
    assert read_audio(path).shape == (20 * RATE_HZ,)
    path.write_bytes(path.read_bytes()[:-1000])
    for read in (read_audio, probe_audio):
        assert refused("its last page promises", read, path, error=AudioError).kind == "truncated"


def test_a_wav_whose_writer_did_not_know_the_length_is_read(tmp_path):
    # What a program that writes into a pipe leaves: all ones for the length of the data.
    path = _write(tmp_path, "a.wav")
    data = path.read_bytes()
    at = data.index(b"data") + 4
    path.write_bytes(data[:at] + b"\xff" * 4 + data[at + 4 :])
    assert read_audio(path).shape == (8000,)


def test_chunks_before_the_audio_are_no_truncation(tmp_path):
    path = _write(tmp_path, "a.wav")
    data = path.read_bytes()
    extra = b"LIST" + (5).to_bytes(4, "little") + b"INFO!" + b"\0"  # odd length, padded
    path.write_bytes(data[:12] + extra + data[12:])
    assert read_audio(path).shape == (8000,)


def _nan_file(folder):
    data = _tone()
    data[7:9] = [np.nan, np.inf]
    return _write(folder, "a_float.wav", data)


def _raw(name, content):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


BROKEN = {
    "missing": (lambda folder: folder / "not_there.wav", "no such file"),
    "folder": (lambda folder: folder, "is a folder"),
    "empty": (_raw("zero.wav", b""), r"is empty \(0 bytes\)"),
    "no samples": (lambda folder: _write(folder, "a.wav", _tone(0)), "holds no samples"),
    "text": (_raw("page.wav", b"<html>404 not found</html>" * 9), "is no audio file"),
    "text mp3": (_raw("page.mp3", b"<html>404 not found</html>" * 9), "is no audio file"),
    "m4a": (_raw("a.m4a", b"\0\0\0 ftypM4A \0\0\0\0" * 9), "is cut off or damaged"),
    "m4a in disguise": (_raw("a.wav", b"\0\0\0 ftypM4A \0\0\0\0" * 9), "is cut off or damaged"),
    "nan": (_nan_file, "2 samples are NaN or infinite"),
    "rate": (lambda folder: _write(folder, "a.wav", rate_hz=8000), "8000 Hz where 16000 Hz"),
    "stereo": (lambda folder: _write(folder, "a.wav", np.stack([_tone()] * 2, 1)), "2 channels"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_broken_file_gets_one_sentence_with_its_name_and_a_cure(tmp_path, what):
    make, text = BROKEN[what]
    path = make(tmp_path)
    error = refused(text, read_audio, path, RATE_HZ, error=AudioError)
    assert str(error).startswith(str(path)) and error.cure in str(error) and error.kind
    (scanned,) = scan_audio([path], RATE_HZ)
    assert isinstance(scanned, AudioError) and str(scanned) == str(error)
    # ... and it arrives whole from another process
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.kind) == (str(error), error.kind)


def test_stereo_is_mixed_and_other_rates_are_resampled_on_request(tmp_path):
    left = _tone(4000, 8000)
    path = _write(tmp_path, "a_float.wav", np.stack([left, np.zeros_like(left)], 1), 8000)
    mixed = read_audio(path, channels="mix")
    assert torch.allclose(mixed, torch.from_numpy(left) / 2)
    waveform = read_audio(path, RATE_HZ, resample="convert", channels="mix")
    assert waveform.shape == (8000,)
    # the same tone at the new rate, away from the ends
    expected = torch.from_numpy(_tone(8000)) / 2
    assert (waveform - expected)[200:-200].abs().max() < 5e-3


def test_a_part_of_a_file_is_the_same_as_that_part_of_the_whole(tmp_path):
    path = _write(tmp_path, "a.flac")
    whole = read_audio(path)
    assert torch.equal(read_audio(path, start_sample=100, num_samples=250), whole[100:350])
    assert torch.equal(read_audio(path, start_sample=7000), whole[7000:])
    for start, count in ((7900, 101), (8000, 1), (9000, 1), (8000, None)):
        part = {"start_sample": start, "num_samples": count}
        error = refused(f"samples from {start} to", read_audio, path, error=AudioError, **part)
        assert error.kind == "range"


def test_options_that_do_not_exist_are_refused(tmp_path):
    path = _write(tmp_path, "a.wav")
    for options in ({"resample": "yes"}, {"channels": "left"}):
        refused(
            "error or convert, .* error or mix: got .*'(yes|left)'",
            read_audio,
            path,
            RATE_HZ,
            **options,
        )


def test_a_scan_keeps_the_order_and_the_good_among_the_bad(tmp_path):
    good = [_write(tmp_path, f"{i}.wav", _tone(100 + i)) for i in range(20)]
    paths = [*good[:10], tmp_path / "gone.wav", *good[10:]]
    results = scan_audio(paths, RATE_HZ, num_workers=4)
    assert [getattr(r, "num_samples", None) for r in results] == [
        *range(100, 110),
        None,
        *range(110, 120),
    ]


def test_a_file_is_decoded_again_only_when_it_changed(tmp_path, monkeypatch):
    from auricle.processing.data import scan

    decoded = []

    def watched(paths, *args):
        decoded.append(sorted(path.rpartition("/")[2] for path in paths))
        return scan_audio(paths, *args)

    monkeypatch.setattr(scan, "scan_audio", watched)
    folder = tmp_path / "yes"
    folder.mkdir()
    for i in range(3):
        _write(folder, f"{i}.wav", _tone(1000))
    (folder / "broken.wav").write_bytes(b"")
    (folder / ".hidden").write_bytes(b"")
    cache = tmp_path / "scan.csv"
    first = scan_files(list_folder(folder), cache, RATE_HZ)
    assert decoded == [["0.wav", "1.wav", "2.wav", "broken.wav"]]
    assert first["yes/0.wav"].num_samples == 1000 and first["yes/broken.wav"].kind == "empty"

    second = scan_files(list_folder(folder), cache, RATE_HZ)
    assert decoded[1:] == [["broken.wav"]]  # it may have been mended without a trace
    assert str(second["yes/broken.wav"]) == str(first["yes/broken.wav"])
    assert second["yes/1.wav"].num_samples == 1000

    _write(folder, "1.wav", _tone(1234))
    third = scan_files(list_folder(folder), cache, RATE_HZ)
    assert decoded[2:] == [["1.wav", "broken.wav"]] and third["yes/1.wav"].num_samples == 1234

    # of a cut table what is whole is used
    cache.write_text(cache.read_text().rsplit(",", 3)[0])
    again = scan_files(list_folder(folder), cache, RATE_HZ)
    assert again["yes/2.wav"].num_samples == 1000 and "2.wav" in decoded[-1]

    # another rate is another question
    assert scan_files(list_folder(folder), cache, 8000)["yes/0.wav"].kind == "rate"
