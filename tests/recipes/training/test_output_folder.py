"""An output folder belongs to one run: what is deleted, overwritten, locked, and what never is."""

import json
import os
import re
import socket
from types import SimpleNamespace

import pytest

from auricle.recipes.training.messages import RecipeError
from auricle.recipes.training.output_folder import claim_folder, release_folder

CHECKPOINT = "checkpoints/CKPT+2026-11-20+10-00-00+00"
OURS = (
    "settings.json",
    "results.json",
    "det.png",
    "bundle/bundle.json",
    "train_log.txt.abcd1234.part",
    f"{CHECKPOINT}/model.ckpt",
    f"{CHECKPOINT}/CKPT.yaml",
    f"checkpoints/unfinished+{CHECKPOINT[12:]}/model.ckpt",
    f"teacher/cosine/{'0a' * 16}.f32",
)
THEIRS = (
    "notes.txt",
    "thesis.png",
    "bundle/card.md",
    "checkpoints/mine/model.ckpt",
    "teacher/cosine/a.wav",
    f"{CHECKPOINT}/notes.txt",
)


@pytest.fixture(autouse=True)
def released():
    yield
    release_folder()


def config(**changes):
    options = SimpleNamespace(test_only=changes.pop("test_only", False))
    return SimpleNamespace(
        plain={"seed": 1, "lr": 0.1, "fresh": False, **changes}, run_opts=options
    )


def claim(folder, **changes):
    return claim_folder(config(**changes), str(folder), "digest")


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def a_run(folder):
    fill(folder, OURS)
    (folder / "settings.json").write_text('{"seed": 1, "lr": 0.1, "data_digest": "digest"}')
    return folder


def test_fresh_deletes_what_a_run_writes_and_nothing_else(tmp_path, capsys):
    folder = fill(a_run(tmp_path / "run"), THEIRS)
    claim(folder, fresh=True, lr=0.5)
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left - {"settings.json", "run.lock", "holder.json"} == set(THEIRS)
    assert json.loads((folder / "settings.json").read_text())["lr"] == 0.5
    assert "notes.txt" in capsys.readouterr().out


def test_fresh_leaves_an_empty_folder_of_a_run(tmp_path):
    claim(a_run(tmp_path / "run"), fresh=True)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("settings.json", "run.lock", "holder.json")
    }


@pytest.mark.parametrize("settings", [None, "{}", '{"editor.fontSize": 12, "seed": 1}', "{", "[]"])
@pytest.mark.parametrize(("name", "fresh"), [("thesis.tex", True), ("results.json", False)])
def test_a_folder_of_somebody_else_is_refused(tmp_path, settings, name, fresh):
    fill(tmp_path, [name])
    if settings is not None:
        (tmp_path / "settings.json").write_text(settings)
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    with pytest.raises(RecipeError, match=f"{name}.*--output_folder"):
        claim(tmp_path, fresh=fresh)
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_new_run_begins_beside_files_that_it_does_not_write(tmp_path):
    claim(fill(tmp_path, ["slurm-1.out"]))
    assert (tmp_path / "slurm-1.out").exists() and (tmp_path / "settings.json").exists()


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", ["checkpoints", "bundle", "train_log.txt", "run.lock", CHECKPOINT])
def test_nothing_is_touched_through_a_link(tmp_path, name, fresh):
    folder, other = a_run(tmp_path / "run"), fill(tmp_path / "other", ["CKPT.yaml", "a/b"])
    link = folder / name
    if link.exists():
        link.rename(tmp_path / "aside")
    link.symlink_to(other)
    with pytest.raises(RecipeError, match=f"{re.escape(name)} is a link"):
        claim(folder, fresh=fresh)
    assert sorted(path.name for path in other.rglob("*")) == ["CKPT.yaml", "a", "b"]
    assert (folder / "results.json").exists()


def test_fresh_deletes_nothing_through_a_link_to_a_run(tmp_path):
    folder = a_run(tmp_path / "run")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(RecipeError, match=str(folder)):
        claim(tmp_path / "link", fresh=True)
    assert (folder / "results.json").exists()


def test_files_that_a_killed_run_was_writing_are_swept(tmp_path):
    folder = fill(a_run(tmp_path), ["report.part", "det.png.part"])
    claim(folder)
    assert sorted(path.name for path in folder.glob("*.part")) == ["det.png.part", "report.part"]


def test_a_second_start_is_told_who_holds_the_folder(tmp_path):
    claim(tmp_path)
    with pytest.raises(
        RecipeError, match=f"process {os.getpid()} on {socket.gethostname()}, since"
    ):
        claim(tmp_path)
    release_folder()
    claim(tmp_path)


def test_the_lock_of_a_killed_process_is_waited_for(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(
        "filelock.FileLock.acquire", lambda lock, timeout, **_: waited.append(timeout)
    )
    claim(tmp_path)
    gone = {"host": socket.gethostname(), "process": 2**22 + 1, "since": ""}
    (tmp_path / "holder.json").write_text(json.dumps(gone))
    claim(tmp_path)
    assert waited[0] == 0 and waited[1] > 5


def settings(folder):
    return json.loads((folder / "settings.json").read_text())


def again(folder, **changes):
    release_folder()
    return claim(folder, **changes)


def test_another_number_of_processes_is_refused_but_for_a_test(tmp_path, monkeypatch):
    monkeypatch.setattr("auricle.recipes.training.output_folder._num_processes", lambda: 2)
    claim(tmp_path)
    monkeypatch.undo()
    with pytest.raises(RecipeError, match="(?s)processes: 2 there, 1 now.*nproc_per_node=2"):
        again(tmp_path)
    again(tmp_path, test_only=True)
    assert settings(tmp_path)["processes"] == 2


def test_a_run_of_an_earlier_version_goes_on_and_remembers_its_processes(tmp_path):
    claim(a_run(tmp_path))
    assert settings(tmp_path)["processes"] == 1


def rates(schedule, epochs):
    return {"schedule": schedule, "frontend_schedule": "same", "number_of_epochs": epochs}


@pytest.mark.parametrize("schedule", ["constant", "cosine_restarts"])
def test_a_run_becomes_longer_where_its_schedule_allows_it(tmp_path, schedule):
    claim(tmp_path, **rates(schedule, 2))
    again(tmp_path, **rates(schedule, 4))
    assert settings(tmp_path)["number_of_epochs"] == 4
    for changes in ({"number_of_epochs": 2}, {"number_of_epochs": 6, "lr": 1.0}):
        with pytest.raises(RecipeError, match="number_of_epochs: 4 there"):
            again(tmp_path, **{**rates(schedule, 4), **changes})


def test_a_run_whose_schedule_depends_on_its_length_stays_as_long(tmp_path):
    claim(tmp_path, **rates("cosine", 2))
    with pytest.raises(RecipeError, match="(?s)number_of_epochs: 2 there, 4 now.*cosine"):
        again(tmp_path, **rates("cosine", 4))
