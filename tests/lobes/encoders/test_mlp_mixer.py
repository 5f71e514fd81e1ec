"""What the mixer's blocks see of time, what padding may do, and what is refused."""

import pytest
import torch
from torch.nn import functional as F

from auricle.lobes import build_encoder

SMALL = {"hidden": 16, "embedding_size": 12, "dropout": 0.0}
MIXING = {"token_mixing": True, "token_frames": 7}


def build(features=6, **options):
    torch.manual_seed(0)
    return build_encoder("mlp_mixer", features, None, {"mlp_mixer": {**SMALL, **options}})


def without_convolution(encoder):
    with torch.no_grad():
        for block in encoder.blocks:
            block.conv.weight.zero_()
    return encoder


@pytest.mark.parametrize("convolution", ["branch", "trunk"])
@torch.no_grad()
def test_published_block_is_blind_to_order_but_for_its_convolution(convolution):
    """The "token" perceptron of the published network mixes no tokens; the option does."""
    x, order = torch.randn(2, 40, 16), torch.randperm(40)

    def moved(block):
        return float((block(x[:, order]) - block(x)[:, order]).abs().max())

    options = {"blocks": 1, "convolution": convolution}
    assert moved(build(**options).eval().blocks[0]) > 0.1
    assert moved(without_convolution(build(**options)).eval().blocks[0]) < 1e-5
    mixing = without_convolution(build(**options, **MIXING)).eval().blocks[0]
    with_taps = moved(mixing)
    mixing.token_taps[torch.arange(7) != 3] = 0
    assert with_taps > 1e-3 and moved(mixing) < 1e-5


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ({"blocks": 6}, 15),
        ({"blocks": 2, "convolution": "trunk"}, 7),
        ({"blocks": 2, **MIXING}, 19),
        ({"blocks": 1, "token_mixing": True, "token_frames": 31}, 35),
    ],
)
def test_a_frame_sees_as_far_as_stated(options, frames):
    encoder = build(**options).eval()
    assert encoder.receptive_frames == frames
    feats = torch.randn(1, 81, 6, requires_grad=True)
    with torch.no_grad():
        for name, values in encoder.named_parameters():
            if "taps" in name or "conv" in name:
                values.add_(torch.randn(values.shape))  # so that the reach stands out
    encoder.frame_level(feats)[0, 40].mul(torch.randn(16)).sum().backward()
    (seen,) = feats.grad[0].abs().amax(1).nonzero(as_tuple=True)
    assert (int(seen.min()), int(seen.max())) == (40 - frames // 2, 40 + frames // 2)


def test_default_token_mixing_sees_two_seconds():
    assert build(blocks=6, token_mixing=True).receptive_frames == 195


@torch.no_grad()
def test_which_of_two_sounds_came_first_is_heard_with_token_mixing_only():
    """Two sounds 20 frames apart in a clip of nothing else: the published block sees each alone."""
    sounds = torch.randn(2, 6)
    feats = torch.zeros(2, 80, 6)
    feats[0, [30, 50]], feats[1, [30, 50]] = sounds, sounds.flip(0)

    def apart(**options):
        first, second = build(blocks=1, **options).eval()(feats)
        return float((first - second).abs().max() / first.abs().max())

    assert apart() < 1e-5
    assert apart(token_mixing=True, token_frames=41) > 1e-4


@pytest.mark.parametrize("options", [MIXING, {"token_mixing": True, "token_frames": 301}, {}])
@torch.no_grad()
def test_token_mixing_takes_any_length_and_ignores_padding(options):
    encoder = build(blocks=2, **options)
    encoder(torch.randn(4, 50, 6))  # statistics other than 0 and 1
    encoder.eval()
    frames = [50, 49, 20, 7, 2, 1]
    feats = torch.randn(len(frames), 50, 6)
    for item, valid in enumerate(frames):
        feats[item, valid:] = torch.inf
    got = encoder(feats, torch.tensor(frames) / 50)
    alone = torch.cat([encoder(feats[i : i + 1, :valid]) for i, valid in enumerate(frames)])
    assert alone.std(0).min() > 1e-3
    torch.testing.assert_close(got, alone, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_delayed_clip_gives_delayed_frames():
    encoder = build(blocks=2, **MIXING).eval()
    feats, reach = torch.randn(1, 90, 6), encoder.receptive_frames // 2
    whole, later = encoder.frame_level(feats), encoder.frame_level(feats[:, 11:])
    inner = slice(reach, -reach)
    torch.testing.assert_close(later[:, inner], whole[:, 11:][:, inner], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [MIXING, {"convolution": "trunk", "pooling": "bottleneck"}])
def test_padding_has_no_say_in_the_statistics_of_training(options):
    feats = torch.randn(3, 40, 6)
    short, long = (build(blocks=2, **options).train() for _ in range(2))
    want = short(feats)
    got = long(torch.cat([feats, 1e3 * torch.ones(3, 25, 6)], 1), torch.full((3,), 40 / 65))
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)
    moved = 0
    for (name, a), b in zip(short.named_buffers(), long.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
        moved += int(not torch.equal(a, torch.zeros_like(a)))
    assert moved > 5


@pytest.mark.slow
def test_token_mixing_learns_an_order():
    """Two classes that differ in nothing but which of two frames comes first, 12 frames apart."""
    torch.manual_seed(0)
    sounds, labels = torch.randn(2, 6), torch.arange(192) % 2
    feats = 0.1 * torch.randn(192, 40, 6)
    for item, label in enumerate(labels):
        at = torch.randint(0, 28, ())
        feats[item, [at, at + 12]] += 3 * (sounds if label else sounds.flip(0))

    def correct_of_new_clips(**options):
        encoder = build(blocks=1, **options)
        head = torch.nn.Linear(12, 2)
        optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=5e-3)
        for _ in range(40):
            loss = F.cross_entropy(head(encoder(feats[:128])[:, 0]), labels[:128])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            guess = head(encoder.eval()(feats[128:])[:, 0]).argmax(1)
        return float((guess == labels[128:]).float().mean())

    assert correct_of_new_clips(token_mixing=True, token_frames=25) > 0.95
    assert correct_of_new_clips() < 0.75
