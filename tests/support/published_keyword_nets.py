"""Keyword nets in their authors' layout of weights, small, with random values."""

import torch
from torch import nn
from torch.nn import functional as F


class ConvNormAct(nn.Module):
    def __init__(self, channels_in, channels, kernel, stride, padding, dilation, groups, norm, act):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels_in, channels, kernel, stride, padding, dilation, groups, bias=False),
            norm,
            act,
        )

    def forward(self, x):
        return self.block(x)


class SubBandNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.ssnorm = nn.BatchNorm2d(5 * channels)

    def forward(self, x):
        batch, channels, rows, frames = x.shape
        x = x.view(batch, channels * 5, rows // 5, frames)
        return self.ssnorm(x).view(batch, channels, rows, frames)


class QualcommBlock(nn.Module):
    def __init__(self, channels_in, channels, stage, stride):
        super().__init__()
        self.transition = channels_in != channels
        rows = [] if not self.transition else [_plain(channels_in, channels)]
        rows.append(
            ConvNormAct(
                channels,
                channels,
                (3, 1),
                stride,
                (1, 0),
                1,
                channels,
                SubBandNorm(channels),
                nn.Identity(),
            )
        )
        self.f2 = nn.Sequential(*rows)
        step = 2**stage
        along = ConvNormAct(
            channels,
            channels,
            (1, 3),
            1,
            (0, step),
            (1, step),
            channels,
            nn.BatchNorm2d(channels),
            nn.SiLU(),
        )
        self.f1 = nn.Sequential(along, nn.Conv2d(channels, channels, 1, bias=False))

    def forward(self, x):
        skip, x = x, self.f2(x)
        x = self.f1(x.mean(2, keepdim=True)) + x
        return F.relu(x if self.transition else x + skip)


def _plain(channels_in, channels):
    return ConvNormAct(channels_in, channels, 1, 1, 0, 1, 1, nn.BatchNorm2d(channels), nn.ReLU())


class QualcommBCResNet(nn.Module):
    """Names, order and operations of Qualcomm-AI-research/bcresnet; (B, 1, 40, N) -> (B, C)."""

    def __init__(self, tau, classes):
        super().__init__()
        base = int(8 * tau)
        widths = [2 * base, base, int(1.5 * base), 2 * base, int(2.5 * base)]
        self.cnn_head = nn.Sequential(
            nn.Conv2d(1, widths[0], 5, (2, 1), 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.BCBlocks = nn.ModuleList()
        for stage, count in enumerate((2, 2, 4, 4)):
            blocks = nn.ModuleList()
            for index in range(count):
                channels_in = widths[stage + bool(index)]
                stride = (2, 1) if stage in (1, 2) and index == 0 else 1
                blocks.append(QualcommBlock(channels_in, widths[stage + 1], stage, stride))
            self.BCBlocks.append(blocks)
        last = widths[4]
        self.classifier = nn.Sequential(
            nn.Conv2d(last, last, 5, 1, (0, 2), groups=last, bias=False),
            nn.Conv2d(last, 4 * base, 1, bias=False),
            nn.BatchNorm2d(4 * base),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(4 * base, classes, 1),
        )

    def forward(self, x):
        x = self.cnn_head(x)
        for blocks in self.BCBlocks:
            for block in blocks:
                x = block(x)
        return self.classifier(x).flatten(1)


def settled(net, feats=None):
    """In eval mode, with statistics and scales of batch normalisations as after a training.

    With `feats` the statistics are those of each layer on them, so that no layer fades away what
    tells one item from another.
    """
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            size = module.running_mean.shape
            module.running_mean.copy_(torch.randn(size, generator=generator) / 10)
            module.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
            module.weight.data.copy_(torch.rand(size, generator=generator) + 0.5)
            module.bias.data.copy_(torch.randn(size, generator=generator) / 10)
            module.momentum = 1.0
    if feats is not None:
        with torch.no_grad():
            net.train()(feats)
    return net.eval()
