"""A dataset whose items change from epoch to epoch, and rows that are decoded once."""

import torch

from auricle.processing.data import dataset
from auricle.processing.data.dataset import AudioCache, Recordings, row_reader


def test_items_are_those_of_the_epoch():
    outputs = {"sig": lambda name: (name, clips.epoch), "group": str.upper}
    clips = Recordings({"b": {"label": 1}, "a": {"label": 2}}, outputs, (2.0, 1.0), ["label"])
    assert list(clips) == [
        {"id": "b", "sig": ("b", 1), "group": "B", "label": 1},
        {"id": "a", "sig": ("a", 1), "group": "A", "label": 2},
    ]
    clips.set_epoch(7)
    assert clips[1]["sig"] == ("a", 7)
    assert clips.durations_s == [2.0, 1.0] and clips.data_ids == ["b", "a"]


def test_a_row_is_decoded_once(monkeypatch):
    decoded = []

    def read_row(row, roots, rate, convert):
        decoded.append((row["path"], roots, rate))
        return torch.tensor([0.5, 0.25])

    monkeypatch.setattr(dataset, "read_row", read_row)
    cache = AudioCache(1)
    for size, wav in ((None, [0.5, 0.25]), (1, [0.5]), (3, [0.5, 0.25, 0.0])):
        read = row_reader({"a": {"path": "x.wav"}}, {"": "/data"}, 8000, cache, size)
        assert read("a").tolist() == wav
    assert decoded == [("x.wav", {"": "/data"}, 8000)]
