"""`auricle robustness`: what is distorted, what is compared, and that the table says so."""

import argparse
import functools
import json

import matplotlib.image
import numpy as np
import pytest
import soundfile
import torch
from random_bundle import random_bundle
from refusals import refused

from auricle.processing.data.distortions.codecs import CODECS
from auricle.processing.data.distortions.conditions import CONDITIONS, choose
from auricle.processing.data.musan import Musan
from auricle.processing.plots.robustness import robustness_picture
from auricle.processing.scoring.paired import holm
from auricle.processing.scoring.verification.trial_scores import summarize_trials
from auricle.processing.scoring.verification.trials import TrialList
from auricle.recipes.commands import robustness as command
from auricle.recipes.commands.common import add_command
from auricle.recipes.inference import robustness as suite
from auricle.recipes.inference.robustness_noise import TALKERS, BabbleTalkers
from auricle.recipes.reports.robustness_table import markdown

RATE = 16000
QUICK = suite.Design(n_resamples=0)
SPEAKERS = [f"id{number:02}" for number in range(12)]
NAMES = [f"{speaker}/v{video}/00001.wav" for speaker in SPEAKERS for video in range(3)]


@functools.cache
def recording(name):
    """A speaker is a pitch and the loudness of its harmonics; a video changes little."""
    number, video = SPEAKERS.index(name[:4]), int(name[6])
    loudness = np.exp(1.2 * np.random.default_rng(number).standard_normal(29))
    rng = np.random.default_rng([number, video])
    time_s = np.arange(RATE // 4) / RATE
    pitch_hz = 130 + 2 * number + rng.standard_normal()
    harmonics = np.arange(1, 30)
    tones = np.sin(2 * np.pi * pitch_hz * np.outer(harmonics, time_s))
    voice = (loudness * np.exp(0.9 * rng.standard_normal(29)) / harmonics) @ tones
    burst = np.maximum(0, np.sin(2 * np.pi * 4 * time_s)) ** 0.5
    wav = 0.1 * voice * burst / np.abs(voice).max() + 1e-3 * rng.standard_normal(len(time_s))
    return torch.tensor(wav, dtype=torch.float32)


def make_trials(speakers=SPEAKERS):
    """Every speaker's videos 1 and 2 against video 0 of three speakers."""
    pairs = []
    for number, speaker in enumerate(speakers):
        for step in (0, 1, 3):
            other = speakers[(number + step) % len(speakers)]
            for video in (1, 2):
                pairs.append((f"{other}/v0/00001.wav", f"{speaker}/v{video}/00001.wav", step == 0))
    return TrialList.from_pairs(pairs)


class Spectrum:
    """A stand-in for a bundle: the log spectrum in 24 bands; counts what it embeds."""

    sample_rate = RATE

    def __init__(self, bands=24):
        self.bands, self.seen = bands, 0

    def embed(self, wavs, lengths):
        self.seen += len(wavs)
        rows = []
        for wav, length in zip(wavs, lengths, strict=True):
            power = torch.fft.rfft(wav[: round(float(length) * wavs.shape[1])]).abs().square()
            low = power[: len(power) // 2]  # to 4 kHz
            rows.append(torch.stack([band.mean() for band in low.tensor_split(self.bands)]).log())
        return torch.stack(rows)[:, None] - torch.stack(rows).mean(1)[:, None, None]


def evaluate(systems=None, groups=("white",), values=None, **options):
    """A suite of some groups of conditions; `values` keeps those of some strengths."""
    systems = systems or {"spectrum": Spectrum()}
    options = {"n_resamples": 100, **options}
    readers = dict.fromkeys(systems, recording)
    chosen = [c for c in choose(groups) if values is None or c.value in values]
    return suite.evaluate(systems, make_trials(), readers, chosen, suite.Design(**options))


def rates(report, system="spectrum"):
    return {row["condition"]: row["eer"] for row in report["records"] if row["system"] == system}


def test_noise_raises_the_error_rate_step_by_step_from_clean():
    report = evaluate()
    eer = rates(report)
    assert list(eer) == ["clean", "white 20 dB", "white 10 dB", "white 5 dB", "white 0 dB"]
    assert eer["clean"] < 0.13 and eer["clean"] + 0.08 < eer["white 0 dB"] <= 0.6
    for row in report["records"]:
        low, high = row["interval"]
        assert 0 <= low <= high <= 1 and row["missing"] is None
    assert report["trials"]["digest"] == make_trials().digest and report["sides"] == "test"
    assert report["versions"]["libsndfile"] == soundfile.__libsndfile_version__
    json.dumps(report, allow_nan=False)


def test_clean_is_the_plain_score_of_the_list():
    trials, bundle = make_trials(), Spectrum()
    records, scores = suite.measure(bundle, trials, recording, choose(["clean"]), QUICK)
    rows = bundle.embed(torch.stack([recording(name) for name in trials.names]), torch.ones(36))
    rows = torch.nn.functional.normalize(rows[:, 0], dim=1).numpy()
    expected = (rows[trials.enroll] * rows[trials.test]).sum(1)
    np.testing.assert_allclose(scores["clean"], expected, atol=1e-5)
    plain = summarize_trials(trials, expected, n_resamples=0)
    assert records[0]["eer"] == pytest.approx(plain["eer"])
    assert records[0]["interval"] is None


@pytest.mark.parametrize(("sides", "per_condition"), [("test", 24), ("both", 36)])
def test_the_enrolment_is_clean_and_embedded_once_unless_both_sides_are_asked_for(
    sides, per_condition
):
    bundle = Spectrum()
    evaluate({"spectrum": bundle}, groups=("white",), sides=sides, n_resamples=0)
    assert bundle.seen == 36 + 4 * per_condition


def test_only_what_is_asked_for_is_distorted(monkeypatch):
    distorted = []

    def mark(wav, rate_hz, condition, generator, background):
        distorted.append(wav)
        return wav * 0 + np.arange(len(wav), dtype=np.float32)

    monkeypatch.setattr(suite, "distort", mark)
    trials = make_trials()
    chosen = choose(["telephone"])
    _, scores = suite.measure(Spectrum(), trials, recording, chosen, QUICK)
    assert len(distorted) == 24, "the recordings of the test side"
    # all test recordings are now one sound: the score depends on the enrolment alone
    by_enrolment = [
        scores["300-3400 Hz"][trials.enroll == number] for number in np.unique(trials.enroll)
    ]
    assert all(np.ptp(found) < 1e-6 for found in by_enrolment)
    assert np.ptp([found[0] for found in by_enrolment]) > 1e-4
    both = suite.Design(sides="both", n_resamples=0)
    _, scores = suite.measure(Spectrum(), trials, recording, chosen, both)
    assert np.ptp(scores["300-3400 Hz"]) < 1e-6


def test_a_seed_repeats_everything_and_another_one_does_not():
    trials = make_trials()
    talkers = BabbleTalkers(trials)
    conditions = [
        c for c in choose() if c.name in ("clean", "white 5 dB", "babble 5 dB", "room 1 s")
    ]

    def scores(seed):
        design = suite.Design(n_resamples=0, seed=seed)
        return suite.measure(Spectrum(), trials, recording, conditions, design, talkers)[1]

    one, again, other = (scores(seed) for seed in (0, 0, 1))
    assert len(one) == 4
    for condition, found in one.items():
        assert np.array_equal(found, again[condition])
        assert np.array_equal(found, other[condition]) == (condition == "clean")


def test_babble_is_of_speakers_that_no_trial_compares():
    trials = make_trials()
    talkers = BabbleTalkers(trials)
    assert talkers.with_trial_speakers == 0
    speaker = dict(zip(trials.names, trials.speakers(), strict=True))
    met = {name: {speaker[name]} for name in trials.names}
    for one, other in zip(trials.enroll, trials.test, strict=True):
        met[trials.names[one]].add(speaker[trials.names[other]])
        met[trials.names[other]].add(speaker[trials.names[one]])
    drawn = set()
    for name in trials.names:
        for seed in range(20):
            found = talkers.of(name, np.random.default_rng(seed))
            voices = [speaker[other] for other in found]
            assert len(set(voices)) == TALKERS == 5 and not met[name] & set(voices)
            drawn |= set(found)
    assert drawn == set(trials.names)


def test_babble_where_trials_leave_too_few_speakers_says_so():
    trials = make_trials(SPEAKERS[:7])  # a recording meets 3 of 7 speakers: 4 are left
    talkers = BabbleTalkers(trials)
    assert talkers.describe()["with_trial_speakers"] > 0
    for name in trials.names:
        found = talkers.of(name, np.random.default_rng(0))
        assert name[:4] not in {other[:4] for other in found}
    refused("5 speakers.*6", BabbleTalkers, make_trials(SPEAKERS[:5]))


def test_musan_takes_the_place_of_generated_noise(tmp_path):
    rng = np.random.default_rng(0)
    for kind in Musan.KINDS:
        (tmp_path / kind).mkdir()
        soundfile.write(tmp_path / kind / "a.wav", 0.1 * rng.standard_normal(9000), RATE)
    musan = Musan(tmp_path)
    report = evaluate(groups=("noise",), values=(None, 20), musan=musan, n_resamples=0)
    kinds = {row["kind"] for row in report["records"]}
    assert kinds == {"clean", "noise", "babble", "music"}
    assert report["noise"] == "MUSAN" and report["babble"] is None
    assert "MUSAN's" in markdown(report) and "noise 20 dB" in markdown(report)


def test_systems_are_compared_on_the_same_distortions_with_a_warning_of_many():
    report = evaluate({"a": Spectrum(), "b": Spectrum(2), "again": Spectrum()})
    comparisons = {(row["b"], row["condition"]): row for row in report["comparisons"]}
    assert len(comparisons) == 2 * 5 and {row["a"] for row in report["comparisons"]} == {"a"}
    for (other, condition), row in comparisons.items():
        expected = rates(report, "a")[condition] - rates(report, other)[condition]
        assert row["difference"] == pytest.approx(expected)
        assert row["p"] <= row["p_holm"] <= 1
        if other == "again":
            assert row["difference"] == 0 and row["interval"] == [0, 0]
    assert comparisons["b", "clean"]["difference"] < 0
    table = markdown(report)
    assert "5 on the same trials" in table
    assert "Holm's correction" in table and "| white noise 10 dB | b | " in table


def test_holm_worked_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.slow
def test_the_table_has_a_row_per_condition_and_says_what_it_rests_on():
    report = evaluate(groups=("white", "vorbis", "mp3", "speed"))
    table = markdown(json.loads(json.dumps(report)))
    lines = table.splitlines()
    assert lines[0] == "| condition | spectrum, EER (%) |"
    assert lines[2].startswith("| clean | ")
    assert [line.count("|") for line in lines[:14]] == [3] * 14 and lines[14] == ""
    first = report["records"][0]
    low, high = (100 * bound for bound in first["interval"])
    assert lines[2] == f"| clean | {100 * first['eer']:.2f} ({low:.2f} to {high:.2f}) |"
    for words in (
        "the test recording alone",
        "24 target and 48 non-target trials of 36 recordings",
        "bootstrap over 12 speakers, 100 resamples",
        "within 15.9 dB",
        f"libsndfile {soundfile.__libsndfile_version__}",
        "Ogg Vorbis quality 0.5",
        "Speed changes pitch",
    ):
        assert words in table
    assert "babble" not in table.lower() and "compared" not in table
    both = markdown({**report, "sides": "both", "synthetic": True})
    assert "both recordings of a trial" in both and "Synthetic mini corpus" in both


def test_an_encoder_that_is_missing_is_named_and_the_rest_is_measured(monkeypatch):
    monkeypatch.setattr(soundfile, "available_subtypes", lambda _: {"VORBIS": "Vorbis"})
    report = evaluate(groups=("codec",), n_resamples=0)
    missing = {row["condition"] for row in report["records"] if row["missing"]}
    assert missing == {c.name for c in CONDITIONS if c.kind in ("mp3", "opus")}
    assert all((row["eer"] is None) == bool(row["missing"]) for row in report["records"])
    table = markdown(report)
    assert "| MP3 16 kbit/s | not measured |" in table
    assert "MP3" in table and "Opus" in table
    assert f"no encoder for {CODECS['vorbis'].title}" not in table
    robustness_picture(report, "a title")


def test_a_silent_recording_is_named():
    def read(name):
        return torch.zeros(4000) if name == NAMES[4] else recording(name)

    with pytest.raises(ValueError, match=f"{NAMES[4]} is silence"):
        suite.evaluate({"a": Spectrum()}, make_trials(), {"a": read}, choose(["white"]))


def test_what_a_distortion_refuses_names_recording_and_condition():
    class Slow(Spectrum):
        sample_rate = 6000

    said = r"id00/v1/00001.wav.*300-3400 Hz.*6000"
    refused(said, evaluate, {"slow": Slow()}, groups=("telephone",))


def test_options_that_there_are_not():
    refused("sides is 'left'.*test or both", evaluate, sides="left")
    refused("no system", suite.evaluate, {}, make_trials(), {})


@pytest.mark.slow
def test_the_picture_has_a_panel_per_kind_and_every_system_in_it():
    systems = {"a": Spectrum(), "b": Spectrum(6)}
    groups = ("white", "babble", "mulaw", "speed")
    report = evaluate(systems, groups, (None, 20, 10, 0.9), n_resamples=20)
    figure = robustness_picture(report, "a title")
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ["White noise", "Babble", "Telephone, clipping, speed"]
    for axes in panels.values():
        assert axes.get_legend_handles_labels()[1] == ["a", "b"]
    drawn = panels["White noise"].containers[1].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, [100 * eer for eer in list(rates(report, "b").values())[:3]])
    ticks = [tick.get_text() for tick in panels["White noise"].get_xticklabels()]
    assert ticks == ["clean", "20", "10"]
    refused("nothing to draw", robustness_picture, {**report, "records": []}, "a title")


# The command line


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus, its list, two bundles for it and one of another task."""
    folder = tmp_path_factory.mktemp("robustness")
    for name in NAMES:
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, recording(name).numpy(), RATE)
    trials = make_trials()
    rows = zip(trials.is_target, trials.enroll, trials.test, strict=True)
    (folder / "trials.txt").write_text(
        "".join(f"{int(t)} {trials.names[a]} {trials.names[b]}\n" for t, a, b in rows)
    )
    for run, task in (
        ("seed_1", "speaker_verification"),
        ("seed_2", "speaker_verification"),
        ("words", "keyword_spotting"),
    ):
        _save_bundle(folder / run / "bundle", task, seed=len(run) + ord(run[-1]))
    return folder


def _save_bundle(folder, task, seed):
    random_bundle(
        folder,
        labels=SPEAKERS,
        task=task,
        seed=seed,
        sample_rate=RATE,
        clip_s=None,
        in_frames=100,
        normalization="none",
    )


def run_command(corpus, bundles, *words):
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers(), command)
    fixed = ["--trials", corpus / "trials.txt", "--data_folder", corpus / "data"]
    words = ["robustness", *bundles, *fixed, "--n-resamples", 50, *words]
    arguments = parser.parse_args([str(word) for word in words])
    return arguments.run(arguments)


@pytest.mark.slow
def test_the_command_writes_table_json_and_picture(corpus, tmp_path, capsys):
    bundles = [corpus / run / "bundle" for run in ("seed_1", "seed_2")]
    out = tmp_path / "out"
    options = ("--conditions", "telephone,white", "--out", out, "--sides", "both")
    assert run_command(corpus, bundles, *options) == 0
    printed = capsys.readouterr().out
    report = json.loads((out / "robustness.json").read_text())
    assert report["systems"] == ["mel + linear (seed_1)", "mel + linear (seed_2)"]
    assert set(report["models"]) == set(report["systems"])
    assert all(len(digest) == 64 for digest in report["models"].values())
    assert report["trials"]["source"] == "trials.txt" and report["sides"] == "both"
    assert len(report["records"]) == 2 * 6 and len(report["comparisons"]) == 6
    assert str(tmp_path) not in json.dumps(report), "a result holds no path of a machine"
    table = (out / "robustness.md").read_text()
    assert table == markdown(report) and table.strip() in printed
    assert matplotlib.image.imread(out / "robustness.png").shape[0] > 300


def test_json_is_printed_alone_and_names_are_taken(corpus, tmp_path, capsys):
    bundles = [f"first={corpus / 'seed_1' / 'bundle'}"]
    options = ("--conditions", "mulaw", "--out", tmp_path / "out", "--json")
    assert run_command(corpus, bundles, *options) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["systems"] == ["first"] and report["comparisons"] == []
    assert [row["condition"] for row in report["records"]] == ["clean", "mu-law 8 kHz"]


def test_bad_bundles_and_names_are_refused_before_any_work(corpus, tmp_path):
    good = corpus / "seed_1" / "bundle"
    for bundles, words, message in (
        ([corpus / "words" / "bundle"], (), "keyword_spotting"),
        ([f"a={good}", f"a={good}"], (), "'a'"),
        ([good], ("--conditions", "rain"), "unknown conditions rain"),
        ([good], ("--musan", tmp_path), "noise/"),
        ([tmp_path / "nothing"], (), "nothing"),
    ):
        refused(message, run_command, corpus, bundles, "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()
