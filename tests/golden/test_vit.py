"""The Vision Transformer against timm and transformers, with their weights."""

import pytest
import timm
import torch
from picture_encoders import (
    IMAGENET,
    alone_and_together,
    build,
    close,
    count,
    perturbed,
    picture_net,
    saved,
    transformers_vit,
)
from safetensors.torch import load_file
from spectrogram_signals import signals
from torch.nn import functional

from auricle.lobes.encoders.vit import ViT


def timms_vit(rows, columns, **options):
    return timm.create_model(
        "vit_tiny_patch16_224",
        num_classes=0,
        in_chans=1,
        img_size=(16 * rows, 16 * columns),
        dynamic_img_size=True,
        dynamic_img_pad=True,
        depth=2,
        **options,
    ).eval()


@pytest.mark.parametrize("frames", [160, 157, 33, 3, 400])
@pytest.mark.parametrize("change", [lambda module: module, perturbed], ids=["drawn", "perturbed"])
@torch.no_grad()
def test_vit_is_timms_for_any_length(change, frames):
    encoder = change(build("vit", depth=2, frames=160)).eval()
    other = timms_vit(*encoder.grid)
    other.load_state_dict(encoder.state_dict())
    feats = signals(frames)
    want = other.forward_features(feats.transpose(1, 2)[:, None])
    close(encoder(feats)[:, 0], want[:, 0])
    mean = change(build("vit", depth=2, frames=160, pooling="mean")).eval()
    close(mean(feats)[:, 0], want[:, 1:].mean(1))


@pytest.mark.parametrize(
    "options",
    [{}, {"positions": "cut"}, {"pooling": "mean"}, {"patch": 8}, {"positions": "cut", "patch": 9}],
    ids=str,
)
@torch.no_grad()
def test_vit_reads_an_items_own_patches_with_its_own_positions(options):
    alone_and_together(perturbed(build("vit", depth=2, frames=160, **options)))


@torch.no_grad()
def test_vit_positions_are_cut_or_stretched():
    feats = signals(320)
    ours = {
        rule: build("vit", depth=1, frames=320, positions=rule) for rule in ("cut", "interpolate")
    }
    full = ours["cut"].embed(feats)[0][:, 1:].unflatten(1, (3, 20))
    assert torch.equal(ours["interpolate"].embed(feats)[0][:, 1:].unflatten(1, (3, 20)), full)
    half = ours["cut"].embed(feats[:, :160])[0][:, 1:].unflatten(1, (3, 10))
    torch.testing.assert_close(half, full[:, :, :10])
    shrunk = ours["interpolate"].embed(feats[:, :160])[0][:, 1:].unflatten(1, (3, 10))
    assert (shrunk - half).abs().max() > 1e-3
    places = ours["cut"].pos_embed[:, 1:].unflatten(1, (3, 20)).movedim(3, 1)
    want = functional.interpolate(places, (3, 10), mode="bicubic", antialias=True).movedim(1, 3)
    torch.testing.assert_close(
        shrunk - half, (want - places.movedim(1, 3)[:, :, :10]).expand(3, -1, -1, -1)
    )


@pytest.mark.slow
def test_vit_learns_what_is_not_frozen():
    """With a head of two outputs."""
    with torch.device("meta"):
        learned = {
            frozen: 2 * 769 + count(build("vit", 224, size="base", freeze_blocks=frozen), True)
            for frozen in (4, 6, 8, 12)
        }
    assert learned == {4: 56_706_050, 6: 42_530_306, 8: 28_354_562, 12: 3_074}
    assert count(build("vit")) == count(build("vit"), learned=True)


def test_vit_freezes_the_first_blocks_and_what_is_before_them():
    encoder = build("vit", depth=3, freeze_blocks=2, dropout=0.5, drop_path=0.5).train()
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    feats = signals(64).requires_grad_()
    seen = []
    encoder.blocks[1].register_forward_hook(lambda module, given, out: seen.append(out))
    for _ in range(2):
        encoder(feats).sum(0).square().sum().backward()
    assert feats.grad.any()  # a frontend in front still learns
    assert torch.equal(*seen)  # no dropout in what does not learn
    torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], 0.1).step()
    moved = {name for name, p in encoder.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if name.startswith(("blocks.2.", "norm."))}


@torch.no_grad()
def test_vit_takes_the_weights_of_pictures(tmp_path):
    other = picture_net()
    encoder = build("vit", 96, frames=96, depth=3, path=saved(tmp_path, other)).eval()
    feats = signals(96, 96)
    picture = feats.transpose(1, 2)[:, None].expand(-1, 3, -1, -1)
    close(encoder(feats)[:, 0], other.forward_features(picture)[:, 0])
    # Each channel normalised for itself, folded into one.
    file = str(tmp_path / "model.safetensors")
    encoder = build("vit", 96, frames=96, depth=3, path=file, **IMAGENET).eval()
    mean, std = (torch.tensor(IMAGENET[name]) for name in ("mean", "std"))
    normed = (picture - mean[:, None, None]) / std[:, None, None]
    got = encoder((feats - mean.mean()) / std.mean())
    close(got[:, 0], other.forward_features(normed)[:, 0])


@torch.no_grad()
def test_vit_takes_the_first_blocks_and_another_grid(tmp_path):
    other = picture_net()
    path = saved(tmp_path, other)
    encoder = build("vit", 40, frames=400, depth=2, path=path).eval()
    want = timm.layers.resample_abs_pos_embed(other.pos_embed, (3, 25), num_prefix_tokens=1)
    torch.testing.assert_close(encoder.pos_embed, want)
    assert torch.equal(encoder.blocks[1].mlp.fc1.weight, other.blocks[1].mlp.fc1.weight)
    assert len(encoder.blocks) == 2


@torch.no_grad()
def test_vit_takes_transformers_weights(tmp_path):
    other = transformers_vit(tmp_path)
    assert "encoder.layer.0.attention.attention.query.weight" in load_file(
        tmp_path / "model.safetensors"
    )
    feats = signals(64, 64)
    picture = feats.transpose(1, 2)[:, None].expand(-1, 3, -1, -1)
    encoder = build("vit", 64, frames=64, depth=2, path=str(tmp_path)).eval()
    close(encoder(feats)[:, 0], other(picture).last_hidden_state[:, 0], 1e-4)
    assert encoder.norm.eps == other.config.layer_norm_eps == 1e-12


@torch.no_grad()
def test_vit_takes_a_distilled_one_without_its_second_token(tmp_path):
    other = picture_net("deit_tiny_distilled_patch16_224")
    encoder = build("vit", 96, frames=96, depth=3, path=saved(tmp_path, other)).eval()
    places = torch.cat([other.pos_embed[:, :1], other.pos_embed[:, 2:]], dim=1)
    assert torch.equal(encoder.pos_embed, places)


def test_the_name_gives_the_class():
    assert isinstance(build("vit", depth=1), ViT)
