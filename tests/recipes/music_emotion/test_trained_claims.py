"""Claims that train: which runs are found, what is trained, and what is made of the scores."""

import functools
import json
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from refusals import refused
from run_results import run_result
from safetensors.torch import load_file, save_file
from scipy import stats

from auricle.hparams.loader import load_hparams
from auricle.processing.scoring.regression.comparison import compare_regression
from auricle.processing.scoring.regression.files import FILE_NAME, write_scores
from auricle.processing.scoring.regression.metrics import RegressionScores
from auricle.recipes.music_emotion.claims import convergence, freezing, pretraining, runs
from auricle.recipes.music_emotion.claims.catalogue import claims
from auricle.recipes.music_emotion.claims.convergence import Curve
from auricle.recipes.music_emotion.claims.finding import Settings
from auricle.recipes.music_emotion.claims.runs import PlannedRun, collect, planned
from auricle.recipes.music_emotion.claims.seed_pairs import compare_runs, t_interval
from auricle.recipes.reports.results import load_results
from auricle.recipes.training import finish
from auricle.recipes.training.messages import RecipeError

pytestmark = pytest.mark.slow

SCALE = {"low": 1.0, "high": 9.0}
SONGS = 60


@pytest.fixture
def settings(tmp_path):
    return Settings(results_folder=str(tmp_path / "results"))


def scores(seed, noise, songs=SONGS):
    """Predictions that miss fixed labels by noise, another with each seed."""
    targets = np.random.default_rng(0).uniform(2, 8, (songs, 2))
    errors = np.random.default_rng([seed, round(1000 * noise)]).normal(0, noise, targets.shape)
    found = RegressionScores(["valence", "arousal"], SCALE, n_resamples=0)
    found.append([f"song{i}" for i in range(songs)], targets + errors, targets)
    return found


@functools.cache
def configured(*words):
    """Lobes, options and row of a command line, as the recipe writes them."""
    config = load_hparams(list(words), "music_emotion")
    lobes = {kind: config.plain[kind] for kind in ("frontend", "encoder")}
    return {**lobes, "options": finish._options(config), "experiment": config.experiment}


def write_run(settings, wanted, noise=1.0, folder=None, curve=None, **changes):
    """What a finished run of the recipe leaves behind, as far as claims read it."""
    words = wanted.words(settings)
    place = words.index("--seed")
    found = scores(wanted.seed, noise)
    test = found.summarize()
    values = {
        "task": "music_emotion",
        "dataset": "mini DEAM",
        "protocol": {"name": "deam-random", "test_digest": "e"},
        "corpus": {"name": "mini-small", "synthetic": True, "complete": True},
        "counts": {"train": 224, "valid": 48, "test": SONGS},
        "seed": wanted.seed,
        "params": {"frontend": 0, "encoder": 1000, "head": 10},
        "metrics": {"valid": {"ccc": 0.5}, "test": test},
        "epochs": len(curve or [0]),
        **configured(*words[:place], *words[place + 2 :]),
    }
    folder = folder or wanted.folder(settings)
    run_result(**{**values, **changes}).write(folder)
    write_scores(folder / FILE_NAME, found)
    if curve:
        checkpoint = folder / "checkpoints" / "CKPT+1"
        checkpoint.mkdir(parents=True)
        epochs = [{"train": {"seconds": 2.0}, "valid": {"ccc": ccc}} for ccc in curve]
        (checkpoint / "history.ckpt").write_text(json.dumps({"epochs": epochs}))
    return folder


def vit(seed=1, **options):
    return PlannedRun("emotion_freezing", "vit", options, seed)


@pytest.fixture
def trained(monkeypatch):
    """Runs that would be trained are noted, and leave what a run leaves."""
    names = []

    def train(run, settings, folder, place):
        names.append(run.name)
        write_run(settings, run, folder=folder)

    monkeypatch.setattr(runs, "_train", train)
    return names


# -- finding runs ------------------------------------------------------------------------------------


