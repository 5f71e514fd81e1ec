"""MusiCNN as a frozen graph, written field by field, against its operators; graphs that are no such."""

import struct

import numpy as np
import pytest
import torch
from protobuf_fields import entry, varint
from torch.nn import functional as F

from auricle.lobes import bundles
from auricle.lobes.conversion import ConversionError, essentia, find_source
from auricle.lobes.conversion.files import SourceFile
from auricle.lobes.conversion.proof import convert, probe_signals
from auricle.lobes.conversion.tensorflow_graph import read_graph

TALL, LONG, WIDTH, DENSE, HIDDEN = 3, 2, 4, 5, 6
FRONT = 2 * TALL + 3 * LONG
VALUES = 2 * (FRONT + 3 * WIDTH)
KERNELS = {
    "conv2d": (7, 38, 1, TALL),
    "conv2d_1": (7, 67, 1, TALL),
    **{f"conv2d_{2 + i}": (size, 1, 1, LONG) for i, size in enumerate((128, 64, 32))},
    "conv2d_5": (7, FRONT, 1, WIDTH),
    "conv2d_6": (7, WIDTH, 1, WIDTH),
    "conv2d_7": (7, WIDTH, 1, WIDTH),
    "dense": (VALUES, DENSE),
    "dense_1": (DENSE, 50),
}
NORMS = (1, TALL, TALL, LONG, LONG, LONG, WIDTH, WIDTH, WIDTH, VALUES, DENSE)


# -- a graph as TensorFlow writes it -------------------------------------------------------------


def node(name, op, **attributes):
    held = [entry(5, entry(1, key) + entry(2, value)) for key, value in attributes.items()]
    return entry(1, entry(1, name) + entry(2, op) + entry(3, "an input") + b"".join(held))


def constant(name, array):
    dims = b"".join(entry(2, entry(1, size)) for size in array.shape)
    if array.size == 1:  # a single value is listed
        values = entry(5, array.astype("<f4").tobytes())
    else:
        values = entry(4, array.astype("<f4").tobytes())
    return node(name, "Const", value=entry(8, entry(1, 1) + entry(2, dims) + values))


def operators(ops):
    epsilon = varint(4 << 3 | 5) + struct.pack("<f", 1e-3)
    attributes = {"FusedBatchNorm": {"epsilon": epsilon}}
    return b"".join(node(f"model/{i}", op, **attributes.get(op, {})) for i, op in enumerate(ops))


def values(seed=0):
    random = np.random.default_rng(seed)
    held = {}
    for name, shape in KERNELS.items():
        scale = 1 / np.sqrt(np.prod(shape[:-1]))
        held[f"{name}/kernel"] = scale * random.standard_normal(shape)
        held[f"{name}/bias"] = 0.1 * random.standard_normal(shape[-1])
    for index, size in enumerate(NORMS):
        name = f"batch_normalization_{index}" if index else "batch_normalization"
        held[f"{name}/gamma"] = random.uniform(-1.5, 1.5, size)
        held[f"{name}/beta"] = 0.1 * random.standard_normal(size)
        held[f"{name}/moving_mean"] = 0.1 * random.standard_normal(size)
        held[f"{name}/moving_variance"] = random.uniform(0.005, 0.5, size)
    return {key: value.astype(np.float32) for key, value in held.items()}


def head_values():
    random = np.random.default_rng(3)
    shapes = {"dense/kernel": (DENSE, HIDDEN), "dense/bias": (HIDDEN,)}
    shapes |= {"dense_1/kernel": (HIDDEN, 2), "dense_1/bias": (2,)}
    return {key: random.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}


def graph(held, ops):
    return b"".join(constant(*pair) for pair in held.items()) + operators(ops)


TAGS_OPS = [*essentia._MUSICNN, "ConcatV2", "ConcatV2", "Squeeze", "Squeeze", "Sigmoid"]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "msd"
    folder.mkdir()
    (folder / "msd-musicnn-1.pb").write_bytes(graph(values(), TAGS_OPS))
    (folder / "emomusic.pb").write_bytes(graph(head_values(), essentia._REGRESSION))
    return folder


# -- what the graph computes, in its own layout of (B, frames, features, channels) -----------------


