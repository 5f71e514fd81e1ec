"""How fast verification is scored, against the numbers it has to reach.

    python tests/bench/verification.py --report tests/bench/verification.md

Embeddings are drawn: 4,708 recordings of 40 speakers with 192 dimensions, as many trials as the
lists of VoxCeleb have, a cohort of 5,994 speakers. Each time is the least of three after a first
run; memory is the growth of the process' peak. The exit code is 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from auricle.processing.scoring.verification.embeddings import Embeddings, cosine_scores
from auricle.processing.scoring.verification.metrics import error_curve
from auricle.processing.scoring.verification.score_normalization import (
    cohort_statistics,
    normalized_scores,
)
from auricle.processing.scoring.verification.speaker_bootstrap import speaker_intervals
from auricle.processing.scoring.verification.trials import TrialList, read_trials, write_trials

RECORDINGS, SPEAKERS, DIMENSIONS, COHORT = 4708, 40, 192, 5994
VOX1_E, LARGEST = 579_818, 3_700_000


def drawn_embeddings(generator) -> Embeddings:
    voices = generator.normal(0, 1, (SPEAKERS, DIMENSIONS))
    speaker = np.arange(RECORDINGS) % SPEAKERS
    vectors = voices[speaker] + generator.normal(0, 2.2, (RECORDINGS, DIMENSIONS))
    names = [f"id{10000 + s}/video{i:05d}/00001.wav" for i, s in enumerate(speaker)]
    return Embeddings(names, vectors.astype(np.float32))


def drawn_trials(generator, size: int, names) -> TrialList:
    """Half of the trials are of one speaker, as in the lists of VoxCeleb."""
    enroll = generator.integers(0, RECORDINGS, size, dtype=np.int32)
    test = generator.integers(0, RECORDINGS, size, dtype=np.int32)
    same = generator.random(size) < 0.5
    test[same] = test[same] // SPEAKERS * SPEAKERS + enroll[same] % SPEAKERS
    test[test >= RECORDINGS] -= SPEAKERS
    is_target = enroll % SPEAKERS == test % SPEAKERS
    return TrialList(tuple(names), enroll, test, is_target, f"{size} drawn", "pairs", "", 0)


def least_time(run, repeats: int = 3):
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        result = run()
        times.append(time.perf_counter() - start)
    return min(times[1:]), result


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure() -> tuple[list[tuple[str, float, str, float | None]], list[str]]:
    generator = np.random.default_rng(0)
    embeddings = drawn_embeddings(generator)
    trials = drawn_trials(generator, VOX1_E, embeddings.names)
    rows, notes = [], []

    def score(which=trials):
        scores = cosine_scores(which, embeddings, partial=True)
        curve = error_curve(scores, which.is_target)
        return scores, curve.eer()[0], curve.min_dcf(0.01)[0], curve.min_dcf(0.05)[0]

    seconds, (scores, rate, *_) = least_time(score)
    rows.append((f"{VOX1_E:,} trials scored, EER and two minDCF", seconds, "s", 1.0))
    notes.append(f"EER of the drawn trials: {100 * rate:.3f} %")
    seconds, _ = least_time(lambda: error_curve(scores, trials.is_target).min_cllr())
    rows.append(("minCllr, sorting included", seconds, "s", None))

    cohort = Embeddings(
        [f"cohort{i}" for i in range(COHORT)],
        generator.normal(0, 1, (COHORT, DIMENSIONS)).astype(np.float32),
    )
    seconds, _ = least_time(lambda: cohort_statistics(embeddings, cohort, top_n=300))
    rows.append((f"cohort statistics, {RECORDINGS:,} x {COHORT:,}, top 300", seconds, "s", None))
    seconds, _ = least_time(
        lambda: normalized_scores(trials, embeddings, cohort, "as", partial=True), repeats=1
    )
    rows.append((f"adaptive s-norm of {VOX1_E:,} trials, whole", seconds, "s", 5.0))

    speaker = np.arange(RECORDINGS) % SPEAKERS
    small = drawn_trials(generator, 37_611, embeddings.names)
    for which, resamples in ((small, 1000), (trials, 100)):
        some = score(which)[0]
        start = time.perf_counter()
        sides = speaker[which.enroll], speaker[which.test]
        speaker_intervals(some, which.is_target, *sides, n_resamples=resamples)
        seconds = time.perf_counter() - start
        rows.append((f"{resamples} resamples of {len(which):,} trials", seconds, "s", None))

    with tempfile.TemporaryDirectory() as folder:
        path = write_trials(Path(folder, "list.txt"), trials)
        start = time.perf_counter()
        read_trials(path)
        rows.append((f"list of {VOX1_E:,} trials read", time.perf_counter() - start, "s", None))

    large = drawn_trials(generator, LARGEST, embeddings.names)
    before = peak_mb()
    start = time.perf_counter()
    score(large)
    rows.append((f"{LARGEST:,} trials scored, EER, minDCF", time.perf_counter() - start, "s", None))
    growth = peak_mb() - before
    rows.append((f"{LARGEST:,} trials: memory beyond list and embeddings", growth, "MB", 600.0))
    return rows, notes


def report(rows, notes) -> str:
    threads = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count())
    lines = ["# Scoring of verification", "", "Written by `tests/bench/verification.py`.", ""]
    lines += [f"- cores: {os.cpu_count()}", f"- threads: {threads}"]
    lines += [f"- load: {os.getloadavg()[0]:.1f}", f"- python: {platform.python_version()}"]
    lines += [f"- numpy: {version('numpy')}", *(f"- {note}" for note in notes), ""]
    lines += ["| | measured | at most |", "|---|---|---|"]
    for what, value, unit, goal in rows:
        limit = "" if goal is None else f"{goal:g} {unit}"
        lines.append(f"| {what} | {value:.3g} {unit} | {limit} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--report", type=Path, help="where the table goes (Markdown)")
    arguments = parser.parse_args()
    rows, notes = measure()
    text = report(rows, notes)
    print(text)
    if arguments.report:
        arguments.report.write_text(text)
    return int(any(goal is not None and value > goal for _, value, _, goal in rows))


if __name__ == "__main__":
    raise SystemExit(main())