def test_what_is_there_is_found_wherever_it_lies_and_the_rest_is_trained(
    settings, trained, tmp_path
):
    wanted = planned(
        "emotion_freezing", {"a": {}, "b": {"encoder_options.vit.freeze_blocks": 4}}, 2
    )
    assert [run.name.split("/", 1)[1] for run in wanted] == [
        "a/seed_1", "b/seed_1", "a/seed_2", "b/seed_2",
    ]  # fmt: skip
    elsewhere = tmp_path / "results" / "by" / "hand"
    write_run(settings, wanted[1], folder=elsewhere)
    found = collect(wanted, settings)
    assert trained == [wanted[i].name for i in (0, 2, 3)]
    assert [run.plan for run in found.done] == wanted and not found.missing
    assert found.done[1].folder == elsewhere
    assert collect(wanted, settings).done == found.done
    assert len(trained) == 3  # nothing is trained again
    assert set(found.runs["b"]) == {1, 2}


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {}},
        {"seed": 2},
        {"encoder": "ast"},
        {"frontend": "leaf"},
        {"experiment": None},
        {"corpus": {"name": "DEAM", "synthetic": False, "complete": True}},
    ],
)
def test_another_run_is_not_taken_for_it(settings, trained, changes):
    write_run(settings, vit(), **changes)
    assert collect([vit()], settings).done and trained == [vit().name]


@pytest.mark.parametrize("option", ["number_of_epochs", "encoder_options.vit.freeze_blocks", "lr"])
def test_a_run_with_another_option_is_not_taken_for_it(settings, option):
    dry = Settings(settings.results_folder, dry=True)
    write_run(settings, vit(**{option: 1}))
    assert collect([vit()], dry).missing == [vit().name]
    assert not collect([vit(**{option: 1})], dry).missing
    assert collect([vit(**{option: 2})], dry).missing


def test_an_option_that_is_given_as_it_is_anyway_changes_nothing(settings):
    write_run(settings, vit(**{"encoder_options.vit.freeze_blocks": 0, "lr": 0.0003}))
    assert not collect([vit()], Settings(settings.results_folder, dry=True)).missing


def test_epochs_and_corpus_of_the_settings_make_other_runs(settings, tmp_path):
    (tmp_path / "DEAM").mkdir()
    base = settings.results_folder
    given = Settings(base, data_folder=str(tmp_path / "DEAM"), number_of_epochs=3)
    words = vit().words(given)
    assert words[words.index("--number_of_epochs") + 1] == "3"
    assert str(vit().folder(given)).endswith("results/emotion_freezing/vit-DEAM-3_epochs/seed_1")
    corpus = {"name": "DEAM", "synthetic": False, "complete": True}
    write_run(given, vit(), corpus=corpus)
    dry = {"results_folder": base, "dry": True}
    epochs = {"number_of_epochs": 3}
    there = [{"data_folder": given.data_folder, **epochs}, epochs, {}]
    missing = [bool(collect([vit()], Settings(**dry, **more)).missing) for more in there]
    assert missing == [False, True, True]


def test_a_run_without_predictions_is_not_finished(settings, trained):
    (write_run(settings, vit()) / FILE_NAME).unlink()
    collect([vit()], settings)
    assert trained == [vit().name]


def test_runs_on_other_data_are_not_compared(settings):
    write_run(settings, vit(1))
    folder = write_run(settings, vit(2), data_digest="4567")
    assert str(folder) in str(refused("other data", collect, [vit(1), vit(2)], settings))


def test_the_recipe_is_started_with_the_words_and_a_failure_shows_its_log(
    settings, monkeypatch, capsys
):
    commands = []

    def run(command, stdout, stderr):
        commands.append(command)
        stdout.write("first line\nauricle: out of memory\n")
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(runs.subprocess, "run", run)
    text = str(
        refused("failed with status 1", collect, [vit(), vit(2)], settings, error=RecipeError)
    )
    log = vit().folder(settings).with_suffix(".log")
    assert vit().name in text and str(log) in text and "auricle: out of memory" in text
    ((python, *words),) = commands
    assert python == sys.executable and words[:2] == ["-m", "auricle.recipes.music_emotion.train"]
    config = load_hparams(words[2:], "music_emotion")
    assert config.experiment == "emotion_freezing" and config.plain["seed"] == 1
    assert config.plain["output_folder"] == str(vit().folder(settings))
    assert config.plain["results_folder"] == settings.results_folder
    assert capsys.readouterr().err == f"1/2 {vit().name}: training, failed\n"


