"""VoxCeleb preparation: protocols, layouts, splits, validation trials, every kind of bad input."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import refusals
import soundfile
from data_folders import refusal, write_noise

from auricle.recipes.training.preparation import PreparationError
from auricle.recipes.voxceleb import headers, protocols
from auricle.recipes.voxceleb import prepare as script
from auricle.recipes.voxceleb.corpus import find_folders, list_files
from auricle.recipes.voxceleb.held_out import draw_trials, hold_out, video_of
from auricle.recipes.voxceleb.prepare import problems
from auricle.recipes.voxceleb.protocols import PROTOCOLS, Protocol
from auricle.recipes.voxceleb.splitting import Part, check_apart

RATE_HZ = 16000
SPEAKERS = tuple(f"id1000{i}" for i in range(1, 8))
TEST_SPEAKERS = SPEAKERS[:2]
LAYOUTS = {
    "wav": ("wav", "wav"),
    "two archives": ("vox1_dev_wav/wav", "vox1_test_wav/wav"),
    "dev and test": ("dev/wav", "test/wav"),
    "at the top": (".", "."),
    "nested": ("voxceleb1/wav", "voxceleb1/wav"),
}


def write_clip(path, num_samples=RATE_HZ * 6 // 10, **options):
    write_noise(path, num_samples, **options)


def names_of(speaker, videos=2, utterances=2):
    return [f"{speaker}/v{v}/0000{u}" for v in range(videos) for u in range(1, utterances + 1)]


def make_corpus(folder, layout="wav", suffix=".wav"):
    """Seven speakers with two videos of two utterances; the first two are in the list."""
    for speaker in SPEAKERS:
        head = LAYOUTS[layout][speaker in TEST_SPEAKERS]
        for name in names_of(speaker):
            write_clip(folder / head / f"{name}{suffix}")
    one, other = (names_of(speaker) for speaker in TEST_SPEAKERS)
    lines = [f"1 {one[0]}.wav {one[2]}.wav", f"1 {other[0]}.wav {other[3]}.wav"]
    lines += [f"0 {a}.wav {b}.wav" for a, b in zip(one, other, strict=True)]
    (folder / "trials.txt").write_text("\n".join(lines) + "\n")
    return folder


def prepare(data_folder, output_folder=None, **options):
    options = {"protocol": "list", "trial_list": "trials.txt", "valid_speakers": 2} | options
    output_folder = output_folder or Path(data_folder).parent / "out"
    return script.prepare(data_folder, output_folder, progress=False, num_workers=1, **options)


def refused(match, *arguments, **options):
    return refusals.refused(match, prepare, *arguments, error=PreparationError, **options)


def make_mini(folder):
    (folder / "mini.json").write_text(json.dumps({"generator": "auricle mini corpus"}))


# --- protocols and settings ----------------------------------------------------------------------


def test_the_protocols_are_the_published_lists():
    files = {name: (p.file, p.trials, p.target, p.nontarget) for name, p in PROTOCOLS.items()}
    assert files == {
        "vox1-o": ("veri_test.txt", 37720, 18860, 18860),
        "vox1-o-cleaned": ("veri_test2.txt", 37611, 18802, 18809),
        "vox1-e": ("list_test_all.txt", 581480, None, None),
        "vox1-e-cleaned": ("list_test_all2.txt", 579818, 289921, 289897),
        "vox1-h": ("list_test_hard.txt", 552536, None, None),
        "vox1-h-cleaned": ("list_test_hard2.txt", 550894, 275488, 275406),
        "list": (None, None, None, None),
    }
    for protocol in PROTOCOLS.values():
        if protocol.target:
            assert protocol.target + protocol.nontarget == protocol.trials
    url = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/veri_test2.txt"
    assert PROTOCOLS["vox1-o-cleaned"].url == url and PROTOCOLS["list"].url is None


GOOD = {
    "protocol": "vox1-o-cleaned",
    "train_on": "voxceleb1",
    "voxceleb2_folder": None,
    "trial_list": None,
    "valid_speakers": 0.05,
    "valid_trials": 2000,
    "data_seed": 0,
    "skip_broken": False,
    "max_per_speaker": 0,
    "min_duration_s": 0.5,
}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("protocol", "vox1-o-clean", "did you mean 'vox1-o-cleaned'?"),
        ("protocol", ["vox1-o"], "is not known"),
        ("protocol", "list", "needs trial_list"),
        ("protocol", "vox1-e", "would test on the training speakers"),
        ("train_on", "vox2", "voxceleb1, voxceleb2 or both"),
        ("voxceleb2_folder", 3, "give a path"),
        ("trial_list", "", "give a path"),
        ("valid_speakers", 1, "2 or more"),
        ("valid_speakers", 1.0, "below 1"),
        ("valid_speakers", True, "2 or more"),
        ("valid_trials", 1, "2 or more"),
        ("data_seed", 0.5, "whole number"),
        ("skip_broken", "yes", "true or false"),
        ("max_per_speaker", -1, "0 or more"),
        ("max_per_speaker", None, "0 or more"),
        ("min_duration_s", float("nan"), "0 or more"),
        ("min_duration_s", "1", "number of seconds"),
    ],
)
def test_a_wrong_setting_is_told_by_name(key, value, text):
    assert problems(GOOD) == []
    (problem,) = problems({**GOOD, key: value})
    assert problem.startswith(key) and text in problem


def test_all_wrong_settings_are_told_at_once(corpus):
    wrong = {"protocol": "x", "train_on": "y", "valid_trials": 0, "seed": -1, "codec": "mp3"}
    assert len(refusal(prepare, corpus, **wrong).splitlines()) == len(wrong)


@pytest.mark.parametrize("protocol", ["vox1-e", "vox1-e-cleaned", "vox1-h", "vox1-h-cleaned"])
@pytest.mark.parametrize("train_on", ["voxceleb1", "both"])
def test_lists_of_all_speakers_are_not_tested_after_training_on_them(corpus, protocol, train_on):
    refused("give train_on: voxceleb2", corpus, protocol=protocol, train_on=train_on)


# --- layouts and lists ---------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_data(tmp_path, corpus, layout):
    record = prepare(make_corpus(tmp_path / "other" / "vox", layout))
    assert record.digest == prepare(corpus).digest
    assert record.counts["train"] == {"utterances": 12, "speakers": 3, "hours": 0.002}
    assert record.counts["test"]["trials"] == 6 and record.counts["test"]["speakers"] == 2
    for split in record.utterances.values():
        assert len(split) and all(Path(row["path"]).is_file() for row in split.values())


def test_flac_serves_a_list_that_says_wav(tmp_path, corpus):
    record = prepare(make_corpus(tmp_path / "flac" / "vox", suffix=".flac"))
    for split in record.utterances.values():
        assert all(name.endswith(".wav") and split.path(name).endswith(".flac") for name in split)
    assert any("says .wav where the disc has .flac" in note for note in record.notes)
    assert record.digest == prepare(corpus).digest  # of the same recordings, however stored
    trials = corpus / "trials.txt"
    trials.write_text(trials.read_text().replace(".wav", ""))
    (note,) = (note for note in prepare(corpus).notes if "the disc has" in note)
    assert "no suffix where the disc has .wav" in note


def test_a_recording_that_is_there_twice_counts_once(corpus):
    write_clip(corpus / "wav" / "id10005" / "v0" / "00001.flac")
    record = prepare(corpus, output_folder=corpus.parent / "twice")
    assert sum(record.counts[s]["utterances"] for s in ("train", "valid", "test")) == 28
    assert any("1 files of voxceleb1 are there a second time" in note for note in record.notes)


@pytest.mark.parametrize("place", [".", "meta", "lists", "wav"])
def test_the_list_is_found(corpus, place):
    (corpus / place).mkdir(exist_ok=True)
    (corpus / "trials.txt").rename(corpus / place / "mine.txt")
    assert prepare(corpus, trial_list="mine.txt").protocol == "list:mine.txt"


def test_the_list_may_be_elsewhere(corpus, tmp_path):
    path = (corpus / "trials.txt").rename(tmp_path / "mine.txt")
    assert prepare(corpus, trial_list=path).test_list["file"] == "mine.txt"


def test_a_missing_official_list_is_told_with_its_address(corpus):
    (corpus / "dev/wav/id00012").mkdir(parents=True)
    options = {"protocol": "vox1-h-cleaned", "train_on": "voxceleb2", "trial_list": None}
    error = refused("voxceleb/meta/list_test_hard2.txt", corpus, **options)
    assert "trials.txt" in str(error)  # what else lies there


def test_an_official_list_must_have_the_published_counts(corpus):
    (corpus / "trials.txt").rename(corpus / "veri_test2.txt")
    options = {"protocol": "vox1-o-cleaned", "trial_list": None}
    text = refusal(prepare, corpus, **options)
    assert "6 trials where 37611" in text and "2 target trials where 18802" in text
    assert "protocol: list, trial_list: veri_test2.txt" in text
    make_mini(corpus)
    assert prepare(corpus, **options).completeness == "mini"


def test_an_official_list_with_the_published_counts_is_taken(corpus, monkeypatch):
    tiny = Protocol("vox1-o", "trials.txt", 6, 2, 4)
    monkeypatch.setitem(protocols.PROTOCOLS, "vox1-o", tiny)
    record = prepare(corpus, protocol="vox1-o", trial_list=None, max_per_speaker=3)
    assert record.completeness == (
        "subset (5 of 1211 speakers of voxceleb1; 20 of 148642 utterances of voxceleb1; "
        "at most 3 utterances of a speaker)"
    )
    assert record.protocol == "vox1-o"
    monkeypatch.setitem(script.PUBLISHED, "voxceleb1", (5, 20))
    whole = prepare(corpus, corpus.parent / "all", protocol="vox1-o", trial_list=None)
    assert whole.completeness == "complete"


def test_a_list_of_ones_own_is_never_called_vox1_o(corpus):
    (corpus / "trials.txt").rename(corpus / "veri_test2.txt")
    record = prepare(corpus, trial_list="veri_test2.txt")
    assert record.protocol == "list:veri_test2.txt" and record.completeness == "own list"
    assert record.test_list["url"] is None
    assert record.test_list["sha256"] == record.trials["test"].digest
    assert "vox1-o" not in record.describe().lower()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("1 id10001/v0/00001.wav id10002/v1/00001.wav", "says one speaker"),
        ("id10001/v0/00001.wav id10002/v0/00001.wav", "has no label"),
        ("1 id10001/v0/00001.wav id10001/v9/00001.wav", "1 of the 9 recordings"),
        ("1 id10001/v0/00001.wav id10001/v0/00001.flac", "more than one suffix"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(corpus, line, text):
    with open(corpus / "trials.txt", "a") as file:
        file.write(line + "\n")
    refused(text, corpus)


def test_a_folder_without_speakers_is_refused(tmp_path):
    refused("does not exist", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refused("holds no speakers; it holds nothing", tmp_path / "empty")


def test_a_list_of_all_speakers_leaves_nobody_to_train_on(corpus):
    lines = [f"1 {n[0]}.wav {n[1]}.wav" for n in map(names_of, SPEAKERS)]
    (corpus / "all.txt").write_text(
        "\n".join([*lines, "0 id10001/v0/00001.wav id10002/v0/00001.wav"])
    )
    refused("0 speakers are left for training", corpus, trial_list="all.txt")


# --- splits --------------------------------------------------------------------------------------


def test_no_speaker_is_in_two_splits_and_every_trial_is_found(corpus):
    record = prepare(corpus)
    speakers = {s: {row["speaker"] for row in u.values()} for s, u in record.utterances.items()}
    assert speakers["test"] == set(TEST_SPEAKERS) and len(speakers["valid"]) == 2
    assert not speakers["train"] & speakers["test"] and not speakers["train"] & speakers["valid"]
    assert not speakers["valid"] & speakers["test"]
    assert record.labels == sorted(speakers["train"])
    for split in ("valid", "test"):
        trials = record.trials[split]
        enroll, _ = trials.locate(list(record.utterances[split]))  # raises for a left-over one
        assert len(enroll) == record.counts[split]["trials"] == len(trials)
        trials.speakers()


def test_a_speaker_in_two_splits_would_be_an_error(corpus):
    files = list_files(find_folders(corpus, "voxceleb1"))
    part = Part("voxceleb1", files, np.array([0]), {"id10001"}, True)
    check_apart([part], {"id10001"})
    for split in (part.train, part.valid):
        was, split[1] = bool(split[1]), True
        text = refusal(check_apart, [part], {"id10001"})
        assert "speakers of test are in" in text and "id10001" in text
        split[1] = was
    part.valid[-1] = True
    text = refusal(check_apart, [part], {"id10001"})
    assert "speakers of valid are in train" in text and "id10007" in text


def test_unnamed_recordings_of_test_speakers_are_in_no_split(corpus):
    for u in range(5):
        write_clip(corpus / "wav/id10001/v7" / f"{u}.wav")
    record = prepare(corpus)
    assert record.counts["test"]["utterances"] == 8
    assert not any(name.startswith("id10001/v7") for u in record.utterances.values() for name in u)


def test_the_seed_decides_on_the_held_out_speakers(corpus):
    seeds = {}
    for seed in range(6):
        record = prepare(corpus, corpus.parent / f"out{seed}", seed=seed)
        seeds[seed] = tuple(record.labels)
        assert record.counts["test"] == prepare(corpus).counts["test"]
    assert len(set(seeds.values())) > 1
    again = prepare(corpus, corpus.parent / "again", seed=3)
    assert tuple(again.labels) == seeds[3]
    assert again.digest == prepare(corpus, corpus.parent / "out3", seed=3).digest


def test_a_cap_leaves_so_many_training_utterances_of_a_speaker(corpus):
    record = prepare(corpus, max_per_speaker=3)
    rows = record.utterances["train"].values()
    assert Counter(row["speaker"] for row in rows) == dict.fromkeys(record.labels, 3)
    assert record.counts["test"]["utterances"] == 8


@pytest.mark.parametrize(("share", "count"), [(0.05, 5), (0.001, 2), (7, 7)])
def test_a_share_of_the_speakers_is_held_out(share, count):
    names = [f"s{i:03}" for i in range(100)]
    chosen = hold_out(names, share, 0)
    assert len(chosen) == count and chosen <= set(names)
    assert hold_out(names[::-1], share, 0) == chosen


def test_validation_trials_are_balanced_and_across_videos():
    recordings = {
        f"s{i}": [f"s{i}/v{v}/{u}.wav" for v in range(5) for u in range(6)] for i in range(12)
    }
    trials, notes = draw_trials(recordings, 400, 0)
    assert trials.counts | {"recordings": 0} == {
        "trials": 400, "target": 200, "nontarget": 200, "recordings": 0, "repeated": 0,
        "with_itself": 0,
    }  # fmt: skip
    assert notes == []
    speaker = trials.speakers()  # checks the answers
    per_speaker = np.bincount(speaker[trials.enroll[trials.is_target]], minlength=12)
    assert per_speaker.max() - per_speaker.min() <= 1
    sides = np.concatenate([trials.enroll, trials.test])[~np.tile(trials.is_target, 2)]
    per_speaker = np.bincount(speaker[sides], minlength=12)
    assert per_speaker.min() >= 200 / 12  # each is the first of its share, and often the second
    for a, b in zip(trials.enroll[trials.is_target], trials.test[trials.is_target], strict=True):
        assert video_of(trials.names[a]) != video_of(trials.names[b])
    backwards = {s: r[::-1] for s, r in reversed(recordings.items())}
    assert draw_trials(backwards, 400, 0)[0].digest == trials.digest
    assert draw_trials(recordings, 400, 1)[0].digest != trials.digest


def test_speakers_with_one_video_or_one_utterance_are_told():
    recordings = {
        "a": ["a/v/1.wav", "a/v/2.wav"],
        "b": ["b/v/1.wav", "b/w/1.wav", "b/w/2.wav"],
        "c": ["c/v/1.wav"],
    }
    trials, notes = draw_trials(recordings, 100, 0)
    targets = {
        frozenset((trials.names[a], trials.names[b]))
        for a, b, same in zip(trials.enroll, trials.test, trials.is_target, strict=True)
        if same
    }
    assert targets == {
        frozenset(("a/v/1.wav", "a/v/2.wav")),
        frozenset(("b/v/1.wav", "b/w/1.wav")),
        frozenset(("b/v/1.wav", "b/w/2.wav")),
    }
    assert trials.counts["nontarget"] == 3
    assert "1 validation speakers have one utterance" in notes[0]
    assert "1 validation speakers have one video" in notes[1]
    assert "6 validation trials instead of 100" in notes[2]
    few_others = {"a": [f"a/v{i}/1.wav" for i in range(10)], "b": ["b/v/1.wav"]}
    counts = draw_trials(few_others, 100, 0)[0].counts
    assert counts["target"] == counts["nontarget"] == 10
    alone = {"a": ["a/v/1.wav"], "b": ["b/v/1.wav"]}
    assert "no target trial" in refusal(draw_trials, alone, 100, 0)


# --- bad files -----------------------------------------------------------------------------------


def break_files(folder):
    """One file of every kind, of speakers that are not tested."""
    root = folder / "wav" / "id10007" / "bad"
    root.mkdir()
    (root / "empty.wav").write_bytes(b"")
    (root / "text.wav").write_text("no audio at all, but long enough to be looked at")
    write_clip(root / "cut.wav")
    (root / "cut.wav").write_bytes((root / "cut.wav").read_bytes()[:9000])
    write_clip(root / "cut.flac")
    (root / "cut2.flac").write_bytes((root / "cut.flac").read_bytes()[:4000])
    (root / "cut.flac").unlink()
    write_clip(root / "slow.wav", rate_hz=8000)
    write_clip(root / "short.wav", num_samples=7999)
    soundfile.write(root / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    soundfile.write(root / "stereo.wav", np.full((RATE_HZ, 2), 0.1), RATE_HZ)
    return {
        "empty.wav": "empty",
        "text.wav": "not_audio",
        "cut.wav": "truncated",
        "cut2.flac": "truncated",
        "slow.wav": "rate",
        "short.wav": "short",
        "silent.wav": "silent",
        "stereo.wav": "channels",
    }


@pytest.mark.parametrize("max_decoded", [5000, 0], ids=["decoded", "headers"])
def test_every_kind_of_bad_file_is_an_error_or_a_listed_skip(corpus, monkeypatch, max_decoded):
    monkeypatch.setattr(headers, "MAX_DECODED", max_decoded)
    whole = prepare(corpus, corpus.parent / "whole")
    kinds = break_files(corpus)
    text = refusal(prepare, corpus)
    assert "8 training recordings cannot be used" in text and "--skip_broken true" in text
    assert "truncated (2):" in text and all(name in text for name in kinds)
    assert not (corpus.parent / "out" / "prepare.json").exists()

    record = prepare(corpus, skip_broken=True)
    found = {Path(skip["path"]).name: skip["kind"] for skip in record.skipped}
    assert found == kinds
    assert "skipped 8:" in record.describe()
    assert record.digest == whole.digest


def test_a_test_recording_under_another_speaker_is_refused_or_leaves_training(corpus):
    shutil.copy(corpus / "wav/id10001/v0/00001.wav", corpus / "wav/id10005/v0/00001.wav")
    text = refusal(prepare, corpus)
    assert "1 of train: identical recordings in test, e.g. id10005/v0/00001" in text
    record = prepare(corpus, skip_broken=True)
    assert record.overlap == {"left out of train: identical recordings in test": 1}
    ids = set(record.utterances["train"]) | set(record.utterances["valid"])
    assert not any(name.startswith("id10005/v0/00001") for name in ids)


def test_a_pause_in_the_middle_is_not_silence(corpus, monkeypatch):
    monkeypatch.setattr(headers, "MAX_DECODED", 0)
    path = corpus / "wav/id10005/v0/00001.wav"
    wav, _ = soundfile.read(path)
    wav[2000:-2000] = 0
    soundfile.write(path, wav, RATE_HZ)
    assert prepare(corpus).skipped == []


def test_five_of_a_kind_are_shown(corpus):
    for u in range(8):
        (corpus / "wav/id10004/v0" / f"9{u}.wav").write_bytes(b"")
    text = refusal(prepare, corpus)
    assert text.count("is empty") == 5 and "... and 3 more" in text


def test_a_broken_test_recording_is_an_error_in_any_case(corpus):
    (corpus / "wav/id10001/v0/00001.wav").write_bytes(b"")
    refused("1 recordings of the test list trials.txt", corpus, skip_broken=True)


def test_a_short_test_recording_counts_and_is_told(corpus):
    write_clip(corpus / "wav/id10001/v0/00001.wav", num_samples=1000)
    record = prepare(corpus)
    assert record.counts["test"]["utterances"] == 8
    assert any("1 test recordings are shorter than 0.5 s" in note for note in record.notes)


def test_a_training_speaker_with_one_utterance_is_fine(corpus):
    write_clip(corpus / "wav/id10010/v0/00001.wav")
    record = prepare(corpus, seed=next(s for s in range(99) if "id10010" not in _held_out(s)))
    assert "id10010" in record.labels
    assert "1 training speakers of voxceleb1 have one utterance" in record.notes


def _held_out(seed):
    return hold_out([*SPEAKERS[2:], "id10010"], 2, seed)


# --- what is remembered --------------------------------------------------------------------------


def test_what_has_not_changed_is_used_again(corpus, monkeypatch):
    first = prepare(corpus)
    checked = []
    monkeypatch.setattr(headers, "_check_one", lambda path, _: checked.append(path))
    again = prepare(corpus)
    assert again.digest == first.digest and again.describe() == first.describe()
    assert dict(again.utterances["train"]) == dict(first.utterances["train"])
    # another output folder: the rows are made anew, but no file is read
    other = prepare(corpus, corpus.parent / "other", seed=1)
    assert other.settings["seed"] == 1 and checked == []


def test_a_changed_file_is_read_again_and_only_it(corpus, watched):
    first = prepare(corpus)
    name = next(iter(first.utterances["train"]))
    write_clip(Path(first.utterances["train"].path(name)), num_samples=12345)
    checked = watched(headers, "_check_one")
    again = prepare(corpus)
    assert again.utterances["train"][name]["duration_s"] == pytest.approx(12345 / RATE_HZ)
    assert again.digest != first.digest
    assert len(checked) == 1 and checked[0][0].endswith(name)


@pytest.mark.parametrize("file", ["manifest.csv", "valid_trials.txt", "prepare.json"])
def test_a_file_that_was_tampered_with_is_written_again(corpus, file):
    first = prepare(corpus)
    path = Path(first.manifest_path).parent / file
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    assert prepare(corpus).digest == first.digest and path.read_bytes() == content


def test_a_check_that_was_stopped_goes_on(corpus, tmp_path, monkeypatch, watched):
    files = list_files(find_folders(corpus, "voxceleb1"))
    wanted, decode = np.arange(len(files)), np.zeros(len(files), bool)
    monkeypatch.setattr(headers, "_BLOCK", 8)
    seen, check = [], headers._check_one

    def stopping(path, whole):
        if len(seen) == 20:
            raise KeyboardInterrupt
        seen.append(path)
        return check(path, whole)

    cache = tmp_path / "cache" / "headers.csv"
    monkeypatch.setattr(headers, "_check_one", stopping)
    with pytest.raises(KeyboardInterrupt):
        headers.check_files(files, wanted, cache, decode, num_workers=1)
    cache.write_bytes(cache.read_bytes()[:-3])  # the last line is cut off, too
    monkeypatch.setattr(headers, "_check_one", check)
    rest = watched(headers, "_check_one")
    num_samples, errors = headers.check_files(files, wanted, cache, decode, num_workers=1)
    assert (num_samples == 9600).all() and not errors
    assert len(rest) == len(files) - 15
    headers.check_files(files, wanted, cache, decode, num_workers=1)
    assert len(rest) == len(files) - 15
    # what was known by its header is not decoded yet
    headers.check_files(files, wanted, cache, ~decode, num_workers=1)
    assert len(rest) == 2 * len(files) - 15


# --- the command ---------------------------------------------------------------------------------


def test_the_command_prints_the_counts(corpus, tmp_path, capsys):
    options = ["--protocol", "list", "--trial_list", "trials.txt", "--valid_speakers", "2"]
    script.main([str(corpus), str(tmp_path / "out"), *options])
    out = capsys.readouterr().out
    assert "list:trials.txt" in out and "train          3          12" in out


def test_the_command_explains_an_error_without_a_traceback(corpus, tmp_path):
    with pytest.raises(SystemExit, match="prepare.py: protocol 'vox' is not known"):
        script.main([str(corpus), str(tmp_path / "out"), "--protocol", "vox"])
