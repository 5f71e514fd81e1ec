"""Folders of transformers, against their own models behind their own feature extractors."""

import json

import pytest
import torch

from auricle.lobes import bundles
from auricle.lobes.conversion import ConversionError
from auricle.lobes.conversion.proof import convert, probe_signals
from auricle.lobes.encoders._transformers_folder import SMALL

transformers = pytest.importorskip("transformers")
CONVOLUTIONS = {**SMALL, "num_feat_extract_layers": 7}


@pytest.mark.long
@pytest.mark.parametrize("family", ["Wav2Vec2", "Hubert"])
@torch.no_grad()
def test_steps_of_a_waveform_model(tmp_path, family):
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**CONVOLUTIONS)
    model = getattr(transformers, f"{family}Model")(config).eval()
    model.save_pretrained(tmp_path / "model")
    report = convert(tmp_path / "model", tmp_path / "bundle")
    assert report.source.name == "transformers_folder" and report.difference < 1e-4
    bundle, wavs = bundles.load(tmp_path / "bundle"), probe_signals(8000)[:3]
    normalized = (wavs - wavs.mean(1, keepdim=True)) / wavs.std(1, correction=0, keepdim=True)
    expected = model(normalized).last_hidden_state
    torch.testing.assert_close(bundle.embed(wavs), expected, rtol=0, atol=1e-2)


@pytest.mark.long
@torch.no_grad()
def test_the_spectrogram_transformer_behind_its_feature_extractor(tmp_path):
    torch.manual_seed(0)
    config = transformers.ASTConfig(
        hidden_size=192,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=768,
        num_mel_bins=32,
        max_length=64,
        layer_norm_eps=1e-6,
    )
    model = transformers.ASTModel(config).eval()
    model.save_pretrained(tmp_path / "model")
    extractor = transformers.ASTFeatureExtractor(
        num_mel_bins=32, max_length=64, mean=-3.0, std=2.5, sampling_rate=16000
    )
    extractor.save_pretrained(tmp_path / "model")
    convert(tmp_path / "model", tmp_path / "bundle")
    bundle = bundles.load(tmp_path / "bundle")
    wavs = probe_signals(round(bundle.clip_s * 16000))[:3]
    seen = extractor(list(wavs.numpy()), sampling_rate=16000, return_tensors="pt").input_values
    expected = model(seen).pooler_output
    torch.testing.assert_close(bundle.embed(wavs)[:, 0], expected, rtol=0, atol=1e-3)


def test_another_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ConversionError, match="bert"):
        convert(tmp_path, tmp_path / "bundle")
