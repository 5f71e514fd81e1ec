"""Files of predictions and labels of a regression's test set: one JSON object, a line per item.

    {"format": "auricle regression 1",
     "dimensions": ["valence", "arousal"], "scale": {"low": 1.0, "high": 9.0}, "level": "song",
     "items": [
       {"id": "12#0", "song": "12", "predictions": [4.1, 5.0], "targets": [4.4, 5.2]},
       ...]}

An item is a line. Where labels run over time (`level` "point") it also has `times_s`, and a row of
`predictions` and `targets` per time. `level` "clip" is without songs. Numbers are written so that
reading gives the same bits.
"""

import json
import os
from pathlib import Path

from ...system.files import TextError, read_json, write_text
from .metrics import RegressionScores

FORMAT = "auricle regression 1"
#: What a run calls its file.
FILE_NAME = "test_predictions.json"
_ENTRIES = ("format", "dimensions", "scale", "level", "items")


def write_scores(path: str | os.PathLike, scores: RegressionScores) -> Path:
    """Write what was collected; returns the path. The file appears complete or not at all.

    Arguments
    ---------
    path : where to; folders are made.
    scores : with at least one item.

    Raises
    ------
    ValueError
        Nothing collected.

    Example
    -------
    >>> import tempfile
    >>> scores = RegressionScores(("valence",), {"low": 1, "high": 9})
    >>> scores.append(["a", "b"], [[2.1], [3.0]], [[1.0], [2.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = read_scores(write_scores(Path(folder, FILE_NAME), scores))
    >>> again.state() == scores.state()
    True
    """
    if not len(scores):
        raise ValueError(f"nothing to write to {path}: append at least one item")
    state = scores.state()
    at_points = scores.level == "point"
    rows = []
    names = ("ids", "groups", "times_s", "predictions", "targets")
    for item, song, times_s, predictions, targets in zip(*map(state.get, names), strict=True):
        row: dict = {"id": item}
        if song is not None:
            row["song"] = str(song)
        if at_points:
            row |= {"times_s": times_s, "predictions": predictions, "targets": targets}
        else:
            row |= {"predictions": predictions[0], "targets": targets[0]}
        rows.append(json.dumps(row, ensure_ascii=False, allow_nan=False))
    head = {"format": FORMAT, "dimensions": state["dimensions"], "scale": state["scale"]}
    lines = [
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in (head | {"level": scores.level}).items()
    ]
    text = "{" + ",\n ".join(lines) + ',\n "items": [\n  ' + ",\n  ".join(rows) + "]}\n"
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_text(path, text)


def read_scores(path: str | os.PathLike) -> RegressionScores:
    """Read what `write_scores` wrote.

    Raises
    ------
    ValueError
        No such file, a damaged or foreign one, or what `RegressionScores` refuses (NaN, labels
        outside the scale, an item twice); the file is named, and the item where it is one.
    """
    try:
        record = read_json(path)
    except (FileNotFoundError, IsADirectoryError):
        raise ValueError(
            f"{path}: no such file of predictions; a run writes {FILE_NAME} after its test"
        ) from None
    except TextError as error:
        raise ValueError(f"{error}: no file of predictions, or a damaged one") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        format = record.get("format") if isinstance(record, dict) else None
        raise ValueError(
            f"{path} is no file of predictions: its format is {format!r}, not {FORMAT!r}"
        )
    try:
        return _collected(record)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = error if isinstance(error, ValueError) else f"unexpected entries ({error!r})"
        raise ValueError(f"{path} is damaged: {reason}") from None


def _collected(record: dict) -> RegressionScores:
    lacks = [name for name in _ENTRIES if name not in record]
    if lacks:
        raise ValueError(f"{', '.join(lacks)} missing")
    scores = RegressionScores(record["dimensions"], record["scale"])
    level = record["level"]
    for number, row in enumerate(record["items"], 1):
        if not isinstance(row, dict):
            raise ValueError(f"item {number} is no object")
        needed = {"id", "predictions", "targets"}
        needed |= {"point": {"times_s"}, "song": {"song"}}.get(level, set())
        if lacks := sorted(needed - set(row)):
            raise ValueError(f"item {number} ({row.get('id')!r}) lacks {', '.join(lacks)}")
        songs = [row["song"]] if "song" in row else None
        if songs and not isinstance(songs[0], str):
            raise ValueError(f"the song of item {number} ({row['id']!r}) is no name")
        values = ([row["predictions"]], [row["targets"]])
        try:
            if level == "point":
                scores.append_sequences([row["id"]], *values, [row["times_s"]], groups=songs)
            else:
                scores.append([row["id"]], *values, songs)
        except (ValueError, TypeError) as error:
            raise ValueError(f"item {number} ({row['id']!r}): {error}") from None
    if not len(scores):
        raise ValueError("it holds no item")
    if scores.level != level:
        raise ValueError(f"its level is {level!r}, its items are of level {scores.level!r}")
    return scores
