"""The speaker encoders against SpeechBrain's networks, published counts and formulas written out."""

import itertools
import math

import pytest
import torch
from every_encoder import build, close, perturbed
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain.lobes.models.ResNet import ResNet
from torch.nn import functional as F

from auricle.lobes import build_encoder
from auricle.lobes.encoders.redimnet import ResidualBlock
from auricle.lobes.layers.masks import batch_mask

PARTS = torch.tensor([1.0, 0.5, 0.2])
FRAMES = 60


def trained(name, in_features=40, **options):
    return perturbed(build(name, in_features, **options))


def speech_like(items, in_features, frames=FRAMES):
    """Formants that move, in syllables, over a noise floor; as log energies around zero."""
    generator = torch.Generator().manual_seed(3)
    t = torch.arange(frames) / frames
    f = torch.arange(in_features) / in_features
    energy = torch.full((items, frames, in_features), 0.01)
    for item, formant in itertools.product(range(items), range(3)):
        phase = 6.28 * torch.rand(2, generator=generator)
        centre = 0.15 + 0.25 * formant + 0.08 * torch.sin(9 * t + phase[0])
        gate = torch.sin(20 * t + phase[1]).clamp(min=0)
        energy[item] += gate[:, None] * torch.exp(-(((f - centre[:, None]) / 0.05) ** 2))
    return energy.log() + 3


def chirp(items, in_features, frames=FRAMES):
    t, f = torch.arange(frames) / frames, torch.arange(in_features) / in_features
    ridge = torch.exp(-(((f - t[:, None]) / 0.04) ** 2))
    return ridge * torch.linspace(1, 5, items)[:, None, None]


SIGNALS = {
    "noise": lambda items, features: torch.randn(items, FRAMES, features),
    "chirp": chirp,
    "speech": speech_like,
}


# -- all of them -----------------------------------------------------------------------------------


def test_silence_has_finite_gradients_through_the_deepest_chain_of_normalisations():
    encoder = build_encoder("ecapa", 40, None, {"ecapa": {"channels": 64}}).train()
    weights = torch.randn(3, 1, 192)
    (encoder(torch.zeros(3, 50, 40)) * weights).sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


# -- ecapa -----------------------------------------------------------------------------------------


def speechbrains_ecapa(encoder, in_features=40):
    other = ECAPA_TDNN(
        in_features,
        lin_neurons=24,
        channels=[32, 32, 32, 32, 96],
        attention_channels=8,
        se_channels=8,
    )
    other.load_state_dict(encoder.net.state_dict())
    return other.train(encoder.training)


def test_ecapa_trains_as_speechbrains_does():
    encoder = build("ecapa").train()
    other = speechbrains_ecapa(encoder)
    feats = speech_like(4, 40)
    for net in (encoder, other):
        (net(feats) * torch.linspace(-1, 1, 24)).sum().backward()
    for (key, p), q in zip(encoder.net.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(
            p.grad, q.grad, rtol=0, atol=1e-4 * float(q.grad.abs().max()) + 1e-4, msg=key
        )
    state = other.state_dict()
    for key, value in encoder.net.state_dict().items():
        torch.testing.assert_close(value, state[key])


# -- resnet34 --------------------------------------------------------------------------------------


def test_resnet34_without_what_speechbrain_adds_is_wespeakers():
    """6.63 million: no gates, no third convolutions, no attention, no norms at the end."""
    with torch.device("meta"):
        net = build_encoder("resnet34", 80).net
    added = (".se.", ".conv3.", ".bn3.", "attention.", "norm_stats.", "norm_embed.")
    rest = {
        key: p.numel()
        for key, p in net.named_parameters()
        if not any(part in key for part in added)
    }
    assert sum(rest.values()) / 1e6 == pytest.approx(6.63, abs=0.005)


def speechbrains_resnet(encoder):
    other = ResNet(40, channels=[4, 6, 8, 8], block_sizes=[1, 2, 1, 1], lin_neurons=24)
    other.load_state_dict(encoder.net.state_dict())
    return other.train(encoder.training)


# -- both, against SpeechBrain's networks with the same weights ------------------------------------

SPEECHBRAINS = {"ecapa": speechbrains_ecapa, "resnet34": speechbrains_resnet}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("make", [build, trained])
@pytest.mark.parametrize("name", SPEECHBRAINS)
@torch.no_grad()
def test_output_is_speechbrains(name, make, signal):
    encoder = make(name).eval()
    torch.manual_seed(2)
    feats = SIGNALS[signal](3, 40)
    expected = SPEECHBRAINS[name](encoder)(feats).view(3, 1, -1)
    if name == "ecapa":
        atol = 1e-6 * float(expected.abs().max())
        torch.testing.assert_close(encoder(feats), expected, rtol=0, atol=atol)
    else:
        close(encoder(feats), expected)


@pytest.mark.parametrize(("name", "influence"), [("ecapa", 1e-3), ("resnet34", 1e-2)])
@torch.no_grad()
def test_a_padded_item_is_speechbrains_of_the_item_alone(name, influence):
    """SpeechBrain's own result depends on the padding."""
    encoder = trained(name)
    other = SPEECHBRAINS[name](encoder)
    feats, frames = speech_like(4, 40), [60, 43, 24, 7]
    lengths = torch.tensor(frames) / 60
    alone = torch.cat([other(feats[i : i + 1, :n]) for i, n in enumerate(frames)])
    close(encoder(feats, lengths).view(alone.shape), alone)
    assert (other(feats, lengths) - alone).abs().max() > influence * alone.abs().max()


# -- redimnet --------------------------------------------------------------------------------------


def eval_norm(x, norm):
    shape = (1, -1, *[1] * (x.dim() - 2))
    x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + norm.eps).sqrt()
    return x * norm.weight.view(shape) + norm.bias.view(shape)


