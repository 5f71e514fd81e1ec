"""KWT in ARM's TFLite files: their names and features, against the net that the values are of."""

import numpy as np
import pytest
import torch
from tflite_files import write_tflite

from auricle.lobes import build_model, bundles
from auricle.lobes.conversion import ConversionError, arm_kwt
from auricle.lobes.conversion.proof import convert, probe_signals

MEAN, SCALE = 0.5, np.linspace(0.1, 2.0, 40)


def net():
    """With values in every weight, those too that are zero at the beginning."""
    torch.manual_seed(0)
    options = {"kwt": {"gelu": "tanh"}}
    model = build_model(
        "mfcc",
        "kwt",
        frontend_options={"mfcc": arm_kwt.MFCC_OPTIONS},
        normalization="none",
        encoder_options=options,
        clip_s=1.0,
        head="classifier",
        num_outputs=12,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def tensors(model):
    """What ARM's file of this net holds, by the names of its training."""
    frontend, weights = model.compute_features, model.state_dict()
    held = {
        "speech_features/windowing/mul/y": frontend.mel.window_values,
        "speech_features/magnitude_rdf_tmel/MatMul_2": frontend.mel.bank.T[:, :244],
        "speech_features/lambda_5/Maximum/y": torch.tensor(1e-12),
        "speech_features/dct/MatMul": frontend.basis.T,
        "speech_features/normalizer/sub/y": torch.tensor(MEAN),
        "speech_features/normalizer/truediv;speech_features/normalizer/truediv/y": SCALE,
        "sequential_12/dense_73/MatMul": weights["classifier.linear.weight"],
        "sequential_12/dense_73/bias": weights["classifier.linear.bias"],
        "kws_transformer/dense/Tensordot/MatMul": weights["embedding_model.input.weight"],
        "kws_transformer/dense/bias": weights["embedding_model.input.bias"],
        "class_emb": weights["embedding_model.class_token"],
        "pos_emb": weights["embedding_model.positions"],
    }
    for layer in range(12):
        block = "kws_transformer/transformer_block" + (f"_{layer}" if layer else "")
        ours = f"embedding_model.layers.{layer}."
        theirs = [f"{block}/part/dense_{6 * layer + number}/" for number in range(1, 7)]
        for dense, value in zip(
            theirs, weights[f"{ours}attention.query_key_value.weight"].chunk(3), strict=False
        ):
            held[f"{dense}Tensordot/MatMul"] = value
        for dense, part in zip(
            theirs[3:], ("attention.output", "feed_forward.0", "feed_forward.2"), strict=True
        ):
            held[f"{dense}Tensordot/MatMul"] = weights[f"{ours}{part}.weight"]
            held[f"{dense}bias"] = weights[f"{ours}{part}.bias"]
        for number, part in enumerate(("attention_norm", "feed_forward_norm")):
            norm = f"{block}/layer_normalization" + (
                f"_{2 * layer + number}" if layer + number else ""
            )
            held[f"{norm}/gamma"] = weights[f"{ours}{part}.weight"]
            held[f"{norm}/beta"] = weights[f"{ours}{part}.bias"]
    return {name: np.asarray(value, "f4") for name, value in held.items()}


@pytest.fixture(scope="module")
def model():
    return net()


@pytest.mark.slow
@torch.no_grad()
def test_weights_and_features_are_those_of_the_net(tmp_path, model, monkeypatch):
    monkeypatch.setattr(arm_kwt, "runtime", lambda file: (None, "not here"))  # it has no operators
    write_tflite(tmp_path / "kwt.tflite", list(tensors(model).items()))
    report = convert(tmp_path / "kwt.tflite", tmp_path / "bundle")
    assert report.source.name == "arm_kwt" and report.difference is None
    bundle, wavs = bundles.load(tmp_path / "bundle"), probe_signals(16000)
    assert bundle.labels[2] == "yes" and bundle.embedding_model.in_frames == 98
    feats = (model.compute_features(wavs) - MEAN) * torch.tensor(SCALE, dtype=torch.float32)
    expected = model.classifier(model.embedding_model(feats))[:, 0]
    torch.testing.assert_close(bundle(wavs), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("speech_features/windowing/mul/y", lambda x: np.ones_like(x), "window"),
        ("speech_features/magnitude_rdf_tmel/MatMul_2", lambda x: x[:, :-1], "mel bands"),
        ("speech_features/lambda_5/Maximum/y", lambda x: 10 * x, "1e-12"),
        ("kws_transformer/dense/bias", None, "kws_transformer/dense/bias"),
        ("kws_transformer/transformer_block_3/layer_normalization_6/beta", None, "layer 3"),
    ],
)
def test_another_graph_is_refused(tmp_path, model, name, change, message):
    held = tensors(model)
    value = held.pop(name)
    if change:
        held[name] = np.ascontiguousarray(change(value))
    write_tflite(tmp_path / "kwt.tflite", list(held.items()))
    with pytest.raises(ConversionError, match=message):
        convert(tmp_path / "kwt.tflite", tmp_path / "bundle")
