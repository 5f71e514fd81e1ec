"""BC-ResNet in Qualcomm's layout, against their forward on their features."""

import pytest
import torch
import torchaudio
from published_keyword_nets import QualcommBCResNet, settled

from auricle.lobes import bundles
from auricle.lobes.conversion import ConversionError
from auricle.lobes.conversion.proof import convert, probe_signals


def saved(path, tau=1, classes=12):
    torch.manual_seed(0)
    net = settled(QualcommBCResNet(tau, classes), 2 * torch.randn(4, 1, 40, 101) - 5)
    torch.save(net.state_dict(), path)
    return net


@pytest.mark.parametrize("tau", [1, pytest.param(1.5, marks=pytest.mark.long)])
@torch.no_grad()
def test_it_computes_what_its_authors_code_does(tmp_path, tau):
    net = saved(tmp_path / "net.pth", tau)
    report = convert(tmp_path / "net.pth", tmp_path / "bundle")
    assert report.source.name == "qualcomm_bcresnet" and not report.converted.left_out
    bundle = bundles.load(tmp_path / "bundle")
    assert bundle.labels[:3] == ["_silence_", "_unknown_", "down"]
    mel = torchaudio.transforms.MelSpectrogram(16000, 512, 480, 160, n_mels=40)
    wavs = probe_signals(16000)
    expected = net((mel(wavs) + 1e-6).log()[:, None]).log_softmax(-1)
    assert expected.std(0).max() > 0.1  # the clips differ by far more than the tolerance
    torch.testing.assert_close(bundle(wavs), expected, rtol=0, atol=1e-4)


def test_other_classes_need_their_labels(tmp_path):
    saved(tmp_path / "net.pth", classes=3)
    with pytest.raises(ConversionError, match="labels"):
        convert(tmp_path / "net.pth", tmp_path / "bundle")
    convert(tmp_path / "net.pth", tmp_path / "bundle", labels=["a", "b", "c"])
    assert bundles.load(tmp_path / "bundle").labels == ["a", "b", "c"]


def test_a_tensor_without_a_place_is_named(tmp_path):
    saved(tmp_path / "net.pth")
    state = torch.load(tmp_path / "net.pth", weights_only=True)
    torch.save({**state, "BCBlocks.0.0.f3.weight": torch.zeros(2)}, tmp_path / "net.pth")
    with pytest.raises(ConversionError, match=r"BCBlocks\.0\.0\.f3\.weight"):
        convert(tmp_path / "net.pth", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_a_file_that_describes_more_than_it_holds_takes_no_memory(tmp_path):
    """Widths come from the sides of tensors: those of two may ask for a net of their product."""
    saved(tmp_path / "net.pth")
    state = torch.load(tmp_path / "net.pth", weights_only=True)
    state["cnn_head.0.weight"] = torch.zeros(16 * 2**16, 1, 5, 5)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(ValueError, match="do not fit|larger model"):
        convert(tmp_path / "net.pth", tmp_path / "bundle")


def test_tensors_of_other_dimensions_are_one_error(tmp_path):
    saved(tmp_path / "net.pth")
    state = torch.load(tmp_path / "net.pth", weights_only=True)
    state["classifier.5.weight"] = torch.zeros(())
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(ConversionError, match="not its tensors"):
        convert(tmp_path / "net.pth", tmp_path / "bundle")
