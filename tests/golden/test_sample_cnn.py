"""SampleCNN against published counts, and against the source's layers."""

import pytest
import torch
from every_encoder import build, close, kept_bytes, perturbed, published, signals
from torch import nn
from torch.nn import functional as F


@pytest.mark.slow
def test_sample_cnn_keeps_810_mib_for_twelve_windows():
    """As the source's layers do: nothing is held twice."""
    encoder = published("sample_cnn", 1).train()
    assert encoder.window == 59_049
    mib = kept_bytes(encoder, torch.empty(12, 59_049, 1, device="meta")) / 2**20
    assert mib == pytest.approx(810, abs=1)


@pytest.mark.parametrize("last_kernel", [1, 3])
@torch.no_grad()
def test_sample_cnn_is_the_source_s_layers(last_kernel):
    encoder = perturbed(build("sample_cnn", last_kernel=last_kernel))
    feats = signals("sample_cnn", 27)
    x = F.conv1d(
        feats.transpose(1, 2), encoder.convolutions[0].weight, encoder.convolutions[0].bias, 3
    )
    x = encoder.norms[0](x).relu()
    assert x.shape[2] == 9
    for convolution, norm in zip(encoder.convolutions[1:-1], encoder.norms[1:-1], strict=True):
        x = F.conv1d(x, convolution.weight, convolution.bias, padding=1)
        x = nn.MaxPool1d(3)(norm(x).relu())
    last = encoder.convolutions[-1]
    x = encoder.norms[-1](F.conv1d(x, last.weight, last.bias, padding=last_kernel // 2)).relu()
    assert x.shape == (4, 8, 1)
    close(encoder(feats), x.transpose(1, 2))
