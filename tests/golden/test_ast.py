"""AST against transformers', and with weights of pictures."""

import pytest
import torch
from picture_encoders import (
    alone_and_together,
    build,
    close,
    perturbed,
    picture_net,
    saved,
    transformers_ast,
)
from safetensors.torch import load_file
from spectrogram_signals import signals

from auricle.lobes.encoders._patch.positions import resized_positions
from auricle.lobes.encoders.ast import AST


@pytest.mark.parametrize("strides", [(10, 10), (16, 12)])
@torch.no_grad()
def test_ast_is_transformers(tmp_path, strides):
    other = transformers_ast(tmp_path, strides)
    options = {"stride_features": strides[0], "stride_frames": strides[1], "depth": 2}
    encoder = build("ast", frames=200, path=str(tmp_path), **options).eval()
    feats = signals(200)
    close(encoder(feats)[:, 0], other(feats).pooler_output)
    # A shorter clip reads the first positions, as one that is padded to full length does.
    short = torch.zeros(3, 200, 40)
    short[:, :120] = feats[:, :120]
    columns, rows = encoder.columns(120), encoder.grid[0]
    theirs = other.embeddings(short)[:, 2:].unflatten(1, (rows, -1))[:, :, :columns]
    torch.testing.assert_close(encoder.embed(feats[:, :120])[0][:, 2:], theirs.flatten(1, 2))


@pytest.mark.parametrize(
    "options",
    [{}, {"positions": "interpolate"}, {"edges": "pad"}, {"pooling": "mean", "stride_frames": 16}],
    ids=str,
)
@torch.no_grad()
def test_ast_reads_an_items_own_patches_with_its_own_positions(options):
    alone_and_together(perturbed(build("ast", depth=2, frames=160, **options)))


@pytest.mark.slow
def test_ast_tokens():
    tokens = {1024: 1214, 1292: 1538, 3000: 3590}
    with torch.device("meta"):
        for frames, want in tokens.items():
            encoder = build("ast", 128, size="base", frames=frames)
            assert encoder.tokens(frames) == encoder.pos_embed.shape[1] == want
        assert build("ast", 128, edges="pad").grid == (13, 102)


@torch.no_grad()
def test_ast_takes_a_distilled_transformer_of_pictures(tmp_path):
    other = picture_net("deit_tiny_distilled_patch16_224")
    path = saved(tmp_path, other)
    same = {"stride_features": 16, "stride_frames": 16, "depth": 3}
    encoder = build("ast", 96, frames=96, path=path, **same).eval()
    feats = signals(96, 96)
    picture = feats.transpose(1, 2)[:, None].expand(-1, 3, -1, -1)
    close(encoder(feats)[:, 0], other.forward_features(picture)[:, :2].mean(1))
    assert build("ast", 40, frames=500, depth=3, path=path).grid == (3, 49)


def test_positions_of_pictures_for_a_spectrogram():
    """Rows: the middle ones. Columns: stretched in between. Checked on ramps."""
    row, column = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    table = torch.stack([row, column], dim=2).flatten(0, 1)[None]
    prefix = torch.full((1, 2, 2), -7.0)
    got = resized_positions(torch.cat([prefix, table], dim=1), 2, (24, 24), (12, 101), "cut")
    assert torch.equal(got[:, :2], prefix)
    rows, columns = got[0, 2:].unflatten(0, (12, 101)).unbind(2)
    torch.testing.assert_close(rows, torch.arange(6.0, 18.0)[:, None].expand(-1, 101))
    want = ((torch.arange(101) + 0.5) * 24 / 101 - 0.5).clamp(0, 23)
    torch.testing.assert_close(columns, want.expand(12, -1), atol=1e-4, rtol=0)


@torch.no_grad()
def test_ast_finds_the_grid_without_a_config(tmp_path):
    transformers_ast(tmp_path, (10, 10), frames=1024, features=128, depth=1)
    (tmp_path / "config.json").unlink()
    encoder = build("ast", 128, depth=1, path=str(tmp_path))
    want = load_file(tmp_path / "model.safetensors")["embeddings.position_embeddings"]
    assert torch.equal(encoder.pos_embed, want)


def test_the_name_gives_the_class():
    assert isinstance(build("ast", depth=1), AST)
