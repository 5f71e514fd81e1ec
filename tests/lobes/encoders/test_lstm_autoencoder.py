"""The LSTM encoder against torch's layers, its two halves in pre-training, and padding."""

import pytest
import torch
from torch.nn import functional as F

from auricle.lobes import build_encoder

SMALL = {"channels": 12, "latent": 8, "lstm_units": 6, "embedding_size": 10}
STILL = {"dropout": 0.0, "lstm_dropout": 0.0}


def build(features=7, **options):
    torch.manual_seed(0)
    options = {"lstm_autoencoder": {**SMALL, **options}}
    return build_encoder("lstm_autoencoder", features, None, options)


def with_statistics(encoder):
    """In eval mode, with running statistics that are not those of the beginning."""
    encoder.train()
    with torch.no_grad():
        for _ in range(3):
            encoder(torch.randn(4, 30, encoder.in_features))
    return encoder.eval()


def speech_like(items=8, frames=40, features=7):
    """Slow movements that neighbouring features share, of unit variance."""
    torch.manual_seed(3)
    x = F.avg_pool1d(torch.randn(items, 2, frames + 8), 9, 1)
    x = torch.einsum("bkn,kf->bnf", x, torch.randn(2, features))
    return 0.5 * (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)


def stack(x, half, training):
    for index, conv in enumerate(half.convs):
        x = F.conv1d(x, conv.weight, conv.bias, padding=1)
        if index == len(half.norms):
            return x.tanh()
        norm = half.norms[index]
        mean, var = norm.running_mean.clone(), norm.running_var.clone()
        x = F.relu(F.batch_norm(x, mean, var, norm.weight, norm.bias, training))
    return x


@pytest.mark.parametrize("training", [False, True])
def test_the_embedding_is_that_of_the_described_layers(training):
    encoder = with_statistics(build(**STILL)).train(training)
    feats = torch.cat([torch.randn(2, 40, 7), speech_like(3)])
    with torch.no_grad():
        x = encoder.lstm(stack(feats.mT, encoder.encoder, training).mT)[0]
        x = F.layer_norm(x, (12,), encoder.norm.weight, encoder.norm.bias)
        score = encoder.pooling.second(torch.tanh(encoder.pooling.first(x)))
        weight = score.exp() / score.exp().sum(1, keepdim=True)
        mean = (weight * x).sum(1)
        deviation = (weight * (x - mean[:, None]).square()).sum(1).clamp(min=1e-5).sqrt()
        x, norm = encoder.dense(torch.cat([mean, deviation], 1)), encoder.embedding_norm
        mean, var = norm.running_mean.clone(), norm.running_var.clone()
        want = F.batch_norm(x, mean, var, norm.weight, norm.bias, training)
        got = encoder(feats)[:, 0]
    assert want.std(0).min() > 1e-3
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_both_directions_begin_and_end_with_the_item():
    encoder = with_statistics(build())
    frames = [50, 49, 20, 3, 2, 1]
    feats = torch.randn(len(frames), 50, 7)
    for item, valid in enumerate(frames):
        feats[item, valid:] = torch.inf
    with torch.no_grad():
        got = encoder(feats, torch.tensor(frames) / 50)
        alone = torch.cat([encoder(feats[i : i + 1, :valid]) for i, valid in enumerate(frames)])
        assert alone.std(0).min() > 1e-3
        torch.testing.assert_close(got, alone, rtol=1e-4, atol=1e-4)
    # The last valid frame reaches the embedding through the first frame's backward direction too.
    feats = torch.randn(1, 20, 7, requires_grad=True)
    encoder(feats, torch.tensor([0.6])).sum().backward()
    assert feats.grad[0, 11].any() and not feats.grad[0, 12:].any()


def test_each_half_learns_when_it_is_used():
    """Ordinary training moves all but the decoder, pre-training the autoencoder alone."""
    encoder = build(decoder=True).train()
    feats = torch.randn(4, 30, 7)

    def learning(loss):
        encoder.zero_grad()
        loss.backward()
        return {
            name for name, p in encoder.named_parameters() if p.grad is not None and p.grad.any()
        }

    everything = {name for name, _ in encoder.named_parameters()}
    decoder = {name for name in everything if name.startswith("decoder.")}
    convolutions = {name for name in everything if name.startswith("encoder.")}
    assert len(decoder) == 10 and len(convolutions) == 12
    assert learning((encoder(feats) * torch.randn(4, 1, 10)).sum()) == everything - decoder
    assert learning(encoder.pretraining_loss(feats).mean()) == decoder | convolutions


def test_pretraining_removes_noise_and_the_embedding_uses_what_it_learned():
    encoder = build(decoder=True, dropout=0.0, noise=0.5)
    feats, held_out = speech_like(24)[:16], speech_like(24)[16:]
    before = encoder.eval()(feats).detach()

    def loss_on_held_out():
        encoder.eval()
        torch.manual_seed(7)
        with torch.no_grad():
            return float(encoder.pretraining_loss(held_out).mean())

    untrained = loss_on_held_out()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    for _ in range(60):
        encoder.train()
        optimizer.zero_grad()
        encoder.pretraining_loss(feats).mean().backward()
        optimizer.step()
    # The noise alone is an error of 0.25: less means that it was removed and not copied.
    assert loss_on_held_out() < 0.15 < 0.25 < untrained
    assert (encoder.eval()(feats) - before).abs().max() > 0.1
    # Without the decoder it is the same encoder, under the same names.
    state = {k: v for k, v in encoder.state_dict().items() if not k.startswith("decoder.")}
    alone = build()
    alone.load_state_dict(state)
    assert torch.equal(alone.eval()(feats), encoder(feats))


@torch.no_grad()
def test_the_loss_is_the_mean_square_over_valid_frames():
    encoder = build(decoder=True, noise=0.0).eval()
    feats = torch.randn(3, 30, 7)
    frames = [30, 13, 1]
    for item, valid in enumerate(frames):
        feats[item, valid:] = torch.inf
    got = encoder.pretraining_loss(feats, torch.tensor(frames) / 30)
    for item, valid in enumerate(frames):
        clean = feats[item : item + 1, :valid]
        rebuilt = stack(stack(clean.mT, encoder.encoder, False), encoder.decoder, False).mT
        torch.testing.assert_close(got[item], (rebuilt - clean).square().mean())
        torch.testing.assert_close(got[item], encoder.pretraining_loss(clean)[0])


@torch.no_grad()
def test_noise_is_added_to_what_goes_in_and_not_to_what_is_wanted():
    """A decoder that gives 0 misses the clean features, however loud the noise."""
    feats = torch.randn(2, 30, 7)
    for noise in (0.0, 5.0):
        encoder = build(decoder=True, noise=noise).eval()
        loud = encoder.pretraining_loss(feats)
        assert torch.equal(loud, encoder.pretraining_loss(feats)) == (noise == 0)
        encoder.decoder.convs[-1].weight.zero_()
        want = feats.square().mean((1, 2))
        torch.testing.assert_close(encoder.pretraining_loss(feats), want)


def test_pretraining_without_a_decoder_says_what_to_set():
    with pytest.raises(ValueError, match="decoder must be True .* got False: .*decoder: true"):
        build().pretraining_loss(torch.randn(2, 30, 7))


def test_a_batch_of_one_clip_and_one_frame_is_taken():
    loss = build(decoder=True).train()(torch.randn(1, 1, 7)).sum()
    loss.backward()
    assert loss.isfinite()
