"""Encoders for pictures and music that take other people's weights, against other people's code."""

import json
import math
import sys

import pytest
import timm
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from auricle.lobes import build_encoder
from auricle.lobes.encoders import resnet50 as resnet50_file
from auricle.lobes.encoders.ast import AST
from auricle.lobes.encoders.vit import ViT
from auricle.lobes.encoders.wav2vec2 import SMALL as SMALL_MODEL
from auricle.lobes.pretrained_weights import resized_positions

ROUNDING = 1e-5
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def build(name, in_features=40, **options):
    torch.manual_seed(0)
    return build_encoder(name, in_features, options={name: options})


def perturbed(module, seed=1):
    """Every parameter and statistic away from what it begins with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                size = part.running_mean.shape
                part.running_mean.copy_(torch.randn(size, generator=generator) / 10)
                part.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
    return module


def signals(frames, features=40):
    """Noise, a rising ridge as a chirp leaves it, and bursts with pauses as speech has them."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(frames, features, generator=generator)
    time, channel = torch.arange(frames)[:, None], torch.arange(features)
    ridge = 4 * torch.exp(-((channel - time * features / frames) ** 2) / 8) - 1
    syllables = torch.sin(time / 7).clamp(min=0) * (2 + torch.cos(channel / 5)) + noise / 10
    return torch.stack([noise, ridge, syllables])


def close(got, want, tolerance=ROUNDING):
    assert got.shape == want.shape
    assert (got - want).abs().max() <= tolerance * want.std() + 1e-7, (got - want).abs().max()


def count(module, learned=False):
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not learned)


def alone_and_together(encoder, frames=(300, 181, 150, 9), features=40, tolerance=1e-4):
    """Each item of a padded batch is what it is alone; without lengths it would not be."""
    encoder.eval()
    feats = torch.cat([signals(max(frames), features), signals(max(frames), features)[1:2]])
    for item, size in enumerate(frames):
        feats[item, size:] = 5.0
    lengths = torch.tensor(frames) / max(frames)
    got, blind = encoder(feats, lengths), encoder(feats)
    for item, size in enumerate(frames):
        alone = encoder(feats[item : item + 1, :size])
        close(got[item : item + 1], alone, tolerance)
        if size < max(frames):
            assert (blind[item] - alone[0]).abs().max() > 1e-2 * alone.std()


# -- vit -------------------------------------------------------------------------------------------


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


def test_vit_parameters():
    with torch.device("meta"):
        counts = {
            size: count(build("vit", 224, size=size, frames=224))
            for size in ("tiny", "small", "base")
        }
        assert counts == {"tiny": 5_426_112, "small": 21_469_056, "base": 85_405_440}
        # The published model reads three channels; with a head of two outputs.
        assert counts["base"] + 2 * 16 * 16 * 768 + 2 * 769 == 85_800_194
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


