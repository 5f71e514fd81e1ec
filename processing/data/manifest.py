"""Write, read and check manifests: one row per clip, one CSV file per data set.

Every row has an id, a path (relative to its root, with forward slashes), a duration, a split, a
label and a speaker. Optional columns turn a part of a longer file into a clip (`start_sample`,
`num_samples`), scale it (`gain`), or place it under another root than the data folder (`root`).
A row without a path, with gain 0 and a number of samples, is digital silence.
"""

import csv
import hashlib
import json
from collections import Counter
from pathlib import PurePosixPath

from ..system.files import TextError, replacing
from ..system.listing import first_of
from ..system.tables import read_table, to_number

REQUIRED_COLUMNS = ("id", "path", "duration_s", "split", "label", "speaker")
OPTIONAL_COLUMNS = ("root", "start_sample", "num_samples", "gain")
SPLITS = ("train", "valid", "test")

_NUMBERS = {"duration_s": float, "start_sample": int, "num_samples": int, "gain": float}


class ManifestError(ValueError):
    """A manifest that cannot be used; the text lists every problem."""


def write_manifest(rows, path):
    """Write rows as CSV, the same bytes on every operating system.

    Columns come in the order of `REQUIRED_COLUMNS`, `OPTIONAL_COLUMNS`, then others by name; rows
    come by id. The file appears whole or not at all.

    Arguments
    ---------
    rows : iterable of dict
        The clips.
    path : str or Path
        The CSV file.

    Raises
    ------
    ManifestError
        A row lacks a required column.
    """
    rows = [_tidy(row) for row in rows]
    lacking = _find_missing_columns(rows)
    if lacking:
        raise ManifestError("\n".join(lacking))
    present = {column for row in rows for column in row}
    columns = [*REQUIRED_COLUMNS, *(c for c in OPTIONAL_COLUMNS if c in present)]
    columns += sorted(present.difference(columns))
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["id"]))


def read_manifest(path):
    """Read what `write_manifest` wrote.

    Returns
    -------
    list of dict
        Numbers are numbers again; optional columns a row leaves empty are not in its dict.

    Raises
    ------
    ManifestError
        The file is missing, lacks a column, or holds text where a number belongs.
    """
    tidy = []
    try:
        columns, rows = read_table(path, spaces=True)
        missing = [c for c in REQUIRED_COLUMNS if c not in columns]
        for line, row, wrong in () if missing else rows:
            try:
                if wrong:
                    raise ValueError(wrong)
                tidy.append(_tidy(row))
            except ValueError as error:
                raise ManifestError(f"{path}, line {line}: {error}") from error
        if not missing:
            return tidy
    except FileNotFoundError:
        raise ManifestError(f"{path}: no such manifest; prepare the data first") from None
    except TextError as error:
        raise ManifestError(str(error)) from error
    raise ManifestError(
        f"{path}: the columns {', '.join(missing)} are missing; delete the file and prepare the "
        "data again"
    )


def digest(rows):
    """SHA-256 of the rows, as hex: which clips, cut how, labelled how, in which split.

    The same on every machine: it depends neither on the order of the rows, nor on the folder the
    data lies in, nor on the operating system.

    Example
    -------
    >>> rows = [dict(id="yes/a", path="yes/a.wav", duration_s=1.0, split="train", label="yes",
    ...              speaker="a")]
    >>> digest(rows)[:8]
    'f729fb0f'
    """
    total = hashlib.sha256()
    for row in sorted((_tidy(row) for row in rows), key=lambda row: row["id"]):
        total.update(json.dumps(row, sort_keys=True, ensure_ascii=True).encode() + b"\n")
    return total.hexdigest()


def find_problems(rows, splits=SPLITS, labels=None, label_required=True):
    """Everything wrong with a manifest, one line per kind of problem.

    Arguments
    ---------
    rows : list of dict
        The clips.
    splits : collection of str
        The splits that exist.
    labels : collection of str, optional
        The labels that exist; None accepts any.
    label_required : bool
        False for data sets whose target is not a label.

    Returns
    -------
    list of str
        Empty when all is well.
    """
    problems = _find_missing_columns(rows)
    ids = Counter(row.get("id") for row in rows)
    by_problem = {
        "ids occur more than once": [str(i) for i, n in ids.items() if n > 1 and i],
        "rows have no id": [f"row {i + 1}" for i, row in enumerate(rows) if not row.get("id")],
    }
    for row in rows:
        name = str(row.get("id"))
        for problem in _row_problems(row, splits, labels, label_required):
            by_problem.setdefault(problem, []).append(name)
    return problems + [
        f"{len(names)} {problem}: {first_of(names)}"
        for problem, names in by_problem.items()
        if names
    ]


def validate(rows, splits=SPLITS, labels=None, label_required=True):
    """Raise one `ManifestError` that lists all of `find_problems`, or return the rows."""
    rows = list(rows)
    problems = find_problems(rows, splits, labels, label_required)
    if not rows:
        problems.append("the manifest is empty")
    if problems:
        raise ManifestError("the manifest cannot be used:\n  " + "\n  ".join(problems))
    return rows


def _tidy(row):
    """A row with its numbers as numbers, six decimals at most, and no empty optional fields."""
    tidy = {}
    for column, value in row.items():
        if value is None or value == "":
            if column in REQUIRED_COLUMNS:
                tidy[column] = ""
            continue
        kind = _NUMBERS.get(column, str)
        if kind is not str:
            value = to_number(value, kind) if isinstance(value, str) else kind(value)
        tidy[column] = round(value, 6) if kind is float else kind(value)
    return tidy


def _find_missing_columns(rows):
    lacking = Counter(c for row in rows for c in REQUIRED_COLUMNS if c not in row)
    return [f"the column {column} is missing in {n} rows" for column, n in lacking.items()]


def _row_problems(row, splits, labels, label_required):
    if "split" in row and row["split"] not in splits:
        yield f"rows have a split that is none of {', '.join(splits)}"
    if label_required and "label" in row and not row["label"]:
        yield "rows have an empty label"
    elif labels is not None and "label" in row and row["label"] not in labels:
        yield "rows have an unknown label"
    duration_s = row.get("duration_s", 1)
    if not isinstance(duration_s, int | float) or not 0 < duration_s < float("inf"):
        yield "rows have a duration that is not positive"
    if "path" in row:
        path = PurePosixPath(row["path"])
        if not row["path"]:
            if row.get("gain") != 0 or row.get("num_samples", 0) <= 0:
                yield "rows have no path and are not digital silence"
        elif path.is_absolute() or ".." in path.parts or "\\" in row["path"]:
            yield "rows have a path that is not relative with forward slashes"
