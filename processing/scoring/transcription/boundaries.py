"""Errors of the boundaries of an alignment against known ones, in ms.

Definitions:

- A boundary is where one phone ends and the next begins; the beginning and the end of the recording
  are none. Both sides must have the same phones, so boundary i of one is boundary i of the other.
- Where a phone of the reference was left out of the alignment (a glottal stop that the model does
  not have), or the reference has a gap, there is no one place to compare with: not counted.
- A share within t ms counts boundaries with \\|hypothesis - reference\\| <= t. Boundaries of all
  utterances are added, and divided last.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ...transcription.segments import Segment
from ..bootstrap import percentile_interval, ratio
from ..collector import Collector

TOLERANCES_MS = (10, 20, 30, 50)


def boundary_errors_ms(
    reference: Sequence[Segment],
    hypothesis: Sequence[Segment],
    sample_rate_hz: int,
    fold: Callable[[str], str | None] = str,
    where: str = "the utterance",
) -> np.ndarray:
    """Hypothesis minus reference of every boundary that can be compared, in ms; positive is late.

    Arguments
    ---------
    reference, hypothesis : segments in order.
    sample_rate_hz : of both.
    fold : maps a label to what is compared, None: this segment is left out; the table of a phone
        set's `folding` by its ``__getitem__``.
    where : what to name in an error.

    Raises
    ------
    ValueError
        The two have not the same labels after folding.
    """
    sides, breaks = [], set()
    for segments in (reference, hypothesis):
        kept = [(segment, fold(segment.text)) for segment in segments]
        kept = [(segment, label) for segment, label in kept if label is not None]
        sides.append(kept)
        pairs = enumerate(zip(kept[:-1], kept[1:], strict=True))
        breaks |= {i for i, ((a, _), (b, _)) in pairs if a.end_samples != b.start_samples}
    labels = [[label for _, label in kept] for kept in sides]
    if labels[0] != labels[1]:
        at = next(
            (i for i, (a, b) in enumerate(zip(*labels, strict=False)) if a != b),
            min(map(len, labels)),
        )
        symbols = [line[at] if at < len(line) else "nothing more" for line in labels]
        raise ValueError(
            f"{where}: boundaries can be compared between the same phones, and phone {at + 1} is "
            f"{symbols[0]!r} in the reference and {symbols[1]!r} in the alignment "
            f"({len(labels[0])} and {len(labels[1])} phones)"
        )
    ends = [np.array([s.end_samples for s, _ in kept[:-1]], dtype=np.float64) for kept in sides]
    errors = (ends[1] - ends[0]) * 1000 / sample_rate_hz
    return errors[[i for i in range(len(errors)) if i not in breaks]]


class BoundaryErrors(Collector):
    """Collects the boundaries of utterances, merges shards exactly, and scores them.

    Example
    -------
    >>> errors = BoundaryErrors()
    >>> errors.append("u1", [4.0, -12.0, 25.0])
    >>> errors.append("u2", [-60.0])
    >>> found = errors.summarize()
    >>> found["boundaries"], found["within_20_ms"], found["mean_absolute_ms"]
    (4, 0.5, 25.25)
    """

    item = "utterance"

    def append(self, name: str, errors_ms: Sequence[float]) -> None:
        """Add an utterance: what `boundary_errors_ms` gives for it."""
        errors = np.asarray(errors_ms, dtype=np.float64)
        self._check_ids([name])
        if not np.isfinite(errors).all():
            raise ValueError(f"utterance {name!r} has a boundary that is not finite")
        self._add({name: errors})

    def summarize(
        self,
        tolerances_ms: Sequence[float] = TOLERANCES_MS,
        *,
        n_resamples: int = 1000,
        seed: int = 0,
    ) -> dict:
        """Shares within the tolerances, mean absolute error and bias, as plain numbers.

        `median_ms` is the median of hypothesis minus reference: a constant shift of minus this
        centres the errors. The interval is a 95 % bootstrap over utterances, None for fewer than
        two.

        Raises
        ------
        ValueError
            No boundary to compare.
        """
        errors = np.concatenate([*self._records.values(), np.empty(0)])
        if not len(errors):
            raise ValueError("there is no boundary to compare")
        counts = np.array(
            [
                [len(e), *((np.abs(e) <= t).sum() for t in tolerances_ms), np.abs(e).sum()]
                for e in self._records.values()
            ]
        )
        names = [*(f"within_{t:g}_ms" for t in tolerances_ms), "mean_absolute_ms"]
        total = counts.sum(0)
        interval = None
        if (counts[:, 0] > 0).sum() > 1:
            used = counts[counts[:, 0] > 0]
            interval = {
                name: percentile_interval(ratio, used[:, [i, 0]], n_resamples, seed=seed)
                for i, name in enumerate(names, start=1)
            }
        return {
            **{name: float(total[i] / total[0]) for i, name in enumerate(names, start=1)},
            "median_ms": float(np.median(errors)),
            "boundaries": len(errors),
            "n": len(self._records),
            "interval": interval,
        }