# -- statistics --------------------------------------------------------------------------------------


def test_the_interval_over_seeds_is_that_of_the_paired_t_test():
    a, b = np.array([0.71, 0.74, 0.70, 0.73, 0.75]), np.array([0.70, 0.71, 0.71, 0.70, 0.71])
    expected = stats.ttest_rel(a, b)
    (low, high), p_value = t_interval(a - b)
    assert p_value == pytest.approx(expected.pvalue)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert t_interval([0.1]) == (None, None)
    assert t_interval([0.0, 0.0]) == ((0.0, 0.0), 1.0)


def runs_of(settings, variant, noises, **options):
    """Runs by seed, the first noise with seed 1."""
    wanted = [
        PlannedRun("emotion_freezing", variant, options, s) for s in range(1, len(noises) + 1)
    ]
    for run, noise in zip(wanted, noises, strict=True):
        write_run(settings, run, noise)
    return collect(wanted, settings).runs[variant]


def test_two_systems_are_compared_by_seed_and_by_song(settings):
    good = runs_of(settings, "good", [1.0, 1.1, 1.0, 0.9])
    poor = runs_of(settings, "poor", [2.0, 2.2, 2.1, 2.0], lr=0.1)
    found = compare_runs(good, poor)
    each = [
        compare_regression(scores(s, g), scores(s, p))
        for s, g, p in zip(range(1, 5), (1.0, 1.1, 1.0, 0.9), (2.0, 2.2, 2.1, 2.0), strict=True)
    ]
    assert found.differences == pytest.approx([one.difference for one in each])
    assert found.interval == t_interval(found.differences)[0] and found.direction == 1
    assert found.seeds_differ == sum(one.differ for one in each) > 0
    low, high = found.songs_interval
    assert low < found.mean < high
    # the mean of four differences is surer than one
    assert high - low < np.mean([one.interval[1] - one.interval[0] for one in each])
    assert compare_runs(poor, good).direction == -1
    only = compare_runs({1: good[1]}, {1: poor[1], 2: poor[2]})
    assert only.direction == 0 and only.interval is None
    assert only.songs_interval == pytest.approx(each[0].interval)
    refused("no seed", compare_runs, {1: good[1]}, {2: poor[2]})


# -- freezing ----------------------------------------------------------------------------------------


def frozen(settings, noise_by_blocks, seeds=5):
    for blocks, noise in noise_by_blocks.items():
        options = {"encoder_options.vit.freeze_blocks": blocks} if blocks else {}
        for seed in range(1, seeds + 1):
            spread = 0.02 * ((7 * seed + 3 * blocks) % 5)
            run = PlannedRun("emotion_freezing", f"frozen_{blocks}", options, seed)
            write_run(settings, run, noise + spread)


@pytest.mark.parametrize(
    "noise, verdict",
    [
        ({0: 2.0, 4: 2.0, 6: 1.0, 12: 2.0}, "holds"),
        ({0: 2.0, 4: 1.0, 6: 1.0, 12: 2.0}, "not decided"),
        ({0: 0.5, 4: 2.0, 6: 1.0, 12: 2.0}, "does not hold"),
    ],
)
def test_the_verdict_on_freezing_is_over_seeds(settings, noise, verdict):
    frozen(settings, noise)
    found = freezing.measure(Settings(settings.results_folder, dry=True))
    assert found.verdict == verdict
    assert "3 of 3 comparisons" in found.because and "after Holm" in found.because
    assert "random" in found.because and "--pretrained" in found.because
    assert [row["frozen blocks"] for row in found.measured] == [0, 4, 6, 12]
    by_blocks = {row["frozen blocks"]: row for row in found.measured}
    zero = by_blocks[0]
    assert zero["6 less it"] == pytest.approx(by_blocks[6]["CCC"] - zero["CCC"])
    assert zero["seeds"] == 5 and zero["p (Holm)"] >= zero["p"]
    json.loads(found.json())
    assert "frozen blocks" in found.text()


