"""Compare the concordance correlation (CCC) of a set with the mean over its batches."""

import numpy as np

from ....processing.scoring.regression.moments import Moments, concordance
from .finding import Finding, verdict_of

CLAIM = "The mean of the CCC of batches of 12 songs is the CCC of the set."

CLAIMED_BATCH = 12
BATCHES = (4, 12, 32, 128)
#: Of the synthetic sets: targets and predictions are normal with equal means and variances.
SONGS, CORRELATION = 1261, 0.8
SETS = 100


def measure(seed: int = 0) -> Finding:
    """Mean CCC per batch, and CCC of the whole, over synthetic sets that are drawn anew."""
    generator = np.random.default_rng(seed)
    sets = [draw_set(generator, SONGS, CORRELATION) for _ in range(SETS)]
    whole = np.array([concordance(*drawn) for drawn in sets])
    rows = []
    for batch in BATCHES:
        batches = [batch_concordances(*drawn, batch, generator) for drawn in sets]
        below = whole - np.array([values.mean() for values in batches])
        rows.append(
            {
                "batch": batch,
                "mean of batches": float(whole.mean() - below.mean()),
                "whole set": float(whole.mean()),
                "below by": float(below.mean()),
                "standard error": float(below.std(ddof=1)) / SETS**0.5,
                "deviation of one batch": float(np.concatenate(batches).std(ddof=1)),
            }
        )
    claimed = next(row for row in rows if row["batch"] == CLAIMED_BATCH)
    # 1e-12: sums in another order.
    same = abs(claimed["below by"]) <= 3 * claimed["standard error"] + 1e-12
    return Finding(
        rows,
        verdict_of(same),
        f"{SETS} sets of {SONGS:,} songs whose predictions correlate by {CORRELATION} with the "
        f"targets: in batches of {CLAIMED_BATCH} the mean is {claimed['mean of batches']:.3f}, the "
        f"CCC of the set {claimed['whole set']:.3f}. That is {claimed['below by']:.3f} (standard "
        f"error {claimed['standard error']:.4f}) too little, and one batch deviates by "
        f"{claimed['deviation of one batch']:.2f}, which is the noise of a loss per batch.",
    )


def draw_set(generator: np.random.Generator, songs: int, correlation: float):
    """Predictions and targets (songs,), bivariate normal, of unit variance."""
    targets = generator.standard_normal(songs)
    noise = generator.standard_normal(songs)
    return correlation * targets + (1 - correlation**2) ** 0.5 * noise, targets


def batch_concordances(
    predictions: np.ndarray, targets: np.ndarray, batch: int, generator: np.random.Generator
) -> np.ndarray:
    """CCC of each full batch of one shuffle; songs left over are dropped."""
    order = generator.permutation(len(targets))
    order = order[: len(order) // batch * batch].reshape(-1, batch).T
    # A batch is a dimension to the moments, and an item of it a song.
    moments = Moments(predictions[order], targets[order], np.arange(batch))
    return moments.scores(moments.rows.sum(0))["ccc"]
