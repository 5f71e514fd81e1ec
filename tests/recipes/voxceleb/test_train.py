"""The command line of speaker verification on the tiny mini corpus, and what its options do."""

import json

import pytest
import torch
from command_line import TORCHRUN, history, run, training
from safetensors.torch import load_file

from auricle.lobes.bundles import bundle as pretrained
from auricle.processing.scoring.verification.trials import read_trials
from auricle.recipes.inference.extraction import extract, folder_reader
from auricle.recipes.reports.results import load_results
from auricle.recipes.voxceleb.train import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tiny):
    return tiny("voxceleb")


def command(corpus, folder, *extra):
    """A small run with every source of chance in it: crops, noise, rooms."""
    settings = {
        "data_folder": corpus,
        "frontend": "mel",
        "valid_speakers": 6,
        "encoder_options.mlp_mixer.hidden": 16,
        "encoder_options.mlp_mixer.blocks": 1,
        "encoder_options.mlp_mixer.embedding_size": 16,
        "number_of_epochs": 2,
        "batch_size": 32,
        "crop_s": 1.0,
    }
    return training("voxceleb", folder, settings, *extra)


def train(corpus, folder, *extra):
    assert main(command(corpus, folder, *extra)[1:]) == 0
    (result,) = load_results(folder)
    return result


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """One uninterrupted run, and what it printed."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    return folder, run(*command(corpus, folder)).stdout


def test_a_run_leaves_everything_behind(finished, corpus):
    folder, printed = finished
    (result,) = load_results(folder)
    trials = read_trials(corpus / "veri_test2.txt")
    test = result.metrics["test"]
    assert result.corpus["synthetic"] and "not a benchmark" in printed
    assert result.protocol["trials_digest"] == trials.digest == test["trials"]["digest"]
    assert test["counts"] == trials.counts
    low, high = test["interval"]["eer"]
    assert low <= test["eer"] <= high and test["interval"]["over"] == "speaker"
    assert {"min_dcf_0.01", "min_dcf_0.05", "min_cllr"} < set(test)
    assert result.metrics["valid"]["trials"]["source"] != test["trials"]["source"]
    kept = json.loads((folder / "bundle" / "calibration.json").read_text())
    assert kept["fitted_on"]["digest"] == result.metrics["valid"]["trials"]["digest"]
    assert kept["scale"] == test["calibration"]["scale"] and test["cllr"] >= test["min_cllr"]
    for picture in ("det.png", "training_curves.png", "learned_filters.png"):
        assert (folder / picture).read_bytes()[:4] == b"\x89PNG"
        assert picture in printed


def test_the_bundle_scores_as_the_run_did(finished, corpus):
    from auricle.processing.scoring.verification.embeddings import cosine_scores
    from auricle.processing.scoring.verification.metrics import error_curve

    folder, _ = finished
    (result,) = load_results(folder)
    bundle = pretrained.load(folder / "bundle")
    trials = read_trials(corpus / "veri_test2.txt")
    found = extract(bundle, trials.names, folder_reader(corpus, 16000))
    scores = cosine_scores(trials, found)
    assert error_curve(scores, trials.is_target).eer()[0] == pytest.approx(
        result.metrics["test"]["eer"], abs=1e-6
    )
    with pytest.raises(ValueError, match="auricle verify"):
        bundle.predict_file(next(corpus.rglob("*.wav")))


def test_speechbrain_opens_the_bundle_with_equal_embeddings(finished, monkeypatch, tmp_path):
    from speechbrain.inference import EncoderClassifier

    monkeypatch.chdir(tmp_path)
    ours = pretrained.load(finished[0] / "bundle")
    theirs = EncoderClassifier.from_hparams(source=str(finished[0] / "bundle"))
    wavs = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode_batch(wavs), ours.embed(wavs), rtol=0, atol=1e-5)


def test_stopped_after_an_epoch_and_resumed_ends_with_the_same_numbers(finished, corpus):
    folder = finished[0].with_name("resumed")
    words = command(corpus, folder, "--ckpt_interval_steps", 1)
    killer = (
        "import os, signal, sys, auricle.lobes.brains.speaker as speaker\n"
        "step = speaker.SpeakerBrain.prepare_step\n"
        "def dying(self):\n"
        "    step(self)\n"
        "    if self.epoch == 2 and self.step == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "speaker.SpeakerBrain.prepare_step = dying\n"
        "from auricle.recipes.voxceleb.train import main\n"
        "main(sys.argv[2:])\n"
    )
    import sys

    assert run(
        words[0], *words[1:], launcher=(sys.executable, "-c", killer), check=False
    ).returncode
    assert not (folder / "results.json").exists()
    run(*words)
    (a,), (b,) = load_results(folder), load_results(finished[0])
    assert a.metrics == b.metrics
    weights, others = (load_file(f / "bundle" / "model.safetensors") for f in (folder, finished[0]))
    assert all(torch.equal(weights[key], others[key]) for key in weights)


def test_two_processes_score_every_recording_once(corpus, tmp_path):
    folder = tmp_path / "two"
    run(*command(corpus, folder), launcher=TORCHRUN)
    (result,) = load_results(folder)
    assert result.metrics["test"]["counts"] == read_trials(corpus / "veri_test2.txt").counts
    assert len(history(folder)) == 2


def test_a_student_learns_from_a_teacher_of_another_size(finished, corpus, tmp_path):
    teacher = finished[0] / "bundle"
    extra = (
        "--distillation.teacher",
        teacher,
        "--distillation.alpha",
        0.7,
        "--frontend",
        "sinc_conv",
    )
    extra += ("--encoder_options.mlp_mixer.embedding_size", 8)
    result = train(corpus, tmp_path / "student", *extra)
    assert result.options["distillation"]["alpha"] == 0.7
    shares = [record["train"] for record in history(tmp_path / "student")]
    for record in shares:
        total = record["classification_gradient_share"] + record["distillation_gradient_share"]
        assert total == pytest.approx(1) and 0 < record["distillation_gradient_share"] < 1
    weights = load_file(tmp_path / "student" / "bundle" / "model.safetensors")
    assert not any("projection" in key for key in weights)


def test_a_teachers_embeddings_are_kept_on_disk_where_nothing_changes(finished, corpus, tmp_path):
    teacher = finished[0] / "bundle"
    still = ("--crop_s", 0, "--augment_probability", 0, "--max_batch_s", 60)
    extra = ("--distillation.teacher", teacher, *still, "--number_of_epochs", 2)
    kept = train(corpus, tmp_path / "kept", *extra, "--distillation.cache", "true")
    again = train(corpus, tmp_path / "again", *extra)
    assert any((tmp_path / "kept" / "teacher").rglob("*"))
    assert kept.metrics["test"]["eer"] == pytest.approx(again.metrics["test"]["eer"], abs=0.02)


def test_large_margin_fine_tuning_goes_on_from_a_bundle(corpus, tmp_path):
    quick = ("--number_of_epochs", 1, "--warmup_epochs", 0)
    first = tmp_path / "first"
    train(corpus, first, *quick, "--speed_factors", "[1.0, 0.9, 1.1]")
    labels = pretrained.load(first / "bundle").labels
    speakers = len(labels) // 3
    assert labels[speakers] == f"{labels[0]}@0.9"
    tuned = tmp_path / "tuned"
    # Steps of no length: what comes out is what was put in, and a third of the head.
    extra = (*quick, "--init_from", first / "bundle", "--margin", 0.5, "--lr", 1e-12)
    train(corpus, tuned, *extra, "--weight_decay", 0, "--frontend_lr_factor", 0)
    before, after = (load_file(f / "bundle" / "model.safetensors") for f in (first, tuned))
    assert torch.allclose(
        after["classifier.weight"], before["classifier.weight"][:speakers], atol=1e-6
    )
    name = "embedding_model.stem.weight"
    name = name if name in before else next(k for k in before if k.startswith("embedding_model"))
    assert torch.allclose(after[name].float(), before[name].float(), atol=1e-5)


def test_pretraining_comes_before_the_speakers(corpus, tmp_path):
    folder = tmp_path / "pretrained"
    extra = ("--encoder", "lstm_autoencoder", "--pretrain_epochs", 1)
    extra += ("--encoder_options.lstm_autoencoder.decoder", "true")
    train(corpus, folder, *extra, "--warmup_epochs", 0)
    losses = [record["train"]["loss"] for record in history(folder)]
    assert losses[0] < 3 < losses[1]  # a squared error of normalised features, then 22 classes


def test_the_mean_of_the_best_epochs_is_tested(corpus, tmp_path):
    folder = tmp_path / "averaged"
    train(corpus, folder, "--number_of_epochs", 3, "--average_checkpoints", 2)
    states = [
        torch.load(checkpoint / "model.ckpt", weights_only=True)
        for checkpoint in (folder / "checkpoints").glob("CKPT*")
    ]
    weights = load_file(folder / "bundle" / "model.safetensors")["classifier.weight"]
    pairs = [
        torch.allclose(weights, (a["classifier.weight"] + b["classifier.weight"]) / 2, atol=1e-7)
        for i, a in enumerate(states)
        for b in states[:i]
    ]
    assert sum(pairs) == 1
    assert not any(torch.equal(weights, state["classifier.weight"]) for state in states)


@pytest.mark.parametrize(
    "extra, said",
    [
        (["--data_folder", "no/such/folder"], ["no/such/folder"]),
        (["--protocol", "vox1-x"], ["vox1-x", "vox1-o-cleaned"]),
        (["--margin_kind", "arc"], ["aam"]),
        (["--speed_factors", "[0.9, 1.1]"], ["speed_factors"]),
        (["--distillation.teacher", "nowhere"], ["nowhere"]),
        (["--distillation.temperature", "4.0"], ["no effect with cosine"]),
        (["--distillation.cache", "true", "--distillation.teacher", "."], ["crop_s"]),
        (["--pretrain_epochs", "1"], ["pretrain"]),
        (["--init_from", "nowhere"], ["nowhere"]),
        (["--musan_folder", "nowhere"], ["nowhere"]),
        (["--train_on", "both"], ["voxceleb2_folder"]),
        (["--protocol", "vox1-e-cleaned"], ["voxceleb1"]),
    ],
    ids=lambda value: value[0].strip("-") if isinstance(value, list) else "",
)
def test_bad_input_gives_one_clear_error(corpus, tmp_path, capsys, extra, said):
    status = main(command(corpus, tmp_path / "bad", *extra)[1:])
    printed = capsys.readouterr().err
    assert status in (1, 2)
    assert "Traceback" not in printed
    for word in said:
        assert word in printed


def test_a_teacher_of_another_rate_is_refused(finished, corpus, tmp_path, capsys):
    extra = ("--distillation.teacher", finished[0] / "bundle", "--sample_rate", 8000)
    assert main(command(corpus, tmp_path / "rate", *extra)[1:]) != 0
    assert "16000" in capsys.readouterr().err
