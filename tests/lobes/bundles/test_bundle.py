"""Bundles: what goes in comes out, nothing in them runs, and damage is said plainly."""

import json

import pytest
import soundfile
import torch
from random_bundle import random_bundle
from refusals import refused
from safetensors.torch import load_file, save_file

from auricle.lobes import bundles
from auricle.lobes.bundles import bundle as pretrained
from auricle.lobes.bundles import predictions, weights
from auricle.lobes.tasks import check_finite
from auricle.processing.system.files import file_digest
from auricle.processing.system.memory import resident_bytes

LABELS = ["no", "yes", "maybe"]


def change(model):
    """Statistics and parameters that no fresh instance has."""
    for parameter in model.compute_features.parameters():
        parameter.mul_(0.9)
    model.mean_var_norm(torch.randn(4, 9, model.compute_features.num_features))


def make(folder, frontend="leaf", encoder="bcresnet", normalization="global", **changes):
    changes = {"change": change, **changes}
    return random_bundle(folder, frontend, encoder, LABELS, normalization=normalization, **changes)


def test_a_loaded_bundle_gives_the_output_of_what_was_saved(tmp_path):
    made = []
    folder = make(tmp_path / "bundle", change=lambda model: (change(model), made.append(model)))
    bundle, (model,) = pretrained.load(folder), made
    wavs = torch.randn(2, 16000) * 0.1
    with torch.no_grad():
        assert torch.equal(bundle(wavs), model.eval()(wavs))
    assert not bundle.training and bundle.labels == LABELS


def test_loading_reads_neither_the_yaml_nor_any_python(tmp_path):
    folder = make(tmp_path / "bundle")
    (folder / "hyperparams.yaml").write_text("a: !apply:os.abort []\n")
    (folder / "custom.py").write_text("raise SystemExit\n")
    pretrained.load(folder)


def test_padding_does_not_change_a_prediction(tmp_path):
    bundle = pretrained.load(make(tmp_path / "bundle", normalization="sentence"))
    wavs = 0.1 * torch.randn(2, 16000)
    lengths = torch.tensor([1.0, 0.6])
    with torch.no_grad():
        together = bundle.embed(wavs, lengths)
        alone = bundle.embed(wavs[1:, : round(0.6 * 16000)])
    assert (together[1:] - alone).abs().max() < 1e-4 * alone.abs().max()


@pytest.mark.parametrize(
    "rate, channels, seconds", [(16000, 1, 1.0), (44100, 2, 0.4), (8000, 1, 2.3)]
)
def test_files_of_any_rate_channels_and_length_are_labelled(tmp_path, rate, channels, seconds):
    bundle = pretrained.load(make(tmp_path / "bundle"))
    samples = 0.1 * torch.randn(round(rate * seconds), channels).numpy()
    soundfile.write(tmp_path / "a.wav", samples, rate)
    label, probability = bundle.predict_file(tmp_path / "a.wav")
    assert label in LABELS and 1 / 3 <= probability <= 1


def test_long_files_are_cut_into_clips_that_cover_them(tmp_path):
    bundle = pretrained.load(make(tmp_path / "bundle"))
    wav = torch.arange(1.0, 42001.0)  # 2.625 clips
    clips = predictions._clips(bundle, wav)
    assert clips.shape[1] == 16000
    assert set(wav.tolist()) <= set(clips.flatten().tolist())
    assert predictions._clips(bundle, wav[:16000]).shape == (1, 16000)


def test_a_class_count_that_does_not_match_is_refused(tmp_path):
    folder = make(tmp_path / "bundle")
    description = json.loads((folder / "bundle.json").read_text())
    description["labels"].append("extra")
    (folder / "bundle.json").write_text(json.dumps(description))
    with pytest.raises(pretrained.BundleError, match=r"classifier.linear.*\(3,"):
        pretrained.load(folder)


def test_saving_what_the_description_does_not_build_is_refused(tmp_path):
    bundle = pretrained.load(make(tmp_path / "bundle"))
    description = {**bundle.description, "labels": ["a", "b"]}
    with pytest.raises(pretrained.BundleError, match="do not fit"):
        pretrained.save(tmp_path / "other", description, bundle)


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: (folder / "bundle.json").unlink(), "bundle.json missing"),
        (lambda folder: (folder / "bundle.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "bundle.json").write_text('{"format": 9}'), "format 9"),
        (lambda folder: bundles.amend(folder, weights_sha256="0" * 64), "other weights than"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "damaged"),
        (
            lambda folder: (folder / "bundle.json").write_text(
                (folder / "bundle.json").read_text().replace('"leaf"', '"lief"')
            ),
            "load_plugin",
        ),
    ],
)
def test_a_damaged_bundle_is_one_clear_error(tmp_path, damage, said):
    folder = make(tmp_path / "bundle")
    damage(folder)
    with pytest.raises(pretrained.BundleError, match=said):
        pretrained.load(folder)


