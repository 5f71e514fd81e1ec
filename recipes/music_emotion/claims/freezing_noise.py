"""Estimate whether a test set of 270 songs can tell a CCC of 0.71 from 0.74."""

import math

import numpy as np

from ....processing.scoring.regression.moments import Moments
from .finding import Finding, verdict_of

CLAIM = (
    "CCC of 0.71, 0.73 and 0.74 on 270 test songs say which number of frozen blocks is the best."
)

CLAIMED_CCC = (0.65, 0.71, 0.73, 0.74)
BEST, SONGS = 0.74, 270
#: How much the errors of two models on the same songs correlate.
ERROR_CORRELATIONS = (0.0, 0.5, 0.9)
DRAWS = 1000


def measure(seed: int = 0) -> Finding:
    """Standard errors of a CCC and of a difference: by Fisher, drawn test sets, and bootstrap.

    Predictions are bivariate normal with the targets and of equal mean and variance, so that the
    CCC is the correlation.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for ccc in CLAIMED_CCC:
        drawn = {r: simulated_errors(ccc, BEST, r, generator) for r in ERROR_CORRELATIONS}
        row = {
            "CCC": ccc,
            "error (Fisher)": (1 - ccc**2) / math.sqrt(SONGS - 3),
            "error (test sets)": drawn[0.0][0],
            "error (bootstrap)": bootstrap_error(ccc, generator),
        }
        if ccc != BEST:
            row["below the best"] = BEST - ccc
            for correlation, (_, error) in drawn.items():
                row[f"in errors of the difference, r = {correlation}"] = (BEST - ccc) / error
        rows.append(row)
    unpaired = f"in errors of the difference, r = {ERROR_CORRELATIONS[0]}"
    close = [row for row in rows if unpaired in row and row["CCC"] != min(CLAIMED_CCC)]
    largest = max(close, key=lambda row: row[unpaired])
    paired = largest[f"in errors of the difference, r = {ERROR_CORRELATIONS[-1]}"]
    decided = [row for row in close if row[unpaired] >= 1.96]
    return Finding(
        rows,
        verdict_of(len(decided) == len(close)),
        f"one CCC has a standard error of about {largest['error (test sets)']:.3f}; the largest "
        f"difference, {largest['below the best']:.2f}, is {largest[unpaired]:.1f} standard errors "
        f"of a difference, where 2 are needed. Compared on the same songs, with errors that "
        f"correlate by {ERROR_CORRELATIONS[-1]}, it would be {paired:.1f}: compare in pairs, and "
        f"over seeds, whose spread is not part of this.",
    )


def simulated_errors(
    ccc: float, other: float, correlation: float, generator: np.random.Generator
) -> tuple[float, float]:
    """Standard deviation, over test sets of 270 songs, of a CCC and of its difference to another.

    `correlation` is that of the two models' errors.
    """
    targets, error, own = generator.standard_normal((3, SONGS, DRAWS))
    others = correlation * error + math.sqrt(1 - correlation**2) * own
    first = _ccc(ccc * targets + math.sqrt(1 - ccc**2) * error, targets)
    second = _ccc(other * targets + math.sqrt(1 - other**2) * others, targets)
    return float(first.std(ddof=1)), float((first - second).std(ddof=1))


def bootstrap_error(ccc: float, generator: np.random.Generator) -> float:
    """Standard error of a CCC from one test set whose songs are drawn again, mean of ten sets."""
    errors = []
    for _ in range(10):  # what a single set says is itself off by chance
        targets, error = generator.standard_normal((2, SONGS))
        predictions = ccc * targets + math.sqrt(1 - ccc**2) * error
        drawn = generator.integers(0, SONGS, (SONGS, DRAWS // 2))
        errors.append(_ccc(predictions[drawn], targets[drawn]).std(ddof=1))
    return float(np.mean(errors))


def _ccc(predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """CCC (draws,) of (songs, draws)."""
    moments = Moments(predictions, targets, np.zeros(len(targets), np.int64))
    return moments.scores(moments.rows.sum(0))["ccc"]
