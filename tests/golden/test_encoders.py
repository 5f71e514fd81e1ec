"""The encoders against published counts, formulas written out, and other people's layers."""

import math
from functools import partial

import pytest
import torch
from every_encoder import SMALL
from speechbrain.lobes.models.Xvector import Xvector
from speechbrain.nnet.pooling import StatisticsPooling
from torch import nn
from torch.nn import functional as F

from auricle.lobes import build_encoder
from auricle.lobes.encoders.bcresnet import SubSpectralNorm
from auricle.lobes.encoders.kwt import Layer
from auricle.lobes.encoders.small_cnn import _cells
from auricle.lobes.encoders.transformer import sinusoidal_positions


def build(name, in_features=40, in_frames=101, **options):
    torch.manual_seed(0)
    return build_encoder(name, in_features, in_frames, {name: options})


def trained(name, in_features=40, **options):
    """In eval mode, with running statistics and scales that are not those of the beginning."""
    encoder = build(name, in_features, **{**SMALL[name], **options})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                size = module.running_mean.shape
                module.running_mean.copy_(torch.randn(size, generator=generator) / 10)
                module.running_var.copy_((torch.rand(size, generator=generator) + 0.5) / 10)
                module.weight.copy_(torch.rand(size, generator=generator) + 0.5)
                module.bias.copy_(torch.randn(size, generator=generator) / 10)
    return encoder.eval()


def close(got, expected, tolerance=1e-5):
    """Equal to a fraction of what tells the items apart, which is less than the values are."""
    spread = float((expected - expected.mean(0)).abs().max()) if len(expected) > 1 else 1.0
    assert spread > 0.01 * float(expected.abs().max())
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance * spread)


@pytest.mark.parametrize("name", ["linear", "kwt"])
def test_more_frames_than_there_is_room_for(name):
    with pytest.raises(ValueError, match="101 frames and got 102"):
        build(name)(torch.zeros(1, 102, 40))


# -- linear ----------------------------------------------------------------------------------------


def test_linear_is_the_frames_side_by_side():
    feats = torch.randn(2, 3, 2)
    out = build("linear", 2, 4)(feats, torch.tensor([1.0, 1 / 3]))
    assert out[0, 0].tolist() == [*feats[0].flatten().tolist(), 0, 0]
    assert out[1, 0].tolist() == [*feats[1, 0].tolist(), 0, 0, 0, 0, 0, 0]


# -- small_cnn -------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 13, 26])
def test_small_cnn_time_cells_are_adaptive_average_pooling(frames):
    x = torch.randn(2, 3, frames)
    weights = _cells(torch.tensor([frames, frames]), frames, 4)
    torch.testing.assert_close(x @ weights, F.adaptive_avg_pool1d(x, 4))


# -- bcresnet --------------------------------------------------------------------------------------


def test_bcresnet_declares_too_few_features():
    with pytest.raises(ValueError, match="Encoders that fit: .*cnn14"):
        build("bcresnet", 7)


def test_sub_spectral_norm_is_one_norm_for_each_channel_and_band():
    norm = SubSpectralNorm(3, 10, 5)
    with torch.no_grad():
        norm.norm.weight.uniform_(0.5, 2)
        norm.norm.bias.normal_()
    x = torch.randn(4, 3, 10, 7)
    # The norm takes (channels, rows, batch, frames).
    got = norm(x.permute(1, 2, 0, 3)).permute(2, 0, 1, 3)
    for channel in range(3):
        for band in range(5):
            part = x[:, channel, 2 * band : 2 * band + 2]
            scale = norm.norm.weight[5 * channel + band]
            shift = norm.norm.bias[5 * channel + band]
            expected = (part - part.mean()) / (part.var(correction=0) + 1e-5).sqrt() * scale + shift
            torch.testing.assert_close(got[:, channel, 2 * band : 2 * band + 2], expected)


def eval_norm(x, norm):
    """Batch normalisation in eval mode, written out; axis 1 is the channel."""
    shape = (1, -1, *[1] * (x.dim() - 2))
    x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-5).sqrt()
    return x * norm.weight.view(shape) + norm.bias.view(shape)


@torch.no_grad()
def test_bcresnet_is_what_the_paper_writes():
    encoder = trained("bcresnet")
    feats = torch.randn(3, 101, 40)
    x = F.conv2d(feats.transpose(1, 2)[:, None], encoder.head.weight, stride=(2, 1), padding=2)
    x = eval_norm(x, encoder.head_norm).relu()
    for index, block in enumerate(encoder.blocks):
        stage = next(stage for stage, last in enumerate((2, 4, 8, 12)) if index < last)
        first = index in (0, 2, 4, 8)
        channels, given = block.frequency.weight.shape[0], x
        if first:
            x = eval_norm(
                F.conv2d(x, block.transition.weight[..., None, None]), block.transition_norm
            ).relu()
        stride = 2 if first and stage in (1, 2) else 1
        wide = F.conv2d(
            x, block.frequency.weight[:, None, :, None], None, (stride, 1), (1, 0), 1, channels
        )
        bands = wide.reshape(3, channels * 5, -1, 101)
        wide = eval_norm(bands, block.sub_spectral_norm.norm).reshape(wide.shape)
        mean = wide.mean(2, keepdim=True)
        taps, mix = block.time[:, None, None], block.mix.weight[..., None, None]
        mean = F.conv2d(mean, taps, None, 1, (0, 2**stage), (1, 2**stage), channels)
        mean = F.silu(eval_norm(mean, block.time_norm))
        x = (F.conv2d(mean, mix) + wide + (0 if first else given)).relu()
    assert x.shape == (3, 20, 5, 101)
    x = F.conv2d(x, encoder.tail.weight, padding=(0, 2), groups=20)
    x = F.conv2d(x, encoder.expand[0].weight)
    close(encoder(feats)[:, 0], eval_norm(x, encoder.expand[1]).relu().mean((2, 3)))


