"""Models exported by torch, opened again and compared: every format, and 8 bits."""

import onnx
import onnxruntime
import pytest
import torch
from random_bundle import random_bundle

from auricle.lobes import bundles
from auricle.lobes.export import OnnxModel
from auricle.lobes.export.agreement import TOLERANCE
from auricle.lobes.export.export import exported_bytes, is_export, write
from auricle.lobes.export.quantization import inputs_of
from auricle.lobes.export.torch_files import loaded, record_text

pytestmark = pytest.mark.long
LABELS = ("no", "yes", "other")


@pytest.fixture(scope="module", params=["mel", "leaf"])
def bundle(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return bundles.load(random_bundle(folder, request.param, "bcresnet", LABELS))


@pytest.fixture(scope="module")
def made(bundle):
    return exported_bytes(bundle, "onnx", "scores", {"threshold": 0.25})


def test_the_file_is_of_standard_real_operators_of_any_size(made):
    model = onnx.load_model_from_string(made[0])
    assert {one.domain: one.version for one in model.opset_import}[""] == 20
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"DFT", "STFT", "FFT"} and not model.functions
    axes = [
        [axis.dim_param for axis in one.type.tensor_type.shape.dim] for one in model.graph.input
    ]
    assert axes == [["batch", "time"], ["batch"]]
    assert model.graph.output[0].name == "scores"
    assert b"/work" not in made[0] and b"site-packages" not in made[0] and b".py" not in made[0]


def test_other_programs_find_what_they_need_in_the_metadata(made):
    found = onnxruntime.InferenceSession(made[0]).get_modelmeta().custom_metadata_map
    expected = {"sample_rate": "16000", "task": "keyword_spotting", "output": "scores"}
    expected |= {"labels": '["no", "yes", "other"]', "clip_s": "1.0", "threshold": "0.25"}
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_it_answers_as_the_bundle_does_on_any_number_of_threads(bundle, made, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = OnnxModel(made[0], "m.onnx")
    finally:
        torch.set_num_threads(before)
    for size in (3000, 16000, 40000):
        wav = 0.1 * torch.randn(size, generator=torch.Generator().manual_seed(size))
        expected, got = bundle.predict(wav).values, model.predict(wav).values
        assert got["label"] == expected["label"]
        assert got["probability"] == pytest.approx(expected["probability"], abs=1e-5)


@pytest.mark.parametrize(
    ("format", "output"),
    [("pt2", "scores"), ("torchscript", "embedding"), ("torchscript", "frames")],
)
def test_a_file_of_torch_is_kept_with_its_record(bundle, output, format, tmp_path):
    data, record = exported_bytes(bundle, format, output)
    assert record["deviation"] < TOLERANCE
    path = write(tmp_path / "m", data)
    assert is_export(path) and f'"{format}"' in record_text(path)
    write(path, data)
    got = loaded(data, format)(torch.zeros(3, 12000), torch.ones(3))
    expected = {"scores": (3, 3), "embedding": (3, 32)}
    expected["frames"] = (3, bundle.compute_features.num_frames(12000), 40)
    assert got.shape == expected[output]
    # TorchScript keeps where in the source its operators are from.
    assert format == "torchscript" or b"/lobes/" not in data


def test_8_bits_round_the_products_of_encoder_and_head_alone(bundle):
    wavs = 0.1 * torch.randn(4, 16000, generator=torch.Generator().manual_seed(0))
    with inputs_of(bundle) as batches:
        for wav in wavs:
            bundle.predict(wav)
    assert [(tuple(wav.shape), tuple(part.shape)) for wav, part in batches] == [
        ((1, 16000), (1,))
    ] * 4
    data, record = exported_bytes(bundle, "onnx", "scores", {"threshold": 0.25}, batches)
    assert record["int8"] and record["calibration"] is None
    model = onnx.load_model_from_string(data)
    rounded = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8}
    assert rounded
    of = {name: node for node in model.graph.node for name in node.input}
    assert all(of[name].op_type == "DequantizeLinear" for name in rounded)
    takes = {node.name for node in model.graph.node if any("Dequant" in x for x in node.input)}
    assert takes and all(name.startswith(("encoder/", "head/")) for name in takes)
    opened = OnnxModel(data, "m.onnx")
    difference = (opened(wavs) - bundle(wavs)).abs().max()
    assert 0 < difference < 0.3
    assert opened.digest != bundle.description["weights_sha256"]
