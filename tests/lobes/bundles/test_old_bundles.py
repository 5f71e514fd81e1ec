"""Bundles with the text and the tensors of auricle 0.1.0 open both ways and give what they gave."""

import pytest
import torch
from safetensors.torch import save_file

from auricle.lobes import pretrained

#: hyperparams.yaml, all of whose names have to stay.
YAML = """\
# For speechbrain.inference.EncoderClassifier.from_hparams(source=FOLDER).
sample_rate: 8000
labels: {labels}
compute_features: !apply:auricle.lobes.build_frontend
    name: {frontend}
    sample_rate: !ref <sample_rate>
    options: {{"{frontend}": {{"num_features": 4}}}}
mean_var_norm: !apply:auricle.lobes.build_normalization
    kind: {normalization}
    frontend: !ref <compute_features>
embedding_model: !apply:auricle.lobes.build_encoder
    name: linear
    in_features: !ref <compute_features.num_features>
    in_frames: {frames}
    options: {{"linear": {{}}}}
classifier: !apply:auricle.lobes.heads.build_head
    name: {head}
    in_features: !ref <embedding_model.out_features>
    num_classes: {num_classes}
    options: {head_options}
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
label_encoder: !apply:auricle.lobes.pretrained.label_encoder
    labels: !ref <labels>
pretrainer: !new:auricle.lobes.pretrained.BundlePretrainer
    parts: !ref <modules>
"""
JSON = """\
{{"format": 1, "head": {{"name": "{head}", "options": {head_options}}}, "task": "{task}",
 "dataset": "a data set", "sample_rate": 8000, "clip_s": 0.25, "labels": {labels},
 "normalization": "{normalization}",
 "frontend": {{"name": "{frontend}", "options": {{"num_features": 4}}}},
 "encoder": {{"name": "linear", "options": {{}}, "in_frames": {frames}}}{more}}}
"""
KEYWORDS = {
    "labels": '["no", "yes"]',
    "num_classes": 2,
    "frontend": "leaf",
    "frames": 25,
    "normalization": "global",
    "head": "classifier",
    "head_options": "{}",
    "task": "keyword_spotting",
    "more": "",
}
SPEAKERS = {
    "labels": '["id1", "id2", "id3"]',
    "num_classes": 3,
    "frontend": "pcen_mel",
    "frames": 26,
    "normalization": "sentence",
    "head": "cosine",
    "head_options": '{"subcenters": 2}',
    "task": "speaker_verification",
    "more": ', "margin_scale": 30.0',
}
PCEN = {
    "compute_features.compression.alpha": torch.tensor([0.96, 0.9, 0.98, 0.95]),
    "compute_features.compression.delta": torch.tensor([2.0, 1.5, 2.2, 2.0]),
    "compute_features.compression.root": torch.tensor([2.0, 2.1, 1.8, 2.0]),
    "compute_features.compression.smooth": torch.tensor([0.04, 0.05, 0.03, 0.04]),
}
LEAF = {
    "compute_features.centre": torch.tensor([0.3, 0.7, 1.2, 2.0]),
    "compute_features.width": torch.tensor([5.0, 3.5, 2.5, 1.7]),
    "compute_features.pooling_width": torch.tensor([0.4, 0.35, 0.3, 0.4]),
}
GLOBAL = {
    "mean_var_norm.count": torch.tensor(50.0, dtype=torch.float64),
    "mean_var_norm.mean": torch.tensor([0.02, 0.01, 0.03, 0.04], dtype=torch.float64),
    "mean_var_norm.variance": torch.tensor([0.05, 0.04, 0.09, 0.08], dtype=torch.float64),
}


def values(*shape):
    return torch.sin(torch.arange(torch.Size(shape).numel(), dtype=torch.float64) ** 2).view(shape)


@pytest.mark.parametrize(
    "texts, weights, expected",
    [
        (
            KEYWORDS,
            {
                **PCEN,
                **LEAF,
                **GLOBAL,
                "classifier.linear.weight": 0.1 * values(2, 100).float(),
                "classifier.linear.bias": torch.tensor([-0.2, 0.3]),
            },
            [[[-1.7148, -0.1984], [-1.0885, -0.4106]], [[-1.7148, -0.1984], [-1.5032, -0.2516]]],
        ),
        (
            SPEAKERS,
            {**PCEN, "classifier.weight": values(6, 104).float()},
            [
                [[-0.0634, 0.0660, -0.0315], [-0.0151, 0.0908, -0.0017]],
                [[-0.0634, 0.0660, -0.0315], [0.0291, 0.0181, -0.0488]],
            ],
        ),
    ],
    ids=["keywords", "speakers"],
)
def test_both_ways_of_opening_it(texts, weights, expected, tmp_path, monkeypatch):
    from speechbrain.inference import EncoderClassifier

    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundle.json").write_text(JSON.format(**texts))
    (tmp_path / "hyperparams.yaml").write_text(YAML.format(**texts))
    save_file(weights, tmp_path / "model.safetensors")
    wavs = 0.3 * values(2, 2000).float()
    bundle = pretrained.load(tmp_path)
    theirs = EncoderClassifier.from_hparams(source=str(tmp_path))
    with torch.no_grad():
        outputs, padded = bundle(wavs), bundle(wavs, torch.tensor([1.0, 0.6]))
        scores, _, best, labels = theirs.classify_batch(wavs)
        assert torch.equal(theirs.encode_batch(wavs), bundle.embed(wavs))
    results = torch.stack([outputs, padded])
    torch.testing.assert_close(results, torch.tensor(expected), rtol=0, atol=1e-4)
    assert torch.equal(scores, outputs)
    assert labels == [bundle.labels[i] for i in best]
