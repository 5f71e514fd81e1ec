"""A note where other processes keep the cores busy."""

import os

import pytest

from auricle.processing.system.busy_cores import busy_cores_note


@pytest.fixture
def machine(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)

    def make(cores, load):
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)

    return make


@pytest.mark.parametrize(
    "cores, load, threads, noted",
    [(2, 0.1, 2, False), (2, 1.2, 2, True), (2, 1.2, 1, False), (16, 1.0, 8, False)],
)
def test_it_comes_where_fewer_cores_are_free_than_there_are_threads(
    machine, cores, load, threads, noted
):
    machine(cores, load)
    note = busy_cores_note(threads)
    assert (note is not None) == noted
    if noted:
        assert f"{load} of {cores} cores" in note and f"{threads} threads" in note
        assert "OMP_WAIT_POLICY=passive" in note and "OMP_NUM_THREADS=1" in note


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_who_has_set_something_is_left_alone(machine, monkeypatch, name):
    machine(2, 5.0)
    assert busy_cores_note(2) is not None
    monkeypatch.setenv(name, "1")
    assert busy_cores_note(2) is None


def test_a_system_that_does_not_say(machine, monkeypatch):
    machine(2, 5.0)

    def unknown():
        raise OSError

    monkeypatch.setattr(os, "getloadavg", unknown, raising=False)
    assert busy_cores_note(2) is None
