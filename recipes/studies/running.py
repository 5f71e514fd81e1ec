"""Start a study: check its cells, prepare their data, say how long it takes, run what is not done."""

import contextlib
import hashlib
import importlib
import inspect
import json
import math
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from ...processing.system.files import TextError, json_digest, read_json
from ...processing.system.version import __version__
from ..reports.results import RESULTS_NAME, git_commit
from .places import Jobs, Place, submit
from .store import Store, counts
from .study import Cell, Study, StudyError
from .worker import spawn

_POLL_S = 0.5
#: Arguments of a preparation that are of a run, and change nothing of the data.
_OWN = {"seed", "output_folder", "num_workers", "progress", "download"}
#: More combinations are not checked one by one, but each value of an axis once.
_MOST_CHECKED = 200


def run_study(
    study: Study, store: Store, place: Place, times: bool = True, say: Callable = print
) -> int:
    """Run every cell that is not done.

    Arguments
    ---------
    study, store
    place : where.
    times : whether an epoch is timed where no cell has been run yet; it is the first of the first
        cell, and nothing of it is lost.
    say : prints a line.

    Returns
    -------
    0: all are done, or handed over to SLURM; 1: some failed or were stopped.

    Raises
    ------
    StudyError
        Cells that no recipe can train; data other than that of the finished cells; a library that
        is missing.
    """
    cells = study.cells()
    record = store.open(study)
    states = store.states(cells)
    todo = [cell for cell in cells if states[cell.name] not in ("done", "running")]
    data = _data(study, cells)
    if todo or record.get("stamp", data) != data:
        if todo and (problems := place.problems()):
            raise StudyError(study.name, problems)
        check_cells(study, todo)
        record["data"] |= prepare_data(study, store, cells)
    if todo or record.get("stamp") != data:
        known = {"version": __version__, "commit": git_commit(), "stamp": data}
        store.write({**record, **known})
    seeds = len(study.seeds)
    number, of_each = counts(states), _many(seeds, "seed")
    threads = _many(place.threads, "thread")
    say(
        f"Study {study.name}: {len(cells)} runs ({len(cells) // seeds} cells, {of_each} each), "
        + ", ".join(f"{count} {state}" for state, count in number.items() if count)
    )
    if not todo:
        return 0
    content = {
        "recipe": study.recipe,
        "cells": {cell.name: study.words(cell) for cell in todo},
        "threads": place.threads,
        "working_folder": os.getcwd(),  # what relative paths of options are relative to
    }
    workers = min(place.jobs, len(todo))
    many = f"{workers} at a time, " if workers > 1 else ""
    say(f"{len(todo)} to run, {many}{threads} each")
    listed = store.begin(content)
    if place.on == "slurm":
        say(_estimate(study, store, cells, todo, workers))
        jobs = submit(place, listed, workers)
        say(f"Handed over as {', '.join(job.job_id for job in jobs.handles)}; auricle study status")
        return 0
    try:
        if times and not any(state == "done" for state in states.values()):
            _time_epoch(study, store, todo[0], content)
        say(_estimate(study, store, cells, todo, workers))
        jobs = submit(place, listed, workers)
        _watch(jobs, store, todo, listed.stem, say)
        errors = jobs.errors()
    except KeyboardInterrupt:
        say("stopping: each run writes a checkpoint first")
        raise
    finally:
        listed.unlink(missing_ok=True)
        with contextlib.suppress(NameError):
            _wait(jobs)
    for error in errors:
        say(f"a worker ended: {error}")
    return _conclude(study, store, cells, say)


def _conclude(study: Study, store: Store, cells: list[Cell], say: Callable) -> int:
    states = store.states(cells)
    for name, state in states.items():
        if state == "failed":
            say(f"failed: {name}, see {store.log(name)}\n  {_words(store, name)}")
    number = counts(states)
    say(", ".join(f"{count} {state}" for state, count in number.items() if count))
    return 0 if number["done"] == len(cells) else 1


