"""EnvNet against its published count, and against the source's layers."""

import pytest
import torch
from every_encoder import build, close, count, perturbed, published, signals
from torch import nn
from torch.nn import functional as F


@pytest.mark.slow
def test_envnet_is_dense_layers_for_the_most_part():
    encoder = published("envnet", 1)
    dense = 50 * 11 * 14 * 4096 + 4096 + 4096 * 4096 + 4096
    assert count(encoder.dense) == dense and count(encoder) - dense == 31_180


@torch.no_grad()
def test_envnet_is_the_source_s_pictures():
    """Its convolutions on the waveform are of pictures one row high, turned on their side."""
    encoder = perturbed(build("envnet"))
    feats = signals("envnet", 24_014)
    x = feats.transpose(1, 2)[:, :, None]  # (B, 1, 1, T)
    norms = []
    for norm in (*encoder.waveform_norms, *encoder.norms):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norms.append((scale[:, None, None], (norm.bias - norm.running_mean * scale)[:, None, None]))
    kernels = [layer.weight[:, :, None] for layer in encoder.waveform_convolutions]
    kernels += [layer.weight for layer in encoder.convolutions]
    shapes = []
    for kernel, (scale, shift), pool in zip(
        kernels, norms, (None, (1, 160), 3, (1, 3)), strict=True
    ):
        x = (F.conv2d(x, kernel) * scale + shift).relu()
        if pool:
            x = nn.MaxPool2d(pool, ceil_mode=True)(x)
        if pool == (1, 160):
            x = x.transpose(1, 2)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(40, 1, 24_007), (1, 40, 150), (50, 11, 46), (50, 11, 14)]
    x = x.flatten(1)
    for layer in encoder.dense:
        x = layer(x).relu()
    close(encoder(feats), x[:, None])
