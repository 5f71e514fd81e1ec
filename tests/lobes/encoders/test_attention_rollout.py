"""Attention rollout: against a loop in numpy, and patches found where they were put."""

import numpy as np
import pytest
import torch

from auricle.lobes import build_encoder
from auricle.lobes.encoders._patch.rollout import (
    attention_rollout,
    attentions_of,
    patch_grid,
    rollout_picture,
)


def build(name, **options):
    torch.manual_seed(0)
    return build_encoder(name, 40, options={name: {"depth": 2, "frames": 160, **options}})


def drawn(layers=3, batch=2, heads=4, tokens=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(layers, batch, heads, tokens, tokens, generator=generator)
    return list(scores.softmax(-1))


def by_loop(attentions, heads, discard, prefix):
    """What the docstring says, one number at a time."""
    out = []
    for item in range(len(attentions[0])):
        rollout = None
        for layer in attentions:
            a = getattr(np, heads)(layer[item].numpy().astype(np.float64), axis=0)
            tokens = len(a)
            places = [(i, j) for i in range(tokens) for j in range(prefix, tokens)]
            places.sort(key=lambda place, a=a: a[place])
            for place in places[: int(discard * len(places))]:
                a[place] = 0
            a = 0.5 * a + 0.5 * np.eye(tokens)
            a = a / a.sum(1, keepdims=True)
            rollout = a if rollout is None else a @ rollout
        out.append(rollout[:prefix].mean(0))
    return torch.from_numpy(np.stack(out)).float()


@pytest.mark.parametrize("prefix", [1, 2])
@pytest.mark.parametrize("discard", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("heads", ["mean", "max", "min"])
def test_rollout_is_its_definition(heads, discard, prefix):
    attentions = drawn()
    got = attention_rollout(attentions, heads, discard, prefix)
    assert got.shape == (2, 7)
    torch.testing.assert_close(got, by_loop(attentions, heads, discard, prefix))
    torch.testing.assert_close(got.sum(1), torch.ones(2))
    assert (got >= 0).all()


def test_rollout_of_known_attention():
    # Nobody looks anywhere else: all stays with the class token.
    alone = torch.eye(5).expand(1, 2, 5, 5)
    assert attention_rollout([alone] * 4).tolist() == [[1, 0, 0, 0, 0]]
    # The class token looks at 3, and 3 at 4: half goes on per layer.
    chain = torch.eye(5)
    chain[0], chain[3] = torch.eye(5)[3], torch.eye(5)[4]
    chain = chain.expand(1, 2, 5, 5)
    assert attention_rollout([chain]).tolist() == [[0.5, 0, 0, 0.5, 0]]
    assert attention_rollout([chain, chain]).tolist() == [[0.25, 0, 0, 0.5, 0.25]]


def test_rollout_goes_from_the_last_layer_to_the_first():
    to_two, one_to_three = torch.eye(4), torch.eye(4)
    to_two[0] = torch.eye(4)[2]
    one_to_three[2] = torch.eye(4)[3]
    first, last = one_to_three.expand(1, 1, 4, 4), to_two.expand(1, 1, 4, 4)
    assert attention_rollout([first, last]).tolist() == [[0.5, 0, 0.25, 0.25]]
    assert attention_rollout([last, first]).tolist() == [[0.5, 0, 0.5, 0]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"heads": "median"}, "heads must be one of"),
        ({"discard": 1.0}, "discard must be .* below 1, got 1"),
        ({"prefix_tokens": 0}, "prefix_tokens must be .* got 0"),
        ({"prefix_tokens": 7}, "prefix_tokens 7 leaves none of 7 tokens"),
        ({"attentions": []}, "at least one layer, got none"),
        ({"attentions": [torch.ones(1, 4, 4)]}, r"must all be \(B, heads, T, T\).*\(1, 4, 4\)"),
        ({"attentions": [torch.ones(1, 1, 4, 5)]}, r"got \[\(1, 1, 4, 5\)\]"),
        ({"attentions": drawn(1) + drawn(1, tokens=6)}, r"got \[\(2, 4, 6, 6\), \(2, 4, 7, 7\)\]"),
    ],
)
def test_bad_input_is_named(change, says):
    with pytest.raises(ValueError, match=says):
        attention_rollout(**{"attentions": drawn(), **change})


