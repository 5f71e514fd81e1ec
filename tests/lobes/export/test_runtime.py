"""Exported ONNX files opened like bundles, and files that are none, or hostile."""

import json

import onnx
import pytest
import torch
from onnx_models import DESCRIPTION, RECORD, mean_model, write_model
from random_bundle import random_bundle

from auricle.lobes.bundles import Bundle, BundleError
from auricle.lobes.export import OnnxModel, open_model


@pytest.fixture
def opened(tmp_path):
    return open_model(write_model(tmp_path / "m.onnx"))


def test_one_door_for_bundles_and_files(tmp_path, opened):
    assert isinstance(opened, OnnxModel)
    assert isinstance(open_model(random_bundle(tmp_path / "bundle")), Bundle)


def test_a_file_answers_as_its_task_does(opened):
    wav = torch.full((1600,), 0.5)
    assert opened.task.name == "classification" and opened.sample_rate == 8000
    answer = opened.predict(wav).values
    assert answer["label"] == "high"
    assert answer["probability"] == pytest.approx(1 / (1 + 2.718281828 ** (-1)), abs=1e-3)
    assert opened(torch.zeros(3, 100)).shape == (3, 2)
    assert opened.steps(torch.zeros(3, 100), torch.ones(3)).shape == (3, 1, 2)


def test_a_file_says_what_it_cannot_do(opened):
    with pytest.raises(BundleError, match="scores.*embedding"):
        opened.embed(torch.zeros(1, 100))
    for samples in (9, 901):
        with pytest.raises(BundleError, match=rf"10 to 900 samples, got {samples}"):
            opened(torch.zeros(1, samples))
    assert not opened.compute_features.num_frames(9) and opened.compute_features.num_frames(10)


def test_the_digest_is_of_the_weights_unless_they_were_rounded(tmp_path):
    about = {**DESCRIPTION, "weights_sha256": "0" * 64}
    float_, int8 = (
        open_model(write_model(tmp_path / "m.onnx", description=about, int8=rounded))
        for rounded in (False, True)
    )
    assert float_.digest == "0" * 64 != int8.digest


def external(model):
    tensor = model.graph.initializer[2]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def hidden_external(model):
    """In a constant of a branch that is never taken."""
    tensor = onnx.TensorProto(data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret")
    inner = onnx.helper.make_node("Constant", [], ["inner"], value=tensor)
    branch = onnx.helper.make_graph([inner], "branch", [], [])
    model.graph.node.append(
        onnx.helper.make_node("If", ["zero"], ["other"], then_branch=branch, else_branch=branch)
    )


def record_with(**changes):
    def change(model):
        for entry in model.metadata_props:
            if entry.key == "auricle":
                entry.value = json.dumps({**json.loads(entry.value), **changes})

    return change


def without_record(model):
    del model.metadata_props[:]


def no_json(model):
    without_record(model)
    model.metadata_props.add(key="auricle", value="{" * 1000)


def two_outputs(model):
    model.graph.output.append(onnx.helper.make_tensor_value_info("mean", 1, None))


def other_input(model):
    model.graph.input[1].name = "other"


HOSTILE = {
    external: "another file",
    hidden_external: "another file",
    without_record: "not exported by auricle",
    no_json: "damaged",
    two_outputs: "2 outputs",
    other_input: "damaged|cannot open",
    record_with(format="pt2"): "pt2",
    record_with(export=2): "export must be 1",
    record_with(shortest_samples=0): "shortest_samples must be",
    record_with(longest_samples="x"): "longest_samples must be",
    record_with(deviation=True): "deviation must be",
    record_with(output="logits"): "output must be",
    record_with(calibration=[]): "calibration must be",
    record_with(description={**DESCRIPTION, "sample_rate": 10**9}): "sample_rate must be",
    record_with(description={**DESCRIPTION, "labels": ["\x1b[2J", "no"]}): "labels must be",
    record_with(description={}): "lacks",
}


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_files_are_refused(tmp_path, number):
    change, words = list(HOSTILE.items())[number]
    model = mean_model()
    change(model)
    with pytest.raises(BundleError, match=words) as caught:
        open_model(write_model(tmp_path / "m.onnx", model))
    assert "\x1b" not in str(caught.value)


def test_operators_of_somebodys_own_are_refused(tmp_path):
    with pytest.raises(BundleError, match="LogSoftmax.*evil.example.*none of ONNX.s own"):
        open_model(write_model(tmp_path / "m.onnx", domain="evil.example"))


def test_what_is_no_onnx_is_refused(tmp_path):
    path = write_model(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BundleError, match="m.onnx"):
        open_model(path)
    with pytest.raises(BundleError, match="no such file"):
        open_model(tmp_path / "other.onnx")


def test_a_file_larger_than_the_memory_is_not_read(tmp_path, monkeypatch):
    path = write_model(tmp_path / "m.onnx")
    monkeypatch.setattr("auricle.lobes.export.runtime.available_bytes", lambda: 1000)
    with pytest.raises(BundleError, match="are free"):
        open_model(path)


def test_scores_that_are_not_of_the_labels_are_refused_when_they_come(tmp_path):
    model = open_model(write_model(tmp_path / "m.onnx", weight=[[1.0, 2.0, 3.0]]))
    with pytest.raises(BundleError, match="2 labels"):
        model.predict(torch.zeros(800))


def test_every_entry_of_a_record_is_needed(tmp_path):
    for name in RECORD:
        model = mean_model()
        (entry,) = [one for one in model.metadata_props if one.key == "auricle"]
        entry.value = json.dumps({key: value for key, value in RECORD.items() if key != name})
        with pytest.raises(BundleError, match=name):
            open_model(write_model(tmp_path / "m.onnx", model))
