"""Variables of LEAF in the names of four sources, against goldens of one and the forward of others."""

import math

import numpy as np
import pytest
import torch
from sounds import golden
from speechbrain.lobes.features import Leaf as SpeechBrainLeaf
from torch import nn
from torch.nn import functional as F

from auricle.lobes import build_frontend, bundles
from auricle.lobes.conversion import ConversionError
from auricle.lobes.conversion.proof import convert, probe_signals

#: Names in the object graph of a TensorFlow checkpoint, and of Keras' weights.
CHECKPOINT = {
    "kernel": "_frontend/_complex_conv/_kernel/.ATTRIBUTES/VARIABLE_VALUE",
    "pooling": "_frontend/_pooling/kernel/.ATTRIBUTES/VARIABLE_VALUE",
    "pcen": "_frontend/_compress_fn/{}/.ATTRIBUTES/VARIABLE_VALUE",
    "smooth": "_frontend/_compress_fn/ema/_weights/.ATTRIBUTES/VARIABLE_VALUE",
}
KERAS = {
    "kernel": "leaf/tfbanks_complex_conv/kernel:0",
    "pooling": "leaf/learnable_pooling/kernel:0",
    "pcen": "leaf/PCEN/{}:0",
    "smooth": "leaf/PCEN/EMA/smooth:0",
}


def leaf_audio(names):
    """The reference's values of the beginning (tests/golden/test_leaf.py compares the filters)."""
    leaf = build_frontend("leaf")
    kernel = torch.stack([leaf.centre, leaf.width], 1)
    held = {names["kernel"]: kernel, names["pooling"]: leaf.pooling_width.view(1, 1, -1, 1)}
    for name in ("alpha", "delta", "root"):
        held[names["pcen"].format(name)] = getattr(leaf.compression, name)
    held[names["smooth"]] = leaf.compression.smooth
    return {name: value.detach().numpy() for name, value in held.items()}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(CHECKPOINT, id="checkpoint"),
        pytest.param(KERAS, id="keras", marks=pytest.mark.long),
    ],
)
@torch.no_grad()
def test_leaf_audio_gives_the_reference_s_output(tmp_path, names):
    held = leaf_audio(names)
    held["_encoder/dense/kernel"] = np.zeros((2, 2), np.float32)
    held[f"{names['smooth']}/.OPTIMIZER_SLOT/optimizer/m"] = np.zeros(40, np.float32)
    np.savez(tmp_path / "leaf.npz", **held)
    report = convert(tmp_path / "leaf.npz", tmp_path / "bundle")
    assert report.source.name == "leaf_variables" and not report.converted.projected
    assert any("_encoder/dense/kernel" in line for line in report.converted.left_out)
    frontend = bundles.load(tmp_path / "bundle").compute_features
    out = frontend(golden("x")[:, 0])
    torch.testing.assert_close(out, golden("leaf"), atol=1e-4, rtol=0)


def trained(filters=6):
    """SpeechBrain's Leaf with values as after a training, its bias among them."""
    generator = torch.Generator().manual_seed(3)
    net = SpeechBrainLeaf(filters, in_channels=1).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1 + 0.2 * (torch.rand(p.shape, generator=generator) - 0.5))
        net.pooling._bias.mul_(0.01)
        net.compression.alpha.clamp_(max=0.99)
    return net


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", ["speechbrain", pytest.param("leaf-pytorch", marks=pytest.mark.long)]
)
@torch.no_grad()
def test_ports_with_their_bias(tmp_path, source):
    net = trained()
    state = net.state_dict()
    if source == "leaf-pytorch":
        names = {"complex_conv.kernel": "complex_conv._kernel"}
        state = {f"features._{names.get(name, name)}": value for name, value in state.items()}
    torch.save(state, tmp_path / "leaf.pth")
    report = convert(tmp_path / "leaf.pth", tmp_path / "bundle")
    assert report.difference < 1e-3 and "SpeechBrain" in report.converted.runtime
    frontend = bundles.load(tmp_path / "bundle").compute_features
    wavs = probe_signals(8000)
    torch.testing.assert_close(frontend(wavs), net(wavs), rtol=1e-3, atol=1e-4)
    without = build_frontend("leaf", options={"leaf": {"num_features": 6}})
    without.load_state_dict({k: v for k, v in frontend.state_dict().items() if "bias" not in k})
    assert (without(wavs) - net(wavs)).abs().max() > 0.01
    with pytest.raises(ValueError, match="pooling_bias"):
        frontend.fold()