def saved(folder, model, **config):
    """A model's tensors in a folder, with a config where one is given."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
    save_file(state, str(folder / "model.safetensors"))
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def picture_net(name="vit_tiny_patch16_224", seed=0, **options):
    torch.manual_seed(seed)
    return perturbed(timm.create_model(name, num_classes=5, depth=3, img_size=96, **options)).eval()


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
    config = transformers.ViTConfig(
        hidden_size=192,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=64,
    )
    other = perturbed(transformers.ViTModel(config)).eval()  # with a pooler, which is left out
    other.save_pretrained(tmp_path)
    assert "encoder.layer.0.attention.attention.query.weight" in load_file(
        tmp_path / "model.safetensors"
    )
    feats = signals(64, 64)
    picture = feats.transpose(1, 2)[:, None].expand(-1, 3, -1, -1)
    encoder = build("vit", 64, frames=64, depth=2, path=str(tmp_path)).eval()
    close(encoder(feats)[:, 0], other(picture).last_hidden_state[:, 0], 1e-4)
    assert encoder.norm.eps == config.layer_norm_eps == 1e-12


@torch.no_grad()
def test_vit_takes_a_distilled_one_without_its_second_token(tmp_path):
    other = picture_net("deit_tiny_distilled_patch16_224")
    encoder = build("vit", 96, frames=96, depth=3, path=saved(tmp_path, other)).eval()
    places = torch.cat([other.pos_embed[:, :1], other.pos_embed[:, 2:]], dim=1)
    assert torch.equal(encoder.pos_embed, places)


# -- ast -------------------------------------------------------------------------------------------


def transformers_ast(folder, strides, frames=200, features=40, depth=2):
    config = transformers.ASTConfig(
        hidden_size=192,
        num_hidden_layers=depth,
        num_attention_heads=3,
        intermediate_size=768,
        num_mel_bins=features,
        max_length=frames,
        frequency_stride=strides[0],
        time_stride=strides[1],
    )
    torch.manual_seed(0)
    model = perturbed(transformers.ASTModel(config)).eval()
    model.save_pretrained(folder)
    return model


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


def test_ast_parameters_and_tokens():
    tokens = {1024: 1214, 1292: 1538, 3000: 3590}
    with torch.device("meta"):
        for frames, want in tokens.items():
            encoder = build("ast", 128, size="base", frames=frames)
            assert encoder.tokens(frames) == encoder.pos_embed.shape[1] == want
            assert count(encoder) + 2 * 769 == 86_188_802 + 768 * (want - 1214)
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


# -- what is refused -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    saved(folder / "vit", picture_net())
    saved(folder / "deit", picture_net("deit_tiny_distilled_patch16_224"))
    saved(folder / "gammas", picture_net(init_values=0.1))
    saved(folder / "resnet18", timm.create_model("resnet18"))
    saved(folder / "named", nn.Linear(2, 2), architecture="efficientnet_b0")
    transformers_ast(folder / "ast", (10, 10))
    weights = load_file(folder / "vit" / "model.safetensors")
    del weights["blocks.1.mlp.fc1.bias"]
    (folder / "lacking").mkdir()
    save_file(weights, str(folder / "lacking" / "model.safetensors"))
    (folder / "heads").mkdir()
    save_file(load_file(folder / "vit" / "model.safetensors"), folder / "heads/model.safetensors")
    (folder / "heads" / "config.json").write_text('{"num_attention_heads": 12}')
    (folder / "pickle.bin").write_bytes(b"\x80")
    (folder / "broken.safetensors").write_bytes(b"{}")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize(
    ("name", "path", "options", "says"),
    [
        ("vit", "vit", {"size": "small"}, r"width 192 \(size 'tiny'\).*'small'.* width 384"),
        ("vit", "vit", {}, "3 blocks .*expects width 192, 12 blocks"),
        ("vit", "vit", {"patch": 8, "depth": 3}, "patches of 16 x 16;.*patches of 8 x 8"),
        ("vit", "resnet18", {}, "no Vision Transformer but tensors called bn1, conv1.*cls_token"),
        ("vit", "named", {}, "no Vision Transformer but architecture 'efficientnet_b0'"),
        ("vit", "ast", {"depth": 2}, "holds an Audio Spectrogram Transformer; set encoder: ast"),
        ("vit", "gammas", {"depth": 3}, r"vit size tiny.* has, too many, blocks\.0\.ls1\.gamma"),
        ("vit", "lacking", {"depth": 3}, r"lacks blocks\.1\.mlp\.fc1\.bias"),
        ("vit", "heads", {"depth": 3}, "12 attention heads .* size 'tiny' has 3"),
        ("vit", "nothing", {}, "does not exist; nothing is downloaded"),
        ("vit", "empty", {}, r"one \*\.safetensors file or a folder with one, got .*: none"),
        ("vit", "pickle.bin", {}, "pickles .* are not read.*save_file"),
        ("vit", "broken.safetensors", {}, "no readable safetensors file"),
        ("ast", "vit", {"depth": 3}, "no distillation token.*there is encoder 'vit'"),
        ("ast", "deit", {"size": "base", "depth": 3}, "'tiny'.*expects width 768"),
        ("resnet50", "resnet18", {}, r"resnet50 of width 64: it lacks layer1\.0\.bn3\.bias"),
        ("resnet50", "vit", {"width": 8}, "path needs width 64, the published one, got 8"),
    ],
)
def test_files_of_another_architecture_are_refused_by_name(files, name, path, options, says):
    with pytest.raises(ValueError, match=says):
        build(name, path=str(files / path), **options)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("vit", {"size": "huge"}, r"size must be one of \('tiny', .*got 'huge'"),
        ("vit", {"patch": 0}, "patch must be .* got 0"),
        ("vit", {"frames": 1.5}, "frames must be .* got 1.5"),
        ("vit", {"positions": "sine"}, "positions must be one of"),
        ("vit", {"pooling": "max"}, "pooling must be one of"),
        ("vit", {"depth": 0}, "depth must be .* got 0"),
        ("vit", {"freeze_blocks": 13}, "freeze_blocks must be a whole number from 0 to 12, got 13"),
        ("vit", {"dropout": 1.0}, "dropout must be .* below 1, got 1"),
        ("vit", {"drop_path": -1}, "drop_path must be .* got -1"),
        ("ast", {"stride_frames": 17}, "stride_frames must be a whole number from 1 to 16, got 17"),
        ("ast", {"stride_features": 0}, "stride_features must be .* got 0"),
        ("ast", {"edges": "crop"}, "edges must be one of"),
        ("resnet50", {"width": 0}, "width must be .* got 0"),
        ("resnet50", {"dropout": "much"}, "dropout must be .* got 'much'"),
    ],
)
def test_options_out_of_range(name, options, says):
    with pytest.raises(ValueError, match=says):
        build(name, **options)


@pytest.mark.parametrize("name", ["vit", "ast", "resnet50"])
def test_without_timm_the_extra_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        ValueError, match=rf"encoder '{name}' needs the package timm.*auricle\[timm\]"
    ):
        build(name)


@pytest.mark.parametrize("name", ["vit", "ast", "resnet50"])
def test_a_waveform_is_no_picture(name):
    with pytest.raises(ValueError, match="a waveform is none; set another frontend. Encoders that"):
        build(name, 1)


# -- resnet50 --------------------------------------------------------------------------------------


def timms_resnet(width, in_chans=1):
    resnet = timm.models.resnet
    channels = tuple(width * factor for factor in (1, 2, 4, 8))
    torch.manual_seed(2)
    return perturbed(
        resnet.ResNet(
            resnet.Bottleneck,
            (3, 4, 6, 3),
            num_classes=5,
            in_chans=in_chans,
            stem_width=width,
            channels=channels,
        )
    )


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("frames", [101, 64, 1])
@torch.no_grad()
def test_resnet50_is_timms(frames, training):
    other, encoder = timms_resnet(4), build("resnet50", width=4)
    state = {k: v for k, v in other.state_dict().items() if not k.startswith("fc.")}
    encoder.net.load_state_dict(state)
    feats = signals(frames)
    want = other.train(training).forward_features(feats.transpose(1, 2)[:, None]).mean((2, 3))
    close(encoder.train(training)(feats)[:, 0], want, 1e-4)
    for name, value in encoder.net.named_buffers():
        torch.testing.assert_close(value, other.get_buffer(name))


@torch.no_grad()
def test_resnet50_reads_an_items_own_frames():
    encoder = perturbed(build("resnet50", width=4))
    alone_and_together(encoder)
    # In training the statistics are those of the valid frames.
    feats, lengths = signals(96), torch.tensor([1.0, 0.5, 0.25])
    means = []
    for filling in (0.0, 9.0):
        encoder = perturbed(build("resnet50", width=4)).train()
        for item, size in enumerate((96, 48, 24)):
            feats[item, size:] = filling
        encoder(feats, lengths)
        means.append(encoder.net.layer3[1].bn2.running_mean)
    assert torch.equal(*means)


@torch.no_grad()
def test_resnet50_sums_the_channels_of_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(resnet50_file, "PUBLISHED_WIDTH", 4)
    other = timms_resnet(4, in_chans=3).eval()
    encoder = build("resnet50", width=4, path=saved(tmp_path, other)).eval()
    feats = signals(75)
    want = other.forward_features(feats.transpose(1, 2)[:, None].expand(-1, 3, -1, -1))
    close(encoder(feats)[:, 0], want.mean((2, 3)), 1e-4)


def test_resnet50_parameters():
    with torch.device("meta"):
        encoder, narrow = build("resnet50"), build("resnet50", width=16)
    published = count(timm.create_model("resnet50", num_classes=0))
    assert count(encoder) == 23_501_760 == published - 2 * 64 * 7 * 7
    assert count(narrow) == 1_481_472
    assert encoder.out_features == 2048


# -- mert ------------------------------------------------------------------------------------------

#: As MERT-v1-95M says of itself, and as 330M does.
BASE = {"attention_relax": -1.0}
LARGE = {
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "attention_relax": 32.0,
}


def mert_folder(folder, **options):
    """A HuBERT of random values, in MERT's words, and the model itself."""
    torch.manual_seed(0)
    config = transformers.HubertConfig(**SMALL_MODEL, **options)
    model = perturbed(transformers.HubertModel(config)).eval()
    model.save_pretrained(folder)
    about = json.loads((folder / "config.json").read_text())
    about.update(
        model_type="mert_model",
        auto_map={"AutoModel": "modeling_MERT.MERTModel"},
        sample_rate=24000,
        feature_extractor_cqt=False,
        deepnorm=False,
        **{name: value for name, value in options.items() if name == "attention_relax"},
    )
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "modeling_MERT.py").write_text("raise SystemExit('was run')")
    old = {"original0": "weight_g", "original1": "weight_v"}
    weights = {}
    for name, value in model.state_dict().items():
        for new, was in old.items():
            name = name.replace(f"parametrizations.weight.{new}", was)
        weights[name] = value.clone()
    save_file(weights, str(folder / "model.safetensors"))
    return model


