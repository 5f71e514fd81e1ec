"""wespeaker's state dicts, against their nets on the features of its recipes."""

import pytest
import torch
import torchaudio
from published_keyword_nets import settled
from published_speaker_nets import WespeakerECAPA, WespeakerReDimNet, WespeakerResNet

from auricle.lobes import bundles
from auricle.lobes.conversion import ConversionError
from auricle.lobes.conversion.proof import convert, probe_signals
from auricle.lobes.encoders.redimnet import SIZES

#: Sizes of ReDimNet that are quick.
FEW = {
    "few": (4, "residual", 1, [(1, 1, 1, 8), (2, 1, 2, 8), (2, 1, 1, 4)]),
    "few_gated": (4, "gated", 2, [(1, 1, 1, 8), (2, 2, 2, None), (2, 1, 1, 4)]),
    "few_convnext": (12, "convnext", 8, [(1, 1, 1, None), (2, 1, 1, 8), (3, 1, 1, 8)]),
}
NETS = {
    "ecapa": WespeakerECAPA,
    "ecapa that sees mean and deviation": lambda: WespeakerECAPA(context=True),
    "rvector": WespeakerResNet,
    "redimnet": lambda: WespeakerReDimNet(FEW["few"]),
    "redimnet with gates": lambda: WespeakerReDimNet(FEW["few_gated"]),
    "redimnet of convnext, that sees the frame": lambda: WespeakerReDimNet(
        FEW["few_convnext"], context=False
    ),
}


def features(wav):
    """What its processor computes of a waveform in [-1, 1]."""
    feats = torchaudio.compliance.kaldi.fbank(
        wav[None] * 2**15,
        num_mel_bins=24,
        frame_length=25,
        frame_shift=10,
        sample_frequency=16000,
        window_type="hamming",
        use_energy=False,
    )
    return feats - feats.mean(0)


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_embeddings_are_those_of_wespeaker(tmp_path, monkeypatch, name):
    for size, setup in FEW.items():
        monkeypatch.setitem(SIZES, size, setup)
    torch.manual_seed(0)
    net = settled(NETS[name]())
    state = net.state_dict() | {"projection.weight": torch.zeros(7, 12)}
    torch.save(state, tmp_path / "avg_model.pt")
    report = convert(tmp_path / "avg_model.pt", tmp_path / "bundle")
    assert report.source.name == "wespeaker_speakers"
    bundle, wavs = bundles.load(tmp_path / "bundle"), probe_signals(4000)[:3]
    expected = net(torch.stack([features(wav) for wav in wavs]))
    got = bundle.embed(wavs).flatten(1)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_what_has_no_place_is_named(tmp_path):
    state = WespeakerResNet().state_dict()
    torch.save({**state, "seg_2.weight": torch.zeros(12, 12)}, tmp_path / "net.pt")
    with pytest.raises(ConversionError, match=r"seg_2\.weight"):
        convert(tmp_path / "net.pt", tmp_path / "bundle")
    torch.save({**state, "layer1.0.conv3.weight": torch.zeros(1)}, tmp_path / "net.pt")
    with pytest.raises(ConversionError, match="bottlenecks"):
        convert(tmp_path / "net.pt", tmp_path / "bundle")
