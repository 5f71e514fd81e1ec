"""The mini VoxCeleb1 has the dataset's layout, repeats its bytes, and its videos differ."""

import csv
import re
from collections import Counter

import numpy as np
import pytest
import soundfile

from auricle.processing.data import mini
from auricle.processing.data.mini import recording, sentences, speakers, voxceleb
from auricle.processing.data.seeding import generator_for
from auricle.processing.scoring.verification.trials import read_trials

TEST_IDS = {f"id{number}" for number in range(10270, 10310)}
FEW = voxceleb.Size(6, 6, videos_per_speaker=2, utterances_per_video=2, duration_s=(0.8, 1.2))


def all_bytes(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


@pytest.fixture
def few(monkeypatch):
    """Make "tiny" a dozen speakers, so that writing it takes a moment."""
    monkeypatch.setitem(voxceleb.SIZES, "tiny", FEW)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voxceleb") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(voxceleb.SIZES, "tiny", FEW)
        mini.write_mini("voxceleb", folder, "tiny", seed=3)
    return folder, mini.mini_info(folder)


# --- layout ---------------------------------------------------------------------------------------


def test_layout_and_counts(corpus):
    folder, info = corpus
    assert {p.name for p in folder.iterdir()} == {
        "wav", "veri_test2.txt", "vox1_meta.csv", "mini.json", "README.md"
    }  # fmt: skip
    names = sorted(p.relative_to(folder / "wav").as_posix() for p in folder.rglob("*.wav"))
    assert len(names) == 12 * 2 * 2 == sum(info["counts"]["utterances"].values())
    for name in names:
        assert re.fullmatch(r"id1\d{4}/[A-Za-z0-9_-]{11}/0000[12]\.wav", name), name
    per_video = Counter(name.rsplit("/", 1)[0] for name in names)
    assert set(per_video.values()) == {2} and len(per_video) == 24
    per_speaker = Counter(video.split("/")[0] for video in per_video)
    assert set(per_speaker.values()) == {2} and len(per_speaker) == 12
    assert len({video.split("/")[1] for video in per_video}) == 24


def test_recordings_are_16_khz_16_bit_mono_of_the_stated_length(corpus):
    folder, info = corpus
    lengths = []
    for path in sorted((folder / "wav").rglob("*.wav")):
        header = soundfile.info(path)
        assert (header.samplerate, header.channels, header.subtype) == (16000, 1, "PCM_16")
        samples, _ = soundfile.read(path, dtype="int16")
        peak = np.abs(samples.astype(int)).max()
        assert 300 < peak < 32767, f"{path} is silent or clipped: peak {peak}"
        lengths.append(len(samples))
    assert 0.8 * 16000 <= min(lengths) < max(lengths) <= 1.2 * 16000
    assert len(set(lengths)) > 40
    assert info["counts"]["duration_s"] == pytest.approx(sum(lengths) / 16000, abs=0.1)


def test_sizes_are_large_enough():
    for name, size in voxceleb.SIZES.items():
        assert size.num_training_speakers + size.num_test_speakers >= 40, name
        assert 1 < size.num_test_speakers <= 40, "VoxCeleb1's test has 40 names"
        assert size.videos_per_speaker > 1, "a target trial joins two videos"


@pytest.mark.parametrize("size", list(voxceleb.SIZES))
def test_the_cast_is_disjoint_and_mixed(size):
    plan = voxceleb.SIZES[size]
    cast = voxceleb._cast(plan, seed=0)
    test = [name for name in cast if name in TEST_IDS]
    assert test == [f"id{10270 + i}" for i in range(plan.num_test_speakers)]
    assert len(cast) - len(test) == plan.num_training_speakers
    assert all(10001 <= int(name[2:]) <= 11251 for name in cast)
    assert len({person.voice for person in cast.values()}) == len(cast), "two share a voice"
    for members in (test, [name for name in cast if name not in TEST_IDS]):
        women = sum(cast[name].gender == "f" for name in members)
        assert women / len(members) == pytest.approx(0.4, abs=0.03)
        halves = members[: len(members) // 2], members[len(members) // 2 :]
        assert all({cast[name].gender for name in half} == {"f", "m"} for half in halves)


def test_meta_file_is_that_of_voxceleb1(corpus):
    folder, info = corpus
    text = (folder / "vox1_meta.csv").read_bytes().decode()
    assert text.startswith("VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n")
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    assert [row["VoxCeleb1 ID"] for row in rows] == sorted(info["speakers"])
    for row in rows:
        person = info["speakers"][row["VoxCeleb1 ID"]]
        assert row["Gender"] == person["gender"] and row["Set"] == person["split"]
        assert (row["Set"] == "test") == (row["VoxCeleb1 ID"] in TEST_IDS)
        assert row["Nationality"] and " " not in row["VGGFace1 ID"]


# --- trials ---------------------------------------------------------------------------------------


def test_trials_are_readable_balanced_and_only_of_test_speakers(corpus):
    folder, info = corpus
    trials = read_trials(folder / "veri_test2.txt")
    assert trials.format == "voxceleb"
    trials.speakers()  # contradicts none of the answers
    # 6 speakers, 4 pairs of utterances from two videos with two each
    assert trials.counts["target"] == trials.counts["nontarget"] == 6 * 4
    assert trials.counts["repeated"] == trials.counts["with_itself"] == 0
    assert len(trials) == info["counts"]["trials"]
    assert {name.split("/")[0] for name in trials.names} <= TEST_IDS
    assert all((folder / "wav" / name).is_file() for name in trials.names)
    for one, other, same in zip(trials.enroll, trials.test, trials.is_target, strict=True):
        videos = {trials.names[i].split("/")[1] for i in (one, other)}
        assert len(videos) == 2, "a trial inside one video"
        assert same == (trials.names[one].split("/")[0] == trials.names[other].split("/")[0])
    pairs = {frozenset(pair) for pair in zip(trials.enroll, trials.test, strict=True)}
    assert len(pairs) == len(trials), "a pair and its mirror image"


def test_target_trials_are_capped_and_most_strangers_are_of_one_gender(monkeypatch):
    utterances = {
        f"id{10270 + s}": [[f"id{10270 + s}/video{v}/0000{n}.wav" for n in "123"] for v in "abcd"]
        for s in range(40)
    }
    gender = {name: "f" if i % 5 < 2 else "m" for i, name in enumerate(utterances)}
    trials = voxceleb._trials(utterances, gender, generator_for("t"))
    assert sum(same for _, _, same in trials) == 40 * 6 * 9  # all pairs of videos, 3 x 3 each
    strangers = [
        [gender[path.split("/")[0]] for path in (one, other)]
        for one, other, same in trials
        if not same
    ]
    assert len(strangers) == 40 * 6 * 9
    assert np.mean([a == b for a, b in strangers]) == pytest.approx(0.8, abs=0.03)
    monkeypatch.setattr(voxceleb, "_MOST_TARGET_TRIALS_PER_SPEAKER", 7)
    capped = voxceleb._trials(utterances, gender, generator_for("t"))
    assert Counter(one.split("/")[0] for one, _, same in capped if same) == dict.fromkeys(
        utterances, 7
    )


# --- determinism ----------------------------------------------------------------------------------


@pytest.mark.long
def test_same_seed_same_bytes_other_seed_other_bytes(corpus, tmp_path, few):
    first = all_bytes(corpus[0])
    again = all_bytes(mini.write_mini("voxceleb", tmp_path / "again", seed=3))
    assert len(first) == 48 + 4
    assert first == again
    other = all_bytes(mini.write_mini("voxceleb", tmp_path / "other", seed=4))
    assert not {p for p in first if p.endswith(".wav")} & set(other), "the same videos"
    assert first["veri_test2.txt"] != other["veri_test2.txt"]


def test_other_output_needs_another_generator_version(corpus):
    """Frozen from version 1: when this fails on purpose, raise GENERATOR_VERSION and freeze anew.

    Lengths and levels instead of bytes, so that another processor's last bit is no failure.
    """
    found = []
    for path in sorted((corpus[0] / "wav").glob("id1027[01]/*/00001.wav")):
        samples, _ = soundfile.read(path)
        level_dbfs = round(float(20 * np.log10(np.std(samples))), 2)
        found.append((path.parent.name, len(samples), level_dbfs))
    assert (voxceleb.GENERATOR_VERSION, found) == (
        1,
        [
            ("fjj-YIdE_XX", 14431, -28.64),
            ("m04WMLqydoP", 15127, -25.34),
            ("_UaUC4NW1pm", 16274, -17.26),
            ("sg4DVPaAu7f", 19067, -25.88),
        ],
    )


# --- videos ---------------------------------------------------------------------------------------


def test_every_video_has_a_place_of_its_own():
    people = speakers.make_speakers("voxceleb", 0, 8)
    videos = [voxceleb._film(person, 0, v) for person in people for v in range(4)]
    for name in ("reverberation_time_s", "level_dbfs", "snr_db", "noise_tilt_db_per_octave"):
        assert len({getattr(video, name) for video in videos}) == 32, name
    levels_dbfs = [video.level_dbfs for video in videos]
    assert max(levels_dbfs) - min(levels_dbfs) > 12


def test_the_room_of_a_video_is_measurable(corpus):
    """The noise floor's spectrum is nearer to that of the same video than to another of the same
    speaker: what a system must learn to ignore is really there."""
    folder, _ = corpus

    def floor_db(path):
        samples, _ = soundfile.read(path)
        frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::128] * np.hanning(512)
        power = np.abs(np.fft.rfft(frames)) ** 2
        # 10th percentile over time: what remains when nobody speaks
        quiet = np.percentile(power[:, 1:].reshape(len(power), 32, 8).mean(-1), 10, axis=0)
        return 10 * np.log10(quiet + 1e-12)

    nearer = []
    for speaker in (folder / "wav").iterdir():
        (a1, a2), (b1, b2) = (
            [floor_db(path) for path in sorted(video.iterdir())] for video in speaker.iterdir()
        )
        within = np.abs(a1 - a2).mean() + np.abs(b1 - b2).mean()
        across = np.abs(a1 - b1).mean() + np.abs(a2 - b2).mean()
        nearer.append(within < across)
    assert np.mean(nearer) > 0.8


# --- sentences and recording ----------------------------------------------------------------------


def test_sentences_hardly_repeat():
    rng = generator_for("sentences")
    made = [sentences.sentence(rng) for _ in range(500)]
    assert len(set(made)) > 495
    assert all(re.fullmatch(r"[A-Z][A-Za-z ,]*\.", text) for text in made)
    assert {len(text.split()) for text in made} <= set(range(5, 26))


def test_events_follow_the_pretended_rate_and_the_trimming():
    voices = recording.Voices(16000)
    person = speakers.make_speakers("voxceleb", 0, 1)[0]
    delivery = recording.Delivery(150, 50, 50, 1)
    plain = voices.say("a yellow boat", person, delivery)
    raw, rate, events = voices.synthesizer.speak("a yellow boat", person.voice, 150, 50, 50, 1)
    late = [e._replace(start_samples=e[2] + 5000, end_samples=e[3] + 5000) for e in events]
    voices.synthesizer.speak = lambda *_: (np.pad(raw, (5000, 0)), rate, late)
    shifted = voices.say("a yellow boat", person, delivery)
    scale = 16000 / person.pretended_rate_hz
    onset = np.flatnonzero(np.abs(raw) > 1e-3 * np.abs(raw).max())[0]
    assert onset < 110, "the voice begins at once; then the trimmed starts are 0 and onset - 110"
    words = [[e for e in some if e.kind == "word"] for some in (events, plain[1], shifted[1])]
    assert [w.text for w in words[2]] == ["a", "yellow", "boat"]
    for before, after, moved in zip(*words, strict=True):
        assert after.start_samples == round(before.start_samples * scale)
        assert after.end_samples == round(before.end_samples * scale)
        # The padding is cut to the 5 ms of margin.
        start = (before.start_samples + 110 - onset) * scale
        assert moved.start_samples == pytest.approx(start, abs=0.51)
    kept = len(shifted.samples) - len(plain.samples)
    assert kept == pytest.approx((110 - onset) * scale, abs=1.01)


def test_record_has_the_level_and_the_noise_asked_for():
    rng = generator_for("record")
    dry = np.zeros(32000)
    dry[8000:24000] = rng.standard_normal(16000)
    response = np.array([1.0])
    clip = recording.record(dry, response, rng.standard_normal(32000), -30.0, 20.0) / 32767
    assert 20 * np.log10(np.std(clip[8000:24000])) == pytest.approx(-30.0, abs=0.15)
    assert 20 * np.log10(np.std(clip[:8000])) == pytest.approx(-50.0, abs=0.15)
    loud = recording.record(dry, response, rng.standard_normal(32000), 0.0, 20.0)
    assert np.abs(loud.astype(int)).max() == round(0.98 * 32767), "turned down, not clipped"
