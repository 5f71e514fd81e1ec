"""What encoders for pictures refuse: files of other networks, options, input, a missing package."""

import sys

import pytest
import timm
from picture_encoders import build, picture_net, saved, transformers_ast
from refusals import refused
from safetensors.torch import load_file, save_file
from torch import nn


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
    for name, value in (("nan", float("nan")), ("complex", 1j)):
        bias = weights["blocks.1.mlp.fc1.bias"]
        (folder / name).mkdir()
        save_file(
            weights | {"blocks.1.mlp.fc1.bias": bias * value}, folder / name / "a.safetensors"
        )
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


@pytest.mark.slow
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
        ("vit", "nan", {"depth": 3}, r"NaN, infinite or .*: blocks\.1\.mlp\.fc1\.bias"),
        ("vit", "complex", {"depth": 3}, r"another kind of number: blocks\.1\.mlp\.fc1\.bias"),
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
    refused(says, build, name, path=str(files / path), **options)


@pytest.mark.parametrize("name", ["vit", "ast", "resnet50"])
def test_without_timm_the_extra_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "timm", None)
    refused(rf"encoder '{name}' needs the package timm.*auricle\[timm\]", build, name)


@pytest.mark.parametrize("name", ["vit", "ast", "resnet50"])
def test_a_waveform_is_no_picture(name):
    refused("frontend: mel.*Encoders that fit", build, name, 1)
