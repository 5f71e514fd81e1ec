"""One preparation for all ranks and all runs on the same data: who prepares, with what, and where."""

import pytest
import speechbrain.utils.distributed

from auricle.recipes.training.preparation import on_every_rank, prepare_configured


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


def test_a_configuration_gives_the_arguments_of_the_same_name(tmp_path):
    def prepare(
        data_folder, output_folder, protocol="p", seed=0, download=False, scan_cache=None,
        cache_folder=None, num_workers=None, progress=True,
    ):  # fmt: skip
        return dict(locals())

    plain = {
        "data_folder": "mini", "output_folder": "run", "results_folder": str(tmp_path), "seed": 9,
        "data_seed": 3, "protocol": "q", "download": True, "num_workers": 4, "lr": 0.1,
    }  # fmt: skip
    folder = tmp_path / "sounds"
    arguments = prepare_configured(prepare, plain, folder, ["q", 3], cache_folder="c")
    assert arguments == {
        "data_folder": folder,
        "output_folder": tmp_path / "prepared" / "sounds-q-3",
        "protocol": "q",
        "seed": 3,
        "download": True,
        "scan_cache": None,
        "cache_folder": "c",
        "num_workers": None,
        "progress": True,
    }
