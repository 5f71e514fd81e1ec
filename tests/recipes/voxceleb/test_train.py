"""Speaker verification by its command on the tiny mini corpus, and what its options do."""

import json

import pytest
import torch
from command_line import history
from error_rates import eer
from every_recipe import EveryRecipe, refused
from safetensors.torch import load_file
from small_runs import SMALL

from auricle.lobes import bundles
from auricle.processing.scoring.verification.embeddings import cosine_scores
from auricle.processing.scoring.verification.trials import read_trials
from auricle.recipes.inference.extraction import extract, folder_reader

pytestmark = pytest.mark.slow

RECIPE = SMALL["voxceleb"]
ONE_EPOCH = ("--number_of_epochs", 1, "--warmup_epochs", 0)


class TestVoxceleb(EveryRecipe):
    predictions = "test_scores.txt"
    pictures = ("det.png",)
    killed_at = 8
    bad_input = [
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
    ]


def test_it_is_scored_by_the_protocol(finished, recipe):
    folder, result, _ = finished
    trials = read_trials(recipe.corpus / "veri_test2.txt")
    test = result.metrics["test"]
    assert result.protocol["trials_digest"] == trials.digest == test["trials"]["digest"]
    assert test["counts"] == trials.counts
    low, high = test["interval"]["eer"]
    assert low <= test["eer"] <= high and test["interval"]["over"] == "speaker"
    assert {"min_dcf_0.01", "min_dcf_0.05", "min_cllr"} < set(test)
    assert result.metrics["valid"]["trials"]["source"] != test["trials"]["source"]
    kept = json.loads((folder / "bundle" / "calibration.json").read_text())
    assert kept["fitted_on"]["digest"] == result.metrics["valid"]["trials"]["digest"]
    assert kept["scale"] == test["calibration"]["scale"] and test["cllr"] >= test["min_cllr"]


def test_the_bundle_scores_as_the_run_did(finished, recipe):
    folder, result, _ = finished
    bundle = bundles.load(folder / "bundle")
    trials = read_trials(recipe.corpus / "veri_test2.txt")
    scores = cosine_scores(
        trials, extract(bundle, trials.names, folder_reader(recipe.corpus, 16000))
    )
    assert eer(scores, trials.is_target) == pytest.approx(result.metrics["test"]["eer"], abs=1e-6)
    with pytest.raises(ValueError, match="speaker_verification.* classification"):
        bundle.predict_file(next(recipe.corpus.rglob("*.wav")))


def test_a_student_learns_from_a_teacher_of_another_size(finished, recipe, tmp_path):
    extra = ("--distillation.teacher", finished[0] / "bundle", "--distillation.alpha", 0.7)
    extra += ("--frontend", "sinc_conv", "--encoder_options.mlp_mixer.embedding_size", 8)
    result, _ = recipe.train(tmp_path / "student", *extra, *ONE_EPOCH)
    assert result.options["distillation"]["alpha"] == 0.7
    for record in history(tmp_path / "student"):
        shares = [record["train"][f"{kind}_gradient_share"] for kind in SHARES]
        assert sum(shares) == pytest.approx(1) and 0 < shares[1] < 1
    weights = load_file(tmp_path / "student" / "bundle" / "model.safetensors")
    assert not any("projection" in key for key in weights)


SHARES = ("classification", "distillation")


def test_a_teachers_embeddings_are_kept_on_disk_where_nothing_changes(finished, recipe, tmp_path):
    extra = ("--distillation.teacher", finished[0] / "bundle", "--crop_s", 0)
    extra += ("--augment_probability", 0, "--max_batch_s", 60)
    kept, _ = recipe.train(tmp_path / "kept", *extra, "--distillation.cache", "true")
    again, _ = recipe.train(tmp_path / "again", *extra)
    assert any((tmp_path / "kept" / "teacher").rglob("*"))
    assert kept.metrics["test"]["eer"] == pytest.approx(again.metrics["test"]["eer"], abs=0.02)


def test_large_margin_fine_tuning_goes_on_from_a_bundle(recipe, tmp_path):
    first, tuned = tmp_path / "first", tmp_path / "tuned"
    recipe.train(first, *ONE_EPOCH, "--speed_factors", "[1.0, 0.9, 1.1]")
    labels = bundles.load(first / "bundle").labels
    speakers = len(labels) // 3
    assert labels[speakers] == f"{labels[0]}@0.9"
    # Steps of no length: what comes out is what was put in, and a third of the head.
    extra = ("--init_from", first / "bundle", "--margin", 0.5, "--lr", 1e-12)
    recipe.train(tuned, *ONE_EPOCH, *extra, "--weight_decay", 0, "--frontend_lr_factor", 0)
    before, after = (load_file(f / "bundle" / "model.safetensors") for f in (first, tuned))
    assert torch.allclose(
        after["classifier.weight"], before["classifier.weight"][:speakers], atol=1e-6
    )
    name = next(key for key in before if key.startswith("embedding_model"))
    assert torch.allclose(after[name].float(), before[name].float(), atol=1e-5)


def test_pretraining_comes_before_the_speakers(recipe, tmp_path):
    small = {"channels": 32, "latent": 16, "lstm_units": 16, "embedding_size": 16, "decoder": True}
    extra = ("--encoder", "lstm_autoencoder", "--pretrain_epochs", 1, "--warmup_epochs", 0)
    for option, value in small.items():
        extra += (f"--encoder_options.lstm_autoencoder.{option}", str(value).lower())
    recipe.train(tmp_path / "pretrained", *extra)
    losses = [record["train"]["loss"] for record in history(tmp_path / "pretrained")]
    assert losses[0] < 3 < losses[1]  # a squared error of normalised features, then 22 classes


def test_the_mean_of_the_best_epochs_is_tested(recipe, tmp_path):
    folder = tmp_path / "averaged"
    recipe.train(folder, "--number_of_epochs", 3, "--average_checkpoints", 2)
    states = [
        torch.load(checkpoint / "model.ckpt", weights_only=True)["classifier.weight"]
        for checkpoint in (folder / "checkpoints").glob("CKPT*")
    ]
    weights = load_file(folder / "bundle" / "model.safetensors")["classifier.weight"]
    pairs = [
        torch.allclose(weights, (a + b) / 2, atol=1e-7)
        for i, a in enumerate(states)
        for b in states[:i]
    ]
    assert sum(pairs) == 1
    assert not any(torch.equal(weights, state) for state in states)


def test_a_teacher_of_another_rate_is_refused(finished, recipe, tmp_path, capsys):
    extra = ("--distillation.teacher", finished[0] / "bundle", "--sample_rate", 8000)
    refused(recipe, tmp_path / "rate", capsys, extra, ["16000"])
