"""How fast verification is scored, against the numbers it has to reach.

    python tests/bench/verification.py --report tests/bench/verification.md

Embeddings are drawn: 4,708 recordings of 40 speakers with 192 dimensions, as many trials as the
lists of VoxCeleb have, a cohort of 5,994 speakers. Each time is the least of three after a first
run; memory is the growth of the process' peak. The exit code is 1 when a goal is missed.
"""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

import numpy as np
from measuring import Row, clock, finish, new_parser, report

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


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(rounds: int) -> tuple[list[Row], list[str]]:
    generator = np.random.default_rng(0)
    embeddings = drawn_embeddings(generator)
    trials = drawn_trials(generator, VOX1_E, embeddings.names)
    rows, kept = [], {}

    def timed(what, step, repeats=rounds, at_most=None):
        """The least of the times after a first run, of which nothing is counted."""
        seconds = [clock(step) for _ in range(repeats + 1)]
        rows.append(Row(what, [min(seconds[1:] or seconds)], "s", at_most))

    def score(which=trials):
        kept["scores"] = cosine_scores(which, embeddings, partial=True)
        curve = error_curve(kept["scores"], which.is_target)
        kept["eer"] = curve.eer()[0]
        curve.min_dcf(0.01), curve.min_dcf(0.05)

    timed(f"{VOX1_E:,} trials scored, EER and two minDCF", score, at_most=1.0)
    notes = [f"EER of the drawn trials: {100 * kept['eer']:.3f} %"]
    scores = kept["scores"]
    timed("minCllr, sorting included", lambda: error_curve(scores, trials.is_target).min_cllr())

    cohort = Embeddings(
        [f"cohort{i}" for i in range(COHORT)],
        generator.normal(0, 1, (COHORT, DIMENSIONS)).astype(np.float32),
    )
    timed(
        f"cohort statistics, {RECORDINGS:,} x {COHORT:,}, top 300",
        lambda: cohort_statistics(embeddings, cohort, top_n=300),
    )
    timed(
        f"adaptive s-norm of {VOX1_E:,} trials, whole",
        lambda: normalized_scores(trials, embeddings, cohort, "as", partial=True),
        repeats=1,
        at_most=5.0,
    )

    speaker = np.arange(RECORDINGS) % SPEAKERS
    for which, resamples in (
        (drawn_trials(generator, 37_611, embeddings.names), 1000),
        (trials, 100),
    ):
        score(which)
        drawn = kept["scores"], which.is_target, speaker[which.enroll], speaker[which.test]
        timed(
            f"{resamples} resamples of {len(which):,} trials",
            lambda drawn=drawn, n=resamples: speaker_intervals(*drawn, n_resamples=n),
            repeats=0,
        )

    with tempfile.TemporaryDirectory() as folder:
        path = write_trials(Path(folder, "list.txt"), trials)
        timed(f"list of {VOX1_E:,} trials read", lambda: read_trials(path), repeats=0)

    large = drawn_trials(generator, LARGEST, embeddings.names)
    before = peak_mb()
    timed(f"{LARGEST:,} trials scored, EER, minDCF", lambda: score(large), repeats=0)
    growth = peak_mb() - before
    rows.append(
        Row(f"{LARGEST:,} trials: memory beyond list and embeddings", [growth], "MB", 600.0)
    )
    return rows, notes


def main() -> int:
    arguments = new_parser(__doc__, rounds=3).parse_args()
    rows, notes = measure(arguments.rounds)
    text = report("Scoring of verification", __file__, notes, rows)
    return finish(text, arguments.report, rows)


if __name__ == "__main__":
    raise SystemExit(main())