def test_with_one_seed_nothing_is_decided(settings):
    frozen(settings, {0: 2.0, 4: 2.0, 6: 1.0, 12: 2.0}, seeds=1)
    found = freezing.measure(Settings(settings.results_folder, seeds=1, dry=True))
    assert found.verdict == "not decided" and "Missing" not in found.because


def test_a_dry_measurement_without_runs_names_what_is_missing(settings):
    found = freezing.measure(Settings(settings.results_folder, dry=True))
    assert found.verdict == "not decided"
    assert "Missing are 20 runs (emotion_freezing/frozen_0/seed_1" in found.because


# -- pretraining -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deit(tmp_path_factory):
    """A distilled DeiT (tiny) as timm names it, of random values."""
    torch.manual_seed(0)
    model = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=0)
    file = tmp_path_factory.mktemp("weights") / "deit_tiny.safetensors"
    save_file(model.state_dict(), file)
    return file


def test_without_weights_nothing_is_trained_and_what_is_needed_is_said(settings, trained):
    write_run(settings, PlannedRun("emotion_freezing", "ast", {"encoder": "ast"}, 1))
    found = pretraining.measure(settings)
    assert found.verdict == "not decided" and not trained
    assert "deit_tiny_distilled_patch16_224" in found.because and "--pretrained" in found.because
    assert {row["system"]: row["seeds"] for row in found.measured} == {
        "vit, random": 0, "ast, random": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "vit_noise, ast_noise, verdict",
    [(1.0, 2.0, "holds"), (2.0, 1.0, "does not hold"), (1.0, 1.0, "not decided")],
)
def test_vit_and_ast_are_compared_with_the_same_weights(
    settings, tmp_path, vit_noise, ast_noise, verdict
):
    file = tmp_path / "deit.safetensors"
    for encoder, noise in (("vit", vit_noise), ("ast", ast_noise)):
        for seed in (1, 2, 3, 4, 5):
            spread = 0.03 * ((3 * seed + len(encoder) * (encoder == "ast")) % 5)
            for name, options, more in (
                ("random", {"encoder": encoder}, 1.0),
                (
                    "deit",
                    {"encoder": encoder, f"encoder_options.{encoder}.path": str(file)},
                    0.0,
                ),
            ):
                run = PlannedRun("emotion_freezing", f"{encoder}-{name}", options, seed)
                write_run(settings, run, noise + more + spread)
    given = Settings(settings.results_folder, pretrained=str(file), dry=True)
    found = pretraining.measure(given)
    assert found.verdict == verdict
    assert "4 comparisons" in found.because and "deit.safetensors" in found.because
    rows = {row["system"]: row for row in found.measured}
    assert rows["vit, what weights give"]["over seeds, from"] > 0
    assert str(tmp_path) not in json.dumps(found.as_dict()["measured"])


def test_one_file_of_weights_fits_both_and_goes_through(deit):
    for encoder in ("vit", "ast"):
        wanted = PlannedRun(
            "emotion_freezing",
            encoder,
            {"encoder": encoder, f"encoder_options.{encoder}.path": str(deit)},
            1,
        )
        model = load_hparams(wanted.words(Settings()), "music_emotion").build()["model"]
        expected = load_file(deit)["blocks.3.mlp.fc1.weight"]
        assert torch.equal(model.embedding_model.blocks[3].mlp.fc1.weight, expected)


# -- convergence -------------------------------------------------------------------------------------


def test_a_curve_knows_when_a_level_is_reached():
    curve = Curve([0.1, 0.35, 0.2, 0.6], [1.0, 2.0, 3.0, 4.0])
    assert [curve.first(level) for level in (0.0, 0.3, 0.5, 0.7)] == [1, 2, 4, None]
    assert curve.mean == pytest.approx(0.3125)
    assert convergence._median([3, None, 1]) == 3 and convergence._median([None, 2]) is None


