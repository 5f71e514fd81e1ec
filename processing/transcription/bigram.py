"""Bigram of units with Witten-Bell smoothing, trained on transcripts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..system.files import TextError, read_json, write_json
from ..system.rules import is_whole

_VERSION = 1
# Index 0, the blank of CTC, is in no transcript: as a context it is the beginning, as what follows
# it is the end.
_EDGE = 0


class Bigram:
    """Bigram over units 1 to C - 1 with Witten-Bell smoothing; `train` makes it from transcripts.

    ``P(b | a) = (n(a b) + t(a) P(b)) / (n(a) + t(a))`` with t(a) the number of different units seen
    after a, and ``P(b) = (n(b) + 1) / (n + C)``: nothing is impossible, and there is nothing to
    tune. Beginning and end of an utterance count as units.

    Arguments
    ---------
    num_labels : C, the blank included.
    counts : how often b came after a, by (a, b); 0 is the beginning as a and the end as b.

    References
    ----------
    I. Witten and T. Bell, "The zero-frequency problem", IEEE Transactions on Information Theory
    37(4), 1991, method C; interpolated.

    Example
    -------
    >>> bigram = Bigram.train([[1, 2, 1, 2], [1, 2]], num_labels=4)
    >>> bool(bigram.log_probability([1, 2]) > bigram.log_probability([2, 1]))
    True
    """

    def __init__(self, num_labels: int, counts: Mapping[tuple[int, int], int]):
        self.num_labels = int(num_labels)
        self._counts = {pair: int(n) for pair, n in sorted(counts.items())}
        seen = np.zeros((self.num_labels, self.num_labels))
        for (before, after), count in self._counts.items():
            if not (0 <= before < num_labels and 0 <= after < num_labels and 0 < count < 2**53):
                raise ValueError(
                    f"{count} times {after} after {before} is no count of a bigram of {num_labels} "
                    "labels"
                )
            seen[before, after] = count
        if not seen.any():
            raise ValueError("a bigram needs at least one transcript to be trained on")
        alone = (seen.sum(0) + 1) / (seen.sum() + self.num_labels)
        kinds = (seen > 0).sum(1, keepdims=True)
        total = seen.sum(1, keepdims=True)
        # A unit that was never followed by anything has no say: P(b | a) is P(b).
        known = (seen + kinds * alone) / np.maximum(total + kinds, 1)
        self.log_probabilities = np.log(np.where(total > 0, known, alone))
        # Mean over the training transcripts, the end not counted.
        units = seen[:, 1:]
        self.mean = float((units * self.log_probabilities[:, 1:]).sum() / units.sum())

    @classmethod
    def train(cls, index_lists: Iterable[Sequence[int]], num_labels: int) -> Bigram:
        """Count the transcripts, lists of indices from 1 to num_labels - 1.

        Raises
        ------
        ValueError
            No transcript, an empty one, an index that is no unit.
        """
        counts: Counter = Counter()
        for number, indices in enumerate(index_lists):
            indices = [int(index) for index in indices]
            wrong = [index for index in indices if not 0 < index < num_labels]
            if wrong or not indices:
                raise ValueError(
                    f"transcript {number} {f'holds {wrong[0]}' if wrong else 'is empty'}: a bigram "
                    f"is trained on lists of indices from 1 to {num_labels - 1}"
                )
            counts.update(zip([_EDGE, *indices], [*indices, _EDGE], strict=True))
        return cls(num_labels, counts)

    def log_probability(self, indices: Sequence[int]) -> float:
        """Natural logarithm of the probability of an utterance, its end included."""
        steps = zip([_EDGE, *indices], [*indices, _EDGE], strict=True)
        return float(sum(self.log_probabilities[before, after] for before, after in steps))

    def state(self) -> dict:
        """The counts as plain numbers, for JSON."""
        counts = [[before, after, n] for (before, after), n in self._counts.items()]
        return {"version": _VERSION, "num_labels": self.num_labels, "counts": counts}

    @classmethod
    def from_state(cls, state: Mapping, expected_labels: int | None = None) -> Bigram:
        """Remake what `state` describes; of `expected_labels` labels, where that is given.

        Raises
        ------
        ValueError
            It is no state of a bigram, or one of a later version.
        """
        try:
            version, num_labels = state["version"], state["num_labels"]
            counts = {(int(a), int(b)): int(n) for a, b, n in state["counts"]}
            if not is_whole(num_labels, 1):
                raise TypeError(f"num_labels is {num_labels!r:.20}")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no bigram ({type(error).__name__}: {error})") from None
        if expected_labels not in (None, num_labels):
            raise ValueError(f"the bigram has {num_labels} labels and the units {expected_labels}")
        if version != _VERSION:
            raise ValueError(f"the bigram is of version {version}, known is {_VERSION}")
        return cls(num_labels, counts)

    def save(self, path: str | os.PathLike) -> Path:
        """Write it as JSON."""
        return write_json(path, self.state(), indent=None)

    @classmethod
    def load(cls, path: str | os.PathLike, expected_labels: int | None = None) -> Bigram:
        """Read what `save` wrote; of `expected_labels` labels, where that is given.

        Raises
        ------
        ValueError
            Something else, with the path.
        """
        try:
            return cls.from_state(read_json(path), expected_labels)
        except TextError:
            raise  # names the file
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
