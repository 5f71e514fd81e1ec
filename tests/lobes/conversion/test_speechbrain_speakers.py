"""Checkpoints of SpeechBrain's speaker networks, against these networks and its features."""

import pytest
import torch
from published_keyword_nets import settled
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain.lobes.models.ResNet import ResNet
from speechbrain.lobes.models.Xvector import Xvector
from speechbrain.nnet.pooling import StatisticsPooling
from speechbrain.processing.features import InputNormalization

from auricle.lobes import bundles
from auricle.lobes.conversion import ConversionError
from auricle.lobes.conversion.proof import convert, probe_signals

WIDE = [16, 16, 16, 16, 48]
NETWORKS = {
    "ecapa": lambda: ECAPA_TDNN(
        24,
        lin_neurons=12,
        channels=WIDE,
        attention_channels=6,
        se_channels=5,
        res2net_scale=4,
    ),
    "xvector": lambda: Xvector(tdnn_channels=WIDE, lin_neurons=12, in_channels=24),
    "resnet34": lambda: ResNet(24, channels=[4, 4, 6, 8], block_sizes=[1, 2, 1, 1], lin_neurons=12),
}


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_embeddings_are_those_of_speechbrain(tmp_path, monkeypatch, name):
    monkeypatch.setattr(
        StatisticsPooling, "_get_gauss_noise", lambda self, size, device: torch.zeros(size)
    )
    torch.manual_seed(0)
    net = settled(NETWORKS[name]())
    torch.save(net.state_dict(), tmp_path / "embedding_model.ckpt")
    (tmp_path / "hyperparams.yaml").write_text("!new:os.abort\n")  # is not read
    report = convert(tmp_path, tmp_path / "out" / "bundle")
    assert report.difference < 1e-4
    assert any("hyperparams.yaml" in line for line in report.converted.left_out)
    bundle, wavs = bundles.load(tmp_path / "out" / "bundle"), probe_signals(20000)[:3]
    normalized = InputNormalization(norm_type="sentence", std_norm=False)
    expected = net(normalized(Fbank(n_mels=24)(wavs), torch.ones(3)))
    got = bundle.embed(wavs)
    torch.testing.assert_close(
        got.flatten(1), expected.flatten(1), rtol=0, atol=1e-4 * float(expected.abs().max())
    )
    assert bundle.predict(wavs[0]).arrays["embedding"].shape == (12,)


def test_a_folder_without_a_network_is_named(tmp_path):
    (tmp_path / "classifier.ckpt").touch()
    with pytest.raises(ConversionError, match=r"embedding_model\.ckpt"):
        convert(tmp_path, tmp_path / "bundle")


def test_a_bundle_without_a_head_answers_for_speakers_alone(tmp_path):
    torch.save(NETWORKS["xvector"]().state_dict(), tmp_path / "embedding_model.ckpt")
    convert(tmp_path / "embedding_model.ckpt", tmp_path / "bundle")
    bundles.amend(tmp_path / "bundle", task="classification")
    with pytest.raises(bundles.BundleError, match="no head"):
        bundles.load(tmp_path / "bundle").predict(torch.zeros(8000))
