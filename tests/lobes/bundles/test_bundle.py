"""Bundles: what goes in comes out, nothing in them runs, and damage is said plainly."""

import json

import pytest
import soundfile
import torch

from auricle.lobes import build_encoder, build_frontend, build_normalization
from auricle.lobes.bundles import bundle as pretrained
from auricle.lobes.heads import Classifier

LABELS = ["no", "yes", "maybe"]


def make(folder, frontend="leaf", encoder="bcresnet", normalization="global", **changes):
    torch.manual_seed(3)
    compute_features = build_frontend(frontend)
    embedding_model = build_encoder(encoder, compute_features.num_features, 100)
    parts = {
        "compute_features": compute_features,
        "mean_var_norm": build_normalization(normalization, compute_features),
        "embedding_model": embedding_model,
        "classifier": Classifier(embedding_model.out_features, len(LABELS)),
    }
    with torch.no_grad():  # statistics and parameters that no fresh instance has
        for parameter in parts["compute_features"].parameters():
            parameter.mul_(0.9)
        parts["mean_var_norm"](torch.randn(4, 9, compute_features.num_features))
    description = {
        "task": "keyword_spotting",
        "sample_rate": 16000,
        "clip_s": 1.0,
        "labels": LABELS,
        "normalization": normalization,
        "frontend": {"name": frontend, "options": {}},
        "encoder": {"name": encoder, "options": {}, "in_frames": 100},
        **changes,
    }
    return pretrained.save(folder, description, parts), parts


def test_a_loaded_bundle_gives_the_output_of_what_was_saved(tmp_path):
    folder, parts = make(tmp_path / "bundle")
    bundle = pretrained.load(folder)
    for part in parts.values():
        part.eval()
    wavs = torch.randn(2, 16000) * 0.1
    with torch.no_grad():
        feats = parts["mean_var_norm"](parts["compute_features"](wavs))
        expected = parts["classifier"](parts["embedding_model"](feats)).squeeze(1)
        assert torch.equal(bundle(wavs), expected)
    assert not bundle.training and bundle.labels == LABELS


def test_loading_reads_neither_the_yaml_nor_any_python(tmp_path):
    folder, _ = make(tmp_path / "bundle")
    (folder / "hyperparams.yaml").write_text("a: !apply:os.abort []\n")
    (folder / "custom.py").write_text("raise SystemExit\n")
    pretrained.load(folder)


def test_padding_does_not_change_a_prediction(tmp_path):
    bundle = pretrained.load(make(tmp_path / "bundle", normalization="sentence")[0])
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
    bundle = pretrained.load(make(tmp_path / "bundle")[0])
    samples = 0.1 * torch.randn(round(rate * seconds), channels).numpy()
    soundfile.write(tmp_path / "a.wav", samples, rate)
    label, probability = bundle.predict_file(tmp_path / "a.wav")
    assert label in LABELS and 1 / 3 <= probability <= 1


def test_long_files_are_cut_into_clips_that_cover_them(tmp_path):
    bundle = pretrained.load(make(tmp_path / "bundle")[0])
    wav = torch.arange(1.0, 42001.0)  # 2.625 clips
    clips = bundle._clips(wav)
    assert clips.shape[1] == 16000
    assert set(wav.tolist()) <= set(clips.flatten().tolist())
    assert bundle._clips(wav[:16000]).shape == (1, 16000)


def test_a_class_count_that_does_not_match_is_refused(tmp_path):
    folder, _ = make(tmp_path / "bundle")
    description = json.loads((folder / "bundle.json").read_text())
    description["labels"].append("extra")
    (folder / "bundle.json").write_text(json.dumps(description))
    with pytest.raises(pretrained.BundleError, match=r"classifier.linear.*\(3,"):
        pretrained.load(folder)


def test_saving_what_the_description_does_not_build_is_refused(tmp_path):
    with pytest.raises(pretrained.BundleError, match="do not fit"):
        make(tmp_path / "bundle", labels=["a", "b"])


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: (folder / "bundle.json").unlink(), "bundle.json missing"),
        (lambda folder: (folder / "bundle.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "bundle.json").write_text('{"format": 9}'), "format 9"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "damaged"),
        (
            lambda folder: (folder / "bundle.json").write_text(
                (folder / "bundle.json").read_text().replace('"leaf"', '"lief"')
            ),
            "--plugin",
        ),
    ],
)
def test_a_damaged_bundle_is_one_clear_error(tmp_path, damage, said):
    folder, _ = make(tmp_path / "bundle")
    damage(folder)
    with pytest.raises(pretrained.BundleError, match=said):
        pretrained.load(folder)
