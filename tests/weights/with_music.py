"""Published music nets, converted, against what their own code gives; needs WEIGHTS.

WEIGHTS holds music_tagging and essentia_emomusic.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio

from auricle.lobes import bundles
from auricle.lobes.conversion.proof import convert
from auricle.recipes import cli

WEIGHTS = Path(os.environ["WEIGHTS"])
TAGGING, EMOTION = WEIGHTS / "music_tagging", WEIGHTS / "essentia_emomusic"


#: Largest difference of the tags of each signal from the golden ones.
DIFFERENCES = """
import sys, numpy, torch
from auricle.lobes import bundles
bundle, golden, name = bundles.load(sys.argv[1]), numpy.load(sys.argv[2]), sys.argv[3]
samples = int(golden[f"{name}_samples"])
assert samples == round(bundle.clip_s * 16000)
wavs = torch.from_numpy(golden["x"]).repeat(1, 10)[:, :samples]
with torch.no_grad():
    difference = bundle(wavs).sigmoid() - torch.from_numpy(golden[f"{name}_probabilities"])
print(*difference.abs().amax(1).tolist())
"""


@pytest.mark.parametrize("name", ["mtat_musicnn", "mtat_crnn", "mtat_fcn"])
@torch.no_grad()
def test_tags_from_the_waveform(tmp_path, name):
    """The chirp's quiet bands are the rounding of an FFT: by MKL's wide instructions they differ by
    0.5 dB, and tags by 2e-4, from those by narrow ones, which the golden tags were computed with."""
    convert(TAGGING / f"{name}.pth", tmp_path / "bundle")
    bundle, golden = bundles.load(tmp_path / "bundle"), TAGGING / "golden.npz"
    assert bundle.labels == np.load(TAGGING / "mtat_tags.npy").tolist()
    given = [sys.executable, "-c", DIFFERENCES, str(tmp_path / "bundle"), str(golden), name]
    for narrow, most in (({"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}, 1e-4), ({}, 3e-4)):
        run = subprocess.run(given, env=os.environ | narrow, capture_output=True, text=True)
        differences = [float(value) for value in run.stdout.split()]
        assert len(differences) == 3 and max(differences) < most, run.stderr
    spectrogram = torchaudio.transforms.MelSpectrogram(16000, n_fft=512, n_mels=96)
    wavs = torch.from_numpy(np.load(golden)["x"]).repeat(1, 10)[:, : round(16000 * bundle.clip_s)]
    level = torchaudio.transforms.AmplitudeToDB()(spectrogram(wavs)).transpose(1, 2)
    live = bundle.classifier(bundle.embedding_model(level))[:, 0].sigmoid()
    torch.testing.assert_close(bundle(wavs).sigmoid(), live, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["chirp", "white_noise"])
def test_valence_and_arousal_from_the_file(tmp_path, capsys, name):
    assert not cli.main(["convert", str(EMOTION), "--to", str(tmp_path / "bundle")])
    capsys.readouterr()
    wav = str(EMOTION / f"{name}.wav")
    assert not cli.main(["predict", str(tmp_path / "bundle"), wav, "--json"])
    values = json.loads(capsys.readouterr().out)
    published = json.loads((EMOTION / f"{name}.json").read_text())
    for emotion in ("valence", "arousal"):
        assert values[emotion] == pytest.approx(published[f"{emotion}_emomusic"], abs=2e-3)


@torch.no_grad()
def test_essentia_s_spectrogram_and_embedding(tmp_path):
    convert(EMOTION, tmp_path / "bundle")
    bundle, golden = bundles.load(tmp_path / "bundle"), np.load(EMOTION / "golden.npz")
    for name in ("chirp", "white_noise"):
        wav = torch.from_numpy(golden[f"{name}_audio"])
        mel = torch.from_numpy(golden[f"{name}_mel"])
        torch.testing.assert_close(bundle.compute_features(wav[None])[0], mel, rtol=0, atol=1e-3)
        # Patches behind the first begin a frame earlier: the pipeline's first frame is half silence.
        patches = torch.stack([mel[93 * k - 1 : 93 * k + 186] for k in range(1, 5)])
        embedding = bundle.embedding_model(patches)[:, 0]
        expected = torch.from_numpy(golden[f"{name}_embedding"])[1:]
        torch.testing.assert_close(embedding, expected, rtol=0, atol=1e-4)
