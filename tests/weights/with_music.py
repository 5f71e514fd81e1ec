"""Published music nets, converted, against what their own code gives; needs WEIGHTS.

WEIGHTS holds music_tagging and essentia_emomusic.
"""

import json
import os
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


@pytest.mark.parametrize("name", ["musicnn", "crnn", "fcn"])
@torch.no_grad()
def test_tags_from_the_waveform(tmp_path, name):
    """1e-4 of noise and of a chord. Of a chirp 2e-4: its quiet bands are the rounding of an FFT, in
    which the golden spectrogram and torchaudio's on this machine differ by 0.5 dB; hence there, too,
    the net alone on torchaudio's spectrogram, 1e-5."""
    convert(TAGGING / f"mtat_{name}.pth", tmp_path / "bundle")
    bundle, golden = bundles.load(tmp_path / "bundle"), np.load(TAGGING / "golden.npz")
    assert bundle.labels == np.load(TAGGING / "mtat_tags.npy").tolist()
    assert golden["names"].tolist() == ["noise", "chirp", "chord"]
    samples = int(golden[f"mtat_{name}_samples"])
    assert samples == round(bundle.clip_s * 16000)
    wavs = torch.from_numpy(golden["x"]).repeat(1, 10)[:, :samples]
    expected = torch.from_numpy(golden[f"mtat_{name}_probabilities"])
    difference = (bundle(wavs).sigmoid() - expected).abs().amax(1)
    assert difference[0] < 1e-4 and difference[2] < 1e-4 and difference[1] < 2e-4
    spectrogram = torchaudio.transforms.MelSpectrogram(16000, n_fft=512, n_mels=96)
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
