"""The mini TIMIT has the corpus's layout, names and labels, and the labels fit the sound."""

import re
from collections import Counter

import numpy as np
import pytest
import soundfile
from refusals import refused

from auricle.processing.data import mini
from auricle.processing.data.mini import espeak, recording, sentences, speakers, timit
from auricle.processing.data.mini.espeak import SpeechEvent
from auricle.processing.data.mini.timit_phones import timit_phones, timit_words
from auricle.processing.data.seeding import generator_for
from auricle.processing.transcription.phones import phones
from auricle.processing.transcription.segments import Segment

FEW = timit.Size(8, training_sx=1, training_si=1, test_sx=1, test_si=0)
FEW_TESTERS = {"CORE_TEST": ["MDAB0", "FELC0"], "DEVELOPMENT": ["FAKS0", "MRJM4"]}
STOPS = {
    "p": "pcl", "t": "tcl", "k": "kcl", "b": "bcl", "d": "dcl", "g": "gcl", "ch": "tcl", "jh": "dcl"
}  # fmt: skip


@pytest.fixture
def few(monkeypatch):
    """Make "tiny" a dozen speakers, so that writing it takes a moment."""
    make_small(monkeypatch)


def make_small(patch):
    patch.setitem(timit.SIZES, "tiny", FEW)
    for name, people in FEW_TESTERS.items():
        patch.setattr(timit, name, people)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timit") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        mini.write_mini("timit", folder, "tiny", seed=2)
    return folder, mini.mini_info(folder)


