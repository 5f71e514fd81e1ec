"""Phone recognition by its command on the tiny mini corpus, and what its options do."""

from types import SimpleNamespace

import pytest
from command_line import history
from every_recipe import EveryRecipe
from small_runs import SMALL

from auricle.lobes import bundles
from auricle.lobes.brains import ctc
from auricle.processing.transcription.units import Units

pytestmark = pytest.mark.slow

RECIPE = SMALL["timit"]
ONE_EPOCH = ("--number_of_epochs", 1)


class TestTimit(EveryRecipe):
    pictures = ("confusions.png",)
    falls = 0.5
    killed_at = 12  # of 8 in an epoch
    bad_input = [
        (["--data_folder", "no/such/folder"], ["no/such/folder"]),
        (["--protocol", "kaldi"], ["kaldi", "standard"]),
        (["--units", "phones40"], ["phones40", "phones39"]),
        (["--decoding", "best"], ["best", "greedy"]),
        (["--lm_weight", "0.5"], ["lm_weight", "greedy"]),
        (["--silence_rule", "drop"], ["drop", "collapse"]),
        (["--annealing", "bob"], ["bob", "newbob"]),
        (["--encoder", "xvector"], ["xvector", "frames"]),
        (["--encoder", "conformer", "--encoder_options.conformer.stride", "64"], ["stride"]),
    ]


def test_it_is_scored_by_the_protocol(finished):
    _, result, _ = finished
    test = result.metrics["test"]
    assert result.dataset == "mini TIMIT" and test["n"] == 16
    assert test["phone_set"] == "timit39" and test["silence_rule"] == "keep"
    assert test["glottal_stop"] == "delete"
    assert test["per"] == test["edits"] / test["reference_tokens"]
    assert test["edits"] == test["substitutions"] + test["deletions"] + test["insertions"]
    assert result.protocol["units"] == "phones39" and result.protocol["decoding"] == "greedy"


def test_the_bundle_knows_its_units_and_labels_no_files(finished, recipe):
    folder = finished[0] / "bundle"
    bundle = bundles.load(folder)
    units = Units.from_state(bundle.description["units"])
    assert list(units.labels) == bundle.labels and units.labels[0] == "<blank>"
    assert abs(bundle.description["boundary_shift_ms"]) < 1000
    assert (folder / "bigram.json").is_file()
    with pytest.raises(ValueError, match="phone_recognition.* classification"):
        bundle.predict_file(next(recipe.corpus.rglob("*.WAV")))


def test_a_learned_frontend_is_restored_to_the_identical_score(recipe, tmp_path):
    extra = ("--frontend", "leaf", "--frontend_options.leaf.hop_ms", 20.0, *ONE_EPOCH)
    extra += ("--frontend_options.leaf.num_features", 8, "--frontend_lr_factor", 5.0)
    before, _ = recipe.train(tmp_path / "leaf", *extra)
    assert before.filters["centre_shift_hz"] > 0
    after, _ = recipe.train(tmp_path / "leaf", *extra, "--test_only")
    assert after.metrics["test"] == before.metrics["test"]


@pytest.mark.parametrize(
    ("units", "rate"), [("char", "cer"), ("bpe", "wer"), ("phones61", "per"), ("phones48", "per")]
)
def test_other_units_are_trained_and_scored(recipe, tmp_path, units, rate):
    result, _ = recipe.train(tmp_path / units, "--units", units, *ONE_EPOCH)
    assert result.metrics["test"][rate] > 0 and result.protocol["units"] == units
    if rate == "per":
        assert result.metrics["test"]["phone_set"] == "timit39"


def test_beam_search_with_a_bigram_scores_the_test(recipe, tmp_path):
    extra = ("--decoding", "beam", "--beam_size", 2, "--lm_weight", 0.3, *ONE_EPOCH)
    result, _ = recipe.train(tmp_path / "beam", *extra)
    assert result.protocol["decoding"] == "beam" and result.protocol["lm_weight"] == 0.3


def test_adadelta_with_newbob_lowers_the_rate(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(ctc, "NOTHING_YET", 2.0)
    extra = ("--optimizing", "adadelta", "--lr", 1.0, "--annealing", "newbob")
    extra += ("--annealing_threshold", 0.9, "--annealing_patience", 0)
    recipe.train(tmp_path / "bob", *extra)
    rates = [record["lr"] for record in history(tmp_path / "bob")]
    assert rates == pytest.approx([1.0, 1.0, 0.5])


def test_the_rate_stays_until_more_than_blanks_is_recognised():
    """The error rate of a network of blanks is 1, epoch after epoch."""
    epochs = [{"valid": {"per": rate}} for rate in (1.0, 1.0, 0.96, 0.97, 0.7, 0.7, 0.7, 0.5)]
    hparams = SimpleNamespace(
        annealing="plateau", annealing_factor=0.5, annealing_threshold=0.0, annealing_patience=1
    )
    factors = []
    for n in range(len(epochs) + 1):
        brain = SimpleNamespace(
            hparams=hparams, headline="per", history=SimpleNamespace(epochs=epochs[:n])
        )
        factors.append(ctc.CTCBrain.annealing_factor(brain))
    assert factors == [1, 1, 1, 1, 1, 1, 1, 0.5, 0.5]