def from_folder(folder, **options):
    return build("mert", 1, path=str(folder), **options)


def waveforms(samples=5000):
    time = torch.arange(samples) / 24000
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    chirp = torch.sin(2 * math.pi * (200 + 4000 * time) * time)
    voiced = torch.sin(2 * math.pi * 120 * time).sign() * torch.sin(2 * math.pi * 4 * time)
    return torch.stack([noise, chirp, voiced])


@pytest.mark.parametrize("settings", [BASE, LARGE], ids=["base", "large"])
@torch.no_grad()
def test_mert_is_the_mean_of_a_huberts_hidden_state(tmp_path, settings):
    model, wavs = mert_folder(tmp_path, **settings), waveforms()
    frames = [5000, 2999, 400]

    def states(wavs):
        given = model(wavs, output_hidden_states=True)
        return [*given.hidden_states[:-1], given.last_hidden_state]

    for layer in (0, 1, 2, -1, -3, "weighted"):
        encoder = from_folder(tmp_path, layer=layer).eval()
        assert (encoder.rate_hz, encoder.out_features, encoder.num_frames(5000)) == (24000, 32, 1)
        if layer == "weighted":
            encoder.layer_scores.copy_(torch.tensor([1.0, 2.0, 4.0]).log())
        shares = torch.tensor([1.0, 2.0, 4.0]) / 7

        def wanted(wavs, layer=layer, shares=shares):
            each = torch.stack([state.mean(1) for state in states(wavs)])
            return (shares[:, None, None] * each).sum(0) if layer == "weighted" else each[layer]

        close(encoder(wavs[..., None])[:, 0], wanted(wavs))
        padded = wavs.clone()
        for item, size in enumerate(frames):
            padded[item, size:] = 9.0
        got = encoder(padded[..., None], torch.tensor(frames) / 5000)
        for item, size in enumerate(frames):
            close(got[item], wanted(wavs[item : item + 1, :size]), 1e-4)