def _words(store: Store, name: str) -> str:
    return str(store.failure(name).get("words", "")).replace("\n", "\n  ")


def _watch(jobs: Jobs, store: Store, todo: list[Cell], start: str, say: Callable) -> None:
    """Say what becomes of each cell in this start, until all workers have ended."""
    waiting, over, began = list(todo), 0, time.monotonic()
    is_over = False
    while not is_over:
        is_over = jobs.are_over()
        for cell in list(waiting):
            name = cell.name
            is_done = store.is_done(name)
            if not is_done and store.failure(name).get("start") != start:
                continue
            waiting.remove(cell)
            over += 1
            left_s = (time.monotonic() - began) / over * len(waiting)
            left = f"; about {duration(left_s)} left" if waiting else ""
            what = "done" if is_done else f"FAILED: {_words(store, name).splitlines()[-1].strip()}"
            say(f"[{over}/{len(todo)}] {name}: {what}{left}")
        if not is_over:
            time.sleep(_POLL_S)


def _wait(jobs: Jobs) -> None:
    """Workers whose list is gone end after a checkpoint."""
    while not jobs.are_over():
        time.sleep(_POLL_S)


# -- before it starts ------------------------------------------------------------------------------


def check_cells(study: Study, todo: list[Cell]) -> None:
    """Raise what is wrong with the options of any cell, as the recipe says it."""
    from ..training.by_name import find_recipe
    from ..training.messages import RecipeError
    from ..training.runner import rehearse

    try:
        main = find_recipe(study.recipe)
    except RecipeError as error:
        raise StudyError(study.name, [str(error)]) from error
    combinations = {tuple(cell.labels.items()): cell for cell in todo}
    if len(combinations) > _MOST_CHECKED:
        covering: dict = {}
        for cell in combinations.values():
            for label in cell.labels.items():
                covering.setdefault(label, cell)
        combinations = {tuple(cell.labels.items()): cell for cell in covering.values()}
    problems: dict[str, list[str]] = {}
    for cell in combinations.values():
        rehearsal = rehearse(main, study.words(cell), prepares=False)
        for text in _texts(rehearsal.errors) if rehearsal.status else ():
            where = ", ".join(f"{axis} {label}" for axis, label in cell.labels.items())
            problems.setdefault(text, []).append(where)
    if problems:
        everywhere = len(combinations)
        raise StudyError(
            study.name,
            [
                text if len(where) == everywhere else f"{where[0]}: {text}"
                for text, where in problems.items()
            ],
        )


def _texts(errors: str) -> list[str]:
    """The problems in what a command prints: a list of them, or one error."""
    listed = re.split(r"^  - ", errors, flags=re.M)[1:]
    return [text.strip() for text in listed] or [errors.removeprefix("auricle: ")]


def _data(study: Study, cells: list[Cell]) -> str:
    """Which data a study is about, as far as it shows at a glance: its folder, and what is in it."""
    total = hashlib.sha256()
    for folder in sorted({str(study.settings(cell, "data_folder")[0]) for cell in cells}):
        total.update(folder.encode())
        if os.path.isdir(folder):
            entries = sorted((e.name, e.stat().st_mtime_ns) for e in os.scandir(folder))
            total.update(json.dumps(entries).encode())
    return total.hexdigest()


