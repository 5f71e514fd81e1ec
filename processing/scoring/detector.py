"""Detections of keywords from their scores over time: smoothing, threshold, refractory time."""

import numpy as np


class Smoother:
    """Mean of the last scores, of as many as there are at the beginning of a stream.

    Arguments
    ---------
    width : int
        Scores that the mean is of.

    Example
    -------
    >>> Smoother(2).feed(np.array([[0.0], [1.0], [1.0]])).ravel().tolist()
    [0.0, 0.5, 1.0]
    """

    def __init__(self, width: int):
        self.width = width
        self.recent = None

    def feed(self, scores: np.ndarray) -> np.ndarray:
        """Scores (K, C) -> (K, C), the means; the next call goes on from there."""
        before = scores[:0] if self.recent is None else self.recent
        joined = np.concatenate([before, scores])
        # Not by differences of running sums, which would depend on where the stream was divided.
        out = np.empty_like(scores)
        for row in range(len(scores)):
            end = len(before) + row + 1
            out[row] = joined[max(0, end - self.width) : end].mean(axis=0)
        self.recent = joined[max(0, len(joined) - self.width + 1) :]
        return out


class Detector:
    """Where scores reach a threshold, each keyword at most once in a refractory time.

    Arguments
    ---------
    threshold : float
    refractory : int
        Scores from one detection to the earliest next one of the same keyword, at least 1.

    Example
    -------
    >>> scores = np.array([[0.1, 0.9], [0.8, 0.9], [0.9, 0.9]])
    >>> Detector(0.5, 2).feed(scores)
    [(0, 1, 0.9), (1, 0, 0.8), (2, 1, 0.9)]
    """

    def __init__(self, threshold: float, refractory: int):
        self.threshold, self.refractory = threshold, max(1, refractory)
        self.seen, self.free = 0, {}

    def feed(self, scores: np.ndarray) -> list[tuple[int, int, float]]:
        """(index since the beginning, column, score) of what is detected in the next scores (K, C),
        in the order of time."""
        detections = []
        for column in range(scores.shape[1]):
            (rows,) = np.nonzero(scores[:, column] >= self.threshold)
            at = np.searchsorted(rows, self.free.get(column, 0) - self.seen)
            while at < len(rows):
                row = int(rows[at])
                detections.append((self.seen + row, column, float(scores[row, column])))
                self.free[column] = self.seen + row + self.refractory
                at = np.searchsorted(rows, row + self.refractory)
        self.seen += len(scores)
        return sorted(detections)
