"""Musicnn, CRNN and FCN with the names and the forward of sota-music-tagging-models, small."""

import torch
import torchaudio
from torch import nn
from torch.nn import functional as F


class Spectrogram(nn.Module):
    def __init__(self):
        super().__init__()
        self.spec = torchaudio.transforms.MelSpectrogram(16000, n_fft=512, n_mels=96)
        self.spec_bn = nn.BatchNorm2d(1)

    def spectrogram(self, wavs):
        return self.spec_bn(torchaudio.transforms.AmplitudeToDB()(self.spec(wavs))[:, None])


class Layer(nn.Module):
    def __init__(self, conv, norm):
        super().__init__()
        self.conv, self.bn = conv, norm(conv.out_channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def layer_1d(before, after, size):
    return Layer(nn.Conv1d(before, after, size, padding=size // 2), nn.BatchNorm1d)


class Musicnn(Spectrogram):
    def __init__(self, tall=5, long=3, width=4, dense=6, tags=50):
        super().__init__()
        vertical = [nn.Conv2d(1, tall, (rows, 7), padding=(0, 3)) for rows in (67, 38)]
        self.layers = nn.ModuleList(Layer(conv, nn.BatchNorm2d) for conv in vertical)
        self.layers.extend(layer_1d(1, long, size) for size in (129, 65, 33))
        front = 2 * tall + 3 * long
        self.layer1, self.layer2 = layer_1d(front, width, 7), layer_1d(width, width, 7)
        self.layer3 = layer_1d(width, width, 7)
        self.dense1, self.bn = nn.Linear(2 * (front + 3 * width), dense), nn.BatchNorm1d(dense)
        self.dense2 = nn.Linear(dense, tags)

    def forward(self, wavs):
        x = self.spectrogram(wavs)
        parts = [layer(x).amax(2) for layer in self.layers[:2]]
        parts += [layer(x.mean(2)) for layer in self.layers[2:]]
        outputs = [torch.cat(parts, 1)]
        outputs.append(self.layer1(outputs[-1]))
        for layer in (self.layer2, self.layer3):
            outputs.append(layer(outputs[-1]) + outputs[-1])
        every = torch.cat(outputs, 1)
        pooled = torch.cat([every.amax(2), every.mean(2)], 1)
        return self.dense2(F.relu(self.bn(self.dense1(pooled)))).sigmoid()


class Convolutions(Spectrogram):
    """CRNN where `hidden` is given, FCN where it is not."""

    def __init__(self, pools, widths, hidden=None, tags=50):
        super().__init__()
        self.pools = pools
        for index, (before, after) in enumerate(zip([1, *widths], widths, strict=False)):
            conv = Layer(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d)
            setattr(self, f"layer{index + 1}", conv)
        if hidden:
            self.layer5 = nn.GRU(widths[-1], hidden, 2, batch_first=True)
        self.dense = nn.Linear(hidden or widths[-1], tags)

    def forward(self, wavs):
        x = self.spectrogram(wavs)
        for index, pool in enumerate(self.pools):
            x = F.max_pool2d(getattr(self, f"layer{index + 1}")(x), pool)
        x = x[:, :, 0].transpose(1, 2)
        if hasattr(self, "layer5") and isinstance(self.layer5, nn.GRU):
            x = self.layer5(x)[0][:, -1:]
        return self.dense(x[:, 0]).sigmoid()


def crnn():
    return Convolutions([(2, 2), (3, 3), (4, 4), (4, 4)], (3, 4, 4, 5), hidden=6)


def fcn():
    return Convolutions([(2, 4), (2, 4), (2, 4), (3, 5), (4, 4)], (3, 4, 4, 4, 5))