def all_bytes(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def segments(path):
    rows = [line.split(" ", 2) for line in path.read_text().splitlines()]
    return [Segment(int(start), int(end), text) for start, end, text in rows]


# --- layout and names -----------------------------------------------------------------------------


def test_layout_and_counts(corpus):
    folder, info = corpus
    stems = {p.with_suffix("") for p in folder.rglob("*.WAV")}
    for suffix in (".PHN", ".WRD", ".TXT"):
        assert {p.with_suffix("") for p in folder.rglob(f"*{suffix}")} == stems
    for stem in stems:
        path = stem.relative_to(folder).as_posix()
        assert re.fullmatch(
            r"(TRAIN|TEST)/DR[1-8]/[FM][A-Z]{3}\d/(SA[12]|SX\d{1,3}|SI\d{3,4})", path
        ), path
    per_speaker = Counter(stem.parent.name for stem in stems)
    assert len(per_speaker) == 8 + 4
    assert set(per_speaker) == set(info["speakers"])
    assert len(stems) == 8 * 4 + 4 * 3 == info["counts"]["with_sa"]
    counts = info["counts"]
    assert (counts["train"], counts["development"], counts["core_test"]) == (16, 2, 2)
    length = sum(soundfile.info(stem.with_suffix(".WAV")).frames for stem in stems)
    assert counts["duration_s"] == pytest.approx(length / 16000, abs=0.1)


def test_audio_is_sphere_16_khz_16_bit_mono(corpus):
    folder, _ = corpus
    for path in sorted(folder.rglob("*.WAV")):
        header = soundfile.info(path)
        assert (header.format, header.subtype) == ("NIST", "PCM_16")
        assert (header.samplerate, header.channels) == (16000, 1)
        raw = path.read_bytes()
        assert raw.startswith(b"NIST_1A\n   1024\n") and b"sample_byte_format -s2 01" in raw[:1024]
        samples, _ = soundfile.read(path, dtype="int16")
        assert np.array_equal(samples, np.frombuffer(raw[1024:], "<i2"))
        assert 300 < np.abs(samples.astype(int)).max() < 32767, f"{path} is silent or clipped"


@pytest.mark.parametrize("size", list(timit.SIZES))
def test_standard_names_are_there_and_no_speaker_or_sentence_is_in_both_parts(size):
    plan = timit.SIZES[size]
    people = timit._people(plan, seed=0)
    assert len(timit.CORE_TEST) == len(set(timit.CORE_TEST)) == 24
    assert len(timit.DEVELOPMENT) == len(set(timit.DEVELOPMENT)) == 50
    assert not set(timit.CORE_TEST) & set(timit.DEVELOPMENT)
    by_part = {part: [p for p in people if p.part == part] for part in ("TRAIN", "TEST")}
    assert {p.name for p in by_part["TEST"]} == {*timit.CORE_TEST, *timit.DEVELOPMENT}
    names = [p.name for p in people]
    assert len(set(names)) == len(names) == plan.num_training_speakers + 74
    for person in people:
        assert re.fullmatch(r"[FM][A-Z]{3}\d", person.name)
        assert person.speaker.gender == person.name[0].lower()
        assert person.speaker.accent == ("en-us-nyc" if person.region == 6 else "en-us")
        assert list(person.sentences)[:2] == ["SA1", "SA2"]
        assert list(person.sentences.values())[:2] == list(timit.SHARED_SENTENCES)
    for part in by_part.values():
        assert {p.region for p in part} == set(range(1, 9))
        assert {p.name[0] for p in part} == {"F", "M"}
    core = {p.name: p.region for p in people}
    for name, region in {"MDAB0": 1, "MTAS1": 2, "FPKT0": 3, "MCMJ0": 6, "FMLD0": 8}.items():
        assert core[name] == region  # the core test's regions are TIMIT's

    def texts(part, kind):
        return {
            number: text
            for person in by_part[part]
            for number, text in person.sentences.items()
            if number.startswith(kind)
        }

    for kind in ("SX", "SI"):
        train, test = texts("TRAIN", kind), texts("TEST", kind)
        assert not set(train) & set(test), "a number in both parts"
        assert not set(train.values()) & set(test.values()), "a sentence in both parts"
        low, high = {"SX": (3, 452), "SI": (453, 2342)}[kind]
        assert all(low <= int(number[2:]) <= high for number in train | test)


def test_sx_is_shared_by_at_most_seven_and_si_by_nobody():
    plan = timit.SIZES["small"]
    people = timit._people(plan, seed=0)
    assert all(len(p.sentences) == 10 for p in people)  # so the usual sets have 400 and 192
    counts = timit._counts(people)
    assert (counts["development"], counts["core_test"]) == (400, 192)
    said = Counter(number for person in people for number in person.sentences)
    assert {n for n, count in said.items() if count == len(people)} == {"SA1", "SA2"}
    sx = [count for number, count in said.items() if number.startswith("SX")]
    assert max(sx) == 7 and min(sx) >= 6
    assert {count for number, count in said.items() if number.startswith("SI")} == {1}
    for person in people:
        numbers = sorted(int(n[2:]) for n in person.sentences if n.startswith("SX"))
        assert np.diff(numbers).tolist() == [90] * 4


# --- determinism ----------------------------------------------------------------------------------


@pytest.mark.long
def test_same_seed_same_bytes_other_seed_other_bytes(corpus, tmp_path, few):
    first = all_bytes(corpus[0])
    assert first == all_bytes(mini.write_mini("timit", tmp_path / "again", seed=2))
    other = all_bytes(mini.write_mini("timit", tmp_path / "other", seed=3))
    same = {path for path in first if first[path] == other.get(path)}
    assert not {path for path in same if path.endswith((".WAV", ".PHN", ".WRD"))}
    assert "TEST/DR1/FAKS0/SA1.WAV" in other


def test_other_output_needs_another_generator_version(corpus):
    """Frozen from version 1: when this fails on purpose, raise GENERATOR_VERSION and freeze anew.

    Lengths, levels and numbers of phones instead of bytes, so that another processor's last bit is
    no failure.
    """
    found = {}
    for path in sorted(corpus[0].glob("TEST/DR1/*/SA1.WAV")):
        samples, _ = soundfile.read(path)
        level_dbfs = round(float(20 * np.log10(np.std(samples))), 2)
        num_phones = len(segments(path.with_suffix(".PHN")))
        found[path.parent.name] = (len(samples), level_dbfs, num_phones)
    assert (timit.GENERATOR_VERSION, found) == (
        1,
        {
            "FAKS0": (56232, -29.53, 47),
            "FELC0": (41749, -30.66, 47),
            "MDAB0": (51664, -23.51, 47),
        },
    )


# --- labels ---------------------------------------------------------------------------------------


def test_phones_are_contiguous_among_the_61_and_cover_the_file(corpus):
    folder, info = corpus
    used = set()
    for path in sorted(folder.rglob("*.PHN")):
        rows = segments(path)
        assert rows[0].start_samples == 0 and rows[0].text == rows[-1].text == "h#"
        assert rows[-1].end_samples == soundfile.info(path.with_suffix(".WAV")).frames
        for one, following in zip(rows, rows[1:], strict=False):
            assert one.start_samples < one.end_samples == following.start_samples, path
        assert "h#" not in {row.text for row in rows[1:-1]}
        assert 0.09 * 16000 <= rows[0].end_samples <= 0.27 * 16000
        used |= {row.text for row in rows}
    assert used <= set(phones(61, "keep"))
    assert used == set(info["phones"]) and len(used) > 45


def test_every_stop_has_its_closure_except_after_silence(corpus):
    folder, _ = corpus
    closed = Counter()
    for path in sorted(folder.rglob("*.PHN")):
        rows = segments(path)
        for before, row in zip(rows, rows[1:], strict=False):
            if row.text in STOPS and before.text not in ("h#", "pau"):
                closed[before.text == STOPS[row.text]] += 1
            if before.text in STOPS.values():
                assert STOPS.get(row.text) == before.text, f"{path}: a closure without release"
    assert closed[True] > 100 and closed[False] <= 0.02 * closed[True]


def test_words_cover_their_phones(corpus):
    folder, _ = corpus
    for path in sorted(folder.rglob("*.WRD")):
        words, rows = segments(path), segments(path.with_suffix(".PHN"))
        [whole] = segments(path.with_suffix(".TXT"))
        frames = soundfile.info(path.with_suffix(".WAV")).frames
        assert (whole.start_samples, whole.end_samples) == (0, frames)
        assert [w.text for w in words] == re.findall("[a-z]+", whole.text.lower())
        starts = {row.start_samples for row in rows}
        ends = {row.end_samples for row in rows}
        for word in words:
            assert word.start_samples in starts and word.end_samples in ends
        for one, following in zip(words, words[1:], strict=False):
            assert one.end_samples <= following.start_samples
        for row in rows:
            inside = [
                w
                for w in words
                if w.start_samples <= row.start_samples and row.end_samples <= w.end_samples
            ]
            assert len(inside) == (row.text not in ("h#", "pau", "q")), f"{path}: {row}"


def test_phones_of_known_words(corpus):
    """SA1 as a dictionary has it; the closures and the divided vowels are ours."""
    path = corpus[0] / "TEST" / "DR1" / "FAKS0" / "SA1"
    rows = segments(path.with_suffix(".PHN"))
    spoken = {
        w.text: " ".join(
            r.text
            for r in rows
            if w.start_samples <= r.start_samples and r.end_samples <= w.end_samples
        )
        for w in segments(path.with_suffix(".WRD"))
    }
    assert spoken["why"] == "w ay"
    assert spoken["good"] == "gcl g uh dcl d"
    assert spoken["judge"] == "dcl jh ah dcl jh"
    assert spoken["choose"] == "tcl ch uw z"
    assert spoken["oyster"] == "oy s tcl t axr"
    assert spoken["boat"] == "bcl b ow tcl t"
    assert spoken["near"] == "n ih r"
    assert spoken["garage"] == "gcl g axr r aa zh"


@pytest.mark.parametrize("variant", ["f1", "m3", "max", "steph"])
def test_pauses_agree_with_the_energy_of_dry_speech(variant):
    """Within 20 ms of both ends of a pause: sound on the one side, none on the other."""
    voices = recording.Voices(16000)
    person = speakers.Speaker(
        0, "en-us", variant, "f", 160, 50, 50, 21600, 0.1, 9.0, -26.0, 30.0, -3.0, 0.0
    )
    text = (
        "The baker sold bread, but nobody came, and then a cold wind, they say, took my hat, "
        "although I held it, which was sad, my friend."
    )
    samples, events = voices.say(text, person, recording.Delivery(160, 50, 50, 1))
    rows = timit_phones(samples, 16000, events)
    pauses = [row for row in rows if row.text == "pau"]
    assert len(pauses) >= 5
    level = np.sqrt(np.convolve(samples**2, np.ones(80) / 80, "same"))  # 5 ms
    loud = level > 10 ** (-50 / 20) * level.max()
    margin = 320
    for start, end, _ in pauses:
        assert not loud[start + margin : end - margin].any(), "speech in a pause"
        assert loud[start - margin : start + margin].any(), "the pause begins too late"
        assert loud[end - margin : end + margin].any(), "the pause ends too early"


def test_speech_begins_where_the_first_phone_does(corpus):
    """In the recordings, with room and noise."""
    offs_ms = []
    for path in sorted(corpus[0].rglob("*.WAV")):
        samples, _ = soundfile.read(path)
        level_db = 10 * np.log10(np.convolve(samples**2, np.ones(160) / 160, "same") + 1e-12)
        first = segments(path.with_suffix(".PHN"))[1].start_samples
        floor_db = np.max(level_db[: first - 400])
        onset = np.flatnonzero(level_db > floor_db + 2.0)[0]
        offs_ms.append((onset - first) / 16)
    assert len(offs_ms) == 44
    assert np.percentile(np.abs(offs_ms), 90) < 20.0


@pytest.mark.slow
def test_every_word_of_the_grammar_has_symbols_and_times():
    """In both accents: no phone is without a symbol, no word is swallowed by another."""
    synthesizer = espeak.Synthesizer()
    lists = [value for name, value in vars(sentences).items() if name[1:].isupper()]
    assert len(lists) == 8
    texts = [f"{', '.join(words[i : i + 20])}." for words in lists for i in range(0, 40, 20)]
    rng = generator_for("all words")
    texts = [text for text in texts if len(text) > 1] + list(timit.SHARED_SENTENCES)
    texts += [sentences.sentence(rng) for _ in range(40)]
    for i, text in enumerate(texts):
        for accent in ("en-us", "en-us-nyc"):
            samples, rate, events = synthesizer.speak(text, f"{accent}+{['m1', 'f2'][i % 2]}")
            rows = timit_phones(samples, rate, events)
            words = timit_words(rows, events)
            assert [w.text for w in words] == re.findall("[a-z]+", text.lower())


# --- the mapping by hand --------------------------------------------------------------------------


def test_closures_pauses_and_divided_vowels_by_hand():
    rate = 16000
    samples = np.sin(np.arange(10000.0))
    samples[1600:2000] = 0.0  # the silence before the p, in the vowel's interval
    samples[4000:6000] = 0.0
    events = [
        SpeechEvent("word", "apiar", 0, 4000),
        SpeechEvent("phone", "'a", 0, 2000),
        SpeechEvent("phone", "p", 2000, 3000),
        SpeechEvent("phone", "i@3", 3000, 4000),
        SpeechEvent("phone", "_:", 4000, 5900),
        SpeechEvent("phone", "_", 5900, 6000),
        SpeechEvent("word", "dob", 6000, 10000),
        SpeechEvent("phone", ",d", 6000, 6800),
        SpeechEvent("phone", "0", 6800, 8000),
        SpeechEvent("phone", ";", 8000, 8100),
        SpeechEvent("phone", "b", 8100, 9900),
        SpeechEvent("phone", "_:", 9900, 10000),
    ]
    samples[8100:9000] *= 0.05  # the murmur of the b
    samples[9900:] = 0.0
    rows = timit_phones(samples, rate, events, offset_samples=100)
    assert [(r.start_samples - 100, r.text) for r in rows[1:]] == [
        (0, "ae"),
        (1600, "pcl"),
        (2000, "p"),
        (3000, "ih"),
        (3600, "r"),
        (4000, "pau"),
        (6000, "d"),  # no closure after a pause
        (6800, "aa"),  # the glide is part of it
        (8100, "bcl"),
        (pytest.approx(9000, abs=32), "b"),
        (9900, "h#"),
    ]
    assert rows[0] == (0, 100, "h#") and rows[-1].end_samples == 10200
    words = timit_words(rows, events, offset_samples=100)
    assert words == [(100, 4100, "apiar"), (6100, 10000, "dob")]


def test_unknown_phones_and_swallowed_words_are_named():
    samples = np.ones(1000)
    for phone, said in (("'Y", "'Y' has no symbol"), ("_:", "no phones")):
        refused(said, timit_phones, samples, 16000, [SpeechEvent("phone", phone, 0, 1000)])
    word = SpeechEvent("word", "the", 600, 700)
    refused("'the' has no phone", timit_words, [Segment(0, 500, "aa")], [word])
