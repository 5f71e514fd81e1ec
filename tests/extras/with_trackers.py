"""Trackers, by the real libraries: what a training, stopped and continued, leaves on the disk."""

import json
import struct

import pytest
from command_line import Recipe

#: Nothing here depends on how a run learns.
SETTINGS = {"frontend": "leaf", "encoder": "linear", "batch_size": 64, "schedule": "constant"}
SETTINGS |= {"warmup_epochs": 0, "frontend_options.leaf.num_features": 8}
TAGS = {"train/loss", "valid/loss", "valid/accuracy", "lr", "lr/frontend"}
TAGS |= {"filters/centre_shift_hz", "filters/divergence"}


@pytest.fixture
def train(tiny, tmp_path):
    """Train one epoch, then go on to a second, with a tracker; the folder of results."""
    recipe = Recipe("speech_commands", SETTINGS, tiny("speech_commands"))

    def run(name):
        for epochs in (1, 2):
            recipe.train(
                *(tmp_path / "run", "--logger", name, "--number_of_epochs", epochs), pictures=True
            )
        return tmp_path

    return run


def test_tensorboard(train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train("tensorboard")
    (run,) = (folder / "tensorboard").iterdir()
    events = EventAccumulator(str(run)).Reload()
    assert set(events.Tags()["scalars"]) >= TAGS | {"test/accuracy"}
    assert [event.step for event in events.Scalars("valid/accuracy")] == [1, 2]
    assert {"curves", "filters", "test/confusion_matrix"} <= set(events.Tags()["images"])
    assert [event.step for event in events.Images("filters")] == [1, 2]


def written_by_wandb(data, header=7, block=32768):
    """Records of a .wandb file, which is laid out as a log of LevelDB."""
    place, record = header, b""
    while place + header < len(data):
        if block - place % block < header:  # too little is left of a block
            place += block - place % block
        size, kind = struct.unpack_from("<HB", data, place + 4)
        record += data[place + header : place + header + size]
        place += header + size
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def test_wandb_offline(train, monkeypatch):
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = train("wandb")
    parts = sorted((folder / "wandb").glob("offline-run-*/*.wandb"))
    assert len({part.stem for part in parts}) == 1, "both starts are one run"
    rows = []
    for part in parts:
        for data in written_by_wandb(part.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("history"):
                items = record.history.item
                rows.append({i.key or "/".join(i.nested_key): i.value_json for i in items})
    keys = set().union(*rows)
    assert keys >= TAGS | {"test/accuracy", "filters/path", "curves/path"}
    assert {row["epoch"] for row in rows if "valid/accuracy" in row} == {"1", "2"}


def test_mlflow_in_a_folder(train, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = train("mlflow")
    client = MlflowClient(f"sqlite:///{folder}/mlflow/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "auricle"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == json.loads((folder / "run" / "tracker.json").read_text())["mlflow"]
    assert set(run.data.metrics) >= TAGS | {"test/accuracy"}
    assert run.data.params["frontend"] == "leaf" and "data_folder" not in run.data.params
    accuracy = client.get_metric_history(run.info.run_id, "valid/accuracy")
    assert [point.step for point in accuracy] == [1, 2]
    for name in ("filters/epoch_0002.png", "test/confusion_matrix.png"):
        files = client.list_artifacts(run.info.run_id, name.split("/")[0])
        assert name in [file.path for file in files]