def written_out(held, mel):
    """Dense layer before its ReLU, and the logits, of patches (B, N, 96)."""

    def norm(x, index):
        name = f"batch_normalization_{index}" if index else "batch_normalization"
        gamma, beta, mean, variance = (
            torch.from_numpy(held[f"{name}/{part}"])
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / (variance + 1e-3).sqrt() * gamma + beta

    def layer(x, name, index, before, behind):
        kernel = torch.from_numpy(held[f"{name}/kernel"]).permute(3, 2, 0, 1)
        x = F.pad(x, (0, 0, 0, 0, before, behind)).permute(0, 3, 1, 2)
        x = F.conv2d(x, kernel, torch.from_numpy(held[f"{name}/bias"])).permute(0, 2, 3, 1)
        return norm(x.relu(), index)

    def dense(x, name):
        return x @ torch.from_numpy(held[f"{name}/kernel"]) + torch.from_numpy(held[f"{name}/bias"])

    x = norm(mel[..., None], 0)
    pads = [(3, 3), (3, 3), (63, 64), (31, 32), (15, 16)]
    names = ["conv2d", *(f"conv2d_{i}" for i in range(1, 5))]
    front = [
        layer(x, n, i + 1, *p).amax(2) for i, (n, p) in enumerate(zip(names, pads, strict=True))
    ]
    front = torch.cat(front, 2)[..., None]
    outputs = [front, layer(front, "conv2d_5", 6, 3, 3).transpose(2, 3)]
    for i in (6, 7):
        outputs.append(layer(outputs[-1], f"conv2d_{i}", i + 1, 3, 3).transpose(2, 3) + outputs[-1])
    every = torch.cat(outputs, 2)
    pooled = torch.cat([every.amax(1), every.mean(1)], 2).flatten(1)
    embedding = dense(norm(pooled, 9), "dense")
    return embedding, dense(norm(embedding.relu(), 10), "dense_1")


def patches_of(wav):
    """Of 187 frames every 93, the first frame centred at the beginning, in 5 s."""
    wav = F.pad(wav, (256, 256))
    return [wav[start : start + 48128] for start in (0, 23808)]


@pytest.mark.slow
@torch.no_grad()
def test_tags_of_a_graph(tmp_path, source):
    report = convert(source / "msd-musicnn-1.pb", tmp_path / "bundle")
    assert report.source.name == "essentia"
    bundle = bundles.load(tmp_path / "bundle")
    assert bundle.labels[0] == "rock" and bundle.task.name == "tagging"
    wavs = probe_signals(48128)[:3]
    mel = bundle.compute_features(wavs)
    assert mel.shape == (3, 187, 96)
    expected = written_out(values(), mel)[1]
    torch.testing.assert_close(bundle(wavs), expected, rtol=1e-4, atol=1e-4)
    patches = bundle.compute_features(torch.stack(patches_of(wav := probe_signals(80000)[1])))
    expected = written_out(values(), patches)[1].sigmoid().mean(0)
    tags = bundle.predict(wav).values["tags"]
    assert [tags[label] for label in bundle.labels] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_valence_and_arousal_of_a_folder(tmp_path, source):
    """The mean over the patches of a recording."""
    convert(source, tmp_path / "bundle")
    bundle = bundles.load(tmp_path / "bundle")
    patches = patches_of(wav := probe_signals(80000)[1])
    embedding = written_out(values(), bundle.compute_features(torch.stack(patches)))[0]
    held = {key: torch.from_numpy(value) for key, value in head_values().items()}
    hidden = (embedding @ held["dense/kernel"] + held["dense/bias"]).relu()
    expected = (hidden @ held["dense_1/kernel"] + held["dense_1/bias"]).mean(0)
    answer = bundle.predict(wav).values
    assert answer["windows"] == 2 and answer["scale"] == {"low": 1.0, "high": 9.0}
    got = [answer["valence"], answer["arousal"]]
    assert got == pytest.approx(expected.tolist(), abs=1e-3)


def test_a_folder_of_two_heads_is_refused(tmp_path, source):
    (source / "deam.pb").write_bytes((source / "emomusic.pb").read_bytes())
    with pytest.raises(ConversionError, match="2 of heads"):
        convert(source, tmp_path / "bundle")


def refusal(tmp_path, data):
    (tmp_path / "x.pb").write_bytes(data)
    with pytest.raises(ConversionError) as error:
        convert(tmp_path / "x.pb", tmp_path / "bundle", labels=["a"] * 50)
    assert not (tmp_path / "bundle").exists()
    return str(error.value)


def test_graphs_that_are_no_musicnn(tmp_path):
    assert "head alone" in refusal(tmp_path, graph(head_values(), essentia._REGRESSION))
    assert "MusiCNN's operators" in refusal(tmp_path, graph(values(), TAGS_OPS[::-1]))
    held = values()
    assert "conv2d_3/kernel" in refusal(
        tmp_path, graph({k: v for k, v in held.items() if k != "conv2d_3/kernel"}, TAGS_OPS)
    )
    held["conv2d_2/kernel"] = held["conv2d_2/kernel"][:100]
    assert "horizontal.0.weight" in refusal(tmp_path, graph(held, TAGS_OPS))


def test_graphs_that_are_damaged_or_hostile(tmp_path):
    whole = graph(values(), TAGS_OPS)
    assert "damaged" in refusal(tmp_path, whole[: len(whole) // 2])
    assert "nodes" in refusal(tmp_path, node("a", "Add") * 10_001)
    dims = entry(2, entry(1, 2**40))
    tensor = entry(8, entry(1, 1) + entry(2, dims) + entry(5, struct.pack("<f", 1.0)))
    assert "has 1 values" in refusal(tmp_path, node("a", "Const", value=tensor))
    dims = entry(2, varint(1 << 3) + b"\xff" * 9 + b"\x01")  # -1
    tensor = entry(8, entry(1, 1) + entry(2, dims))
    assert "shape" in refusal(tmp_path, node("a", "Const", value=tensor))


def test_listed_and_repeated_values(tmp_path):
    (tmp_path / "x.pb").write_bytes(constant("one", np.float32([2.5])) + operators(["Add"]))
    read = read_graph(SourceFile(tmp_path / "x.pb"))
    assert read.constants["one"].tolist() == [2.5] and read.ops == ["Add"]
    with pytest.raises(ConversionError, match="essentia"):
        find_source(SourceFile(tmp_path / "x.pb"))
