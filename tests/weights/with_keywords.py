"""Published keyword nets, converted, against what their authors' code gives; needs WEIGHTS and DATA.

WEIGHTS holds bcresnet8, kwt1 and ds_cnn; DATA the clips of Speech Commands on which the golden
logits were computed, in speech_commands_v0.02_subset.
"""

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
