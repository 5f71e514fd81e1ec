"""Scores of a regression from its moments: CCC, R2, RMSE and Pearson's correlation.

Definitions, with 1/n moments of targets t and predictions p:

- CCC: 2 s_pt / (s_p^2 + s_t^2 + (mean_p - mean_t)^2) (Lin, 1989). Others divide variances by
  n - 1 and leave the term of the means as it is, which gives slightly more; auricle does not.
- R2: 1 - mean((p - t)^2) / s_t^2. RMSE: sqrt(mean((p - t)^2)), in the unit of the labels.
- A constant prediction has CCC 0, and correlation 0 for want of one; it is a number because such
  a system exists (the mean predictor) and knows nothing.

All are functions of the sums of 1, p, t, p^2, t^2, p t, so that whole songs can be drawn again by
weighting their sums.
"""

import numpy as np

from ..arrays import sum_by_group

#: Columns of a row of moments.
COLUMNS = ("n", "p", "t", "pp", "tt", "pt")
SCORES = ("ccc", "r2", "rmse", "pearson")
# Beside this share of the shift-corrected second moments a variance is rounding.
_ROUNDING = 1e-13


def concordance(predictions, targets) -> float:
    """Concordance correlation coefficient of predictions (n,) with targets (n,), after Lin (1989).

    Raises
    ------
    ValueError
        No or different numbers of values, NaN or infinity, a constant target.

    References
    ----------
    L. I. Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45,
    1989.

    Example
    -------
    The same shape, one too high: means differ by 1, variances are 2/3.

    >>> round(concordance([2, 3, 4], [1, 2, 3]), 4)
    0.5714
    >>> concordance([2, 2, 2], [1, 2, 3])
    0.0
    """
    predictions, targets = (np.asarray(v, np.float64) for v in (predictions, targets))
    if predictions.ndim != 1 or predictions.shape != targets.shape or not len(targets):
        raise ValueError(
            f"predictions and targets must be (n,) each with n of at least 1, got "
            f"{predictions.shape} and {targets.shape}"
        )
    if not (np.isfinite(predictions).all() and np.isfinite(targets).all()):
        raise ValueError("predictions or targets hold NaN or infinity")
    if targets.min() == targets.max():
        raise ValueError(
            f"all {len(targets)} targets are {targets[0]:g}: agreement with a constant says nothing"
        )
    moments = Moments(predictions[:, None], targets[:, None], np.zeros(len(targets), np.int64))
    return float(moments.scores(moments.rows.sum(0))["ccc"][..., 0])


class Moments:
    """Sums (G, D, 6) of each song's points, taken about the means so that nothing cancels.

    Arguments
    ---------
    predictions, targets : (n, D)
    song : (n,), from 0 to G - 1; every song has a point.
    """

    def __init__(self, predictions: np.ndarray, targets: np.ndarray, song: np.ndarray):
        self.shift = targets.mean(0) - predictions.mean(0)
        p, t = predictions - predictions.mean(0), targets - targets.mean(0)
        columns = np.stack([np.ones_like(p), p, t, p * p, t * t, p * t], axis=-1)
        self.rows = sum_by_group(columns, song)

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Each score (..., D) of summed moments (..., D, 6)."""
        n, p, t, pp, tt, pt = np.moveaxis(sums, -1, 0)
        mean_p, mean_t = p / n, t / n
        var_p = _variance(pp / n, mean_p)
        var_t = _variance(tt / n, mean_t)
        covariance = np.where((var_p > 0) & (var_t > 0), pt / n - mean_p * mean_t, 0.0)
        bias = mean_t - mean_p + self.shift
        # Never below 0 by rounding: it is a mean of squares.
        error = np.maximum(var_p + var_t - 2 * covariance + bias**2, 0.0)
        return {
            "ccc": _ratio(2 * covariance, var_p + var_t + bias**2),
            # Where a resample drew one target value only: 0, and 1 where it was met exactly, the
            # convention of scikit-learn.
            "r2": np.where(var_t > 0, 1 - _ratio(error, var_t), 1.0 * (error == 0)),
            "rmse": np.sqrt(error),
            "pearson": np.clip(_ratio(covariance, np.sqrt(var_p * var_t)), -1, 1),
        }


def _variance(second: np.ndarray, mean: np.ndarray) -> np.ndarray:
    variance = second - mean * mean
    return np.where(variance > _ROUNDING * second, variance, 0.0)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)