def course(settings, speed, seeds=3):
    """All models of the claim, waveform ones rising by another step per epoch."""
    for inputs, names in convergence.MODELS.items():
        for place, name in enumerate(names):
            options = {"frontend": inputs, "encoder": name}
            for seed in range(1, seeds + 1):
                step = speed[inputs] + 0.002 * ((seed * 3 + place) % 4)
                curve = [step * (epoch + 1) for epoch in range(8)]
                run = PlannedRun("emotion_models", f"{inputs}_{name}", options, seed)
                write_run(settings, run, curve=curve)


@pytest.mark.parametrize(
    "speed, verdict",
    [
        ({"mel": 0.1, "waveform": 0.05}, "holds"),
        ({"mel": 0.05, "waveform": 0.1}, "does not hold"),
        ({"mel": 0.05, "waveform": 0.05}, "not decided"),
    ],
)
def test_the_verdict_on_convergence(settings, speed, verdict, tmp_path):
    course(settings, speed)
    found = convergence.measure(Settings(settings.results_folder, dry=True))
    assert found.verdict == verdict
    rows = {row["model"]: row for row in found.measured}
    assert len(rows) == 8 and all(row["seeds"] == 3 for row in rows.values())
    cnn14 = rows["cnn14"]
    expected = 3 if speed["mel"] == 0.1 else 6
    assert cnn14["epochs to 0.3"] == expected and cnn14["s to 0.3"] == 2.0 * expected
    assert rows["m5"]["epochs to 0.5"] == (5 if speed["waveform"] == 0.1 else None)
    assert cnn14["parameters"] == 1010 and cnn14["s per epoch"] == 2.0
    assert (tmp_path / "results" / "convergence.png").read_bytes().startswith(b"\x89PNG")
    assert "convergence.png" in found.because


def test_without_checkpoints_the_log_tells_the_course(settings):
    folder = write_run(settings, vit(), wall_s=60.0)
    (run,) = collect([vit()], settings).done
    refused("neither checkpoints nor train_log.txt", convergence.curve_of, run)
    line = "epoch: {}, lr: 1.00e-03 - train loss: 1.05 - valid loss: 9.57e-01, valid ccc: {:.2e}\n"
    log = folder / "train_log.txt"
    log.write_text(line.format(1, 0.1) + line.format(2, 0.9) + line.format(2, 0.3))
    assert convergence.curve_of(run) == Curve([0.1, 0.3], [30.0, 60.0])
    log.write_text(line.format(2, 0.3))
    refused("every epoch", convergence.curve_of, run)


def test_without_runs_convergence_is_not_decided(settings):
    found = convergence.measure(Settings(settings.results_folder, dry=True))
    assert found.verdict == "not decided" and "Missing are 24 runs" in found.because


def test_the_catalogue_has_them():
    known = claims()
    assert all(known[name].trains for name in ("freezing", "pretraining", "convergence"))


# -- a real run --------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_wanted_run_is_trained_once_and_found_again(tiny, tmp_path, capsys):
    settings = Settings(str(tmp_path), data_folder=str(tiny("music_emotion")), number_of_epochs=2)
    small = {
        "encoder_options.vit.depth": 2,
        "batch_size": 4,
        "device": "cpu",
        "cache_gb": 0.1,
    }
    wanted = [vit(1, **small)]
    (run,) = collect(wanted, settings).done
    assert f"1/1 {run.plan.name}: training, " in capsys.readouterr().err
    assert run.ccc == pytest.approx(run.predictions().summarize()["ccc"])
    assert run.folder == run.plan.folder(settings)
    (result,) = load_results(run.folder)
    assert result == run.result and result.epochs == 2
    curve = convergence.curve_of(run)
    assert len(curve.ccc) == 2 and curve.seconds[0] > 0
    again = collect(wanted, Settings(settings.results_folder, settings.data_folder, None, 2, True))
    assert [done.result for done in again.done] == [run.result] and not again.missing