def test_mert_learns_up_to_its_layer(tmp_path):
    mert_folder(tmp_path, **LARGE)
    for layer, frozen in ((1, "none"), ("weighted", "feature_encoder"), ("weighted", "all")):
        encoder = from_folder(tmp_path, layer=layer, freeze=frozen).train()
        encoder(waveforms()[..., None]).square().sum().backward()
        lacks = {n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None}
        assert lacks <= {"model.masked_spec_embed"}
        assert len(encoder.model.encoder.layers) == (1 if layer == 1 else 2)
        learned = {n for n, p in encoder.named_parameters() if p.requires_grad}
        if frozen == "all":
            assert learned == {"layer_scores"}
        convolutions = any(name.startswith("model.feature_extractor") for name in learned)
        assert convolutions == (frozen == "none")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"feature_extractor_cqt": True}, "HubertModel is not: .*feature_extractor_cqt True, exp"),
        ({"deepnorm": True}, "deepnorm True, expected False"),
        ({"model_type": "bert"}, r"one of \('mert_model', 'hubert', 'wav2vec2'\), got .* 'bert'"),
        (
            {"num_hidden_layers": 3},
            r"another architecture than model_type mert_model: it lacks enc",
        ),
        ({"num_hidden_layers": 1}, r"has, too many, encoder\.layers\.1\."),
        ({"hidden_size": 64}, r"where \(64,\) is expected"),
    ],
)
def test_mert_refuses_another_network_by_name(tmp_path, change, says):
    mert_folder(tmp_path, **BASE)
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**about, **change}))
    with pytest.raises(ValueError, match=says):
        from_folder(tmp_path)


def test_mert_refuses_what_it_cannot_open(tmp_path):
    with pytest.raises(ValueError, match="'/nowhere', which is no folder; nothing is downloaded"):
        from_folder("/nowhere")
    mert_folder(tmp_path, **BASE)
    for layer in (3, -4, True, 0.5, "last"):
        with pytest.raises(
            ValueError, match='layer must be "weighted" or a whole number from -3 to 2'
        ):
            from_folder(tmp_path, layer=layer)
    with pytest.raises(ValueError, match="freeze must be one of .* got 'some'"):
        from_folder(tmp_path, freeze="some")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(ValueError, match=r"no \*\.safetensors.*not read.*save_file"):
        from_folder(tmp_path)
    with pytest.raises(ValueError, match="set frontend: waveform. Encoders that fit: "):
        build("mert", 40)


def test_mert_without_a_path_is_random_and_says_so():
    with pytest.warns(UserWarning, match=r"random values.*mert: \{path: FOLDER\}"):
        encoder = build("mert", 1)
    assert encoder.rate_hz == 24000 and encoder.out_features == 32


def test_classes_are_what_the_names_give():
    assert isinstance(build("vit", depth=1), ViT) and isinstance(build("ast", depth=1), AST)
