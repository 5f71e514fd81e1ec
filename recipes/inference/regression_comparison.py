"""`auricle compare` of two files of predictions: whether two regressions differ on the same songs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from ...processing.scoring.paired import compare_regression
from ...processing.scoring.regression.files import FILE_NAME, read_scores
from ...processing.scoring.regression.metrics import RegressionScores
from ...processing.scoring.regression.moments import SCORES
from ..reports.comparison_report import difference_line, verdict

__all__ = ["compare_predictions", "prediction_file"]

_WRITTEN = {"ccc": "CCC", "r2": "R2", "rmse": "RMSE", "pearson": "Pearson's r"}


def prediction_file(wanted: str | os.PathLike) -> Path | None:
    """The file of predictions that a file or a run's folder means; None: it is something else.

    Raises
    ------
    ValueError
        A folder without predictions.
    """
    path = Path(wanted)
    if path.is_dir():
        if not (path / FILE_NAME).is_file():
            raise ValueError(
                f"{path} holds no {FILE_NAME}, which a run of music emotion writes after its test; "
                "of other tasks, give a file of scores (auricle score --save-scores)"
            )
        return path / FILE_NAME
    try:
        with open(path, "rb") as file:
            return path if file.read(64).lstrip().startswith(b"{") else None
    except OSError:
        return None


def compare_predictions(
    a: str,
    b: str,
    *,
    metric: str = "ccc",
    n_resamples: int = 1000,
    seed: int = 0,
    as_json: bool = False,
) -> dict:
    """Compare two files of predictions by paired bootstrap over songs; returns what was printed.

    Arguments
    ---------
    a, b : files as `regression_files` writes them, or folders of runs, of the same songs.
    metric : "ccc", "r2", "rmse" or "pearson" (means over dimensions), or "<metric>_<dimension>".
    n_resamples, seed : of the bootstrap.
    as_json : print one JSON object.

    Raises
    ------
    ValueError
        Files that cannot be read, of other songs, labels, dimensions or scales; an unknown metric;
        one song, of which there is nothing to draw.
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}: a comparison needs draws of songs")
    paths = [prediction_file(side) or Path(side) for side in (a, b)]
    scores = [read_scores(path) for path in paths]
    _check_metric(metric, scores[0])
    levels = [side.level for side in scores]
    if levels[0] != levels[1]:
        raise ValueError(
            f"{a} was scored at {levels[0]} level, {b} at {levels[1]} level: these are different "
            "labels, and cannot be compared"
        )
    found = compare_regression(*scores, metric, n_resamples=n_resamples, seed=seed)
    record = {"files": {"a": str(paths[0]), "b": str(paths[1])}, "metric": metric, **asdict(found)}
    del record["score"]
    record["interval"] = list(found.interval)
    record |= {
        "seed": seed,
        "level": levels[0],
        "over": "clips" if levels[0] == "clip" else "songs",
        "dimensions": scores[0].dimensions,
        "scale": scores[0].scale,
        "n_points": len(scores[0].points()[1]),
    }
    record["verdict"] = verdict(
        record,
        f"these {_drawn(record)}",
        "errs less than" if _is_error(metric) else "scores higher than",
        higher_is_better=not _is_error(metric),
    )
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(record)))
    return record


def _check_metric(metric: str, scores: RegressionScores) -> None:
    known = [*SCORES, *(f"{score}_{name}" for score in SCORES for name in scores.dimensions)]
    if metric not in known:
        raise ValueError(
            f"metric {metric!r} is not one of predictions; those are {', '.join(known)}"
        )


def _is_error(metric: str) -> bool:
    return metric.split("_")[0] == "rmse"


def _drawn(record: dict) -> str:
    return f"{record['n_songs']:,} {record['over']}"


def _lines(record: dict) -> list[str]:
    score, _, dimension = record["metric"].partition("_")
    name = _WRITTEN[score] + (f" of {dimension}" if dimension else "")
    scale, points = record["scale"], ""
    if record["level"] == "point":
        points = f", {record['n_points']:,} points in time"

    def number(value: float, sign: str = "") -> str:
        return f"{value:{sign}.4f}"

    return [
        f"{_drawn(record)}{points}: {' and '.join(record['dimensions'])} on {scale['low']:g} to "
        f"{scale['high']:g}",
        f"A  {number(record['a'])} {name}  {record['files']['a']}",
        f"B  {number(record['b'])} {name}  {record['files']['b']}",
        difference_line(record, number, _drawn(record)),
        record["verdict"],
    ]
