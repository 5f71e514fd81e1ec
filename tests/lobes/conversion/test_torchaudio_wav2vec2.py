"""State dicts of torchaudio's wav2vec 2.0 models, against these models."""

import pytest
import torch

from auricle.lobes import bundles
from auricle.lobes.conversion.proof import convert, probe_signals
from auricle.lobes.conversion.torchaudio_wav2vec2 import _network

pytest.importorskip("transformers")
CONFIG = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 96,
    "conv_dim": [16] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


@pytest.mark.long
@pytest.mark.parametrize("is_large", [False, True])
@torch.no_grad()
def test_steps_are_those_of_torchaudio(tmp_path, is_large):
    torch.manual_seed(0)
    net = _network({**CONFIG, "conv_bias": is_large}, is_large).eval()
    state = net.state_dict() | {"aux.weight": torch.zeros(29, 64)}
    torch.save(state, tmp_path / "net.pth")
    report = convert(tmp_path / "net.pth", tmp_path / "bundle")
    assert report.converted.left_out == ["aux.weight"] and report.difference < 1e-4
    bundle, wavs = bundles.load(tmp_path / "bundle"), probe_signals(8000)[:3]
    seen = torch.nn.functional.layer_norm(wavs, wavs.shape[1:]) if is_large else wavs
    torch.testing.assert_close(bundle.embed(wavs), net(seen)[0], rtol=0, atol=1e-3)