@torch.no_grad()
def test_values_beyond_the_range_are_projected_and_said(tmp_path):
    net = trained()
    net.compression.alpha[2] = 1.25
    net.complex_conv.kernel[0, 0] = -0.5
    torch.save(net.state_dict(), tmp_path / "leaf.pth")
    report = convert(tmp_path / "leaf.pth", tmp_path / "bundle")
    lines = report.converted.projected
    assert any(
        line.startswith("compression.alpha: 1 of 6") and "1.25 to 1" in line for line in lines
    )
    assert any(line.startswith("centre: 1 of 6") for line in lines) and len(lines) == 2
    assert bundles.load(tmp_path / "bundle").description["converted"]["projected"] == lines


class EfficientLeaf(nn.Module):
    """CPJKU's names and forward, with groups of 5 filters."""

    def __init__(self, filters=20):
        super().__init__()
        self.filterbank, self.compression = nn.Module(), nn.Module()
        source = build_frontend(
            "efficientleaf", options={"efficientleaf": {"num_filters": filters}}
        )
        self.filterbank.center_freqs = nn.Parameter(source.centre.detach() * 1.03)
        self.filterbank.bandwidths = nn.Parameter(source.width.detach() * 0.8)
        self.filterbank.pooling_widths = nn.Parameter(torch.linspace(0.3, 0.5, filters))
        self.compression.log1p, self.compression.TBN = nn.Module(), nn.Module()
        self.compression.log1p.a = nn.Parameter(torch.linspace(3, 6, filters))
        self.compression.TBN.bn = nn.BatchNorm1d(2 * filters)

    def forward(self, wavs):
        bank, energies = self.filterbank, []
        values = (bank.center_freqs, bank.bandwidths, bank.pooling_widths)
        for centre, width, pooling in zip(*(value.split(5) for value in values), strict=True):
            size = int(max(width) * 4.77) // 2 * 2 + 1
            stride = max(
                n for n in range(1, 161) if 160 % n == 0 and n <= max(1, math.pi / max(centre))
            )
            time = torch.arange(size) - size // 2
            bell = torch.exp(-(time**2) / (2 * width[:, None] ** 2)) / width[:, None]
            phase = centre[:, None] * time
            parts = [
                F.conv1d(wavs[:, None], (bell * wave)[:, None], stride=stride, padding=size // 2)
                for wave in (phase.cos(), phase.sin())
            ]
            energy = (parts[0] ** 2 + parts[1] ** 2) / (2 * math.pi)
            pool = int(401 / stride + 0.5) // 2 * 2 + 1
            place = torch.linspace(-1, 1, pool) / (pooling / stride * 401 / pool)[:, None]
            window = torch.exp(-0.5 * place**2)[:, None]
            options = {"stride": 160 // stride, "padding": pool // 2, "groups": 5}
            energies.append(F.conv1d(energy, window, **options))
        level = torch.log1p(10 ** self.compression.log1p.a[:, None] * torch.cat(energies, 1))
        both = torch.cat([level, level - level.median(-1, keepdim=True).values], 1)
        return self.compression.TBN.bn(both).transpose(1, 2)


@torch.no_grad()
def test_efficientleaf(tmp_path):
    net = EfficientLeaf()
    wavs = probe_signals(16000)
    net(wavs), net.eval()  # statistics of a batch
    torch.save({"frontend": net.state_dict()}, tmp_path / "net.pth")
    report = convert(tmp_path / "net.pth", tmp_path / "bundle")
    assert not report.converted.projected
    frontend = bundles.load(tmp_path / "bundle").compute_features
    plain = build_frontend("efficientleaf", options={"efficientleaf": {"num_filters": 20}})
    assert frontend.filter_samples != plain.filter_samples
    torch.testing.assert_close(frontend(wavs), net(wavs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"compression.alpha": None}, "compression.alpha"),
        ({"complex_conv.kernel": torch.zeros(6, 3)}, r"\(6, 3\)"),
        ({"pooling.weights": torch.zeros(1, 1, 7, 1)}, "does not fit"),
        ({"more.complex_conv.kernel": torch.zeros(6, 2)}, "twice"),
    ],
)
def test_variables_that_do_not_fit(tmp_path, change, says):
    state = {**trained().state_dict(), **change}
    torch.save({k: v for k, v in state.items() if v is not None}, tmp_path / "leaf.pth")
    with pytest.raises(ConversionError, match=says):
        convert(tmp_path / "leaf.pth", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
