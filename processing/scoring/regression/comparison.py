"""Paired comparison of two regression systems on the same songs."""

import numpy as np

from ...system.rules import choice
from ..bootstrap import resampled_weights, tails
from ..paired import Comparison, compare_draws
from .metrics import RegressionScores


def compare_regression(
    a: RegressionScores,
    b: RegressionScores,
    score: str = "ccc",
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Whether two systems differ on the same songs, by paired bootstrap over songs.

    On a test set of 270 songs two systems of CCC 0.74 and 0.71 have intervals that overlap widely
    and may differ all the same. This compares two trained models, not two methods; methods are
    compared over seeds.

    Arguments
    ---------
    a, b : scores of the same points with the same targets.
    score : "ccc", "r2", "rmse" or "pearson" (means over dimensions), or with "_<dimension>".
    n_resamples, seed, confidence : as for `percentile_interval`.

    Raises
    ------
    ValueError
        Other songs, points, targets, dimensions or scales; an unknown score.

    Example
    -------
    >>> generator = np.random.default_rng(0)
    >>> truth = generator.uniform(2, 8, (80, 1))
    >>> good, poor = (RegressionScores(["valence"]) for _ in range(2))
    >>> songs = [f"song{i}" for i in range(80)]
    >>> good.append(songs, truth + generator.normal(0, 0.5, truth.shape), truth)
    >>> poor.append(songs, truth + generator.normal(0, 2.0, truth.shape), truth)
    >>> compare_regression(good, poor).differ
    True
    """
    tails(confidence)  # an impossible confidence is refused before anything is compared
    if (a.dimensions, a.scale) != (b.dimensions, b.scale):
        raise ValueError(
            f"the systems were scored differently: {a.dimensions} on {a.scale}, and "
            f"{b.dimensions} on {b.scale}"
        )
    sides = [system.points() for system in (a, b)]
    songs = sides[0][0]
    if songs != sides[1][0]:
        only = sorted(set(songs) ^ set(sides[1][0]))
        raise ValueError(
            f"the systems were scored on different songs: {len(only)} are in one only, such as "
            f"{only[:3]}; compare on one test set"
        )
    (_, song_a, time_a, _, target_a), (_, song_b, time_b, _, target_b) = sides
    if not np.array_equal(song_a, song_b) or not np.array_equal(time_a, time_b):
        raise ValueError("the systems were scored at different times of the songs")
    span = a.scale["high"] - a.scale["low"]
    wrong = np.flatnonzero((np.abs(target_a - target_b) > 1e-4 * span).any(1))
    if len(wrong):
        at = wrong[0]
        raise ValueError(
            f"the targets of {songs[song_a[at]]!r} differ: {target_a[at].tolist()} and "
            f"{target_b[at].tolist()}; the systems were scored against different labels"
        )
    moments = [system.moments()[1] for system in (a, b)]
    choice("score", score, a.score_names)

    def scored(weights) -> np.ndarray:
        """(2, r): both systems under weights (r, G) of the songs."""
        sums = [np.einsum("rg,gdc->rdc", weights.astype(np.float64), m.rows) for m in moments]
        return np.stack([a.by_name(m, s)[score] for m, s in zip(moments, sums, strict=True)])

    value_a, value_b = (float(v) for v in scored(np.ones((1, len(songs))))[:, 0])
    drawn = [scored(w) for w in resampled_weights(len(songs), n_resamples, seed=seed)]
    drawn = np.concatenate(drawn, axis=1)
    return compare_draws(value_a, value_b, drawn, len(songs), n_resamples, confidence)
