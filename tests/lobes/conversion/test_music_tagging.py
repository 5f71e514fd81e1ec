"""Musicnn, CRNN and FCN in the layout of sota-music-tagging-models, against their forward."""

import pytest
import torch
from published_keyword_nets import settled
from published_music_nets import Musicnn, crnn, fcn

from auricle.lobes import bundles
from auricle.lobes.conversion import ConversionError
from auricle.lobes.conversion.proof import convert, probe_signals

NETS = {"musicnn": Musicnn, "crnn": crnn, "fcn": fcn}


def saved(path, name):
    torch.manual_seed(0)
    net = settled(NETS[name]())
    net.spec_bn.running_mean.fill_(-30.0)
    net.spec_bn.running_var.fill_(400.0)
    torch.save(net.state_dict(), path)
    return net


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        pytest.param("musicnn", 3.0, marks=pytest.mark.slow),
        pytest.param("crnn", 3.5, marks=pytest.mark.long),
        pytest.param("fcn", 24.4, marks=pytest.mark.long),
    ],
)
@torch.no_grad()
def test_it_computes_what_its_authors_code_does(tmp_path, name, seconds):
    net = saved(tmp_path / "mtat.pth", name)
    report = convert(tmp_path / "mtat.pth", tmp_path / "bundle")
    assert report.source.name == "music_tagging"
    bundle = bundles.load(tmp_path / "bundle")
    assert bundle.description["encoder"]["name"] == name and bundle.labels[0] == "guitar"
    # Over a noise floor: of bands without any, the logarithm is of rounding.
    wavs = probe_signals(round(16000 * seconds))[:3]
    expected = net(wavs)
    assert expected.std(0).max() > 1e-3
    torch.testing.assert_close(bundle(wavs).sigmoid(), expected, rtol=0, atol=1e-5)
    if name == "musicnn":
        tags = bundle.predict(wavs[1]).values["tags"]
        assert [tags[label] for label in bundle.labels] == pytest.approx(expected[1].tolist(), 1e-3)


@pytest.mark.parametrize("value", [None, torch.tensor(1.0)])
def test_a_net_without_its_last_layer_is_refused(tmp_path, value):
    saved(tmp_path / "mtat.pth", "crnn")
    state = torch.load(tmp_path / "mtat.pth", weights_only=True)
    state["dense.weight"] = value
    torch.save({k: v for k, v in state.items() if v is not None}, tmp_path / "mtat.pth")
    with pytest.raises(ConversionError, match="not its tensors"):
        convert(tmp_path / "mtat.pth", tmp_path / "bundle")


def test_tags_that_the_file_does_not_tell(tmp_path):
    saved(tmp_path / "net.pth", "crnn")
    with pytest.raises(ConversionError, match="labels"):
        convert(tmp_path / "net.pth", tmp_path / "bundle")


@pytest.mark.parametrize(
    ("key", "says"), [("spec.mel_scale.fb", "mel bands"), ("layer9.x", "layer9.x")]
)
def test_another_spectrogram_or_net_is_refused(tmp_path, key, says):
    saved(tmp_path / "mtat.pth", "crnn")
    state = torch.load(tmp_path / "mtat.pth", weights_only=True)
    torch.save({**state, key: torch.zeros(257, 96)}, tmp_path / "mtat.pth")
    with pytest.raises(ConversionError, match=says):
        convert(tmp_path / "mtat.pth", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