@pytest.mark.parametrize("name", ["vit", "ast"])
@torch.no_grad()
def test_attentions_are_those_of_the_encoder(name):
    encoder = build(name, dropout=0.3).train()
    feats, lengths = torch.randn(2, 160, 40), torch.tensor([1.0, 0.5])
    state = {key: value.clone() for key, value in encoder.state_dict().items()}
    attentions = attentions_of(encoder, feats, lengths)
    assert encoder.training and all(block.training for block in encoder.blocks)
    assert all(block.attn.fused_attn for block in encoder.blocks)
    assert not any(part._forward_pre_hooks for part in encoder.modules())
    assert all(torch.equal(value, state[key]) for key, value in encoder.state_dict().items())
    tokens = encoder.tokens(160)
    assert [tuple(a.shape) for a in attentions] == [(2, 3, tokens, tokens)] * 2
    for layer in attentions:
        torch.testing.assert_close(layer.sum(3), torch.ones(2, 3, tokens))
    # The encoder's own output, from these matrices.
    encoder.eval()
    x, _ = encoder.embed(feats, lengths)
    for block, layer in zip(encoder.blocks, attentions, strict=True):
        qkv = block.attn.qkv(block.norm1(x)).unflatten(2, (3, 3, 64))
        x = x + block.attn.proj((layer @ qkv[:, :, 2].transpose(1, 2)).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    want = encoder.norm(x)[:, : encoder.prefix_tokens].mean(1, keepdim=True)
    torch.testing.assert_close(encoder(feats, lengths), want, rtol=1e-4, atol=1e-5)
    picture = rollout_picture(encoder, feats, lengths)
    assert picture.shape == (2, encoder.grid[0], encoder.columns(160))
    own = encoder.columns(80)
    assert not picture[1, :, own:].any() and (picture[1, :, :own] > 0).all()
    alone = rollout_picture(encoder, feats[1:, :80])
    torch.testing.assert_close(picture[1:, :, :own], alone, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [("vit", {}), ("ast", {}), ("ast", {"edges": "pad", "stride_frames": 13})],
)
@torch.no_grad()
def test_a_change_in_time_and_frequency_is_found_in_its_patches(name, options):
    """One value of one frame changes the tokens whose seconds and Hz hold it, and no others."""
    encoder = build(name, **options).eval()
    frames, frame_s = 101, 0.01
    edges_hz = torch.linspace(0, 40, 41) ** 2
    grid = patch_grid(encoder, frames, frame_s, edges_hz)
    feats = torch.randn(1, frames, 40)
    before, _ = encoder.embed(feats)
    for frame, feature in ((0, 0), (5, 39), (17, 20), (37, 3), (64, 30), (100, 16)):
        changed = feats.clone()
        changed[0, frame, feature] += 1
        after, _ = encoder.embed(changed)
        moved = (after != before).any(2)[0, encoder.prefix_tokens :]
        time_s = (frame + 0.5) * frame_s
        freq_hz = (edges_hz[feature] + edges_hz[feature + 1]) / 2
        in_time = (grid.start_s < time_s) & (time_s < grid.end_s)
        in_freq = (grid.low_hz < freq_hz) & (freq_hz < grid.high_hz)
        want = in_freq[:, None] & in_time
        assert torch.equal(moved.view(encoder.grid[0], -1), want)
        if name == "vit" or options:
            assert in_time.any()


def test_grids_of_what_is_not_asked_for_are_refused():
    encoder = build("vit")
    with pytest.raises(ValueError, match="41 rising numbers, the limits of 40 features, got"):
        patch_grid(encoder, 100, 0.01, torch.linspace(0, 8000, 40))
    with pytest.raises(ValueError, match="41 rising numbers"):
        patch_grid(encoder, 100, 0.01, torch.zeros(41))
    with pytest.raises(ValueError, match="takes the encoders vit and ast, got Linear"):
        attentions_of(torch.nn.Linear(40, 1), torch.zeros(1, 10, 40))
