"""Comparison of runs by their test predictions: classes, tags, transcripts, values, over seeds."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ...processing.scoring.classification import ConfusionCounts
from ...processing.scoring.collector import Collector
from ...processing.scoring.prediction_comparison import compare_predictions, mcnemar
from ...processing.scoring.predictions import metrics_of, read_predictions
from ...processing.scoring.regression.files import read_scores
from ...processing.scoring.regression.metrics import RegressionScores
from ..reports.printing import show
from .comparison import check_draws, comparison_lines, comparison_record, verdict
from .input_files import naming
from .run_files import kind_of

_WRITTEN = {
    **{"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"},
    **{"map": "mAP", "roc_auc": "ROC-AUC", "error_rate": "error rate"},
    **{"ccc": "CCC", "r2": "R2", "rmse": "RMSE", "pearson": "Pearson's r"},
}
#: Scores that are shown in percent.
_PERCENT = ("accuracy", "balanced_accuracy", "macro_f1", "error_rate")


def compare_runs(
    a: Sequence[Path],
    b: Sequence[Path],
    metric: str | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    as_json: bool = False,
) -> dict:
    """Compare two systems by predictions of one run, or of one per seed; returns what was printed.

    Arguments
    ---------
    a, b : files of predictions of the same test items.
    metric : one that the predictions have; None: their headline.
    n_resamples, seed : of the bootstrap.
    as_json : print one JSON object.

    Raises
    ------
    ValueError
        Files that cannot be read, of other items, targets or groups; an unknown metric.
    """
    sides = [[_read(file) for file in side] for side in (a, b)]
    check_draws(n_resamples, "groups")
    known = metrics_of(sides[0][0])
    metric = metric or next(iter(known))
    for side, files in zip(sides, (a, b), strict=True):
        for scores, file in zip(side, files, strict=True):
            if metric not in metrics_of(scores):
                raise ValueError(
                    f"metric {metric!r} is not one of {file}: it has "
                    f"{', '.join(metrics_of(scores))}. Give runs of one task, and a metric of it"
                )
    are_values = isinstance(sides[0][0], RegressionScores)
    about = (
        _about_values(list(zip((*a, *b), (*sides[0], *sides[1]), strict=True)))
        if are_values
        else {}
    )
    with naming(*a, *b):
        compared, seeds = compare_predictions(*sides, metric, n_resamples=n_resamples, seed=seed)
    names = [", ".join(map(str, files)) for files in (a, b)]
    record = comparison_record(names, metric, compared, "songs" if are_values else "groups", seed)
    unit = "clip" if about.get("level") == "clip" else getattr(sides[0][0], "group_unit", "song")
    over = f"{compared.n_groups:,} {unit}s"
    record |= {"over": unit, "n_items": len(sides[0][0]), "seeds": asdict(seeds), **about}
    better = "scores higher than" if known[metric] else "errs less than"
    record["verdict"] = verdict(record, f"these {over}", better, higher_is_better=known[metric])

    def number(value: float, sign: str = "") -> str:
        return f"{100 * value:{sign}.2f} %" if metric in _PERCENT else f"{value:{sign}.4f}"

    head = f"{len(sides[0][0]):,} test items of {over}"
    if are_values:
        scale = about["scale"]
        head = over + (
            f", {about['n_points']:,} points in time" if about["level"] == "point" else ""
        )
        head += f": {' and '.join(about['dimensions'])} on {scale['low']:g} to {scale['high']:g}"
    if len(a) + len(b) > 2:
        head += f"; runs: {len(a)} of A, {len(b)} of B"
    score, _, dimension = metric.partition("_") if are_values else (metric, "", "")
    name = _WRITTEN.get(score, score) + (f" of {dimension}" if dimension else "")
    lines = comparison_lines(record, head, name, number, over)
    lines[-1:-1] = _over_seeds(seeds, number)
    if metric == "accuracy" and len(a) == len(b) == 1 and _are_classes(*sides[0], *sides[1]):
        record["mcnemar"] = asdict(mcnemar(sides[0][0], sides[1][0]))
        lines[-1:-1] = [_unequal(record["mcnemar"])]
    show(record, lines, as_json)
    return record


def _read(file: Path) -> Collector:
    return read_scores(file) if kind_of(file) == "regression" else read_predictions(file)


def _about_values(scored: Sequence[tuple[Path, RegressionScores]]) -> dict:
    """What predicted values are of: in all files the same."""
    abouts = [
        {"level": one.level, "dimensions": one.dimensions, "scale": one.scale} for _, one in scored
    ]
    for (file, _), about in zip(scored, abouts, strict=True):
        if wrong := [key for key in about if about[key] != abouts[0][key]]:
            key = wrong[0]
            raise ValueError(
                f"{scored[0][0]} was scored with the {key} {abouts[0][key]}, {file} with {about[key]}: "
                "these are different labels, and cannot be compared"
            )
    return {**abouts[0], "n_points": len(scored[0][1].points()[1])}


def _are_classes(*scores: Collector) -> bool:
    return all(isinstance(one, ConfusionCounts) for one in scores)


def _over_seeds(seeds, number) -> list[str]:
    if seeds.interval is None:
        return []
    low, high = (number(value, "+") for value in seeds.interval)
    return [
        f"over seeds: [{low}, {high}], p = {seeds.p_value:.3g} (95 %, Welch's t of {len(seeds.a)} "
        f"and {len(seeds.b)} seeds: whether the methods differ, and not these models alone)"
    ]


def _unequal(test: dict) -> str:
    return (
        f"only A is right on {test['only_a']:,} items, only B on {test['only_b']:,}: p = "
        f"{test['p_value']:.3g} (McNemar's exact test, items taken as independent)"
    )