@torch.no_grad()
def test_bcresnet_looks_as_far_along_time_as_its_dilations_say():
    encoder = trained("bcresnet", dropout=0.0).double()
    seen = []
    encoder.tail.register_forward_hook(lambda module, given, out: seen.append(out))
    feats = torch.randn(1, 301, 40, dtype=torch.double)
    encoder(feats)
    feats[0, 150] += 1
    encoder(feats)
    changed = (seen[0] - seen[1]).abs().amax((0, 1, 2)).nonzero().flatten()
    # Kernel of 5 before and after; two, two, four and four blocks with 3 taps 1, 2, 4 and 8 apart.
    reach = 2 + 2 * 1 + 2 * 2 + 4 * 4 + 4 * 8 + 2
    assert (changed.min(), changed.max()) == (150 - reach, 150 + reach)


# -- cnn14 -----------------------------------------------------------------------------------------


@torch.no_grad()
def test_cnn14_is_what_the_paper_writes():
    encoder = trained("cnn14", 64)
    feats = torch.randn(3, 101, 64)
    x = eval_norm(feats.transpose(1, 2), encoder.feature_norm).transpose(1, 2)[:, None]
    for index, block in enumerate(encoder.blocks):
        x = eval_norm(F.conv2d(x, block.first.weight, padding=1), block.first_norm).relu()
        x = eval_norm(F.conv2d(x, block.second.weight, padding=1), block.second_norm).relu()
        if index < 5:
            x = F.avg_pool2d(x, 2)
    assert x.shape[2:] == (3, 2)
    x = x.mean(3)
    x = F.linear(x.max(2).values + x.mean(2), encoder.dense.weight, encoder.dense.bias).relu()
    close(encoder(feats)[:, 0], x)


# -- transformer -----------------------------------------------------------------------------------


def test_transformer_positions():
    positions = sinusoidal_positions(300, 16)
    for frame in (0, 1, 7, 299):
        for i in range(8):
            angle = frame / 10000 ** (2 * i / 16)
            assert float(positions[frame, 2 * i]) == pytest.approx(math.sin(angle), abs=1e-4)
            assert float(positions[frame, 2 * i + 1]) == pytest.approx(math.cos(angle), abs=1e-4)


@torch.no_grad()
def test_transformer_knows_the_order_of_the_frames():
    encoder = trained("transformer")
    feats = torch.randn(1, 20, 40)
    assert (encoder(feats) - encoder(feats.flip(1))).abs().max() > 0.01


@torch.no_grad()
def test_transformer_frames():
    encoder = trained("transformer", output="frames")
    feats = torch.randn(2, 20, 40)
    out = encoder(feats, torch.tensor([1.0, 0.5]))
    assert out.shape == (2, 20, encoder.out_features) and encoder.num_frames(20) == 20
    close(out[1:, :10], encoder(feats[1:, :10]))
    assert not out[1, 10:].any()
    utterance = trained("transformer")
    utterance.load_state_dict(encoder.state_dict())
    close(utterance(feats, torch.tensor([1.0, 0.5]))[1, 0], out[1, :10].mean(0))


def test_transformer_layers_do_not_start_as_copies():
    first, second = build("transformer", **SMALL["transformer"]).encoder.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


# -- kwt -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gelu", "activation"), [("exact", F.gelu), ("tanh", partial(F.gelu, approximate="tanh"))]
)
@torch.no_grad()
def test_kwt_layer_is_the_layer_of_torch(gelu, activation):
    torch.manual_seed(0)
    ours = Layer(128, 2, 0.0, gelu).eval()
    torchs = nn.TransformerEncoderLayer(
        128, 2, 512, 0.0, activation, layer_norm_eps=1e-6, batch_first=True
    ).eval()
    for norm in (ours.attention_norm, ours.feed_forward_norm):
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    torchs.self_attn.in_proj_weight.copy_(ours.attention.query_key_value.weight)
    torchs.self_attn.in_proj_bias.zero_()
    torchs.self_attn.out_proj.load_state_dict(ours.attention.output.state_dict())
    torchs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
    torchs.linear2.load_state_dict(ours.feed_forward[2].state_dict())
    torchs.norm1.load_state_dict(ours.attention_norm.state_dict())
    torchs.norm2.load_state_dict(ours.feed_forward_norm.state_dict())
    x = torch.randn(3, 11, 128)
    attended = torch.arange(11) < torch.tensor([11, 6, 1])[:, None]
    expected = torchs(x, src_key_padding_mask=~attended)
    close(ours(x, attended)[attended], expected[attended])
    close(ours(x), torchs(x))


# -- xvector ---------------------------------------------------------------------------------------


@torch.no_grad()
def test_xvector_is_speechbrains_without_its_noise(monkeypatch):
    monkeypatch.setattr(
        StatisticsPooling, "_get_gauss_noise", lambda self, size, device: torch.zeros(size)
    )
    encoder = trained("xvector")
    other = Xvector(tdnn_channels=[16, 16, 16, 16, 24], lin_neurons=8, in_channels=40).eval()
    other.load_state_dict(encoder.net.state_dict())
    feats = torch.randn(3, 60, 40)
    close(encoder(feats), other(feats))
    # Where SpeechBrain's own result depends on the padding, ours is its result without any.
    lengths = torch.tensor([1.0, 0.5, 0.25])
    alone = torch.cat([other(feats[i : i + 1, :n]) for i, n in enumerate([60, 30, 15])])
    close(encoder(feats, lengths), alone)
    assert (other(feats, lengths) - alone).abs().max() > 1e-3 * alone.abs().max()
