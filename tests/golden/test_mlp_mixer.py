"""The mixer against its published counts and against its layers written with torch's own."""

import pytest
import torch
from every_encoder import perturbed
from spectrogram_signals import signals
from torch import nn
from torch.nn import functional as F

from auricle.lobes import build_encoder
from auricle.lobes.encoders.mlp_mixer import max_feature_map
from auricle.lobes.layers.frame_conv import conv_frames, depthwise_frames
from auricle.lobes.layers.pooling import AttentiveStatistics

RAW = {"convolution": "trunk", "pooling": "bottleneck"}


def build(features=10, **options):
    torch.manual_seed(0)
    small = {"hidden": 16, "blocks": 2, "embedding_size": 12, "dropout": 0.0}
    return build_encoder("mlp_mixer", features, None, {"mlp_mixer": {**small, **options}})


# -- the published network, in the layout (B, C, N) and with torch's own layers --------------------


def batch_norm(x, norm, training):
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    return F.batch_norm(x, mean, var, norm.weight, norm.bias, training)


def layer_norm(x, norm):
    return F.layer_norm(x.mT, x.shape[1:2], norm.weight, norm.bias).mT


def block(x, own, training):
    channels = x.shape[1]

    def convolved(x):
        y = F.conv1d(x, own.conv.weight, padding=1, groups=channels)
        return x + batch_norm(y, own.conv_norm, training)

    if own.trunk:
        x = convolved(x)
        y = layer_norm(x, own.token_norm)
    else:
        y = convolved(layer_norm(x, own.token_norm))
    if own.token_taps is not None:
        weight = own.token_taps.T[:, None]
        y = F.conv1d(y, weight, padding=weight.shape[2] // 2, groups=channels)
    groups = own.token_in.groups
    y = F.gelu(F.conv1d(y, own.token_in.weight, own.token_in.bias, groups=groups))
    x = x + F.conv1d(y, own.token_out.weight, own.token_out.bias, groups=groups)
    y = own.channel_in(layer_norm(x, own.channel_norm).mT).mT
    first, second = y.chunk(2, dim=1)
    return x + own.channel_out(F.gelu(torch.max(first, second)).mT).mT


def network(feats, own, training):
    x = F.conv1d(feats.mT, own.stem.weight, padding=1)
    x = F.relu(batch_norm(x, own.stem_norm, training))
    for each in own.blocks:
        x = block(x, each, training)
    x = layer_norm(x, own.norm)
    pool = own.pooling
    y = F.conv1d(x, pool.first.weight[:, :, None], pool.first.bias)
    y = torch.tanh(y) if pool.norm is None else batch_norm(F.relu(y), pool.norm, training)
    weight = torch.softmax(F.conv1d(y, pool.second.weight[:, :, None], pool.second.bias), 2)
    mean = (weight * x).sum(2)
    deviation = ((weight * x.square()).sum(2) - mean.square()).clamp(min=1e-5).sqrt()
    embedding = own.dense(torch.cat([mean, deviation], 1))
    return batch_norm(embedding, own.embedding_norm, training)[:, None]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("change", [False, True])
@pytest.mark.parametrize(
    "options", [{}, RAW, {"token_mixing": True, "token_frames": 9}, {"groups": 2, "expansion": 4}]
)
def test_every_output_and_slope_is_that_of_the_published_layers(options, change, training):
    encoder = build(**options)
    if change:
        perturbed(encoder)
    encoder.train(training)
    feats = signals(57, 10)
    want = network(feats, encoder, training)
    direction = torch.randn(want.shape, generator=torch.Generator().manual_seed(3))
    parameters = dict(encoder.named_parameters())
    slopes = torch.autograd.grad((want * direction).sum(), parameters.values())
    got = encoder(feats)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-5)
    own = torch.autograd.grad((got * direction).sum(), parameters.values())
    for name, a, b in zip(parameters, own, slopes, strict=True):
        # Two biases change nothing: what they get is rounding.
        scale = max(float(b.abs().max()), 0.1)
        torch.testing.assert_close(
            a, b, rtol=0, atol=2e-3 * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("options", [{}, RAW])
@torch.no_grad()
def test_clips_taken_a_few_at_a_time_give_what_the_whole_batch_gives(options):
    encoder = perturbed(build(**options)).eval()
    feats = signals(300, 10).repeat(3, 1, 1) * torch.arange(1, 10)[:, None, None]
    lengths = torch.tensor([1.0, 0.5, 0.2, 1 / 300, 1, 1, 0.9, 0.3, 0.7])
    with torch.enable_grad():
        want, padded = encoder(feats), encoder(feats, lengths)
    assert len(feats) > 400 // 300 and want.std(0).min() > 1e-3
    torch.testing.assert_close(encoder(feats), want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encoder(feats, lengths), padded, rtol=1e-4, atol=1e-4)


# -- the parts -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("taps", "frames"), [(3, 20), (31, 20), (9, 3), (5, 1), (1, 4)])
def test_shifted_products_are_a_grouped_convolution(taps, frames):
    torch.manual_seed(0)
    feats = torch.randn(2, frames, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(taps, 6, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(6, dtype=torch.float64, requires_grad=True)
    want = F.conv1d(feats.mT, weight.T[:, None], bias, padding=taps // 2, groups=6).mT
    torch.testing.assert_close(depthwise_frames(feats, weight, bias), want)
    with torch.no_grad():
        torch.testing.assert_close(depthwise_frames(feats, weight, bias), want)
        torch.testing.assert_close(depthwise_frames(feats, weight), want - bias)
    assert torch.autograd.gradcheck(depthwise_frames, (feats, weight, bias))


@pytest.mark.parametrize("frames", [1, 2, 11])
def test_one_matrix_product_is_a_convolution(frames):
    torch.manual_seed(0)
    feats, conv = torch.randn(2, frames, 5), nn.Conv1d(5, 7, 3)
    want = F.conv1d(feats.mT, conv.weight, conv.bias, padding=1).mT
    torch.testing.assert_close(conv_frames(feats, conv), want)


def test_the_slope_of_the_larger_half_goes_to_where_it_came_from():
    torch.manual_seed(0)
    x = torch.randn(3, 5, 8, requires_grad=True)
    want, slope = torch.maximum(*x.chunk(2, 2)), torch.randn(3, 5, 4)
    got = max_feature_map(x)
    assert torch.equal(got, want)
    (a,), (b,) = (torch.autograd.grad(y, x, slope) for y in (got, want))
    assert torch.equal(a, b)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu_norm"])
@torch.no_grad()
def test_pooling_weighs_the_valid_frames_of_an_item(activation, shared):
    pool = perturbed(AttentiveStatistics(6, 4, activation, shared)).eval()
    feats, frames = 1 + torch.randn(4, 30, 6), torch.tensor([30, 17, 2, 1])
    for item, valid in enumerate(frames):
        feats[item, valid:] = torch.inf
    got = pool(feats, frames)
    for item, valid in enumerate(frames):
        x = feats[item, :valid].double()
        y = x @ pool.first.weight.double().T + pool.first.bias
        if pool.norm is None:
            y = y.tanh()
        else:
            norm = pool.norm
            y = y.clamp(min=0) - norm.running_mean
            y = y / (norm.running_var.double() + 1e-5).sqrt() * norm.weight + norm.bias
        weight = (y @ pool.second.weight.double().T + (0 if shared else pool.second.bias)).exp()
        weight = weight / weight.sum(0)
        mean = (weight * x).sum(0)
        deviation = ((weight * x * x).sum(0) - mean**2).clamp(min=1e-5).sqrt()
        want = torch.cat([mean, deviation]).float()
        torch.testing.assert_close(got[item, 0], want, rtol=1e-4, atol=1e-4)
