"""Workers: cells are run once, failures stop nothing, what is cancelled goes on later."""

import functools
import json
import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from fake_training import begin_fake
from filelock import FileLock

from auricle.recipes.studies.running import _watch
from auricle.recipes.studies.store import Store, counts
from auricle.recipes.studies.study import StudyError, read_study
from auricle.recipes.studies.worker import Worker, pin


@pytest.fixture
def begin(tmp_path):
    """The store of a study over lr, its cells, and the list of a start of it."""
    return functools.partial(begin_fake, tmp_path)


def starts(store, cells):
    return [len((store.run(c.name) / "starts").read_text()) for c in cells]


@pytest.mark.slow
def test_cells_are_run_once_and_failures_stop_nothing(begin):
    store, cells, listed = begin(0.1, 0.2, 0.3, 0.5)
    Worker(str(listed), index=1, workers=2)()
    states = [*store.states(cells).values()]
    assert states == ["done", "failed", "failed", "done"]
    assert store.failure(cells[1].name)["words"] == "auricle: there are no such data"
    assert "SIGKILL, as when memory is short" in store.failure(cells[2].name)["words"]
    assert (store.run(cells[0].name) / "starts").read_text() == "3", "its threads"
    Worker(str(listed))()
    assert starts(store, cells) == [1] * 4, "nothing is run twice in one start"
    Worker(str(store.begin(json.loads(listed.read_text()))))()
    assert starts(store, cells) == [1, 2, 2, 1], "the next start tries again what failed"
    assert counts(store.states(cells))["failed"] == 2


@pytest.mark.slow
def test_two_workers_share_the_cells(begin):
    store, cells, listed = begin(*(1 + n / 100 for n in range(6)))
    other = threading.Thread(target=Worker(str(listed), 1, 2))
    other.start()
    Worker(str(listed), 0, 2)()
    other.join()
    assert starts(store, cells) == [1] * 6
    assert set(store.states(cells).values()) == {"done"}


@pytest.mark.parametrize("what", ["state/{}.lock", "runs/{}/run.lock"])
def test_a_cell_that_somebody_holds_is_left_alone(what, begin):
    store, cells, listed = begin(0.1, 0.5)
    lock = store.folder / what.format(cells[0].name)
    lock.parent.mkdir(exist_ok=True)
    (store.folder / "state" / f"{cells[0].name}.lock").touch()
    with FileLock(lock):
        assert store.states(cells)[cells[0].name] == "running"
        Worker(str(listed))()
    assert [*store.states(cells).values()] == ["waiting", "done"]


@pytest.mark.slow
def test_a_cancelled_start_stops_its_run_which_goes_on_later(begin):
    store, cells, listed = begin(0.4, 0.5)
    content = json.loads(listed.read_text())
    worker = threading.Thread(target=Worker(str(listed)))
    worker.start()
    while not (store.run(cells[0].name) / "settings.json").exists():
        time.sleep(0.01)
    assert store.starts() == [listed]
    listed.unlink()
    worker.join()
    assert [*store.states(cells).values()] == ["stopped", "waiting"]
    Worker(str(listed))()
    assert [*store.states(cells).values()] == ["stopped", "waiting"], "its list is gone"
    Worker(str(store.begin(content)))()
    assert [*store.states(cells).values()] == ["done", "done"]


def test_a_worker_that_gets_a_signal_stops_its_run(begin):
    store, cells, listed = begin(0.4, 0.5)

    def interrupt():
        while not (store.run(cells[0].name) / "settings.json").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    Worker(str(listed))()
    assert [*store.states(cells).values()] == ["stopped", "waiting"]


@pytest.mark.slow
def test_a_failure_of_an_earlier_start_is_no_news(begin):
    store, cells, listed = begin(0.2, 0.5)
    Worker(str(listed))()
    for start, said in (
        (listed.stem, ["FAILED: auricle: there are no such data", "done"]),
        ("x", ["done"]),
    ):
        lines = []
        _watch(SimpleNamespace(are_over=lambda: True), store, cells, start, lines.append)
        assert [line.split(": ", 1)[1].split(";")[0] for line in lines] == said


def test_folders_of_others_are_refused(begin, tmp_path):
    store, _, _ = begin(0.1)
    other = read_study({"recipe": "timit"}, "other", tmp_path)
    with pytest.raises(StudyError, match="holds the study s of speech_commands.*--folder"):
        store.open(other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(StudyError, match="holds files, and no study.json"):
        Store(tmp_path / "mine").open(other)


def test_cores_are_divided(monkeypatch):
    kept = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 4, 5, 7}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, own: kept.append(own), raising=False)
    for index in range(2):
        pin(index, 2)
    pin(0, 6)
    assert kept == [[0, 1], [4, 5]]


def test_the_worker_goes_to_another_process_without_its_run(begin):
    import pickle

    worker = Worker("list.json", 1, 2)
    worker.process = sys.stdin  # what cannot be pickled
    assert pickle.loads(pickle.dumps(worker)).process is None
