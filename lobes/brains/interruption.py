"""Ask a training run to stop: signals that end it after the present step, with a checkpoint."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterator

#: What a scheduler sends before it ends a job.
STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))
_REPEATED_S = 2.0


class StopRequested(BaseException):
    """A run was asked to stop; what it has learned is in its checkpoints. No error, so no Exception."""


class _State:
    name = ""  # of the signal that has come
    is_training = False
    interrupted_s = -math.inf


def requested() -> str:
    """The name of the signal that has asked this process to stop, "" for none."""
    return _State.name


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Inside, `STOPPING` signals ask for a stop, and an interrupt from the keyboard comes once.

    Only a run that trains goes on to its next checkpoint; anything else is raised at once.
    """
    owner, before = os.getpid(), {}

    def stop(number, frame):
        # Loaders of data are copies of this process: they end with it.
        if os.getpid() != owner or _State.name:
            return
        _State.name = signal.Signals(number).name
        if not _State.is_training:
            raise StopRequested(_State.name)

    def interrupt(number, frame):
        # A terminal and torchrun both send it.
        since_s, _State.interrupted_s = time.monotonic() - _State.interrupted_s, time.monotonic()
        if since_s > _REPEATED_S:
            raise KeyboardInterrupt

    _State.name, _State.interrupted_s = "", -math.inf
    with contextlib.suppress(ValueError):  # only the main thread has signals
        for number in STOPPING:
            before[number] = signal.signal(number, stop)
        before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        _State.name = ""
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def at_the_next_step() -> Iterator[None]:
    """Inside, a request to stop waits until the training asks for it (`requested`)."""
    _State.is_training = True
    try:
        yield
    finally:
        _State.is_training = False
