"""Regression scores (CCC, R2, RMSE, correlation) per clip, song or point, with intervals.

What is scored is stated by `level` in the result:

- "clip": every item for itself, where no songs were given;
- "song": predictions and targets of a song's clips are averaged first, each song counts once;
- "point": sequences; a point is one time of one song, windows that overlap are averaged there.
  CCC over all points together is the headline; the mean of the songs' own CCCs stands beside it.

The definitions of the scores are in `moments`. Joint scores are means over dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..arrays import sum_by_group, to_numpy
from ..bootstrap import percentile_interval, ratio
from ..collector import Collector
from .moments import SCORES, Moments

#: Labels that went through float32 and back may lie outside their scale by this share of it.
_SCALE_SLACK = 1e-4


class RegressionScores(Collector):
    """Collects predictions and targets, merges shards exactly, and scores them.

    Arguments
    ---------
    dimensions : names of the D outputs, in order.
    scale : {"low", "high"}, the scale that labels and predictions are on. A label outside it is
        refused; a prediction may lie anywhere.
    n_resamples : of the intervals; 0 for none.

    Example
    -------
    >>> scores = RegressionScores(("valence",), {"low": 1, "high": 9})
    >>> scores.append(["a", "b", "c"], [[2.0], [3.0], [4.0]], [[1.0], [2.0], [3.0]])
    >>> result = scores.summarize()
    >>> round(result["ccc"], 4), result["rmse"], result["rmse_unit_scale"], result["level"]
    (0.5714, 1.0, 0.25, 'clip')
    """

    def __init__(
        self,
        dimensions: Sequence[str] = ("valence", "arousal"),
        scale: Mapping[str, float] | None = None,
        n_resamples: int = 1000,
    ):
        dimensions = [dimensions] if isinstance(dimensions, str) else list(dimensions)
        if not dimensions or len(set(dimensions)) != len(dimensions):
            raise ValueError(f"dimensions must be at least one name, all different: {dimensions}")
        scale = {"low": 1, "high": 9} if scale is None else dict(scale)
        if set(scale) != {"low", "high"} or not -np.inf < scale["low"] < scale["high"] < np.inf:
            raise ValueError(f"scale must be {{'low': ..., 'high': ...}}, low below high: {scale}")
        self.dimensions = dimensions
        self.scale = {end: float(scale[end]) for end in ("low", "high")}
        self.n_resamples = n_resamples
        # id -> (group or None, times (N,) or None, predictions (N, D), targets (N, D))
        super().__init__()

    def append(self, ids, predictions, targets, groups=None) -> None:
        """Add a batch of clips; after an error nothing of the batch has been added.

        Arguments
        ---------
        ids : one unique name per clip.
        predictions, targets : (B, D) on the scale of the labels; list, array or tensor.
        groups : the song of each clip, for every batch or for none.

        Raises
        ------
        ValueError
            Shapes that do not fit, NaN or infinity (the item is named), a target outside the
            scale, an id seen before, groups in some batches only, sequences before.
        """
        ids = self._check_ids(ids)
        shape = (len(ids), len(self.dimensions))
        predictions = _shaped("predictions", predictions, shape)
        targets = _shaped("targets", targets, shape)
        self._append(ids, groups, [None] * len(ids), predictions[:, None], targets[:, None])

    def append_sequences(self, ids, predictions, targets, times_s, counts=None, groups=None):
        """Add a batch of sequences; after an error nothing of the batch has been added.

        Arguments
        ---------
        ids : one unique name per sequence, for example a window of a song.
        predictions, targets : (B, N, D)
        times_s : (B, N), times in s from the beginning of the song.
        counts : (B,), how many points of each row are valid; None: all.
        groups : the song of each sequence; without it each sequence is a song.

        Raises
        ------
        ValueError
            As for `append`; counts out of range, times that are not rising.
        """
        ids = self._check_ids(ids)
        predictions = _float64(predictions)
        shape = (len(ids), predictions.shape[1] if predictions.ndim > 1 else 1)
        full = (*shape, len(self.dimensions))
        predictions = _shaped("predictions", predictions, full)
        targets, times_s = _shaped("targets", targets, full), _shaped("times_s", times_s, shape)
        counts = np.full(len(ids), shape[1]) if counts is None else _float64(counts).astype(int)
        if counts.shape != (len(ids),) or (counts < 1).any() or (counts > shape[1]).any():
            raise ValueError(f"counts must be {len(ids)} numbers from 1 to {shape[1]}")
        cut = [[row[:n] for row, n in zip(v, counts, strict=True)] for v in (predictions, targets)]
        times = [np.round(row[:n], 6) for row, n in zip(times_s, counts, strict=True)]
        for item, row in zip(ids, times, strict=True):
            if not np.isfinite(row).all() or (np.diff(row) <= 0).any():
                raise ValueError(f"the times of {item!r} must be finite and rise: {row[:4]} ...")
        self._append(ids, groups, times, *cut)

    def _append(self, ids, groups, times, predictions, targets) -> None:
        groups = [None] * len(ids) if groups is None else list(groups)
        if len(groups) != len(ids):
            raise ValueError(f"{len(groups)} groups for {len(ids)} items")
        if len({group is None for group in groups}) > 1:
            raise ValueError("groups must be given for all items or for none")
        slack = _SCALE_SLACK * (self.scale["high"] - self.scale["low"])
        for item, p, t in zip(ids, predictions, targets, strict=True):
            for name, values in (("prediction", p), ("target", t)):
                if not np.isfinite(values).all():
                    raise ValueError(f"the {name} of {item!r} holds NaN or infinity")
            if t.min() < self.scale["low"] - slack or t.max() > self.scale["high"] + slack:
                raise ValueError(
                    f"the target of {item!r} is outside the scale {self.scale['low']:g} to "
                    f"{self.scale['high']:g}: {t[0].tolist()}; map labels back before scoring"
                )
        rows = zip(groups, times, predictions, targets, strict=True)
        self._add(dict(zip(ids, rows, strict=True)))

    def _add(self, records) -> None:
        if self._records:
            mine, new = (next(iter(r.values())) for r in (self._records, records))
            if (mine[0] is None) != (new[0] is None):
                raise ValueError("groups must be given for all items or for none")
            if (mine[1] is None) != (new[1] is None):
                raise ValueError("clips and sequences cannot be scored together")
        super()._add(records)

    # -- shards ------------------------------------------------------------------------------------

    def state(self) -> dict:
        """Everything collected, as plain strings and lists: for `all_gather_object` or JSON."""
        rows = list(self._records.values())
        return {
            "dimensions": list(self.dimensions),
            "scale": dict(self.scale),
            "n_resamples": self.n_resamples,
            "ids": list(self._records),
            "groups": [row[0] for row in rows],
            "times_s": [None if row[1] is None else row[1].tolist() for row in rows],
            "predictions": [row[2].tolist() for row in rows],
            "targets": [row[3].tolist() for row in rows],
        }

    @classmethod
    def _restored(cls, state: dict) -> RegressionScores:
        shard = cls(state["dimensions"], state["scale"], state["n_resamples"])
        if state["ids"]:
            groups = None if state["groups"][0] is None else state["groups"]
            times = [None if t is None else np.array(t) for t in state["times_s"]]
            arrays = [[np.array(v) for v in state[k]] for k in ("predictions", "targets")]
            shard._append(shard._check_ids(state["ids"]), groups, times, *arrays)
        return shard

    def _settings(self) -> dict:
        return {"dimensions": self.dimensions, "scale": self.scale}

    # -- scores ------------------------------------------------------------------------------------

    @property
    def level(self) -> str:
        """ "clip", "song" or "point", see the module."""
        group, times = next(iter(self._records.values()), (None, None))[:2]
        return "point" if times is not None else "clip" if group is None else "song"

    def points(self) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What is scored, in an order that does not depend on how the items came.

        Returns
        -------
        songs (sorted), song of each point (n,), times_s (n,), predictions (n, D), targets (n, D)
        """
        if not self._records:
            raise ValueError("nothing to score: append at least one item")
        ids = sorted(self._records)
        rows = [self._records[item] for item in ids]
        of_item = [i if row[0] is None else str(row[0]) for i, row in zip(ids, rows, strict=True)]
        songs, song = np.unique(of_item, return_inverse=True)
        song = np.repeat(song, [len(row[2]) for row in rows])
        times = np.concatenate([np.zeros(1) if row[1] is None else row[1] for row in rows])
        values = np.concatenate([np.stack([row[2], row[3]], axis=1) for row in rows])
        keys, place = np.unique(np.stack([song, times]), axis=1, return_inverse=True)
        place = place.reshape(-1)
        mean = sum_by_group(values, place) / np.bincount(place)[:, None, None]
        return songs.tolist(), keys[0].astype(np.int64), keys[1], mean[:, 0], mean[:, 1]

    def moments(self) -> tuple[list[str], Moments]:
        """Songs, and their sums for `moments`.

        Raises
        ------
        ValueError
            Nothing collected, a dimension whose target is constant.
        """
        songs, song, _, predictions, targets = self.points()
        for name, column in zip(self.dimensions, targets.T, strict=True):
            if column.min() == column.max():
                raise ValueError(
                    f"the target of {name} is {column[0]:g} at all {len(column)} {self.level}s: "
                    "agreement with a constant says nothing; score a set with different labels"
                )
        return songs, Moments(predictions, targets, song)

    def summarize(self, *, seed: int = 0, confidence: float = 0.95) -> dict:
        """All scores with their confidence intervals, ready for a results file.

        Returns
        -------
        dict with ccc, r2, rmse (on `scale`), rmse_unit_scale (on -1 to 1), pearson, each also as
        `<score>_<dimension>`; for sequences ccc_song_mean; level, n (songs), n_items, n_points,
        scale, dimensions and interval {<score>: [low, high], ..., over, n_groups, n_resamples,
        confidence, seed, method}, or interval None without resamples or with one song.
        """
        songs, moments = self.moments()
        record = self.by_name(moments, moments.rows.sum(0))
        record = {name: float(value) for name, value in record.items()}
        factor = 2 / (self.scale["high"] - self.scale["low"])
        for name in [name for name in record if name.split("_")[0] == "rmse"]:
            record[name.replace("rmse", "rmse_unit_scale")] = factor * record[name]
        draw = {"n_resamples": self.n_resamples, "seed": seed, "confidence": confidence}
        interval = None
        if self.n_resamples and len(songs) > 1:
            interval = {}
            for name in self.score_names:

                def score(sums, name=name):
                    return self.by_name(moments, sums)[name]

                interval[name] = percentile_interval(score, moments.rows, **draw)
        if self.level == "point":
            own = moments.scores(moments.rows)["ccc"].mean(-1)
            record["ccc_song_mean"] = float(own.mean())
            if interval:
                counted = np.stack([own, np.ones_like(own)], axis=1)
                interval["ccc_song_mean"] = percentile_interval(ratio, counted, **draw)
        if interval:
            unit = "clip" if self.level == "clip" else "song"
            interval |= {"over": unit, "n_groups": len(songs), **draw}
            interval["method"] = f"percentile bootstrap over {unit}s"
        return record | {
            "level": self.level,
            "n": len(songs),
            "n_items": len(self),
            "n_points": int(moments.rows[:, 0, 0].sum()),
            "dimensions": list(self.dimensions),
            "scale": dict(self.scale),
            "interval": interval,
        }

    @property
    def score_names(self) -> list[str]:
        """`<score>` (mean over dimensions) and `<score>_<dimension>`, in the order of results."""
        return [*SCORES, *(f"{score}_{name}" for score in SCORES for name in self.dimensions)]

    def resampled(self, name: str) -> tuple[list[str], Callable[[np.ndarray], np.ndarray]]:
        """The songs, and a function from their weights (R, G) to the score `name`, (R,)."""
        songs, moments = self.moments()

        def score(weights: np.ndarray) -> np.ndarray:
            sums = np.einsum("rg,gdc->rdc", weights.astype(np.float64), moments.rows)
            return self.by_name(moments, sums)[name]

        return songs, score

    def by_name(self, moments: Moments, sums: np.ndarray) -> dict[str, np.ndarray]:
        """The scores by `score_names` of summed moments (..., D, 6)."""
        scores = moments.scores(sums)
        whole = [scores[score].mean(-1) for score in SCORES]
        own = [scores[score][..., i] for score in SCORES for i in range(len(self.dimensions))]
        return dict(zip(self.score_names, [*whole, *own], strict=True))


def _float64(values) -> np.ndarray:
    return np.asarray(to_numpy(values), np.float64)


def _shaped(name: str, values, shape: tuple[int, ...]) -> np.ndarray:
    values = _float64(values)
    if values.shape != shape:
        raise ValueError(f"{name} have shape {values.shape}: {shape} is needed")
    return values
