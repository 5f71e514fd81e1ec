"""Scores as pure functions over counts."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

from .bootstrap import percentile_interval, resampled_weights, seed_interval, t_quantile
from .classification import ConfusionCounts, accuracy, macro_f1, per_class

__all__ = [
    "ConfusionCounts",
    "accuracy",
    "macro_f1",
    "per_class",
    "percentile_interval",
    "resampled_weights",
    "seed_interval",
    "t_quantile",
]
