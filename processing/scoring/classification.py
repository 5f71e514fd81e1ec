"""Classification scores from a confusion matrix: accuracy, balanced, macro F1, per class.

Definitions, with M[i, j] the number of items of class i that were taken for class j:

- accuracy: trace(M) / sum(M).
- balanced accuracy: the mean recall over the classes that occur in the reference.
- precision, recall and F1 of a class: TP / (TP + FP), TP / (TP + FN), 2 TP / (2 TP + FP + FN).
- macro F1: the mean of F1 over the classes *present*, that is, those that occur in the reference
  or among the predictions. A class that occurs in neither has no F1 and is left out; a class that
  is predicted without ever being right has F1 = 0 and counts. (The default of scikit-learn's
  ``f1_score(average="macro")``.)
- A quotient of zero by zero is reported as None, never as a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ..system.rules import choice
from .arrays import to_numpy
from .bootstrap import bound_without_errors, percentile_interval
from .collector import Collector


def accuracy(confusion: Sequence | np.ndarray) -> float:
    """Share of items whose class was found.

    Arguments
    ---------
    confusion : (C, C) counts, rows are the true class, columns the predicted one.

    Raises
    ------
    ValueError
        Not a square matrix of counts, no items, or only one true class.

    Example
    -------
    >>> accuracy([[8, 2], [1, 9]])
    0.85
    """
    return float(_accuracy(validate_confusion(confusion)))


def balanced_accuracy(confusion: Sequence | np.ndarray) -> float:
    """Mean recall over the classes that occur in the reference.

    Arguments and errors as for `accuracy`.

    Example
    -------
    >>> balanced_accuracy([[90, 0], [5, 5]])
    0.75
    """
    return float(_balanced_accuracy(validate_confusion(confusion)))


def macro_f1(confusion: Sequence | np.ndarray) -> float:
    """Mean F1 over the classes that occur in the reference or among the predictions.

    Arguments and errors as for `accuracy`.

    Example
    -------
    The third class occurs nowhere and is left out:

    >>> round(macro_f1([[8, 2, 0], [1, 9, 0], [0, 0, 0]]), 4)
    0.8496
    """
    return float(_macro_f1(validate_confusion(confusion)))


def per_class(confusion: Sequence | np.ndarray) -> dict[str, list]:
    """Precision, recall, F1 and support of every class, in class order.

    Arguments and errors as for `accuracy`. What would be zero by zero (the precision of a class
    that was never predicted, the recall of a class without items) is None.

    Example
    -------
    >>> per_class([[4, 0], [1, 5]])["precision"]
    [0.8, 1.0]
    """
    confusion = validate_confusion(confusion)
    hits = np.diagonal(confusion).tolist()
    support = confusion.sum(axis=1).tolist()
    predicted = confusion.sum(axis=0).tolist()
    return {
        "precision": [_share(h, p) for h, p in zip(hits, predicted, strict=True)],
        "recall": [_share(h, s) for h, s in zip(hits, support, strict=True)],
        "f1": [_share(2 * h, s + p) for h, s, p in zip(hits, support, predicted, strict=True)],
        "support": support,
    }


def validate_confusion(confusion: Sequence | np.ndarray) -> np.ndarray:
    """The confusion matrix as int64 (C, C), or a ValueError that says what is wrong with it."""
    matrix = to_numpy(confusion)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < 2:
        raise ValueError(
            f"a confusion matrix has shape (C, C) with C of at least 2, got {matrix.shape}"
        )
    if matrix.dtype.kind not in "iu" or (matrix < 0).any():
        raise ValueError(
            f"a confusion matrix holds counts (integers of at least 0), got {matrix.dtype}: pass "
            "the counts, not rates"
        )
    if not matrix.any():
        raise ValueError("the confusion matrix is empty: score at least one item of two classes")
    if (matrix.sum(axis=1) > 0).sum() < 2:
        raise ValueError(
            "all items are of one class: a score over them says nothing about telling classes "
            "apart; score a set with at least 2 true classes"
        )
    return matrix.astype(np.int64)


class ConfusionCounts(Collector):
    """Collects a classifier's decisions, merges shards exactly, and scores them.

    Arguments
    ---------
    labels : the class names in the order of the class indices; at least 2, all different.
    group_unit : what the optional groups are ("speaker", "song"): named in the result.

    Example
    -------
    >>> counts = ConfusionCounts(["no", "yes"])
    >>> counts.append(["a", "b", "c"], true=[0, 1, 1], predicted=[0, 1, 0])
    >>> other = ConfusionCounts(["no", "yes"])
    >>> other.append(["d"], true=[0], predicted=[0])
    >>> counts.merge(other).summarize()["accuracy"]
    0.75
    """

    def __init__(self, labels: Sequence[str], group_unit: str = "speaker"):
        if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
            raise ValueError(f"labels must be a list of class names (strings), got {labels!r}")
        if len(labels) < 2:
            raise ValueError(f"a classifier needs at least 2 classes, got {list(labels)}")
        repeated = sorted({label for label in labels if list(labels).count(label) > 1})
        if repeated:
            raise ValueError(f"class names must all be different, these repeat: {repeated}")
        super().__init__()
        self.labels = list(labels)
        self.group_unit = group_unit

    @property
    def counts(self) -> np.ndarray:
        """The confusion matrix (C, C), int64: rows are the true class."""
        matrix = np.zeros((len(self.labels),) * 2, np.int64)
        for true, predicted, _ in self._records.values():
            matrix[true, predicted] += 1
        return matrix

    def append(
        self,
        ids: Sequence[str],
        true: Sequence[int] | np.ndarray,
        predicted: Sequence[int] | np.ndarray,
        groups: Sequence[str] | None = None,
    ) -> None:
        """Add a batch of decisions; after an error nothing of the batch has been added.

        Arguments
        ---------
        ids : one unique name per item (a string); it is what detects an item scored twice.
        true, predicted : class indices (B,), integers from 0 to C - 1; list, array or tensor.
        groups : the group (speaker, song) of each item, for every batch or for none.

        Raises
        ------
        ValueError
            Empty batch, lengths that differ, an index out of range, NaN or not an integer, an id
            seen before, groups in some batches only.
        """
        ids = self._check_ids(ids)
        true = self._class_indices(true, "true", len(ids))
        predicted = self._class_indices(predicted, "predicted", len(ids))
        if groups is None:
            groups = [None] * len(ids)
        else:
            groups = list(groups)
            if len(groups) != len(ids) or not all(isinstance(g, str) and g for g in groups):
                raise ValueError(
                    f"groups must be {len(ids)} names (strings), one per item, got {len(groups)}: "
                    f"{groups[:3]}; leave groups out when the items have none"
                )
        self._add(dict(zip(ids, zip(true, predicted, groups, strict=True), strict=True)))

    def state(self) -> dict:
        """Everything collected, as plain strings and lists: for `all_gather_object` or JSON."""
        columns = list(zip(*self._records.values(), strict=True)) or [(), (), ()]
        return {
            "labels": list(self.labels),
            "group_unit": self.group_unit,
            "ids": list(self._records),
            "true": list(columns[0]),
            "predicted": list(columns[1]),
            "groups": list(columns[2]) if self._grouped else None,
        }

    @classmethod
    def _restored(cls, state: dict) -> ConfusionCounts:
        shard = cls(state["labels"], state["group_unit"])
        if state["ids"]:
            shard.append(state["ids"], state["true"], state["predicted"], state["groups"])
        return shard

    def _settings(self) -> dict:
        return {"labels": self.labels, "group_unit": self.group_unit}

    def summarize(
        self,
        resample: str = "auto",
        *,
        n_resamples: int = 1000,
        seed: int = 0,
        confidence: float = 0.95,
    ) -> dict:
        """All scores with their confidence intervals, ready for a results file.

        The intervals are percentile bootstrap intervals over whole groups or over utterances, as
        the protocol demands; the same items give the same numbers in whatever order or number of
        shards they came. Where not one item is wrong (or not one right) every resample is alike
        and the bootstrap would claim certainty: accuracy then has the exact binomial
        (Clopper-Pearson) interval over the same units, and the other scores have None.

        Arguments
        ---------
        resample : "utterances", "groups", or "auto": groups where they were given.
        n_resamples, seed, confidence : as for `percentile_interval`.

        Returns
        -------
        dict with accuracy, balanced_accuracy, macro_f1, n, labels (the class order), per_class
        {label: {precision, recall, f1, support}}, confusion (C, C), and interval {accuracy: [low,
        high], the other scores: [low, high] or None, confidence, over, n_groups, n_resamples, seed,
        method}.

        Raises
        ------
        ValueError
            No items, only one true class, or groups asked for that are not there.
        """
        choice("resample", resample, ("utterances", "groups", "auto"))
        if resample == "groups" and not self._grouped:
            raise ValueError(
                f"an interval over {self.group_unit}s was asked for, and no groups were given: "
                "pass groups= to append, or resample='utterances'"
            )
        confusion = validate_confusion(self.counts)
        by_group = self._grouped and resample != "utterances"
        rows, repeats = self._counts_by_group() if by_group else _counts_by_cell(confusion)
        draw = {"n_resamples": n_resamples, "seed": seed, "confidence": confidence}
        n_groups = int(repeats.sum())
        hits = int(np.trace(confusion))
        if 0 < hits < len(self):
            method = "percentile bootstrap"
            interval = {
                name: percentile_interval(score, rows, repeats=repeats, **draw)
                for name, score in SCORES.items()
            }
        else:
            method = "exact binomial: no item is " + ("wrong" if hits else "right")
            bound = bound_without_errors(n_groups, confidence)
            interval = dict.fromkeys(SCORES)
            interval["accuracy"] = [bound, 1.0] if hits else [0.0, 1 - bound]
        table = per_class(confusion)
        return {
            **{name: float(score(confusion)) for name, score in SCORES.items()},
            "n": len(self),
            "labels": list(self.labels),
            "per_class": {
                label: {name: column[index] for name, column in table.items()}
                for index, label in enumerate(self.labels)
            },
            "interval": {
                **interval,
                **draw,
                "over": self.group_unit if by_group else "utterance",
                "n_groups": n_groups,
                "method": method,
            },
            "confusion": confusion.tolist(),
        }

    @property
    def _grouped(self) -> bool:
        # `_add` lets no mixture in, so the first record speaks for all
        first = next(iter(self._records.values()), None)
        return first is not None and first[2] is not None

    def resampled(self, name: str) -> tuple[list[str], Callable[[np.ndarray], np.ndarray]]:
        """The groups (or items), and a function from their weights (R, G) to the score `name`."""
        named = self._records.items()
        groups, place = np.unique([group or id for id, (*_, group) in named], return_inverse=True)
        true, predicted, _ = (list(column) for column in zip(*self._records.values(), strict=True))
        size = len(self.labels)
        rows = np.zeros((len(groups), size, size))
        np.add.at(rows, (place, true, predicted), 1)
        flat = rows.reshape(len(groups), -1)
        return groups.tolist(), lambda weights: SCORES[name](
            (weights @ flat).reshape(-1, size, size)
        )

    def _counts_by_group(self) -> tuple[np.ndarray, np.ndarray]:
        """One flat confusion matrix per group, in the order of the names: order of arrival and
        sharding must not change the draws."""
        true, predicted, groups = zip(*self._records.values(), strict=True)
        names, place = np.unique(groups, return_inverse=True)
        rows = np.zeros((len(names), len(self.labels), len(self.labels)), np.int64)
        np.add.at(rows, (place, true, predicted), 1)
        return rows, np.ones(len(names), np.int64)

    def _add(self, records) -> None:
        grouped = next(iter(records.values()))[2] is not None
        if self._records and grouped != self._grouped:
            raise ValueError(
                "some items have a group and some have none: give groups for every item or for none"
            )
        super()._add(records)

    def _class_indices(self, values: Iterable, side: str, length: int) -> list[int]:
        size = len(self.labels)
        rule = f"{side} class indices must be integers from 0 to {size - 1}"
        array = to_numpy(values)
        if array.shape != (length,):
            raise ValueError(f"{rule}, one for each of the {length} ids: got shape {array.shape}")
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ValueError(f"{rule}: got NaN at position {int(np.isnan(array).argmax())}")
        if array.dtype.kind not in "iu":
            raise ValueError(
                f"{rule}: got {array.dtype}; pass scores.argmax(-1), not the scores themselves"
            )
        outside = np.flatnonzero((array < 0) | (array >= size))
        if len(outside):
            raise ValueError(
                f"{rule} ({size} labels were given): got {array[outside[0]]} at position "
                f"{outside[0]}; the labels and the model's outputs must be of one class order"
            )
        return array.tolist()


def _accuracy(confusion: np.ndarray) -> np.ndarray:
    """(..., C, C) -> (...), unchecked: a resample may miss a class."""
    return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))


def _balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """(..., C, C) -> (...), unchecked: a resample may miss a class."""
    support = confusion.sum(axis=-1)
    recall = np.diagonal(confusion, axis1=-2, axis2=-1) / np.maximum(support, 1)
    return recall.sum(axis=-1) / (support > 0).sum(axis=-1)


def _macro_f1(confusion: np.ndarray) -> np.ndarray:
    """(..., C, C) -> (...), unchecked: a resample may miss a class."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    either = confusion.sum(axis=-1) + confusion.sum(axis=-2)  # 2 TP + FP + FN
    present = either > 0
    f1 = np.where(present, 2 * hits / np.maximum(either, 1), 0.0)
    return f1.sum(axis=-1) / present.sum(axis=-1)


#: The scores by name, each vectorised over confusion matrices.
SCORES = {"accuracy": _accuracy, "balanced_accuracy": _balanced_accuracy, "macro_f1": _macro_f1}


def _counts_by_cell(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Items in the same cell of the matrix are alike: one row per cell, repeated as it counts."""
    cells = np.flatnonzero(confusion)
    rows = np.zeros((len(cells), confusion.size), np.int64)
    rows[np.arange(len(cells)), cells] = 1
    return rows.reshape(-1, *confusion.shape), confusion.ravel()[cells]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
