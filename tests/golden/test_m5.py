"""M5 against published counts and sizes, and against its layers."""

import math

import torch
from every_encoder import build, close, perturbed, published, signals
from torch import nn
from torch.nn import functional as F


def test_m5_steps_of_the_paper_s_table():
    """8 kHz, 4 s: 32,000 samples, then 8,000, 2,000, 500, 125 and 32 steps."""
    encoder = published("m5", 1)
    given = []
    for convolution in encoder.convolutions:
        convolution.register_forward_hook(lambda layer, args, out: given.append(out.shape[2]))
    encoder(torch.empty(1, 32_000, 1, device="meta"))
    assert given == [8000, 2000, 500, 125] and math.ceil(125 / 4) == 32


@torch.no_grad()
def test_m5_is_its_layers():
    encoder = perturbed(build("m5"))
    feats = signals("m5", 1024)
    x = F.pad(feats.transpose(1, 2), (38, 41))
    for index, (convolution, norm) in enumerate(
        zip(encoder.convolutions, encoder.norms, strict=True)
    ):
        stride, padding = (1, 1) if index else (4, 0)
        x = F.conv1d(x, convolution.weight, convolution.bias, stride, padding)
        x = nn.MaxPool1d(4)(norm(x).relu())
    assert x.shape[2] == 1024 // 4**5
    close(encoder(feats), x.mean(2, keepdim=True).transpose(1, 2))
