"""Where the time of a training epoch goes, from the file to the optimiser's step.

    python tests/bench/epoch_profile.py [--data_folder DIR] [--clips 512] [--report FILE.md]
    python tests/bench/epoch_profile.py --data_folder DIR --clip_s 8 --encoders linear

The Speech Commands recipe as it is, with `mel` and each of the encoders. Stages are timed by
wrapping the functions in which they happen; a stage's time is without that of the stages inside it,
so the column adds up to the epoch. The first epoch decodes, the second takes the clips from the
cache. A third one runs under cProfile and torch.profiler, for the functions and operators in it.
"""

from __future__ import annotations

import cProfile
import functools
import pstats
import re
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import torch
import torchaudio
from epoch import drawn, parser_of_epochs, prepare, recipe, small_corpus
from measuring import clock, machine
from speechbrain.dataio import audio_io

from auricle.processing.data import audio, dataset
from auricle.processing.data.batching import DurationBatchSampler
from auricle.processing.data.dataset import AudioCache
from auricle.processing.system.memory import keep_freed_memory

TITLE = """# Where the time of a training epoch goes

Written by `tests/bench/epoch_profile.py`; what it measures is said there.
"""
OTHER = "other"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
STAGES = {
    "check of the container": "the header read by auricle, against what the file holds",
    "decode": "libsndfile",
    "resample": "torchaudio",
    "read, rest": "finite samples, channels, gain",
    "cache": "to and from 16 bits",
    "batching": "the sampler, and the loader with its pipeline of items and its padding",
    "augmentation": "time shift and noise",
    "frontend forward": "",
    "normalisation forward": "",
    "encoder forward": "with masks and the classifier",
    "loss forward": "",
    "encoder backward": "from the loss to the frames",
    "frontend backward": "",
    "optimiser": "unscaling, clipping, step, projection",
    "loss sync": "is the loss finite; its copy to the host, its running mean",
    OTHER: "the loop",
}


class StageClock:
    """Exclusive time per stage, by wrapping functions.

    Example
    -------
    >>> clock = StageClock()
    >>> with clock.stage("outer"):
    ...     with clock.stage("inner"):
    ...         pass
    >>> sorted(clock.seconds)
    ['inner', 'outer']
    """

    def __init__(self, now=time.perf_counter):
        self.now = now
        self.seconds = defaultdict(float)
        self._running = []
        self._since = 0.0

    def _account(self):
        now = self.now()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextmanager
    def stage(self, name):
        self._account()
        self._running.append(name)
        try:
            yield
        finally:
            self._account()
            self._running.pop()

    def switch(self, name):
        """The running stage goes on under another name."""
        self._account()
        self._running[-1] = name

    def wrap(self, owner, attribute, name):
        """Time a function, method or iterator where it is looked up; gives the way back."""
        function = getattr(owner, attribute)

        @functools.wraps(function)
        def timed(*args, **kwargs):
            with self.stage(name):
                return function(*args, **kwargs)

        own = attribute in vars(owner)
        setattr(owner, attribute, timed)
        return lambda: setattr(owner, attribute, function) if own else delattr(owner, attribute)

    def iterate(self, iterable, name):
        iterator = iter(iterable)
        while True:
            with self.stage(name):
                item = next(iterator, self)
            if item is self:
                return
            yield item


@contextmanager
def timed_stages(clock, brain):
    """Wrap every stage's functions while inside."""
    model = brain.model
    frontend = model.compute_features

    def mark_frames(module, inputs, output):
        if output.requires_grad:  # its gradient is complete: the rest belongs to the frontend
            output.register_hook(lambda gradient: clock.switch("frontend backward"))

    undo = [
        clock.wrap(audio, "_check_container", "check of the container"),
        clock.wrap(audio_io, "load", "decode"),
        clock.wrap(torchaudio.functional, "resample", "resample"),
        clock.wrap(dataset, "read_row", "read, rest"),
        clock.wrap(AudioCache, "get", "cache"),
        clock.wrap(DurationBatchSampler, "_draw_plan", "batching"),
        clock.wrap(brain, "augment", "augmentation"),
        clock.wrap(frontend, "forward", "frontend forward"),
        clock.wrap(model.mean_var_norm, "forward", "normalisation forward"),
        clock.wrap(model.embedding_model, "forward", "encoder forward"),
        clock.wrap(model.classifier, "forward", "encoder forward"),
        clock.wrap(brain, "compute_objectives", "loss forward"),
        clock.wrap(torch.Tensor, "backward", "encoder backward"),
        clock.wrap(brain, "optimizers_step", "optimiser"),
        clock.wrap(brain, "_finite_everywhere", "loss sync"),
        clock.wrap(brain, "update_average", "loss sync"),
        frontend.register_forward_hook(mark_frames).remove,
    ]
    try:
        yield
    finally:
        for step in reversed(undo):
            step()


