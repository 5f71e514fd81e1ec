"""What the training command of every recipe does: learn, leave results, resume, share the work."""

import signal

import pytest
import torch
from command_line import history
from safetensors.torch import load_file

from auricle.lobes import bundles
from auricle.recipes.reports.results import load_results


class EveryRecipe:
    """Tests of one recipe; a subclass says what is particular to it.

    `RECIPE` of its module is the `Recipe`; the fixture `finished` is one uninterrupted run of it.
    """

    #: Files of the output folder, besides those of every recipe.
    pictures = ()
    #: The file of what was predicted for every test item.
    predictions = "test_predictions.csv"
    #: The last epoch's training loss is below this share of the first's.
    falls = 1.0
    #: The optimiser step at which a run is killed: in the second epoch or later.
    killed_at = 5
    #: How often that run writes checkpoints, besides the end of an epoch.
    often = ("--ckpt_interval_steps", 1)
    #: Options that are refused, and words of the one message that says so.
    bad_input = ()

    def pytest_generate_tests(self, metafunc):
        if "extra" in metafunc.fixturenames:
            ids = [" ".join(extra) for extra, _ in self.bad_input]
            metafunc.parametrize(("extra", "words"), self.bad_input, ids=ids)

    def test_a_run_learns_and_leaves_everything_behind(self, finished):
        folder, result, printed = finished
        assert result.corpus["synthetic"] and "not a benchmark" in printed
        assert result.wall_s > 0 and result.audio_s_per_s > 0
        losses = [record["train"]["loss"] for record in history(folder)]
        assert losses[-1] < self.falls * losses[0]
        assert (folder / self.predictions).stat().st_size > 100
        card = (folder / "bundle/README.md").read_text()
        assert 'license: "apache-2.0"' in card and "synthetic" in card
        assert "nan" not in card and "None is known" not in card
        for picture in ("training_curves.png", "learned_filters.png", *self.pictures):
            assert (folder / picture).read_bytes()[:4] == b"\x89PNG"
            assert picture in printed

    def test_the_bundle_is_the_trained_model(self, finished):
        folder, result, _ = finished
        weights = load_file(folder / "bundle" / "model.safetensors")
        (best,) = (
            checkpoint
            for checkpoint in (folder / "checkpoints").glob("CKPT*")
            if f"epoch: {result.metrics['valid']['epoch']}\n"
            in (checkpoint / "CKPT.yaml").read_text()
        )
        trained = torch.load(best / "model.ckpt", weights_only=True)
        assert set(weights) <= set(trained)
        assert all(torch.equal(trained[key], weights[key]) for key in weights)

    def test_speechbrain_opens_the_bundle_with_equal_embeddings(
        self, finished, monkeypatch, tmp_path
    ):
        from speechbrain.inference import EncoderClassifier

        monkeypatch.chdir(tmp_path)
        folder = finished[0] / "bundle"
        ours, theirs = bundles.load(folder), EncoderClassifier.from_hparams(source=str(folder))
        wavs = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            torch.testing.assert_close(
                theirs.encode_batch(wavs), ours.embed(wavs), rtol=0, atol=1e-5
            )

    def test_killed_and_resumed_it_ends_with_the_same_numbers(self, recipe, finished, tmp_path):
        folder = tmp_path / "resumed"
        died = recipe.run(folder, *self.often, check=False, die_at=("step", self.killed_at))
        assert died.returncode == -signal.SIGKILL
        assert not (folder / "results.json").exists()
        recipe.train(folder, *self.often)
        same_outcome(folder, finished[0])

    def test_a_folder_that_holds_another_run_is_refused(self, recipe, finished, capsys):
        assert recipe.main(finished[0], "--lr", 0.5) == 2
        printed = capsys.readouterr().err
        assert "lr: " in printed and "0.5 now" in printed and "--fresh true" in printed

    def test_bad_input_gives_one_clear_error(self, recipe, tmp_path, capsys, extra, words):
        refused(recipe, tmp_path / "bad", capsys, extra, words)


class TwoProcesses:
    """Training and scores of two processes, beside those of one; as `EveryRecipe`."""

    #: Options of the run of two processes, how its loss falls, and what starts it.
    two = ("--number_of_epochs", 2)
    two_fall = 1.0
    launcher = None

    def test_two_processes_train_and_score_as_one_does(self, recipe, finished, tmp_path):
        folder = tmp_path / "two"
        recipe.run(folder, *self.two, ranks=2, launcher=self.launcher)
        (two,) = load_results(folder)
        losses = [record["train"]["loss"] for record in history(folder)]
        assert len(losses) == 2 and losses[1] < self.two_fall * losses[0]
        for split in ("valid", "test"):
            for count in {"n", "counts"} & set(finished[1].metrics[split]):
                assert two.metrics[split][count] == finished[1].metrics[split][count]
        one, _ = recipe.train(folder, *self.two, "--test_only")
        alike(two.metrics["test"], one.metrics["test"])


def same_outcome(folder, other):
    """Equal scores and weights, to the bit."""
    (a,), (b,) = load_results(folder), load_results(other)
    assert a.metrics == b.metrics
    weights, others = (load_file(f / "bundle" / "model.safetensors") for f in (folder, other))
    assert all(torch.equal(weights[key], others[key]) for key in weights)


def said_once(done):
    """The last line of a run that was stopped says how to go on, and there is no other of its kind."""
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("auricle:"))
    assert done.stderr.endswith(f"{said}\n") and "the same command goes on" in said
    assert "Traceback" not in done.stderr


def alike(got, expected):
    """Equal, numbers up to rounding, at any depth."""
    if isinstance(expected, dict):
        assert set(got) == set(expected)
        for key in expected:
            alike(got[key], expected[key])
    elif isinstance(expected, list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            alike(one, other)
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, abs=1e-6, rel=1e-6)
    else:
        assert got == expected


def refused(recipe, folder, capsys, extra, words):
    """One message that holds the words, and a status that says so."""
    status = recipe.main(folder, *extra)
    printed = capsys.readouterr().err
    assert status in (1, 2) and "Traceback" not in printed
    assert [word for word in words if word not in printed] == []
