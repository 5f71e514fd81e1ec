"""DS-CNN in MLPerf Tiny's TFLite files: against TFLite's runtime, and by the numbers of 8 bits."""

import numpy as np
import pytest
import torch
from tflite_files import write_tflite

from auricle.lobes import build_encoder, bundles
from auricle.lobes.conversion import ConversionError, mlperf_ds_cnn
from auricle.lobes.conversion.files import SourceFile
from auricle.lobes.conversion.proof import convert
from auricle.lobes.conversion.tflite_graph import read_graph

SAME, RELU = {"Padding": 0}, {"FusedActivationFunction": 1}
CHANNELS = 6


def net(bits=None, shape=(1, 49, 10, 1)):
    """Tensors and operators of a net with one block; `bits` 8: kernels of whole numbers."""
    random = np.random.default_rng(0)
    tensors, operators = [("input", shape)], []

    def kernel(name, sides, axis):
        values = (random.standard_normal(sides) / 3).astype("f4")
        if bits is None:
            return name, values
        scales = random.uniform(0.01, 0.02, sides[axis]).astype("f4")
        return name, random.integers(-127, 128, sides).astype("i1"), scales, axis

    def layer(kind, sides, axis, out, options):
        before = 0 if not operators else operators[-1][2][0]
        bias = random.standard_normal(sides[axis]).astype("f4")
        first = len(tensors)
        tensors.extend([kernel(f"{kind}{first}", sides, axis), (f"bias{first}", bias), ("x", out)])
        operators.append((kind, [before, first, first + 1], [first + 2], options))

    c, inner = CHANNELS, (1, 25, 5, CHANNELS)
    layer("CONV_2D", (c, 10, 4, 1), 0, inner, {**SAME, **RELU, "StrideH": 2, "StrideW": 2})
    one = {**SAME, **RELU, "StrideH": 1, "StrideW": 1}
    layer("DEPTHWISE_CONV_2D", (1, 3, 3, c), 3, inner, {**one, "DepthMultiplier": 1})
    layer("CONV_2D", (c, 1, 1, c), 0, inner, one)
    pool = {"Padding": 1, "StrideH": 25, "StrideW": 5, "FilterHeight": 25, "FilterWidth": 5}
    last = len(tensors)
    tensors.extend([("pool", (1, 1, 1, c)), ("shape", np.array([1, c], "i4")), ("flat", (1, c))])
    operators.append(("AVERAGE_POOL_2D", [last - 1], [last], pool))
    operators.append(("RESHAPE", [last, last + 1], [last + 2], {}))
    layer("FULLY_CONNECTED", (12, c), 0, (1, 12), {})
    tensors.append(("out", (1, 12)))
    operators.append(("SOFTMAX", [len(tensors) - 2], [len(tensors) - 1], {"Beta": 1.0}))
    return tensors, operators, [0], [len(tensors) - 1]


def test_floats_compute_what_the_runtime_does(tmp_path):
    write_tflite(tmp_path / "net.tflite", *net())
    report = convert(tmp_path / "net.tflite", tmp_path / "bundle")
    assert report.source.name == "mlperf_ds_cnn" and not report.converted.left_out
    assert report.signals == 4 and report.difference < 1e-5
    assert bundles.load(tmp_path / "bundle").labels[0] == "down"


def test_a_difference_from_the_runtime_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(mlperf_ds_cnn, "_EPSILON", 0.5)
    write_tflite(tmp_path / "net.tflite", *net())
    with pytest.raises(ConversionError, match="TFLite runtime by .* allowed"):
        convert(tmp_path / "net.tflite", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_numbers_of_8_bits_are_scaled(tmp_path):
    tensors, *rest = net(bits=8)
    write_tflite(tmp_path / "net.tflite", tensors, *rest)
    graph = read_graph(SourceFile(tmp_path / "net.tflite"))
    assert len(graph.quantized) == 4
    for number in graph.quantized:
        _, values, scales, axis = tensors[number]
        along = np.expand_dims(scales, [a for a in range(values.ndim) if a != axis])
        torch.testing.assert_close(graph.constants[number], torch.from_numpy(values * along))


def test_frames_of_other_features_are_refused(tmp_path):
    write_tflite(tmp_path / "net.tflite", *net(shape=(1, 98, 40, 1)))
    with pytest.raises(ConversionError, match="49, 10"):
        convert(tmp_path / "net.tflite", tmp_path / "bundle")


@pytest.mark.parametrize("cut", [40, 400, 4000])
def test_a_damaged_file_is_named(tmp_path, cut):
    write_tflite(tmp_path / "net.tflite", *net())
    data = bytearray((tmp_path / "net.tflite").read_bytes())
    data[cut : cut + 40] = b"\xff" * 40
    (tmp_path / "bad.tflite").write_bytes(data[: len(data) - cut])
    with pytest.raises(ConversionError):
        convert(tmp_path / "bad.tflite", tmp_path / "bundle")


@pytest.mark.parametrize("frames", [49, 50])
@torch.no_grad()
def test_padding_is_that_of_tensorflow(frames):
    """ "same" with a stride of 2: of 9 zeros for odd lengths and 8 for even ones 4 are in front."""
    encoder = build_encoder("ds_cnn", 10, options={"ds_cnn": {"channels": 1, "blocks": 1}}).eval()
    kernel = torch.zeros(10, 4)
    kernel[4, 1] = 1.0  # frame 2 i, feature 2 j alone
    encoder.first[0].weight.copy_(kernel[None, None])
    feats = torch.rand(1, frames, 10)
    padded = torch.nn.functional.pad(feats[:, None], encoder.around)
    got = encoder.first[0](padded)[0, 0]
    torch.testing.assert_close(got, feats[0, ::2, ::2])
