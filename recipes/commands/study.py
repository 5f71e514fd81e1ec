"""`auricle study`: a grid of runs, from its file to its report."""

from pathlib import Path
from typing import Literal

from ..studies.places import Place
from ..training.command_line import UsageError, changed


def run(
    action: Literal["run", "status", "report", "cancel"],
    name: str,
    /,
    place: Place,
    *,
    folder: str | None = None,
    data_folder: str | None = None,
    axis: tuple[str, ...] | None = None,
    seeds: str | None = None,
    set_: tuple[str, ...] | None = None,
    quick: bool = False,
    no_timing: bool = False,
    search: bool = False,
    samples: int = 20,
    json: bool = False,
    plugin: list[str] = (),
) -> int:
    """Run a grid of trainings: what is done is never run again, and what was killed goes on.

    Arguments
    ---------
    action
        run: every cell that is not done; status: which are done, running, failed, stopped or
        waiting; report: report.html and report.md in the folder; cancel: stop those that run, after a checkpoint.
    name : STUDY
        The file of a study, or the name of one that comes with auricle.
    folder : DIR
        Where its runs are (default: results/studies/STUDY).
    data_folder : DIR
        Of the recipe.
    axis : NAME=VALUE,VALUE
        Of an axis, these values alone; or a further axis over an option. May be given again.
    seeds : SEEDS
        In place of the study's, such as 1,5 or 1-3.
    set_ : NAME=VALUE
        An option of the recipe, for every cell. May be given again.
    quick
        The smallest sizes, as the study's file says, to see that everything runs.
    no_timing
        run: begin at once, without an epoch that says how long it takes.
    search
        run --on ray: train samples of the space that the file's `search` describes, poor ones only
        as long as they are among the better ones, by the validation score.
    samples : N
        Of the search.
    json
        status: print JSON.

    Returns
    -------
    1 where a cell failed or was stopped.
    """
    from ..studies.running import default_folder, run_study
    from ..studies.store import Store
    from ..studies.study import changed as with_changes
    from ..studies.study import find_study

    if action != "run" and (of_run := changed(place)):
        raise UsageError(f"{of_run[0]} is for auricle study run")
    if search and action != "run":
        raise UsageError("--search is for auricle study run --on ray")
    study = find_study(name, quick)
    options = list(set_ or ())
    study = with_changes(study, axis or (), seeds or "", options, data_folder, plugin)
    store = Store(Path(folder).absolute() if folder else default_folder(study).absolute())
    if action == "run" and search:
        from ..studies.search import search_study

        return search_study(study, store, place, samples)
    if action == "run":
        return run_study(study, store, place, not no_timing)
    if store.record() is None:
        raise ValueError(f"{store.folder} holds no study; auricle study run {name} begins one")
    if action == "cancel":
        return _cancel(store)
    if action == "report":
        from ..studies.report import write_report

        for path in write_report(study, store):
            print(f"wrote {path}")
        return 0
    return _status(study, store, json)


def _cancel(store) -> int:
    starts = store.starts()
    for start in starts:
        start.unlink(missing_ok=True)
    told = f"{len(starts)} told to stop: each run writes a checkpoint first"
    print(told if starts else "nothing runs that could be told to stop")
    return 0


def _status(study, store, json: bool) -> int:
    from ...processing.system.version import __version__
    from ..reports.printing import show
    from ..studies.running import duration
    from ..studies.store import counts

    states = store.states(study.cells())
    number = counts(states)
    record = {"study": study.name, "folder": str(store.folder), "counts": number, "cells": states}
    lines = [f"{state:<8} {name}" for name, state in states.items() if state != "waiting"]
    for name, state in states.items():
        if state == "failed":
            failure = store.failure(name)
            record.setdefault("failures", {})[name] = failure
            words = str(failure.get("words", "")).replace("\n", "\n    ")
            after = duration(failure.get("seconds") or 0)
            lines.append(f"{name} failed after {after}; {store.log(name)} ends:\n    {words}")
        elif state == "running" and (holder := store.holder(name)):
            lines.append(f"{name}: {holder}")
    version = (store.record() or {}).get("version")
    if version != __version__:
        lines.append(f"started last by auricle {version}; this is {__version__}")
    lines.append(", ".join(f"{count} {state}" for state, count in number.items() if count))
    show(record, lines, json)
    return 1 if number["failed"] or number["stopped"] else 0
