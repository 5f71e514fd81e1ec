"""A file is kept only where it gives what its model gives."""

import pytest
import torch
from random_bundle import random_bundle

from auricle.lobes import bundles
from auricle.lobes.export import ExportedModel
from auricle.lobes.export.agreement import TOLERANCE, check, speech
from auricle.lobes.export.record import ExportError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    about = {"sample_rate": 8000, "clip_s": 0.3, "frontend_options": {"num_features": 12}}
    return bundles.load(
        random_bundle(folder, "mel", "blstm", encoder_options={"hidden": 4}, **about)
    )


@pytest.mark.parametrize("output", ["scores", "embedding", "frames"])
def test_the_form_of_a_model_agrees_with_it(bundle, output):
    found = check(ExportedModel(bundle, output), bundle, output)
    assert found["shortest_samples"] == 1 and found["deviation"] < TOLERANCE


def changed(bundle, change):
    form = ExportedModel(bundle, "scores")
    with torch.no_grad():
        return lambda wavs, lengths: change(form(wavs, lengths), wavs, lengths)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y, wavs, lengths: y * 1.001, "differ by"),
        (lambda y, wavs, lengths: y * (1 + 0.01 * (len(wavs) == 3)), "batch of unequal lengths"),
        (lambda y, wavs, lengths: y + 0.01 * (wavs.abs().max() == 0), "silence"),
        (lambda y, wavs, lengths: y[:, :20], "size was fixed"),
        (lambda y, wavs, lengths: y * torch.nan, "differ by nan"),
        (lambda y, wavs, lengths: [][wavs.shape[1]], "does not run.*out of range"),
    ],
)
def test_a_difference_is_refused_with_its_place(bundle, change, words):
    with pytest.raises(ExportError, match=words):
        check(changed(bundle, change), bundle, "scores")


def test_the_shortest_clip_that_is_taken_is_found(bundle):
    def change(y, wavs, lengths):
        return y if wavs.shape[1] >= 100 else y + 1

    found = check(changed(bundle, change), bundle, "scores")
    assert found["shortest_samples"] == bundle.compute_features.window == 200


def test_padding_is_not_compared(bundle):
    def change(y, wavs, lengths):
        steps = bundle.num_steps(lengths, wavs.shape[1])
        return y + (torch.arange(y.shape[1]) >= steps[:, None])[..., None]

    assert check(changed(bundle, change), bundle, "scores")["deviation"] < TOLERANCE


def test_a_net_for_clips_of_one_length_is_compared_up_to_it(tmp_path):
    about = {"sample_rate": 8000, "clip_s": 6.0, "frontend_options": {"num_features": 12}}
    bundle, seen = bundles.load(random_bundle(tmp_path, "mel", "linear", **about)), set()
    form = ExportedModel(bundle, "scores")

    def run(wavs, lengths):
        seen.add(wavs.shape[1])
        return form(wavs, lengths)

    check(run, bundle, "scores")
    assert max(seen) == 48000 and len(seen) > 5


def test_what_passes_for_speech_has_pitch_and_pauses():
    wav = speech(16000, 16000)
    assert torch.isfinite(wav).all() and 0.2 < wav.abs().max() <= 0.31
    frames = wav.unfold(0, 400, 400).square().mean(1)
    assert frames.min() < 1e-4 * frames.max()