@pytest.mark.parametrize(
    ("value", "said"),
    [(float("nan"), "NaN or infinity"), (float("inf"), "NaN or infinity"), (1j, "complex64"), (1, "int8")],
)  # fmt: skip
def test_weights_that_are_no_numbers_of_the_model_are_refused(tmp_path, value, said):
    folder = make(tmp_path / "bundle", frontend="mel", encoder="linear")
    weights = load_file(folder / "model.safetensors")
    key = "classifier.linear.weight"
    if isinstance(value, float):
        weights[key][0, 0] = value
    else:
        weights[key] = weights[key].to(torch.int8 if value == 1 else torch.complex64)
    save_file(weights, folder / "model.safetensors")
    bundles.amend(folder, weights_sha256=file_digest(folder / "model.safetensors"))
    with pytest.raises(pretrained.BundleError, match=f"(?s){said}.*|{key}.*{said}") as refusal:
        pretrained.load(folder)
    assert key in str(refusal.value)


def test_an_answer_that_is_nan_is_an_error(tmp_path):
    huge = {"change": lambda model: model.classifier.linear.weight.fill_(3e38)}
    folder = make(tmp_path / "bundle", frontend="mel", encoder="linear", **huge)
    with pytest.raises(ValueError, match="answers nan"):
        pretrained.load(folder).predict(0.1 * torch.randn(16000))
    check_finite({"a": [1.0, "b"], "c": None})
    with pytest.raises(ValueError, match="answers inf"):
        check_finite({"a": [1.0, {"b": float("inf")}]})


def test_a_bundle_without_a_digest_opens_and_saving_writes_it(tmp_path):
    folder = make(tmp_path / "bundle", frontend="mel", encoder="linear")
    description = json.loads((folder / "bundle.json").read_text())
    assert description.pop("weights_sha256") == file_digest(folder / "model.safetensors")
    (folder / "bundle.json").write_text(json.dumps(description))
    assert pretrained.load(folder).labels == LABELS


@pytest.mark.parametrize("file", ["bundle.json", "model.safetensors"])
def test_a_link_out_of_the_bundle_is_refused_and_one_inside_is_followed(tmp_path, file):
    folder = make(tmp_path / "bundle", frontend="mel", encoder="linear")
    (folder / file).rename(folder / "inside")
    (folder / file).symlink_to("inside")
    pretrained.load(folder)
    (folder / "inside").rename(tmp_path / "outside")
    (folder / file).unlink()
    (folder / file).symlink_to(tmp_path / "outside")
    with pytest.raises(pretrained.BundleError, match=f"{file} is a link out of the bundle.*cp -rL"):
        pretrained.load(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoder_options": {"path": "weights"}}, "encoder.options.path"),
        ({"frontend_options": {"mel": {"n_fft": "a/b"}}}, "frontend.options.mel.n_fft"),
        ({"labels": ["a", "b\x1b[2J"]}, "labels must be .* control character"),
        ({"sample_rate": True}, "sample_rate must be a whole number"),
        ({"clip_s": 4000}, "clip_s must be"),
        ({"clip_s": 1e-9}, "two samples"),
        ({"window_step_s": 1e-6}, "window_step_s must be"),
        ({"window_margin_s": -0.1}, "window_margin_s must be"),
        ({"normalization": ["none"]}, "normalization must be"),
    ],
)
def test_an_entry_of_another_type_or_range_is_refused_by_name(tmp_path, change, said):
    folder = make(tmp_path / "bundle", frontend="mel", encoder="linear")
    description = json.loads((folder / "bundle.json").read_text())
    for name, value in change.items():
        part, _, options = name.partition("_")
        if options == "options":
            description[part]["options"] = value
        else:
            description[name] = value
    bundles.amend(folder, **description)
    with pytest.raises(pretrained.BundleError, match=said) as refusal:
        pretrained.load(folder)
    assert "\x1b" not in str(refusal.value)


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        ("crdnn", {"rnn_units": 30000}),
        ("crdnn", {"rnn_layers": 10**6}),
        ("blstm", {"layers": 10**6}),
    ],
)
def test_a_model_beyond_its_weights_is_refused_before_it_takes_memory(tmp_path, encoder, options):
    folder = make(tmp_path / "bundle", frontend="mel", encoder="linear")
    bundles.amend(folder, encoder={"name": encoder, "options": options, "in_frames": 101})
    before = resident_bytes()
    with pytest.raises(pretrained.BundleError, match="larger model than its weights|do not fit"):
        pretrained.load(folder)
    assert resident_bytes() - before < 2**28


def test_a_model_that_is_refused_within_no_grad_leaves_gradients_on():
    def endless():
        with torch.no_grad():
            while True:
                torch.ones(2).add_(1)

    for build_in_bounds in (weights.compare_sketch, weights.built_in_bounds):
        refused("larger model", build_in_bounds, endless, {}, "it", error=bundles.BundleError)
        assert torch.is_grad_enabled()
