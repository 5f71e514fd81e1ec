"""Published keyword nets, converted, against what their authors' code gives; needs WEIGHTS and DATA.

WEIGHTS holds bcresnet8, kwt1 and ds_cnn; DATA the clips of Speech Commands on which the golden
logits were computed, in speech_commands_v0.02_subset.
"""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from auricle.lobes import bundles
from auricle.lobes.conversion.proof import convert
from auricle.processing.data.audio import read_audio

WEIGHTS = Path(os.environ["WEIGHTS"])
CLIPS = Path(os.environ["DATA"], "speech_commands_v0.02_subset")


def clips(paths):
    return torch.stack(
        [pad(wav := read_audio(CLIPS / p, 16000), (0, 16000 - len(wav))) for p in paths]
    )


@torch.no_grad()
def logits(bundle, wavs):
    return torch.cat([bundle.classifier.linear(bundle.embed(part)) for part in wavs.split(100)])[
        :, 0
    ]


@pytest.fixture(scope="module")
def bcresnet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bcresnet") / "bundle"
    convert(WEIGHTS / "bcresnet8/model_params.pth", folder)
    return bundles.load(folder)


@pytest.fixture(scope="module")
def kwt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kwt") / "bundle"
    report = convert(WEIGHTS / "kwt1/kwt1_non_stream.tflite", folder)
    assert report.difference < 1e-4
    return bundles.load(folder)


@pytest.fixture(scope="module")
def every_clip():
    """Every recording of the subset, and the label of each."""
    with open(CLIPS / "manifest.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2400
    return clips(row["path"] for row in rows), [row["class12"] for row in rows]


@torch.no_grad()
def test_bcresnet_on_features(bcresnet):
    golden = np.load(WEIGHTS / "bcresnet8/golden.npz")
    features = torch.from_numpy(golden["features"])[:, 0].transpose(1, 2)
    got = bcresnet.classifier.linear(bcresnet.embedding_model(features))[:, 0]
    torch.testing.assert_close(got, torch.from_numpy(golden["logits"]), rtol=0, atol=1e-4)
    assert bcresnet.labels == golden["labels"].tolist()


def test_bcresnet_on_recordings(bcresnet):
    golden = np.load(WEIGHTS / "bcresnet8/golden_logits.npz")
    got = logits(bcresnet, clips(golden["paths"]))
    torch.testing.assert_close(got, torch.from_numpy(golden["logits"]), rtol=0, atol=1e-4)


def test_kwt_from_the_waveform(kwt):
    golden = np.load(WEIGHTS / "kwt1/golden_logits.npz")
    got = logits(kwt, clips(golden["paths"]))
    torch.testing.assert_close(got, torch.from_numpy(golden["logits"]), rtol=0, atol=1e-3)


def test_kwt_on_the_subset(kwt, every_clip):
    """Its authors test silence as clips of zeros; the archive has it as recordings of noise."""
    wavs, labels = every_clip
    best = [kwt.labels[index] for index in logits(kwt, wavs).argmax(1)]
    right = {True: [], False: []}
    for got, label in zip(best, labels, strict=True):
        right[label == "_silence_"].append(got == label)
    print({is_silence: (sum(r), len(r)) for is_silence, r in right.items()})
    assert np.mean(right[False]) > 0.96
    assert 0.3 < np.mean(right[True]) < 0.6
    zeros = logits(kwt, torch.zeros(1, 16000))
    assert kwt.labels[zeros.argmax()] == "_silence_"


@pytest.mark.parametrize(
    ("name", "alike", "most"),
    [("kws_ref_model_float32.tflite", 0.99, 0.25), ("kws_ref_model.tflite", 0.98, 0.4)],
)
@torch.no_grad()
def test_ds_cnn_beside_its_8_bit_arithmetic(tmp_path, every_clip, name, alike, most):
    """Both files have kernels of 8 bits, which the runtime multiplies with inputs rounded to 8 bits:
    equal are the weights; the labels of nearly all clips, and probabilities roughly."""
    report = convert(WEIGHTS / "ds_cnn" / name, tmp_path / "bundle")
    bundle = bundles.load(tmp_path / "bundle")
    wavs, labels = every_clip
    got = torch.cat([bundle(part) for part in wavs.split(100)])
    theirs = report.converted.reference(bundle, wavs)
    same = float((got.argmax(1) == theirs.argmax(1)).float().mean())
    apart = float((got.exp() - theirs.exp()).abs().max())
    right = [
        np.mean([bundle.labels[i] == label for i, label in zip(o.argmax(1), labels, strict=True)])
        for o in (got, theirs)
    ]
    print(f"{name}: labels alike {same:.4f}, probabilities within {apart:.3f}, accuracy {right}")
    assert same > alike and apart < most
    assert min(right) > 0.9
