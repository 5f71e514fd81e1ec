"""Misses and false alarms per hour of keywords that are detected in long recordings."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .bootstrap import percentile_interval

#: Thresholds of the curve, for probabilities, in equal steps of their log-odds.
THRESHOLDS = 1 / (1 + np.exp(-np.arange(-6.0, 12.01, 0.25)))
#: False alarms per hour at which the least share of misses is given.
ALARMS_PER_HOUR = (1, 10)
DEFAULT_COLLAR_S = 0.5


class Event(NamedTuple):
    """A keyword that was said."""

    start_s: float
    end_s: float
    label: str


class Detection(NamedTuple):
    """A keyword that was detected; `time_s` is compared with the events'."""

    time_s: float
    label: str
    score: float


def count_errors(
    detections: Sequence[Detection], events: Sequence[Event], collar_s: float
) -> tuple[int, int]:
    """Misses and false alarms of one recording.

    A detection belongs to an event of its label that begins at most `collar_s` after it, and ends at
    most as much before it. Each event has one detection, the first that is left; a second one is a
    false alarm.

    Example
    -------
    >>> events = [Event(1.0, 1.5, "yes"), Event(3.0, 3.5, "no")]
    >>> count_errors([Detection(1.2, "yes", 0.9), Detection(1.3, "yes", 0.8)], events, 0.5)
    (1, 1)
    """
    matched, false_alarms = set(), 0
    order = sorted(range(len(events)), key=lambda i: (events[i].end_s, events[i].start_s))
    for detection in sorted(detections):
        for i in order:
            start_s, end_s, label = events[i]
            if i in matched or label != detection.label:
                continue
            if start_s - collar_s <= detection.time_s <= end_s + collar_s:
                matched.add(i)
                break
        else:
            false_alarms += 1
    return len(events) - len(matched), false_alarms


class EventScores:
    """Counts of recordings, at every threshold of a curve.

    Arguments
    ---------
    threshold : float
        The one in use, which the intervals are of; it is put among `THRESHOLDS`.
    collar_s : float
        See `count_errors`.
    """

    def __init__(self, threshold: float, collar_s: float = DEFAULT_COLLAR_S):
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, got {threshold}")
        if not 0 <= collar_s < math.inf:
            raise ValueError(f"collar_s must be 0 or more, in s, got {collar_s}")
        self.threshold, self.collar_s = threshold, collar_s
        self.thresholds = np.unique([*THRESHOLDS, threshold])
        #: Of each recording: hours, events, and (thresholds, 2) misses and false alarms.
        self.hours, self.events, self.errors = [], [], []

    def append(
        self, duration_s: float, events: Sequence[Event], detections: Sequence[Sequence[Detection]]
    ) -> None:
        """Count one recording: what was said, and what was detected at each of `thresholds`."""
        if not duration_s > 0:
            raise ValueError(f"a recording must last longer than 0 s, got {duration_s}")
        self.hours.append(duration_s / 3600)
        self.events.append(len(events))
        self.errors.append([count_errors(found, events, self.collar_s) for found in detections])

    def merge(self, other: "EventScores") -> None:
        """Add the recordings of another process."""
        self.hours += other.hours
        self.events += other.events
        self.errors += other.errors

    def summarize(self, n_resamples: int = 1000, seed: int = 0) -> dict:
        """Rates at the threshold, the least misses at some rates of false alarms, the curve.

        Intervals are over recordings: of misses over those in which something was said.

        Raises
        ------
        ValueError
            No recording, or none with an event.
        """
        hours, events = np.array(self.hours), np.array(self.events)
        if not events.sum():
            raise ValueError("no keyword is said in any recording: there is nothing to miss")
        errors = np.array(self.errors, dtype=np.int64)  # (recordings, thresholds, 2)
        at = int(np.searchsorted(self.thresholds, self.threshold))
        misses, alarms = errors.sum(0).T
        miss_rates, per_hour = misses / events.sum(), alarms / hours.sum()
        spoken = events > 0
        pairs = {
            "miss_rate": np.stack([errors[spoken, at, 0], events[spoken]], 1),
            "false_alarms_per_hour": np.stack([errors[:, at, 1], hours], 1),
        }
        interval = {
            name: percentile_interval(
                lambda sums: sums[:, 0] / sums[:, 1], counts, n_resamples, seed=seed
            )
            for name, counts in pairs.items()
            if len(counts) > 1
        }
        least = {}
        for limit in ALARMS_PER_HOUR:
            allowed = per_hour <= limit
            least[str(limit)] = float(miss_rates[allowed].min()) if allowed.any() else None
        return {
            "recordings": len(hours),
            "hours": float(hours.sum()),
            "events": int(events.sum()),
            "threshold": self.threshold,
            "collar_s": self.collar_s,
            "misses": int(misses[at]),
            "miss_rate": float(miss_rates[at]),
            "false_alarms": int(alarms[at]),
            "false_alarms_per_hour": float(per_hour[at]),
            "interval": {**interval, "over": "recording"},
            "miss_rate_at_false_alarms_per_hour": least,
            "curve": [
                {"threshold": float(t), "miss_rate": float(m), "false_alarms_per_hour": float(f)}
                for t, m, f in zip(self.thresholds, miss_rates, per_hour, strict=True)
            ],
        }
