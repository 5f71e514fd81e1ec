"""The mini Speech Commands has the dataset's layout, repeats its bytes, and is never half there."""

import dataclasses
import hashlib
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from refusals import refused

from auricle.processing.data import generated_noise, mini, rooms
from auricle.processing.data.mini import espeak, speakers, speech_commands
from auricle.processing.data.mini.noises import background_noise
from auricle.processing.data.seeding import generator_for
from auricle.processing.system.cache_folder import cache_folder

FEW_WORDS = ["go", "yes", "zero"]
NOISE_NAMES = {
    "doing_the_dishes",
    "dude_miaowing",
    "exercise_bike",
    "pink_noise",
    "running_tap",
    "white_noise",
}


def all_bytes(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def list_lines(folder, name):
    return (folder / name).read_text().splitlines()


@pytest.fixture(scope="module")
def synthesizer():
    return espeak.Synthesizer()


@pytest.fixture
def few(monkeypatch):
    """Make "tiny" three words of three clips each, so that writing it takes a moment."""
    monkeypatch.setattr(speech_commands, "WORDS", FEW_WORDS)
    size = speech_commands.Size(64, clips_per_command=3, clips_per_other_word=3, background_s=1.0)
    monkeypatch.setitem(speech_commands.SIZES, "tiny", size)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Three words, 64 speakers, and more clips than speakers, so that some speak twice."""
    folder = tmp_path_factory.mktemp("corpus")
    info = speech_commands.write(folder, "tiny", seed=3, words=FEW_WORDS, clips_per_word=70)
    return folder, info


# --- layout ---------------------------------------------------------------------------------------


def test_the_words_are_those_of_v002():
    assert len(speech_commands.WORDS) == len(set(speech_commands.WORDS)) == 35
    assert set(speech_commands.COMMANDS) <= set(speech_commands.WORDS)
    assert len(speech_commands.COMMANDS) == 10


def test_layout_and_counts(corpus):
    folder, info = corpus
    assert {p.name for p in folder.iterdir() if p.is_dir()} == {*FEW_WORDS, "_background_noise_"}
    for word in FEW_WORDS:
        names = sorted(p.name for p in (folder / word).iterdir())
        assert len(names) == 70
        assert all(re.fullmatch(r"[0-9a-f]{8}_nohash_\d+\.wav", name) for name in names)
        assert any("_nohash_1" in name for name in names), "nobody said the word twice"
    assert {p.stem for p in (folder / "_background_noise_").glob("*.wav")} == NOISE_NAMES
    assert sum(info["counts"].values()) == 210


def test_sizes_give_every_word_to_every_split():
    for size in speech_commands.SIZES.values():
        for total in (size.clips_per_command, size.clips_per_other_word):
            counts = speech_commands._split_counts(total)
            assert sum(counts.values()) == total
            assert counts["train"] > counts["test"] >= counts["valid"] >= 1


def test_samples_are_16_khz_16_bit_mono_of_at_most_one_second(corpus):
    folder, _ = corpus
    clips = sorted(p for word in FEW_WORDS for p in (folder / word).iterdir())
    lengths = []
    for path in clips:
        header = soundfile.info(path)
        assert (header.samplerate, header.channels, header.subtype) == (16000, 1, "PCM_16")
        samples, _ = soundfile.read(path, dtype="int16")
        peak = np.abs(samples.astype(int)).max()
        assert 300 < peak < 32767, f"{path} is silent or clipped: peak {peak}"
        lengths.append(len(samples))
    shorter = np.mean(np.array(lengths) < 16000)
    assert max(lengths) == 16000 and min(lengths) >= 9000
    assert 0.02 < shorter < 0.25


def test_lists_name_existing_files_and_hold_every_word(corpus):
    folder, info = corpus
    valid = list_lines(folder, "validation_list.txt")
    test = list_lines(folder, "testing_list.txt")
    assert len(valid) == info["counts"]["valid"] and len(test) == info["counts"]["test"]
    assert not set(valid) & set(test)
    every = {p.relative_to(folder).as_posix() for w in FEW_WORDS for p in (folder / w).iterdir()}
    assert set(valid) | set(test) < every
    for part in (valid, test, every - set(valid) - set(test)):
        assert {path.split("/")[0] for path in part} == set(FEW_WORDS)


def test_splits_share_no_speaker_and_agree_with_the_sha1_rule(corpus):
    folder, info = corpus
    lists = {
        "valid": set(list_lines(folder, "validation_list.txt")),
        "test": set(list_lines(folder, "testing_list.txt")),
    }
    split_of: dict[str, set[str]] = {}
    for path in (p for word in FEW_WORDS for p in (folder / word).iterdir()):
        name = path.relative_to(folder).as_posix()
        split = next((s for s, paths in lists.items() if name in paths), "train")
        split_of.setdefault(path.name.split("_nohash_")[0], set()).add(split)
    assert len(split_of) == 64
    for speaker, splits in split_of.items():
        # The dataset's rule, spelled out once more.
        number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16)
        percentage = (number % 134217728) * (100.0 / 134217727)
        rule = "valid" if percentage < 10 else "test" if percentage < 20 else "train"
        assert splits == {rule} == {info["speakers"][speaker]["split"]}
    for split in ("train", "valid", "test"):
        genders = {s["gender"] for s in info["speakers"].values() if s["split"] == split}
        assert genders == {"f", "m"}


# --- determinism ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path, few):
    a = all_bytes(mini.write_mini("speech_commands", tmp_path / "a", seed=5))
    b = all_bytes(mini.write_mini("speech_commands", tmp_path / "b", seed=5))
    c = all_bytes(mini.write_mini("speech_commands", tmp_path / "c", seed=6))
    assert len(a) == 9 + 6 + 2 + 2
    assert a == b
    assert not set(a) & set(c) - {
        path for path in a if path.startswith("_background") or "/" not in path
    }, "another seed must bring other speakers"
    assert all(a[path] != c[path] for path in a if path.startswith("_background"))
    people_a, people_c = (set(json.loads(x["mini.json"])["speakers"]) for x in (a, c))
    assert len(people_a) == len(people_c) == 64 and not people_a & people_c


def test_a_clip_does_not_depend_on_the_other_words(tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    for folder, words in ((together, ["bed", "go"]), (alone, ["go"])):
        folder.mkdir()
        speech_commands.write(folder, "tiny", seed=0, words=words, clips_per_word=4)
    assert all_bytes(alone / "go") == all_bytes(together / "go")


@pytest.mark.parametrize("voice", ["en-us+f1", "en-us+f2", "en+grandpa", "en-029+sandro"])
def test_espeak_forgets_what_it_said_before(synthesizer, voice):
    # Voices with flutter, roughness or breath: all that espeak-ng carries from call to call.
    first, _, _ = synthesizer.speak("seven", voice, seed=1)
    synthesizer.speak("something else entirely", "en+croak", seed=2)
    again, _, _ = synthesizer.speak("seven", voice, seed=1)
    assert np.array_equal(first, again)


def test_the_seed_is_heard_in_a_breathy_voice(synthesizer):
    takes = [synthesizer.speak("seven", "en-us+f2", seed=seed)[0] for seed in range(3)]
    assert len({take.tobytes() for take in takes}) == 3


def test_other_output_needs_another_generator_version(tmp_path):
    """Frozen from version 1: when this fails on purpose, raise GENERATOR_VERSION and freeze anew.

    Lengths and levels instead of bytes, so that another processor's last bit is no failure.
    """
    speech_commands.write(tmp_path, "tiny", seed=0, words=["stop"], clips_per_word=3)
    found = {}
    for path in sorted(tmp_path.glob("stop/*.wav")):
        samples, _ = soundfile.read(path)
        found[path.name] = (len(samples), round(float(20 * np.log10(np.std(samples))), 2))
    assert (speech_commands.GENERATOR_VERSION, found) == (
        1,
        {
            "537e1cd1_nohash_0.wav": (16000, -34.41),
            "87be294a_nohash_0.wav": (16000, -24.99),
            "cf10e620_nohash_0.wav": (16000, -37.98),
        },
    )


# --- voices ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_at_least_sixty_voices_are_really_distinct(synthesizer):
    for size in speech_commands.SIZES.values():
        assert size.num_speakers >= 60
    people = speakers.make_speakers("speech_commands", seed=0, num_speakers=64)
    # Same text, rate, pitch and seed: what differs is the voice alone.
    sounds = [synthesizer.speak("house", p.voice, 175, 50, 50, seed=1)[0] for p in people]
    assert len({sound.tobytes() for sound in sounds}) == 64
    # And not by a rounding error: compare the long-term spectra.
    levels_db = np.stack(
        [20 * np.log10(np.abs(np.fft.rfft(s / s.std(), 32768)) + 1.0) for s in sounds]
    )
    bands_db = levels_db[:, : 128 * 96].reshape(64, 96, 128).mean(-1)
    for i in range(64):
        for j in range(i):
            gap_db = np.abs(bands_db[i] - bands_db[j]).max()
            assert gap_db > 1.0, f"{people[i].voice} and {people[j].voice}: {gap_db:.2f} dB"


def test_all_named_variants_are_in_the_wheel(synthesizer):
    named = speakers.FEMALE_VARIANTS + speakers.MALE_VARIANTS
    assert len(named) == len(set(named))
    assert set(named) <= set(synthesizer.variants())


def test_impossible_numbers_of_speakers_are_refused():
    refused("0; 1 to", speakers.make_speakers, "speech_commands", 0, 0)


def test_phone_times_fit_the_sound(synthesizer):
    samples, sample_rate_hz, events = synthesizer.speak("yes", "en-us")
    phones = [e for e in events if e.kind == "phone"]
    assert [p.text.lstrip("'") for p in phones][:3] == ["j", "E", "s"]
    for one, following in zip(phones, phones[1:], strict=False):
        assert one.end_samples == following.start_samples
    assert phones[-1].end_samples == len(samples)

    def crossings_per_s(phone):
        piece = samples[phone.start_samples : phone.end_samples]
        return np.mean(np.diff(np.signbit(piece)) != 0) * sample_rate_hz

    assert crossings_per_s(phones[2]) > 3 * crossings_per_s(phones[1])  # a hiss after a vowel


def test_word_times_name_the_words(synthesizer):
    _, _, events = synthesizer.speak("She had your dark suit.", "en-us")
    words = [e for e in events if e.kind == "word"]
    assert [w.text for w in words] == ["She", "had", "your", "dark", "suit"]
    assert all(w.start_samples < w.end_samples for w in words)
    assert all(a.end_samples <= b.start_samples for a, b in zip(words, words[1:], strict=False))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": " "}, "empty"),
        ({"text": "yes", "voice": "nowhere"}, "no voice 'nowhere'.*en-us"),
        (
            {"text": "yes", "voice": "en-us+nobody"},
            r"no voice variant 'nobody'.*'en-us\+' are.* f3,",
        ),
        ({"text": "yes", "rate": 1000}, "rate.*1000.*80 to 450"),
        ({"text": "yes", "pitch": 101}, "pitch is 101.*0 to 100"),
        ({"text": "yes", "pitch_range": -1}, "pitch_range is -1.*0 to 100"),
    ],
)
def test_what_espeak_cannot_speak_is_refused(synthesizer, arguments, message):
    refused(message, synthesizer.speak, **arguments)


# --- rooms and noises -----------------------------------------------------------------------------


def test_a_room_decays_by_sixty_db_in_its_reverberation_time():
    response = rooms.room_response(generator_for("room"), 16000, 0.4, 3.0)
    direct, tail = response[0], response[1:]
    assert 10 * np.log10(direct**2 / np.sum(tail**2)) == pytest.approx(3.0, abs=1e-6)
    early, late = tail[800:1600], tail[4000:4800]  # 0.2 s apart: half of 60 dB
    assert 10 * np.log10(np.sum(early**2) / np.sum(late**2)) == pytest.approx(30.0, abs=2.0)


@pytest.mark.parametrize("tilt_db", [0.0, -3.0, -6.0])
def test_coloured_noise_has_its_tilt(tilt_db):
    noise = generated_noise.coloured_noise(generator_for("tilt"), 160000, 16000, tilt_db)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octave = [10 * np.log10(power[f * 10 - 500 : f * 10 + 500].mean()) for f in (1000, 2000, 4000)]
    assert np.diff(octave) == pytest.approx([tilt_db, tilt_db], abs=0.6)
    assert np.std(noise) == pytest.approx(1.0, abs=1e-3)


def test_snr_is_measured_where_somebody_speaks():
    speech = np.zeros(16000)
    speech[4000:8000] = 2.0
    noise = generator_for("snr").standard_normal(16000)
    added = rooms.mix_at_snr(speech, noise, 10.0, speech != 0.0) - speech
    assert 10 * np.log10(4.0 / np.mean(added**2)) == pytest.approx(10.0, abs=1e-9)


def test_background_noises_are_six_different_sounds():
    octaves = []
    for name in sorted(NOISE_NAMES):
        noise = background_noise(name, generator_for("n"), 48000, 16000)
        assert len(noise) == 48000 and 0.01 < np.std(noise) and np.max(np.abs(noise)) <= 0.99
        power = np.abs(np.fft.rfft(noise)) ** 2
        edges = [150, 600, 1500, 3000, 6000, 12000, 24000]
        bands = [power[a:b].sum() for a, b in zip(edges, edges[1:], strict=False)]
        octaves.append(10 * np.log10(np.array(bands) / np.sum(bands)))
    for i in range(6):
        for j in range(i):
            assert np.abs(octaves[i] - octaves[j]).max() > 1.0
    refused("one of ..doing_.*'rain'", background_noise, "rain", generator_for("n"), 100, 16000)


# --- writing and the cache ------------------------------------------------------------------------


def test_mini_says_that_it_is_mini(tmp_path, few):
    folder = mini.write_mini("speech_commands", tmp_path / "made", seed=1)
    assert mini.is_mini(folder)
    info = mini.mini_info(folder)
    assert (info["corpus"], info["size"], info["seed"]) == ("speech_commands", "tiny", 1)
    assert info["synthetic"] is True and info["espeak_version"].startswith("1.")
    assert {"espeakng-loader", "numpy", "torchaudio"} <= set(info["versions"])
    assert "synthetic" in (folder / "README.md").read_text()
    (tmp_path / "real").mkdir()
    assert not mini.is_mini(tmp_path / "real")
    assert not mini.is_mini(tmp_path / "nowhere")
    for text in ('{"corpus": "speech_commands"}', "[]", "{", "\0"):
        (tmp_path / "real" / "mini.json").write_text(text)
        assert not mini.is_mini(tmp_path / "real")


def test_a_written_corpus_is_left_alone_and_anything_else_is_not_overwritten(tmp_path, few):
    folder = mini.write_mini("speech_commands", tmp_path / "x", seed=1)
    before = (folder / "mini.json").stat().st_mtime_ns
    assert mini.write_mini("speech_commands", folder, seed=1) == folder
    assert (folder / "mini.json").stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="seed 2.*new folder"):
        mini.write_mini("speech_commands", folder, seed=2)
    (tmp_path / "empty").mkdir()
    assert mini.is_mini(mini.write_mini("speech_commands", tmp_path / "empty"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no_such", "x"), "'no_such'; known are .*speech_commands"),
        (("speech_commands", "x", "huge"), "'huge'; known are tiny, small"),
        (("speech_commands", "x", "tiny", -1), "seed is -1"),
    ],
)
def test_unknown_names_list_the_known(tmp_path, arguments, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(message, mini.write_mini, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": ["yes", "maybe"]}, r"\['maybe'\]; allowed are backward"),
        ({"words": []}, "allowed are backward"),
        ({"words": ["yes"], "clips_per_word": 2}, "clips_per_word is 2.*at least 3"),
    ],
)
def test_impossible_subsets_are_refused(tmp_path, options, message):
    refused(message, speech_commands.write, tmp_path, "tiny", 0, **options)


def test_missing_espeak_is_one_clear_error_and_leaves_nothing(tmp_path, few, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(espeak.EspeakMissingError, match=r"pip install auricle\[mini\]"):
        mini.write_mini("speech_commands", tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mini"


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("AURICLE_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "auricle"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "auricle"


def test_the_cache_writes_once_per_corpus_size_seed_and_version(cache, few, monkeypatch, watched):
    calls = watched(speech_commands, "write")
    first = mini.cached_mini("speech_commands", "tiny", 0)
    assert mini.cached_mini("speech_commands", "tiny", 0) == first and len(calls) == 1
    assert first.parent == cache
    assert mini.cached_mini("speech_commands", "tiny", 1) != first
    monkeypatch.setattr(speech_commands, "GENERATOR_VERSION", 10**6)
    assert mini.cached_mini("speech_commands", "tiny", 0) != first
    assert len(calls) == 3


def test_a_failure_halfway_leaves_no_folder(cache, few, monkeypatch):
    real = soundfile.write
    written = []

    def fail_at_the_fifth(path, *args, **kwargs):
        written.append(path)
        if len(written) == 5:
            raise OSError("disk full")
        real(path, *args, **kwargs)

    monkeypatch.setattr(soundfile, "write", fail_at_the_fifth)
    refused("disk full", mini.cached_mini, "speech_commands", error=OSError)
    assert len(written) == 5 and not list(cache.iterdir())
    monkeypatch.setattr(soundfile, "write", real)
    assert mini.is_mini(mini.cached_mini("speech_commands"))


def test_a_half_written_folder_is_never_used(cache, few):
    folder = mini.cached_mini("speech_commands")
    complete = all_bytes(folder)
    (folder / "mini.json").unlink()  # the mark of completeness
    (folder / "testing_list.txt").write_text("")
    assert all_bytes(mini.cached_mini("speech_commands")) == complete


@pytest.mark.long
def test_two_processes_at_once_end_with_one_complete_folder(cache):
    script = (
        "import pathlib, sys\n"
        "from auricle.processing.data import mini\n"
        "from auricle.processing.data.mini import speech_commands as sc\n"
        "sc.WORDS = ['go', 'yes', 'zero']\n"
        "sc.SIZES['tiny'] = sc.Size(64, 3, 3, 1.0)\n"
        "rename = pathlib.Path.rename\n"
        "def late(*args):\n"  # both have written everything before either of them renames
        "    print('written', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    rename(*args)\n"
        "pathlib.Path.rename = late\n"
        "print(mini.cached_mini('speech_commands'), flush=True)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [p.stdout.readline().strip() for p in processes] == ["written", "written"]
    answers = [p.communicate("\n", timeout=60) for p in processes]
    assert [p.returncode for p in processes] == [0, 0], answers
    folders = {out.strip() for out, _ in answers}
    assert len(folders) == 1
    assert [str(p) for p in cache.iterdir()] == list(folders)
    assert json.loads((cache / next(iter(folders)) / "mini.json").read_text())["seed"] == 0


def test_a_speaker_record_is_plain_data():
    person = speakers.make_speakers("speech_commands", 0, 1)[0]
    assert json.loads(json.dumps(dataclasses.asdict(person))) == dataclasses.asdict(person)
