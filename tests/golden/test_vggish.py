"""VGGish against its published count and names, and against the source's layers."""

import math

import torch
from every_encoder import build, close, count, perturbed, published, signals
from torch import nn
from torch.nn import functional as F

from auricle.lobes import build_encoder


def test_vggish_sizes_and_names():
    encoder = published("vggish", 64)
    assert count(encoder.embeddings) == 67_641_472
    layers = [f"features.{i}" for i in (0, 3, 6, 8, 11, 13)] + [
        f"embeddings.{i}" for i in (0, 2, 4)
    ]
    assert list(encoder.state_dict()) == [
        f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")
    ]


@torch.no_grad()
def test_vggish_is_the_source_s_layers():
    """Channels last in front of the dense layers, as TensorFlow has them; no activation behind."""
    encoder = perturbed(build("vggish", patch_frames=96))
    feats = signals("vggish", 96)
    x = feats[:, None]
    layers = [layer for layer in encoder.features if isinstance(layer, nn.Conv2d)]
    for index, layer in enumerate(layers):
        x = F.conv2d(x, layer.weight, layer.bias, padding=1).relu()
        if index in (0, 1, 3, 5):
            x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-math.inf)
            x = F.max_pool2d(x, 2)
    assert x.shape[1:] == (8, 6, 3)
    x = x.permute(0, 2, 3, 1).reshape(len(x), -1)
    first, second, last = encoder.embeddings[0], encoder.embeddings[2], encoder.embeddings[4]
    x = last(second(first(x).relu()).relu())
    assert (x < 0).any()
    close(encoder(feats), x[:, None])


def test_vggish_starts_with_outputs_of_the_size_of_its_inputs():
    """With the published standard deviation of 0.01 they would be 1e-6 of it."""
    torch.manual_seed(0)
    encoder = build_encoder("vggish", 64, None, {"vggish": {"dense": 256}})
    with torch.no_grad():
        out = encoder(torch.randn(4, 96, 64))
    assert 0.1 < float(out.std()) < 10 and float((out - out.mean(0)).std()) > 0.01
