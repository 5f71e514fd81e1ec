"""Tables of a test set's predictions, one row per item: written after a test, read to compare.

CSV with a header, which tells what it holds; the second column's name is what groups are:

    id,speaker,target,prediction           one class each
    id,speaker,target,p(dog),p(rain)       tags; the target's are split by ";"
    id,reference,prediction,edits,tokens   transcripts
"""

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..system.files import TextError, replacing
from ..system.tables import read_table, to_number
from .bootstrap import ratio
from .classification import SCORES, ConfusionCounts
from .collector import Collector
from .regression.metrics import RegressionScores
from .tagging import SCORES as TAG_SCORES
from .tagging import TagScores
from .transcription.sequence import EditCounts

#: What a run calls its table.
TABLE_NAME = "test_predictions.csv"
_EDITS = ["id", "reference", "prediction", "edits", "tokens"]


class UtteranceEdits(Collector):
    """Edits and reference tokens of utterances, as a table of transcripts has them."""

    def __init__(self):
        super().__init__()
        self.group_unit = "utterance"

    def append(self, ids: Sequence[str], references, counts) -> None:
        """Add utterances: names, references as text, (edits, tokens) each."""
        ids = self._check_ids(ids)
        self._add(dict(zip(ids, zip(references, counts, strict=True), strict=True)))

    def resampled(self, name: str) -> tuple[list[str], Callable]:
        """The utterances, and a function from their weights (R, G) to the error rate (R,)."""
        ids = sorted(self._records)
        counts = np.array([self._records[id][1] for id in ids], np.float64)
        return ids, lambda weights: ratio(weights @ counts)


def write_predictions(path: str | os.PathLike, scores: Collector) -> Path | None:
    """Write what a collector of classes, tags or transcripts holds; None for any other.

    The file appears whole or not at all.

    Example
    -------
    >>> import tempfile
    >>> counts = ConfusionCounts(["no", "yes"])
    >>> counts.append(["a", "b"], [0, 1], [0, 0], ["x", "y"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_predictions(Path(folder, TABLE_NAME), counts)
    ...     print(file.read_text().replace("\\n", " "), len(read_predictions(file)))
    id,speaker,target,prediction a,x,no,no b,y,yes,no  2
    """
    columns, rows = _table(scores)
    if not columns:
        return None
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([columns, *sorted(rows)])
    return path


def _table(scores: Collector) -> tuple[list[str], list[tuple]]:
    state = scores.state()
    if isinstance(scores, ConfusionCounts):
        groups = state["groups"] or state["ids"]
        names = ([scores.labels[i] for i in state[side]] for side in ("true", "predicted"))
        rows = zip(state["ids"], groups, *names, strict=True)
        return ["id", scores.group_unit, "target", "prediction"], list(rows)
    if isinstance(scores, TagScores):
        targets = (
            ";".join(tag for tag, has in zip(scores.tags, row, strict=True) if has)
            for row in state["present"]
        )
        values = zip(state["ids"], state["groups"], targets, state["probabilities"], strict=True)
        rows = [(id, group, target, *map(repr, row)) for id, group, target, row in values]
        return [
            "id",
            scores.group_unit,
            "target",
            *(f"p({tag})" for tag in scores.tags),
        ], rows
    if isinstance(scores, EditCounts):
        between = "" if scores.unit == "char" else " "
        rows = [
            (
                id,
                between.join(a.reference),
                between.join(a.hypothesis),
                a.edits,
                len(a.reference),
            )
            for id, a in scores.alignments().items()
        ]
        return _EDITS, rows
    return [], []


def read_predictions(path: str | os.PathLike) -> Collector:
    """What `write_predictions` wrote: `ConfusionCounts`, `TagScores` or `UtteranceEdits`.

    Raises
    ------
    ValueError
        No such table, or a damaged one, with the line.
    """
    try:
        columns, lines = read_table(path, spaces=True)
        scores, add = _reader(path, columns)
        for line, row, wrong in lines:
            try:
                if wrong:
                    raise ValueError(wrong)
                add(*row.values())
            except ValueError as error:
                raise ValueError(f"{path}, line {line}: {error}") from None
        if columns[3:] == ["prediction"]:
            try:
                scores = _confusion(scores, columns[1])
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise ValueError(f"{path}: no such table of predictions") from None
    except TextError as error:
        raise ValueError(str(error)) from None
    if not len(scores):
        raise ValueError(f"{path} holds no prediction")
    return scores


def _reader(path, columns: list[str]):
    """A collector for the columns of a table, and a function that adds the cells of a row to it."""
    if columns == _EDITS:
        scores = UtteranceEdits()

        def add(id, reference, prediction, edits, tokens):
            counts = to_number(edits, int), to_number(tokens, int)
            if min(counts) < 0:
                raise ValueError(f"edits {edits}, tokens {tokens}: counts are at least 0")
            scores.append([id], [reference], [counts])

        return scores, add
    if columns[:1] == ["id"] and columns[2:] == ["target", "prediction"]:
        items = []
        return items, lambda *cells: items.append(cells)
    tags = [name[2:-1] for name in columns[3:]]
    if columns[:1] == ["id"] and columns[2:3] == ["target"] and tags:
        if columns[3:] == [f"p({tag})" for tag in tags]:
            scores = TagScores(tags, columns[1])

            def add(id, group, target, *values):
                present = [tag in target.split(";") for tag in tags]
                scores.append([id], [[to_number(value) for value in values]], [present], [group])

            return scores, add
    raise ValueError(
        f"{path} is no table of predictions: its columns are {', '.join(columns)}. A run writes one "
        f"as {TABLE_NAME}"
    )


def _confusion(items: list[tuple], unit: str) -> ConfusionCounts:
    labels = sorted({label for _, _, *pair in items for label in pair})
    place = {label: index for index, label in enumerate(labels)}
    counts = ConfusionCounts(labels if len(labels) > 1 else [*labels, "(another)"], unit)
    ids, groups, true, predicted = zip(*items, strict=True) if items else ([],) * 4
    if items:
        pairs = ([place[label] for label in side] for side in (true, predicted))
        counts.append(ids, *pairs, groups)
    return counts


def metrics_of(scores: Collector) -> dict[str, bool]:
    """The scores that predictions can be compared by, the headline first: whether higher is better."""
    if isinstance(scores, ConfusionCounts):
        return dict.fromkeys(SCORES, True)
    if isinstance(scores, TagScores):
        return dict.fromkeys(TAG_SCORES, True)
    if isinstance(scores, RegressionScores):
        return {name: not name.startswith("rmse") for name in scores.score_names}
    return {"error_rate": False}


def targets_of(scores: Collector) -> dict[str, tuple]:
    """What was to be predicted for each item, with its group: two systems must agree in it."""
    if isinstance(scores, ConfusionCounts):
        return {id: (scores.labels[t], group) for id, (t, _, group) in scores._records.items()}
    if isinstance(scores, TagScores):
        return {
            id: (
                *(tag for tag, has in zip(scores.tags, row, strict=True) if has),
                f"of {group}",
            )
            for id, (_, row, group) in scores._records.items()
        }
    if isinstance(scores, RegressionScores):
        songs, song, times_s, _, targets = scores.points()
        points = zip(song.tolist(), np.asarray(times_s).tolist(), targets.tolist(), strict=True)
        return {
            f"{songs[place]} {time_s}": tuple(np.round(row, 4).tolist())
            for place, time_s, row in points
        }
    return {id: (reference,) for id, (reference, _) in scores._records.items()}
