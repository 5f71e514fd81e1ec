"""Streaming on one thread: real-time factors of models in chunks of 100 ms, and memory over an hour.

    python tests/bench/streaming.py [--rounds 5] [--seconds 20] [--hours 1] [--report FILE.md]

A window of 1 s is decided on every 100 ms. The real-time factor is processor time over time of audio, which
other programs on the machine do not lengthen as they do the time that passes; that is given too.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time

import torch
from measuring import Row, finish, new_parser, report

from auricle.lobes import create_model
from auricle.lobes.export import Stream

RATE, CHUNK = 16000, 1600
#: Frontend and the real-time factor that is asked for in front of BC-ResNet-1.
MODELS = {"leaf": 0.02, "mel": None, "pcen_mel": None, "mfcc": None}
MOST_GROWTH_MB = 5.0


def run(stream: Stream, seconds: float) -> tuple[float, float]:
    """Processor time and time passed, over the time of audio."""
    audio = 0.1 * torch.randn(10 * RATE)
    cpu, passed = time.process_time(), time.perf_counter()
    for number in range(round(seconds * RATE / CHUNK)):
        at = number % 100 * CHUNK
        stream.feed(audio[at : at + CHUNK])
    return (time.process_time() - cpu) / seconds, (time.perf_counter() - passed) / seconds


def peak_mb() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> int:
    parser = new_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of audio per round")
    parser.add_argument("--hours", type=float, default=1.0, help="of audio, for the memory")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, notes = [], []
    for name, at_most in MODELS.items():
        stream = Stream(create_model(name, "bcresnet", num_classes=12).eval(), window_s=1.0)
        run(stream, 3.0)
        times = [run(stream, options.seconds) for _ in range(options.rounds)]
        what = f"{name} + bcresnet, windows of {stream.form}: processor time"
        rows.append(Row(what, [cpu for cpu, _ in times], "of real time", at_most=at_most))
        passed = statistics.median(passed for _, passed in times)
        notes.append(f"{name}: {passed:.3f} of real time passed; latency {stream.latency_s:g} s")
    stream = Stream(create_model("leaf", "bcresnet", num_classes=12).eval(), window_s=1.0)
    run(stream, 60.0)
    before = peak_mb()
    run(stream, 3600 * options.hours)
    what = f"growth of the peak of memory over {options.hours:g} h of audio"
    rows.append(Row(what, [peak_mb() - before], "MB", at_most=MOST_GROWTH_MB))
    return finish(report("Streaming", __file__, notes, rows), options.report, rows)


if __name__ == "__main__":
    sys.exit(main())
