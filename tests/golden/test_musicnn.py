"""musicnn against published counts, and against the source's layers."""

import torch
from every_encoder import build, close, perturbed, published, signals
from torch import nn
from torch.nn import functional as F


def test_musicnn_sizes():
    small = published("musicnn", 96)
    assert small.convolutions[0].in_channels == 561
    heights = [layer.kernel_size for layer in small.vertical]
    assert heights == [(67, 7), (38, 7)]


@torch.no_grad()
def test_musicnn_is_the_source_s_layers():
    encoder = perturbed(build("musicnn"))
    feats = signals("musicnn", 90)
    x = encoder.input_norm(feats.transpose(1, 2)[:, None])
    parts = []
    for layer, norm in zip(encoder.vertical, encoder.vertical_norms, strict=True):
        y = norm(F.conv2d(x, layer.weight, layer.bias, padding=(0, 3))).relu()
        parts.append(nn.MaxPool2d((y.shape[2], 1))(y).squeeze(2))
    mean = nn.AvgPool2d((40, 1))(x).squeeze(2)
    for layer, norm, long in zip(
        encoder.horizontal, encoder.horizontal_norms, (129, 65, 33), strict=True
    ):
        parts.append(norm(F.conv1d(mean, layer.weight, layer.bias, padding=long // 2)).relu())
    front = torch.cat(parts, 1)
    layers = [
        lambda x, i=i: encoder.norms[i](
            F.conv1d(x, encoder.convolutions[i].weight, encoder.convolutions[i].bias, padding=3)
        ).relu()
        for i in range(3)
    ]
    first = layers[0](front)
    second = layers[1](first) + first
    third = layers[2](second) + second
    every = torch.cat([front, first, second, third], 1)
    pooled = torch.cat([nn.MaxPool1d(90)(every), nn.AvgPool1d(90)(every)], 1).squeeze(2)
    dense = F.linear(pooled, encoder.dense.weight, encoder.dense.bias)
    close(encoder(feats), normed(encoder.dense_norm, dense).relu()[:, None])


@torch.no_grad()
def test_the_authors_form_is_the_layers_of_their_graph():
    """Those of Essentia's msd-musicnn-1: batch norm behind the ReLU, and every row by itself."""
    encoder = perturbed(build("musicnn", form="authors"))
    feats = signals("musicnn", 90)
    x = encoder.input_norm(feats.transpose(1, 2)[:, None])
    parts = [
        norm(F.conv2d(x, layer.weight, layer.bias, padding=(0, 3)).relu()).max(2).values
        for layer, norm in zip(encoder.vertical, encoder.vertical_norms, strict=True)
    ]
    for layer, norm, (before, behind) in zip(
        encoder.horizontal,
        encoder.horizontal_norms,
        [(63, 64), (31, 32), (15, 16)],  # TensorFlow's SAME
        strict=True,
    ):
        rows = F.conv2d(F.pad(x, (before, behind)), layer.weight, layer.bias).relu()
        parts.append(norm(rows).max(2).values)
    front = torch.cat(parts, 1)

    def layer(i, x):
        layer = encoder.convolutions[i]
        return encoder.norms[i](F.conv1d(x, layer.weight, layer.bias, padding=3).relu())

    first = layer(0, front)
    second = layer(1, first) + first
    every = torch.cat([front, first, second, layer(2, second) + second], 1)
    pooled = torch.cat([every.max(2).values, every.mean(2)], 1)
    pooled = normed(encoder.pooled_norm, pooled)
    dense = F.linear(pooled, encoder.dense.weight, encoder.dense.bias)
    close(encoder(feats), normed(encoder.dense_norm, dense.relu())[:, None])
    linear = build("musicnn", form="authors", embedding="linear").eval()
    linear.load_state_dict(encoder.state_dict(), strict=False)
    close(linear(feats), dense[:, None])


@torch.no_grad()
def test_padding_never_wins_against_what_is_negative():
    """Behind batch norm values may lie below zero, which is what padding holds."""
    encoder = perturbed(build("musicnn", form="authors"))
    for norm in encoder.norms:
        norm.bias.fill_(-5.0)
    feats = signals("musicnn", 90)
    got = encoder(feats, torch.full((len(feats),), 2 / 3) - torch.eye(len(feats))[0] / 3)[0]
    torch.testing.assert_close(got, encoder(feats[:1, :30])[0], rtol=1e-4, atol=1e-5)


def normed(norm, x):
    x = (x - norm.running_mean) / (norm.running_var + 1e-5).sqrt()
    return x * norm.weight + norm.bias
