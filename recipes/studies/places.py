"""Where workers of a study run: submitit (this machine, SLURM) and Ray."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .worker import Worker, cores

_FOREVER_MIN = 60 * 24 * 365
_MOST_REQUEUES = 10_000  # of a SLURM job at its time limit; submitit's default is 3
_WARNING_S = 120  # before SLURM ends a job, for a checkpoint


@dataclass
class Place:
    """Where and with what the cells of a study run.

    Arguments (of where it runs)
    ----------------------------
    on
        submitit on this machine or on SLURM, this process (debug), or a Ray cluster (a local one
        where none is there).
    jobs
        How many runs at a time. The cores of this machine are divided by it.
    partition
        slurm: where jobs go.
    gpus
        slurm, ray: of a job.
    cpus
        slurm, ray: cores of a job.
    hours
        slurm: time limit of a job, which begins again after it, and goes on.
    """

    on: Literal["local", "slurm", "ray", "debug"] = "local"
    jobs: int = 1
    partition: str | None = None
    gpus: int = 0
    cpus: int | None = None
    hours: float = 24.0

    def problems(self) -> list[str]:
        """What is wrong with the options, and which library is missing."""
        found = [] if 1 <= self.jobs <= 1000 else [f"--jobs {self.jobs}: from 1 to 1000"]
        if self.on != "slurm" and self.partition:
            found.append("--partition is for --on slurm")
        if self.on in ("local", "debug") and self.gpus:
            found.append(
                "--gpus is for --on slurm and --on ray; here, CUDA_VISIBLE_DEVICES says which are used"
            )
        if not 0.1 <= self.hours <= 10_000:
            found.append(f"--hours {self.hours}: from 0.1 to 10,000")
        package = "ray" if self.on == "ray" else "submitit"
        try:
            __import__(package)
        except ImportError:
            extra = "dist" if self.on == "ray" else "studies"
            found.append(
                f"--on {self.on} needs {package}: pip install 'auricle[{extra}]' (or {package} alone)"
            )
        return found

    @property
    def threads(self) -> int:
        """Of each run."""
        if self.on in ("slurm", "ray"):
            return self.cpus or 1
        return max(1, len(cores()) // self.jobs)


@dataclass
class Jobs:
    """Workers that were started."""

    place: Place
    handles: list = field(default_factory=list)

    def are_over(self) -> bool:
        if self.place.on == "ray":
            import ray

            return not ray.wait(self.handles, num_returns=len(self.handles), timeout=0)[1]
        return all(job.done() for job in self.handles)

    def errors(self) -> list[str]:
        """The last line of what went wrong with workers, which is no cell's fault."""
        texts = []
        for handle in self.handles:
            try:
                if self.place.on == "ray":
                    import ray

                    ray.get(handle)
                elif error := handle.exception():
                    raise error
            except Exception as error:  # of any library on the way
                texts.append(str(error).strip().splitlines()[-1])
        return texts


def submit(place: Place, listed: Path, workers: int) -> Jobs:
    """Start workers for a list of cells; in this process ("debug") they are done then."""
    if place.on == "ray":
        return Jobs(place, _on_ray(place, listed, workers))
    import submitit

    executor = submitit.AutoExecutor(
        folder=listed.parent / "%j", cluster=place.on, slurm_max_num_timeout=_MOST_REQUEUES
    )
    limits: dict = {"timeout_min": _FOREVER_MIN}
    if place.on == "slurm":
        limits = {
            "timeout_min": round(60 * place.hours),
            "cpus_per_task": place.threads,
            "gpus_per_node": place.gpus,
            "slurm_signal_delay_s": _WARNING_S,
            **({"slurm_partition": place.partition} if place.partition else {}),
        }
    executor.update_parameters(name=listed.stem[:40], **limits)
    pinned = place.on == "local" and workers > 1
    made = [Worker(str(listed), index, workers, pinned) for index in range(workers)]
    with _no_interrupts():
        jobs = [executor.submit(worker) for worker in made]
    if place.on == "debug":
        for job in jobs:
            job.result()
    return Jobs(place, jobs)


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Processes that are begun inside pay no heed to Ctrl-C: whoever began them tells them to stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def connect_to_ray() -> None:
    """Join the cluster that RAY_ADDRESS names, or start one of this machine's cores."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False)
    else:
        ray.init(num_cpus=len(cores()), include_dashboard=False, log_to_driver=False)


def _on_ray(place: Place, listed: Path, workers: int) -> list:
    import ray

    connect_to_ray()
    remote = ray.remote(_work).options(
        num_cpus=place.threads, num_gpus=place.gpus, max_retries=3, name=listed.stem
    )
    return [remote.remote(Worker(str(listed), index, workers)) for index in range(workers)]


def _work(worker: Worker) -> None:
    worker()