class Timed:
    """A loader whose time to make a batch is a stage."""

    def __init__(self, loader, clock):
        self.loader, self.clock = loader, clock

    def __iter__(self):
        return self.clock.iterate(self.loader, "batching")

    def __len__(self):
        return len(self.loader)


def profile(brain, loader, later, now):
    """Seconds per stage: of the first epoch, and medians of `later` epochs; and both profiles."""
    rounds = []
    for epoch in range(1, later + 2):
        clock = StageClock(now)
        with timed_stages(clock, brain), clock.stage(OTHER):
            brain._fit_train(Timed(loader, clock), epoch, enable=False)
        rounds.append(clock.seconds)
    functions = cProfile.Profile()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as operators:
        functions.enable()
        brain._fit_train(loader, later + 2, enable=False)
        functions.disable()
    median = {name: statistics.median(r[name] for r in rounds[1:]) for name in STAGES}
    return rounds[0], median, pstats.Stats(functions), operators.key_averages()


def table(first, later):
    sums = sum(first.values()), sum(later.values())
    lines = ["| stage | what | first epoch (s) | later epochs (s) | share |"]
    lines.append("| --- | --- | ---: | ---: | ---: |")
    for name, what in STAGES.items():
        share = later[name] / sums[1]
        lines.append(f"| {name} | {what} | {first[name]:.3f} | {later[name]:.3f} | {share:.1%} |")
    lines.append(f"| all | | {sums[0]:.3f} | {sums[1]:.3f} | 100% |")
    return lines


def top_functions(stats, count=8):
    lines = ["", "| function (cProfile, own time) | calls | s |", "| --- | ---: | ---: |"]
    own = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:count]
    for (path, line, name), (_, calls, seconds, _, _) in own:
        where = f"{Path(path).name}:{line} {name}" if line else name.strip("<>")
        where = re.sub(r" at 0x\w+", "", where).replace("|", "")
        lines.append(f"| {where} | {calls} | {seconds:.3f} |")
    return lines


def top_operators(averages, count=8):
    lines = ["", "| operator (torch.profiler, own time) | calls | s |", "| --- | ---: | ---: |"]
    for event in sorted(averages, key=lambda e: -e.self_cpu_time_total)[:count]:
        lines.append(f"| {event.key} | {event.count} | {event.self_cpu_time_total / 1e6:.3f} |")
    return lines


def main():
    parser = parser_of_epochs(__doc__)
    parser.add_argument("--clip_s", type=float, default=1.0, help="length clips are brought to")
    parser.add_argument("--encoders", nargs="+", default=["linear", "bcresnet"])
    parser.add_argument("--protocol", default="v2-12-official")
    parser.add_argument(
        "--allocator", choices=["recipe", "system"], default="recipe", help="system: as glibc does"
    )
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: on a machine that others use"
    )
    arguments = parser.parse_args()
    kept = arguments.allocator == "recipe" and keep_freed_memory()
    folder = small_corpus(arguments.data_folder)
    lines = [f"## {folder.name}, clips of {arguments.clip_s:g} s", ""]
    with tempfile.TemporaryDirectory() as scratch:
        cold_s, warm_s = (
            clock(lambda: prepare(folder, scratch, arguments.protocol)) for _ in range(2)
        )
        prepared = prepare(folder, scratch, arguments.protocol)
        rows = drawn(prepared.rows("train"), arguments.clips)
        lines.append(
            f"{len(rows)} clips; {machine()}. Preparing the data took {cold_s:.2f} s, and "
            f"{warm_s:.2f} s when nothing had changed. Freed memory is "
            f"{'kept' if kept else 'given back to the kernel'}. Seconds of "
            f"{'the clock' if arguments.clock == 'wall' else 'processor time'}."
        )
        for encoder in arguments.encoders:
            options = ("--clip_s", str(arguments.clip_s), "--warmup_epochs", "0")
            brain, loader = recipe(folder, rows, prepared, scratch, "mel", encoder, *options)
            first, later, functions, operators = profile(
                brain, loader, arguments.rounds, CLOCKS[arguments.clock]
            )
            lines += ["", f"### mel and {encoder}", "", *table(first, later)]
            lines += [*top_functions(functions), *top_operators(operators)]
    text = "\n".join(lines) + "\n"
    print(text)
    if path := arguments.report:  # one section after another
        before = path.read_text(encoding="utf-8") if path.exists() else TITLE
        path.write_text(f"{before}\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
