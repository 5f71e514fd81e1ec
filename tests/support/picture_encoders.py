"""Encoders for pictures as their tests build them, what is fed to them, and files of weights."""

import json

import timm
import torch
import transformers
from every_encoder import perturbed
from safetensors.torch import save_file
from spectrogram_signals import signals

from auricle.lobes import build_encoder

ROUNDING = 1e-5
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def build(name, in_features=40, **options):
    torch.manual_seed(0)
    return build_encoder(name, in_features, options={name: options})


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
    return perturbed(timm.create_model(name, num_classes=5, depth=3, img_size=96, **options))


def transformers_vit(folder, **options):
    """A model with a pooler, which our encoder leaves out."""
    config = transformers.ViTConfig(
        hidden_size=192,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=64,
        **options,
    )
    torch.manual_seed(0)
    model = perturbed(transformers.ViTModel(config))
    model.save_pretrained(folder)
    return model


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
    model = perturbed(transformers.ASTModel(config))
    model.save_pretrained(folder)
    return model