def over_channels(x, norm):
    shape = (1, -1, *[1] * (x.dim() - 2))
    x = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-6).sqrt()
    return x * norm.weight.view(shape) + norm.bias.view(shape)


def attention(x, layer):
    """Post-normalised self-attention of four heads, then a feed-forward net of equal width."""
    items, frames, width = x.shape
    heads = lambda t: t.view(items, frames, 4, width // 4).transpose(1, 2)  # noqa: E731
    given = F.linear(x, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias)
    query, key, value = (heads(part) for part in given.chunk(3, dim=2))
    weights = (query @ key.transpose(2, 3) / math.sqrt(width // 4)).softmax(3)
    mixed = (weights @ value).transpose(1, 2).reshape(x.shape)
    mixed = F.linear(mixed, layer.self_attn.out_proj.weight, layer.self_attn.out_proj.bias)
    x = over_channels((x + mixed).transpose(1, 2), layer.norm1).transpose(1, 2)
    inner = F.linear(x, layer.linear1.weight, layer.linear1.bias)
    inner = 0.5 * inner * (1 + torch.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
    x = x + F.linear(inner, layer.linear2.weight, layer.linear2.bias)
    return over_channels(x.transpose(1, 2), layer.norm2).transpose(1, 2)


def conv(x, layer, groups=1):
    function = F.conv1d if x.dim() == 3 else F.conv2d
    pad = layer.weight.shape[-1] // 2
    stride = (layer.weight.shape[2], 1) if layer.weight.shape[2:] in [(2, 1), (3, 1)] else 1
    return function(x, layer.weight, layer.bias, stride, pad, 1, groups)


SETUPS = {
    # channels, channels per group, then stride, blocks, widening of each stage; has it a context
    "b0": (10, 1, [(1, 2, 1), (2, 3, 2), (1, 3, 3), (2, 4, 2), (1, 3, 1)], [1, 1, 1, 1, 1]),
    "b1": (12, 8, [(1, 2, 1), (2, 3, 1), (3, 4, 1), (2, 5, 1), (2, 3, 1)], [0, 0, 1, 1, 1]),
    "b3": (16, 1, [(1, 6, 4), (2, 6, 2), (1, 8, 2), (2, 10, 2), (1, 10, 1), (2, 8, 1)], [1] * 6),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("size", SETUPS)
@torch.no_grad()
def test_redimnet_is_what_the_paper_writes(size):
    channels, group, setup, contexts = SETUPS[size]
    encoder = trained("redimnet", 24, size=size).double()
    feats = torch.randn(2, 21, 24, dtype=torch.double)
    x = over_channels(conv(feats.transpose(1, 2)[:, None], encoder.stem), encoder.stem_norm)
    # Channel c of row f of the picture is channel f C + c of the sequence.
    outputs = [torch.stack([x[:, c, f] for f in range(24) for c in range(channels)], dim=1)]
    x, c, rows = outputs[0], channels, 24
    for index, (stride, blocks, widening) in enumerate(setup):
        stage = encoder.stages[index]
        x = torch.stack([x[:, i::c] for i in range(c)], dim=1)
        assert x.shape == (2, c, rows, 21)
        c, rows = stride * c, rows // stride
        wide = c * widening
        x = conv(x, stage.enter)
        assert len(stage.blocks) == blocks and x.shape == (2, wide, rows, 21)
        for block in stage.blocks:
            if size == "b1":
                y = F.gelu(eval_norm(conv(x, block.convolutions[0], wide // group), block.norm))
                x = x + conv(y, block.mix)
                continue
            y = conv(conv(x, block.first, wide // group), block.first_mix)
            y = eval_norm(y.relu(), block.first_norm)
            y = eval_norm(conv(conv(y, block.second, wide), block.second_mix), block.second_norm)
            if size == "b3":
                gate = F.linear(y.mean((1, 3)), block.gate[0].weight, block.gate[0].bias).relu()
                gate = F.linear(gate, block.gate[2].weight, block.gate[2].bias).sigmoid()
                y = y * gate[:, None, :, None]
            x = (x + y).relu()
        if widening > 1:
            y = eval_norm(conv(x, stage.leave.convolution, c // group), stage.leave.norm)
            x = conv(F.gelu(y), stage.leave.mix)
        x = torch.stack([x[:, i, f] for f in range(rows) for i in range(c)], dim=1)
        assert (stage.context is not None) == contexts[index]
        if stage.context is not None:
            y = over_channels(conv(x, stage.context.reduce), stage.context.norm)
            for block, kernel in zip(stage.context.blocks, (7, 19, 31, 59), strict=True):
                assert block.convolutions[0].kernel_size == (kernel,)
                z = F.gelu(eval_norm(conv(y, block.convolutions[0], y.shape[1]), block.norm))
                y = y + conv(z, block.mix)
            y = attention(y.transpose(1, 2), stage.context.attention).transpose(1, 2)
            x = x + conv(y, stage.context.expand)
        outputs.append(x)
        weights = encoder.mix[index].exp()
        weights = weights / weights.sum(1, keepdim=True)
        x = (torch.stack(outputs, dim=1) * weights).sum(1)
    mean = x.mean(2, keepdim=True).expand_as(x)
    deviation = (x.var(2, keepdim=True) + 1e-7).sqrt().expand_as(x)
    scores = conv(torch.cat([x, mean, deviation], dim=1), encoder.attention_in).tanh()
    weights = conv(scores, encoder.attention_out).softmax(2)
    mean = (weights * x).sum(2)
    deviation = ((weights * x**2).sum(2) - mean**2).clamp(min=1e-7).sqrt()
    pooled = eval_norm(torch.cat([mean, deviation], dim=1), encoder.pool_norm)
    close(encoder(feats)[:, 0], F.linear(pooled, encoder.embed.weight, encoder.embed.bias), 1e-4)


@torch.no_grad()
def test_redimnet_gates_by_the_mean_of_the_valid_frames():
    torch.manual_seed(0)
    block = ResidualBlock(8, 1, 10).eval()
    x = torch.randn(3, 8, 10, 20)
    got = block(x, batch_mask(x[:, 0].transpose(1, 2), PARTS))
    for item, count in enumerate([20, 10, 4]):
        alone = block(x[item : item + 1, ..., :count], None)
        torch.testing.assert_close(got[item : item + 1, ..., :count], alone)
    assert (got - block(x, None))[2, ..., :3].abs().max() > 1e-3


@torch.no_grad()
def test_redimnet_adds_rows_of_zeros_above_the_highest_feature():
    encoder, wider = trained("redimnet", 22), trained("redimnet", 24)
    assert encoder.state_dict().keys() == wider.state_dict().keys()
    feats = torch.randn(2, 30, 22)
    close(encoder(feats), wider(F.pad(feats, (0, 2))))
