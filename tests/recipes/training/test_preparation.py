"""One preparation for all ranks: the main process prepares, the others read what it left."""

import pytest
import speechbrain.utils.distributed

from auricle.recipes.training.preparation import on_every_rank


class Preparation:
    """Remembers what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, **arguments):
        self.calls.append(arguments)
        return self


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        (True, {"seed": 3, "download": True, "progress": True}),
        (False, {"seed": 3, "progress": False}),
    ],
)
def test_every_rank_prepares_once_and_only_the_main_one_downloads(monkeypatch, main, expected):
    monkeypatch.setattr(speechbrain.utils.distributed, "if_main_process", lambda: main)
    prepare = Preparation()
    assert on_every_rank(prepare, {"seed": 3}, download=True) is prepare
    assert prepare.calls == [expected]


def test_the_prepared_is_not_sent_to_the_other_ranks(monkeypatch):
    sent = []
    monkeypatch.setattr(speechbrain.utils.distributed, "ddp_broadcast", sent.append)
    prepare = Preparation()
    assert on_every_rank(prepare, {}) is prepare
    assert sent == [None]


def test_the_others_prepare_after_the_main_process(monkeypatch):
    order = []
    monkeypatch.setattr(speechbrain.utils.distributed, "if_main_process", lambda: False)
    monkeypatch.setattr(
        speechbrain.utils.distributed, "ddp_barrier", lambda: order.append("barrier")
    )
    on_every_rank(lambda progress: order.append("prepare"), {})
    assert order == ["barrier", "prepare"]


def test_an_error_of_the_preparation_is_raised():
    def broken(progress):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        on_every_rank(broken, {})
