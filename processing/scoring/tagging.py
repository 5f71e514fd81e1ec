"""Tagging scores from probabilities: mean average precision and ROC-AUC, per tag and on average.

Definitions, for one tag over all items:

- average precision: sum over the items that have the tag, of the precision among all items that
  score at least as high, divided by their number (no interpolation; ties share one threshold, as
  scikit-learn's ``average_precision_score``).
- ROC-AUC: the share of pairs of an item with and an item without the tag in which the first scores
  higher, ties counting half.
- mAP and mean ROC-AUC are means over the tags that some items have and some have not; for any
  other tag neither is defined, and it is None and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .arrays import to_numpy
from .bootstrap import resampled_weights, tails
from .collector import Collector

SCORES = ("map", "roc_auc")


def tag_scores(
    probabilities: np.ndarray, present: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Average precision and ROC-AUC of every tag, for one or many weightings of the items.

    Arguments
    ---------
    probabilities : (N, C), anything that orders the items.
    present : (N, C) bool, which tags an item has.
    weights : (R, N), how often each item counts; None: once.

    Returns
    -------
    {"map": (R, C), "roc_auc": (R, C)}; NaN where a tag is nowhere or everywhere.

    Example
    -------
    >>> scores = tag_scores(np.array([[0.9], [0.8], [0.1]]), np.array([[True], [False], [True]]))
    >>> scores["map"].round(4).tolist(), scores["roc_auc"].tolist()
    ([[0.8333]], [[0.5]])
    """
    items, tags = present.shape
    weights = np.ones((1, items)) if weights is None else weights.astype(np.float64)
    result = {name: np.full((len(weights), tags), np.nan) for name in SCORES}
    for tag in range(tags):
        order = np.argsort(-probabilities[:, tag], kind="stable")
        values, has = probabilities[order, tag], present[order, tag]
        hits, misses = (np.cumsum(weights[:, order] * mask, axis=1) for mask in (has, ~has))
        # A threshold lies behind the last of equal values.
        last = np.append(np.flatnonzero(np.diff(values)), items - 1)
        hits, misses = hits[:, last], misses[:, last]
        total, others = hits[:, -1], misses[:, -1]
        new = np.diff(hits, axis=1, prepend=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(hits > 0, hits / (hits + misses), 0.0)
            below = others[:, None] - misses + np.diff(misses, axis=1, prepend=0) / 2
            average = (new * precision).sum(1) / total
            area = (new * below).sum(1) / (total * others)
        defined = (total > 0) & (others > 0)
        result["map"][:, tag] = np.where(defined, average, np.nan)
        result["roc_auc"][:, tag] = np.where(defined, area, np.nan)
    return result


def mean_over_tags(values: np.ndarray) -> np.ndarray:
    """Mean over the tags with a score, (R, C) -> (R,); NaN where no tag has one."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(1)
    return np.where(defined.any(1), total / np.maximum(defined.sum(1), 1), np.nan)


class TagScores(Collector):
    """Collects the probabilities of tags, merges shards exactly, and scores them.

    Arguments
    ---------
    tags : names of the tags in the order of the model's outputs, all different.
    group_unit : what the groups are ("speaker", "recording"): named in the result.

    Example
    -------
    >>> scores = TagScores(["dog", "rain"])
    >>> scores.append("abc", [[0.9, 0.2], [0.3, 0.6], [0.2, 0.7]], [[1, 0], [0, 1], [1, 1]])
    >>> round(scores.summarize()["map"], 4)
    0.9167
    """

    def __init__(self, tags: Sequence[str], group_unit: str = "group"):
        super().__init__()
        self.tags, self.group_unit = list(tags), group_unit
        if not self.tags or len(set(self.tags)) < len(self.tags):
            raise ValueError(f"tags must be names, all different: got {self.tags}")

    def append(self, ids, probabilities, present, groups: Sequence[str] | None = None) -> None:
        """Add a batch: names (B), probabilities and presence (B, C), groups or None.

        Raises
        ------
        ValueError
            Other shapes, probabilities that are not finite, an id seen before.
        """
        ids = self._check_ids(ids)
        shape = (len(ids), len(self.tags))
        probabilities, present = to_numpy(probabilities), to_numpy(present).astype(bool)
        for name, values in (("probabilities", probabilities), ("present", present)):
            if values.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, items by tags: {values.shape}")
        if not np.isfinite(probabilities).all():
            row = int(np.flatnonzero(~np.isfinite(probabilities).all(1))[0])
            raise ValueError(f"a probability of {ids[row]!r} is NaN or infinite")
        groups = ids if groups is None else list(groups)
        rows = zip(probabilities.astype(np.float64).tolist(), present.tolist(), groups, strict=True)
        self._add(dict(zip(ids, rows, strict=True)))

    def state(self) -> dict:
        """Everything collected, as plain strings and lists."""
        columns = list(zip(*self._records.values(), strict=True)) or [(), (), ()]
        names = ("probabilities", "present", "groups")
        columns = {name: list(column) for name, column in zip(names, columns, strict=True)}
        return {**self._settings(), "ids": list(self._records), **columns}

    @classmethod
    def _restored(cls, state: dict) -> TagScores:
        shard = cls(state["tags"], state["group_unit"])
        if state["ids"]:
            names = ("ids", "probabilities", "present", "groups")
            shard.append(*(state[name] for name in names))
        return shard

    def _settings(self) -> dict:
        return {"tags": self.tags, "group_unit": self.group_unit}

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
        """Probabilities (N, C), presence (N, C), number of the group (N,), names of the groups.

        In the order of the items' names: order of arrival must not change the draws.
        """
        if not self._records:
            raise ValueError("no items: score at least one")
        rows = (self._records[name] for name in sorted(self._records))
        probabilities, present, groups = zip(*rows, strict=True)
        names, place = np.unique(groups, return_inverse=True)
        return np.array(probabilities), np.array(present), place, names.tolist()

    def resampled(self, name: str) -> tuple[list[str], Callable[[np.ndarray], np.ndarray]]:
        """The groups, and a function from their weights (R, G) to the score `name`, (R,)."""
        probabilities, present, place, groups = self.arrays()
        return groups, lambda weights: mean_over_tags(
            tag_scores(probabilities, present, weights[:, place])[name]
        )

    def summarize(
        self, *, n_resamples: int = 1000, seed: int = 0, confidence: float = 0.95
    ) -> dict:
        """mAP and mean ROC-AUC with intervals over groups, and both for every tag.

        Arguments
        ---------
        n_resamples, seed, confidence : as for `percentile_interval`; 0 resamples: no interval.

        Returns
        -------
        dict with map, roc_auc, n, labels, per_tag {tag: {average_precision, roc_auc, support}} and
        interval {map, roc_auc: [low, high], confidence, over, n_groups, ...}, or None for it.

        Raises
        ------
        ValueError
            No items, or no tag that some items have and some have not.
        """
        probabilities, present, place, groups = self.arrays()
        scores = {name: rows[0] for name, rows in tag_scores(probabilities, present).items()}
        if np.isnan(scores["map"]).all():
            raise ValueError(
                "no tag is there in some items and absent in others: nothing can be told apart"
            )
        interval = None
        if n_resamples and len(groups) > 1:
            interval = self._interval(len(groups), n_resamples, seed, confidence)
        plain = {name: [None if np.isnan(v) else float(v) for v in scores[name]] for name in SCORES}
        return {
            **{name: float(np.nanmean(scores[name])) for name in SCORES},
            "n": len(self),
            "labels": list(self.tags),
            "per_tag": {
                tag: {
                    "average_precision": plain["map"][index],
                    "roc_auc": plain["roc_auc"][index],
                    "support": int(present[:, index].sum()),
                }
                for index, tag in enumerate(self.tags)
            },
            "interval": interval,
        }

    def _interval(self, num_groups, n_resamples, seed, confidence) -> dict:
        draw = {"n_resamples": n_resamples, "seed": seed, "confidence": confidence}
        result = {}
        for name in SCORES:
            _, score = self.resampled(name)
            blocks = resampled_weights(
                num_groups, n_resamples, seed=seed, chunk_resamples=max(1, 2_000_000 // len(self))
            )
            drawn = np.concatenate([score(weights) for weights in blocks])
            drawn = drawn[~np.isnan(drawn)]  # a resample may miss every tag
            result[name] = np.quantile(drawn, tails(confidence)).tolist() if len(drawn) else None
        return {**result, **draw, "over": self.group_unit, "n_groups": num_groups}
