"""Files of other people's models: formats by content, and files that are damaged or hostile."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auricle.lobes.conversion import ConversionError, find_source
from auricle.lobes.conversion.files import SourceFile

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "a.count": torch.tensor(7)}


def written(path, kind):
    if kind == "npz":
        np.savez(path, **{name: value.numpy() for name, value in TENSORS.items()})
    elif kind == "safetensors":
        save_file(TENSORS, path)
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=kind == "torch")
    return path


@pytest.mark.parametrize("kind", ["npz", "safetensors", "torch", "legacy torch"])
def test_tensors_of_a_file(tmp_path, kind):
    path = written(tmp_path / "x.npz", kind)
    if kind == "torch":  # the content decides
        path = path.rename(tmp_path / "x.dat")
    file = SourceFile(path)
    assert file.format == kind.removeprefix("legacy ")
    assert file.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(file.tensors[name], value) for name, value in TENSORS.items())


def test_initialisers_of_onnx(tmp_path):
    onnx = pytest.importorskip("onnx")
    value = onnx.numpy_helper.from_array(TENSORS["a.weight"].numpy(), "a.weight")
    graph = onnx.helper.make_graph([], "net", [], [], [value])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "x.onnx")
    assert torch.equal(SourceFile(tmp_path / "x.onnx").tensors["a.weight"], TENSORS["a.weight"])
    outside = value.external_data.add()
    outside.key, outside.value = "location", "/etc/hostname"
    graph = onnx.helper.make_graph([], "net", [], [], [value])
    (tmp_path / "y.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(ConversionError, match="other files"):
        _ = SourceFile(tmp_path / "y.onnx").tensors


def test_the_model_in_a_checkpoint(tmp_path):
    inner = {f"module.{name}": value for name, value in TENSORS.items()}
    torch.save({"epoch": 3, "state_dict": inner, "optimizer": {"x": torch.ones(1)}}, tmp_path / "x")
    assert SourceFile(tmp_path / "x").tensors.keys() == TENSORS.keys()


class Trap:
    def __reduce__(self):
        return (open, ("trapped", "w"))


def test_nothing_of_a_pickle_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Trap()}, "x.pth")
    (tmp_path / "y.pth").write_bytes(pickle.dumps(Trap(), protocol=2))
    for name in ("x.pth", "y.pth"):
        with pytest.raises(ConversionError, match="tensors alone"):
            _ = SourceFile(name).tensors
    np.savez("z.npz", a=np.array([Trap()], dtype=object))
    with pytest.raises(ConversionError, match="damaged"):
        _ = SourceFile("z.npz").tensors
    assert not (tmp_path / "trapped").exists()


def test_views_and_packed_entries_that_grow(tmp_path):
    torch.save({"a": torch.zeros(1).expand(2**40)}, tmp_path / "x.pth")
    with pytest.raises(ConversionError, match="larger"):
        _ = SourceFile(tmp_path / "x.pth").tensors
    plain = io.BytesIO()
    torch.save({"a": torch.zeros(10000)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "y.pth", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ConversionError, match="entries are packed"):
        _ = SourceFile(tmp_path / "y.pth").tensors


@pytest.mark.parametrize("kind", ["npz", "safetensors", "torch"])
def test_files_that_are_cut(tmp_path, kind):
    path = written(tmp_path / "x", kind)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConversionError):
        _ = SourceFile(path).tensors


def test_why_no_source_recognises_a_file(tmp_path):
    torch.save(TENSORS, tmp_path / "x.pth")
    with pytest.raises(ConversionError) as error:
        find_source(SourceFile(tmp_path / "x.pth"))
    assert "qualcomm_bcresnet" in str(error.value) and "cnn_head.0.weight" in str(error.value)
    with pytest.raises(ConversionError, match="qualcomm_bcresnet"):
        find_source(SourceFile(tmp_path / "x.pth"), "qualcom_bcresnet")
    with pytest.raises(ConversionError, match="does not exist"):
        SourceFile(tmp_path / "y.pth")
