"""Warn when fewer cores are free than torch has threads."""

import os

#: Environment variables that a user may have set for this reason; then nothing is said.
_SETTINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def busy_cores_note(threads: int) -> str | None:
    """Advice where fewer cores are free than the process has threads, else None.

    OpenMP's threads wait for each other at the end of every operator without releasing their
    core. An epoch of a small recogniser with two threads, on two cores that also ran tests,
    took 184 s, and 6 s with OMP_WAIT_POLICY=passive; where nothing else runs, that setting costs 1.1
    to 1.7 times the time.

    Arguments
    ---------
    threads : int
        Of this process.

    Example
    -------
    >>> busy_cores_note(1) is None
    True
    """
    if threads == 1 or any(name in os.environ for name in _SETTINGS):
        return None
    try:
        busy = os.getloadavg()[0]
    except OSError:  # the system does not say
        return None
    cores = os.cpu_count() or 1
    if cores - busy > threads - 0.5:
        return None
    return (
        f"Other processes keep about {busy:.1f} of {cores} cores busy, and this one has {threads} "
        "threads, which may wait for each other most of the time. OMP_NUM_THREADS=1, or "
        "OMP_WAIT_POLICY=passive, in front of the command is then many times faster."
    )
