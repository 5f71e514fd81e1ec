"""Run the free cells of a start, one after the other, each in a process of its own.

A worker is what submitit and Ray carry to a machine. Several of them, of one start or of several,
share the cells of a study by their locks.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from ...processing.system.files import TextError, read_json, read_text, write_json
from .store import Store

#: Exit status of a run that was stopped and goes on, and of one that was interrupted.
_AGAIN = (75, 130)
_POLL_S = 0.2
#: Lines that say nothing about why a run failed.
_NO_WORDS = re.compile(r"^\(AURICLE_TRACEBACK|^\s*$")


class Worker:
    """Runs cells of a start until none is free, or the list of the start is gone.

    Arguments
    ---------
    listed : path of the list of the start, as `Store.begin` wrote it.
    index, workers : of this worker, and how many there are.
    pinned : whether it keeps to its share of the cores.
    """

    def __init__(self, listed: str, index: int = 0, workers: int = 1, pinned: bool = False):
        self.listed, self.index, self.workers, self.pinned = listed, index, workers, pinned
        self.process: subprocess.Popen | None = None
        self.is_stopped = False

    def __call__(self) -> None:
        path = Path(self.listed)
        try:
            content = read_json(path)
        except (OSError, TextError):
            return  # cancelled before it began
        if self.pinned:
            pin(self.index, self.workers)
        store = Store(path.parents[1])
        names = list(content["cells"])
        # Each begins elsewhere, so that they seldom meet.
        first = self.index * len(names) // max(self.workers, 1)
        with self._stopped_by_signals():
            for name in names[first:] + names[:first]:
                if self.is_stopped or not path.exists():
                    return
                with store.lock(name) as free:
                    if free and not store.is_done(name):
                        self._run(store, name, content)

    def checkpoint(self):
        """What submitit asks for before it takes the machine away: stop the run, begin again later."""
        from submitit.helpers import DelayedSubmission

        self.stop()
        if self.process is not None:
            # Not `Popen.wait`: this runs in a signal's handler, maybe amid that very function.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Worker(self.listed, self.index, self.workers, self.pinned))

    def stop(self) -> None:
        """Have the present run end after a checkpoint, and begin no other."""
        self.is_stopped = True
        if self.process is not None:
            with contextlib.suppress(OSError):
                self.process.terminate()

    def __getstate__(self):
        return {**vars(self), "process": None, "is_stopped": False}

    @contextlib.contextmanager
    def _stopped_by_signals(self):
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {}
        # submitit answers to its own signal, and passes SIGTERM over.
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda *_: self.stop())
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self, store: Store, name: str, content: dict) -> None:
        """Run one cell; what it says goes into its log, how it failed into its state."""
        start = Path(self.listed).stem
        if store.failure(name).get("start") == start:
            return
        store.failure_file(name).unlink(missing_ok=True)
        began = time.monotonic()
        with open(store.log(name), "a", encoding="utf-8") as log:
            self.process = spawn(content, name, store, log)
            while (status := self.process.poll()) is None:
                time.sleep(_POLL_S)
                if not self.is_stopped and not Path(self.listed).exists():
                    self.stop()
        self.process = None
        if status in _AGAIN:
            self.is_stopped = True  # whoever stopped it means this machine
        elif status or not store.is_done(name):
            if self.is_stopped and status in (-signal.SIGTERM, -signal.SIGINT):
                return  # before it could answer to a signal
            failure = {
                "status": status,
                "words": last_words(store.log(name), status),
                "seconds": round(time.monotonic() - began, 1),
                "start": start,
            }
            write_json(store.failure_file(name), failure)


def spawn(content: dict, name: str, store: Store, log) -> subprocess.Popen:
    """Start the run of a cell, as somebody would by hand."""
    command = [
        *(sys.executable, *content.get("program", ["-m", "auricle.recipes.cli", "train"])),
        *(content["recipe"], *content["cells"][name]),
        *("--results_folder", str(store.folder), "--output_folder", str(store.run(name))),
    ]
    threads = {"OMP_NUM_THREADS": str(content["threads"]), "OMP_WAIT_POLICY": "passive"}
    return subprocess.Popen(
        command,
        cwd=content.get("working_folder"),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **threads},
        # A terminal's Ctrl-C goes to the worker, who stops the run after a step.
        start_new_session=True,
    )


def last_words(log: Path, status: int, lines: int = 3) -> str:
    """The end of a log, and the signal that has ended the run."""
    try:
        text = read_text(log, "replace")[-20_000:]
    except OSError:
        text = ""
    words = [line.strip() for line in text.splitlines() if not _NO_WORDS.match(line)][-lines:]
    if status < 0:
        name = signal.Signals(-status).name
        memory = ", as when memory is short" if name == "SIGKILL" else ""
        words.append(f"(killed by {name}{memory})")
    return "\n".join(words) or f"(nothing was printed; exit status {status})"


def cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(index: int, workers: int) -> None:
    """Keep to one worker's share of the cores, where there is one for each."""
    own = cores()
    size = len(own) // workers
    if size and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, own[index * size : (index + 1) * size])
