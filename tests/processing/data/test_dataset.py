"""A dataset whose items change from epoch to epoch, and rows that are decoded once."""

import torch

from auricle.processing.data import manifest
from auricle.processing.data.cache import AudioCache
from auricle.processing.data.dataset import Recordings, row_reader


def test_items_are_those_of_the_epoch():
    outputs = {"sig": lambda name: (name, clips.epoch), "group": str.upper}
    clips = Recordings({"b": {"label": 1}, "a": {}}, outputs, (2.0, 1.0))
    assert list(clips) == [
        {"id": "b", "sig": ("b", 1), "group": "B"},
        {"id": "a", "sig": ("a", 1), "group": "A"},
    ]
    clips.set_epoch(7)
    assert clips[1]["sig"] == ("a", 7)
    assert clips.durations_s == [2.0, 1.0] and clips.data_ids == ["b", "a"]


def test_a_row_is_decoded_once(monkeypatch):
    decoded = []

    def read_row(row, roots, rate):
        decoded.append((row["path"], roots, rate))
        return torch.tensor([0.5])

    monkeypatch.setattr(manifest, "read_row", read_row)
    read = row_reader({"a": {"path": "x.wav"}}, {"": "/data"}, 8000, AudioCache(1))
    assert [read("a").item() for _ in range(3)] == [0.5] * 3
    assert decoded == [("x.wav", {"": "/data"}, 8000)]
