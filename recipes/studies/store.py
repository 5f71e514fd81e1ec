"""The folder of a study: which cells are done, running, failed or waiting, and their locks.

study.json          what was started last: data, version, commit
runs/CELL/          output folder of a cell's run
logs/CELL.txt       what the run printed
state/CELL.lock     held by whoever runs it
state/CELL.json     how it failed
jobs/START.json     the list of one start; its workers end when it is gone
"""

import contextlib
import json
import os
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from ...processing.system.files import TextError, read_json, write_json
from ..reports.results import RESULTS_NAME
from ..training.output_folder import HOLDER, LOCK, SETTINGS
from .study import Cell, Study, StudyError

RECORD = "study.json"
STATES = ("done", "running", "failed", "stopped", "waiting")


@dataclass(frozen=True)
class Store:
    """The folder of one study."""

    folder: Path

    def open(self, study: Study) -> dict:
        """Make the folder, or take one of this study; returns its record.

        Raises
        ------
        StudyError
            The folder holds another study, or files of others.
        """
        record = self.record()
        if record is None:
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise StudyError(
                    study.name,
                    [
                        f"{self.folder} holds files, and no {RECORD} of a study: give another --folder"
                    ],
                )
            record = {"study": study.name, "recipe": study.recipe, "data": {}}
        if (record["study"], record["recipe"]) != (study.name, study.recipe):
            raise StudyError(
                study.name,
                [
                    f"{self.folder} holds the study {record['study']} of {record['recipe']}, not "
                    f"this one, of {study.recipe}: give another --folder"
                ],
            )
        for name in ("runs", "logs", "state", "jobs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if self.record() is None:
            self.write(record)
        return record

    def record(self) -> dict | None:
        """What is known of the study in this folder; None where there is none."""
        try:
            record = read_json(self.folder / RECORD)
        except (OSError, TextError):
            return None
        is_ours = isinstance(record, dict) and {"study", "recipe", "data"} <= record.keys()
        return record if is_ours else None

    def write(self, record: dict) -> None:
        write_json(self.folder / RECORD, record)

    def run(self, cell: str) -> Path:
        return self.folder / "runs" / cell

    def log(self, cell: str) -> Path:
        return self.folder / "logs" / f"{cell}.txt"

    def failure_file(self, cell: str) -> Path:
        return self.folder / "state" / f"{cell}.json"

    def is_done(self, cell: str) -> bool:
        return (self.run(cell) / RESULTS_NAME).is_file()

    def failure(self, cell: str) -> dict:
        """How a cell failed: {"status", "words", "start"}; empty where it has not."""
        try:
            failure = read_json(self.failure_file(cell))
        except (OSError, TextError):
            return {}
        return failure if isinstance(failure, dict) else {}

    @contextlib.contextmanager
    def lock(self, cell: str) -> Iterator[bool]:
        """Hold a cell, as long as the block lasts; whether nobody else does."""
        with _held(self.folder / "state" / f"{cell}.lock") as free:
            # A run may outlive the worker that began it, or be somebody's by hand.
            if free and (self.run(cell) / LOCK).exists():
                with _held(self.run(cell) / LOCK) as is_over:
                    free = is_over
            yield free

    def states(self, cells: Sequence[Cell]) -> dict[str, str]:
        """Name of each cell -> one of `STATES`, from what is on the disk now."""
        there = {
            kind: _names(self.folder / kind) for kind in ("runs", "state")
        }  # one listing of a folder, instead of questions for every cell
        return {cell.name: self._state(cell.name, there) for cell in cells}

    def _state(self, cell: str, there: dict[str, set[str]]) -> str:
        if cell in there["runs"] and self.is_done(cell):
            return "done"
        if f"{cell}.lock" in there["state"]:
            with self.lock(cell) as free:
                if not free:
                    return "running"
        if f"{cell}.json" in there["state"]:
            return "failed"
        is_begun = cell in there["runs"] and (self.run(cell) / SETTINGS).is_file()
        return "stopped" if is_begun else "waiting"

    def holder(self, cell: str) -> str:
        """Who runs a cell, as far as its run has said."""
        try:
            values = read_json(self.run(cell) / HOLDER)
            return f"process {values['process']} on {values['host']}, since {values['since']}"
        except (OSError, TextError, KeyError, TypeError):
            return ""

    # -- starts --------------------------------------------------------------------------------------

    def begin(self, content: dict) -> Path:
        """Write the list of a start; its path names the start."""
        number, host = 1, socket.gethostname().partition(".")[0]
        while True:
            path = self.folder / "jobs" / f"{host}-{os.getpid()}-{number}.json"
            try:
                with open(path, "x", encoding="utf-8") as file:
                    json.dump(content, file)
                return path
            except FileExistsError:
                number += 1

    def starts(self) -> list[Path]:
        """The lists of all starts whose workers may be running."""
        return sorted((self.folder / "jobs").glob("*.json"))


def counts(states: dict[str, str]) -> dict[str, int]:
    """Number of cells in each state, in the order of `STATES`."""
    counted = Counter(states.values())
    return {state: counted[state] for state in STATES}


@contextlib.contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Hold a lock file, as long as the block lasts; whether nobody else does."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        yield False
        return
    except NotImplementedError:  # a file system without locks: cells would be run twice at once
        raise OSError(f"{path.parent} cannot be locked there: give another --folder") from None
    try:
        yield True
    finally:
        lock.release()


def _names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()
