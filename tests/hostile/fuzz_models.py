"""Files of models for the fuzzer: what is converted to bundles, and exported files that are opened."""

import io
import tempfile
from pathlib import Path

import numpy as np
import torch
from fuzz_values import Archive
from onnx_models import mean_model
from published_keyword_nets import QualcommBCResNet, settled
from safetensors.torch import save

from auricle.lobes import build_frontend
from auricle.lobes.conversion.proof import convert
from auricle.lobes.export import open_model


def _converted(path):
    with tempfile.TemporaryDirectory() as folder:
        return convert(path, Path(folder, "bundle")).source.name


def _answers(path):
    model = open_model(path)
    return model.predict(torch.full((800,), 0.5)).values


def _torch_bytes(held):
    file = io.BytesIO()
    torch.save(held, file)
    return file.getvalue()


def _leaf_variables():
    leaf = build_frontend("leaf", 8000, {"leaf": {"num_features": 4}})
    kernel = torch.stack([leaf.centre, leaf.width], 1)
    held = {
        "leaf/tfbanks_complex_conv/kernel:0": kernel,
        "leaf/learnable_pooling/kernel:0": leaf.pooling_width.view(1, 1, -1, 1),
        "leaf/PCEN/EMA/smooth:0": leaf.compression.smooth,
    }
    for name in ("alpha", "delta", "root"):
        held[f"leaf/PCEN/{name}:0"] = getattr(leaf.compression, name)
    file = io.BytesIO()
    np.savez(file, **{name: value.detach().numpy() for name, value in held.items()})
    return file.getvalue()


def models():
    """Every kind of file of a model that commands take, bundles apart."""
    torch.manual_seed(0)
    net = settled(QualcommBCResNet(1, 12)).state_dict()
    return [
        Archive("foreign_torch", _torch_bytes(net), _converted, file="case.pth"),
        Archive("foreign_safetensors", save(net), _converted, file="case.safetensors"),
        Archive("foreign_npz", _leaf_variables(), _converted, file="case.npz"),
        Archive("exported_onnx", mean_model().SerializeToString(), _answers, file="case.onnx"),
    ]