def prepare_data(study: Study, store: Store, cells: list[Cell]) -> dict[str, str]:
    """Prepare the data of the cells, each kind once, and compare it with that of finished cells.

    Returns
    -------
    Digest of the settings that the preparation depends on -> digest of the data.
    """
    from ..training.by_name import find_recipe
    from ..training.runner import rehearse

    main = find_recipe(study.recipe)
    digests: dict[str, str] = {}
    for cell in cells:
        kind = _kind_of_data(study, cell)
        if kind not in digests:
            words = [*study.words(cell), "--results_folder", str(store.folder)]
            rehearsal = rehearse(main, words, prepares=True)
            if rehearsal.status:
                raise StudyError(study.name, _texts(rehearsal.errors))
            digests[kind] = rehearsal.data_digest
    others = []
    for cell in cells:
        result = result_of(store, cell.name)
        if result and result.get("data_digest") != digests[_kind_of_data(study, cell)]:
            others.append(cell.name)
    if others:
        raise StudyError(
            study.name,
            [
                f"{len(others)} cells in {store.folder} are of other data than this, {others[0]} "
                "for one: give another --folder, or the data of before"
            ],
        )
    return digests


def _kind_of_data(study: Study, cell: Cell) -> str:
    """Digest of what the preparation of a cell depends on."""
    try:
        prepare = importlib.import_module(f"auricle.recipes.{study.recipe}.prepare").prepare
        keys = {*inspect.signature(prepare).parameters, "mini_size", "data_seed"} - _OWN
    except ImportError:  # somebody's own recipe
        return json_digest({**cell.options, "seed": None})
    return json_digest([str(value) for value in study.settings(cell, *sorted(keys))])


def _time_epoch(study: Study, store: Store, cell: Cell, content: dict) -> None:
    """Run a cell until its first epoch is over; it stops with a checkpoint and goes on later."""
    name = cell.name
    with store.lock(name) as free:
        if not free:
            return
        with open(store.log(name), "a", encoding="utf-8") as log:
            process = spawn(content, name, store, log)
            try:
                while process.poll() is None and not history(store, name).get("epochs"):
                    time.sleep(_POLL_S)
            finally:
                if process.poll() is None:
                    process.terminate()
                process.wait()


def history(store: Store, name: str) -> dict:
    """The record of a cell's latest checkpoint; of a cross-validation, that of the first fold."""
    for folder in run_folders(store, name):
        files = sorted((folder / "checkpoints").glob("CKPT*/history.ckpt"))
        with contextlib.suppress(OSError, TextError):
            if files:
                return read_json(files[-1])
    return {}


def run_folders(store: Store, name: str) -> list[Path]:
    """The folder of a cell's run, and those of its folds where it is a cross-validation."""
    return [store.run(name), *sorted(store.run(name).glob("fold_*"))]


def result_of(store: Store, name: str) -> dict:
    """The `results.json` of a cell; empty where there is none that can be read."""
    try:
        result = read_json(store.run(name) / RESULTS_NAME)
    except (OSError, TextError):
        return {}
    return result if isinstance(result, dict) else {}


def _estimate(study: Study, store: Store, cells: list[Cell], todo: list[Cell], workers: int) -> str:
    """How long the runs will take, from epochs that were timed."""
    timed: dict[tuple, float] = {}
    for cell in cells:
        result = result_of(store, cell.name)
        epochs, seconds = result.get("epochs"), result.get("wall_s")
        if not epochs:
            past = history(store, cell.name)
            epochs, seconds = len(past.get("epochs", [])), past.get("seconds")
        if epochs and seconds:
            timed.setdefault(tuple(cell.labels.items()), seconds / epochs)
    if not timed:
        return "How long it takes is not known: no epoch has been timed"
    mean = math.fsum(timed.values()) / len(timed)
    total = 0.0
    for cell in todo:
        (epochs,) = study.settings(cell, "number_of_epochs")
        total += (epochs or 1) * timed.get(tuple(cell.labels.items()), mean)
    return (
        f"About {duration(total / workers)} of training ({mean:.1f} s an epoch, timed in "
        f"{len(timed)} of {len(cells) // len(study.seeds)} cells), and starting and testing"
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def duration(seconds: float) -> str:
    """42 s, 12 min, 3.4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def default_folder(study: Study) -> Path:
    """Where a study's runs go unless one says."""
    return Path("results") / "studies" / study.name
