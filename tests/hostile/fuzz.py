"""Run damaged inputs through everything that reads them; each must end in a number or a named error.

    python tests/hostile/fuzz.py --cases 10000
    python tests/hostile/fuzz.py --kind flac --seed 1234      one case again

An input is made from a seed alone. Allowed ends: what was read is right by another way of reading
it, or a ValueError or OSError that names the file. Anything else, more than 20 s, more than 2 GB, and
a count that changed without a word is a failure.
"""

import argparse
import collections
import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]

from fuzz_caches import caches
from fuzz_models import models
from fuzz_sounds import SOUNDS, Sound
from fuzz_texts import texts
from fuzz_values import values

from auricle.processing.system.listing import shortened

LIMIT_S, LIMIT_BYTES = 20, 2 * 2**30
LONGEST_ERROR = 4000


def kinds():
    made = [*map(Sound, SOUNDS), *texts(), *values(), *caches(), *models()]
    return {kind.name: kind for kind in made}


@dataclasses.dataclass
class End:
    """How an input ended: `fault` is empty where that is allowed."""

    kind: str
    seed: int
    what: str
    fault: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0


class TookTooLong(BaseException):
    """No reader may catch it."""


@contextlib.contextmanager
def bounded():
    """Stop what takes longer than `LIMIT_S`."""

    def stop(*_):
        raise TookTooLong

    # Time of the processor: others on the machine do not count.
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run_case(kind, seed, folder):
    """Make an input, have it read, and judge the end."""
    draw = random.Random(f"{kind.name} {seed}")
    data, about = kind.damaged(draw)
    path = Path(folder, kind.file)
    path.write_bytes(data)
    start, what, fault = time.process_time(), "", ""
    try:
        with bounded():
            read = kind.read(path, draw)
    except TookTooLong:
        what, fault = "slow", f"more than {LIMIT_S} s"
    except (ValueError, OSError) as error:
        what = "refused"
        said = shortened(str(error))
        if len(said) > LONGEST_ERROR:
            fault = f"an error of {len(said)} characters"
        if kind.must_read(about):
            fault = f"refused, and it is a good file: {error}"
        if kind.names_its_file and path.stem not in str(error):
            fault = f"the error does not name the file: {type(error).__name__}: {str(error)[:300]}"
    except (Exception, SystemExit):
        what, fault = "traceback", traceback.format_exc()
    seconds = time.process_time() - start
    if not what:
        try:
            what, fault = kind.judge(read, data, about, path)
        except Exception:
            what, fault = "not judged", traceback.format_exc()
    return End(kind.name, seed, what, fault, seconds)


def work(jobs, folder):
    """Run the cases that come, in a process of its own: a library may end it, or stand still."""
    every, status = kinds(), Path("/proc/self/status")
    # By address space: what asks for more ends in a MemoryError, and not in the end of the machine.
    used = int(status.read_text().split("VmSize:")[1].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES, resource.RLIM_INFINITY))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries write to it
    while job := jobs.recv():
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        end = run_case(every[job[0]], job[1], folder)
        end.peak_bytes = int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
        jobs.send(end)


class Worker:
    """A process that runs cases, and is replaced when a case ends it."""

    def __init__(self, folder):
        self.folder = folder
        self.start()

    def start(self):
        self.jobs, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=work, args=(theirs, self.folder), daemon=True)
        self.process.start()
        theirs.close()

    def run(self, kind, seed):
        self.jobs.send((kind, seed))
        try:
            if self.jobs.poll(10 * LIMIT_S):
                return self.jobs.recv()
            end = End(kind, seed, "stood still", f"no end after {10 * LIMIT_S} s")
        except (EOFError, ConnectionResetError):
            self.process.join()
            end = End(kind, seed, "died", f"the process ended with {self.process.exitcode}")
        self.process.kill()
        self.start()
        return end


def main():
    names = list(kinds())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10000, help="in all, shared by the kinds")
    parser.add_argument("--kind", nargs="*", default=names, choices=names, help="only these")
    parser.add_argument("--seed", type=int, help="one case of each kind")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    options = parser.parse_args()
    first, cases = options.first, options.cases
    if options.seed is not None:
        first, cases = options.seed, len(options.kind)
    jobs = ((kind, first + number) for number in itertools.count() for kind in options.kind)
    ends, begun = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        worker = Worker(folder)
        for kind, seed in itertools.islice(jobs, cases):
            end = worker.run(kind, seed)
            ends.append(end)
            if end.fault or options.seed is not None:
                print(f"--kind {end.kind} --seed {end.seed}: {end.what} {end.fault}", flush=True)
            if len(ends) % 500 == 0:
                print(f"{len(ends)} of {cases} inputs", file=sys.stderr)
    summarize(ends, time.perf_counter() - begun)
    return 1 if any(end.fault for end in ends) else 0


def summarize(ends, seconds):
    counts = collections.Counter(
        (end.kind, end.what + (" (fault)" if end.fault else "")) for end in ends
    )
    for kind in dict.fromkeys(end.kind for end in ends):
        row = ", ".join(f"{n} {what}" for (name, what), n in sorted(counts.items()) if name == kind)
        print(f"{kind:16} {row}")
    slowest = max(ends, key=lambda end: end.seconds)
    largest = max(ends, key=lambda end: end.peak_bytes)
    print(
        f"{len(ends)} inputs in {seconds:.0f} s: {sum(bool(end.fault) for end in ends)} faults; "
        f"longest {slowest.seconds:.2f} s (--kind {slowest.kind} --seed {slowest.seed}), largest "
        f"process {largest.peak_bytes / 2**20:.0f} MiB (--kind {largest.kind} --seed {largest.seed})"
    )


if __name__ == "__main__":
    sys.exit(main())
