"""Speaker embeddings by name, and cosine scores of trials over them.

Millions of trials name only some thousands of recordings. So each recording is centred and
normalised once, and a trial is one inner product of two rows, taken a block of trials at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import first_repeated, sum_by_group, to_numpy
from ..recording_names import plain_name
from .trials import TrialList, speakers_of

_BLOCK_TRIALS = 8192  # two blocks of 192-d float32 rows then stay in the cache


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of recordings.

    Arguments
    ---------
    names : (n,) full relative paths, all different; "./a" is kept as "a".
    vectors : (n, D), or (n, C, D) with C crops of every recording; array or tensor. float64 is
        kept, everything else becomes float32.

    Raises
    ------
    ValueError
        No recording, lengths that differ, a name twice, NaN or infinity (the recording is named).

    Example
    -------
    >>> Embeddings(["a/1.wav", "b/1.wav"], [[1.0, 0.0], [0.6, 0.8]]).vectors.shape
    (2, 2)
    """

    names: Sequence[str]
    vectors: np.ndarray

    def __post_init__(self):
        names, vectors = tuple(map(plain_name, self.names)), to_numpy(self.vectors)
        if vectors.dtype != np.float64 or not isinstance(self.vectors, np.ndarray):
            vectors = vectors.astype(np.float32)
        if vectors.ndim not in (2, 3) or len(vectors) != len(names) or vectors.size == 0:
            raise ValueError(
                f"embeddings have shape {vectors.shape} for {len(names)} names: give (n, D), or "
                "(n, crops, D), with at least one recording"
            )
        if (double := first_repeated(names)) is not None:
            raise ValueError(
                f"recording {double!r} has two embeddings: names are full relative paths, each once"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(vectors.reshape(len(names), -1).sum(axis=1))
        if not finite.all():  # a sum may overflow where its terms are finite: look again
            finite = np.isfinite(vectors.reshape(len(names), -1)).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"the embedding of {names[int((~finite).argmax())]!r} holds NaN or infinity "
                f"({int((~finite).sum())} of {len(names)} recordings): find out why before scoring"
            )
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "vectors", vectors)

    def __len__(self) -> int:
        return len(self.names)

    def mean(self) -> np.ndarray:
        """Mean embedding (D,), over recordings and crops: what mean subtraction takes away.

        It is to be that of training or cohort recordings; from test recordings it would use what
        a system in the field does not have.
        """
        axes = tuple(range(self.vectors.ndim - 1))
        return self.vectors.mean(axis=axes, dtype=np.float64).astype(self.vectors.dtype)

    def by_speaker(self, speaker_of: Mapping[str, str]) -> Embeddings:
        """One mean embedding per speaker, named by the speaker: the usual cohort.

        The mean is over the embeddings as they are, before any normalisation, as in wespeaker's
        cohorts.
        """
        speakers, group = np.unique(speakers_of(self.names, speaker_of), return_inverse=True)
        flat = self.vectors if self.vectors.ndim == 2 else self.vectors.mean(axis=1)
        means = sum_by_group(flat, group) / np.bincount(group)[:, None]
        return Embeddings(speakers.tolist(), means.astype(self.vectors.dtype))

    def directions(self, mean: np.ndarray | None = None) -> np.ndarray:
        """Rows (n, D) whose inner products are the cosine scores.

        With crops, the mean of the crops' unit vectors, which is not of unit length: the inner
        product of two such rows is exactly the mean of the C x C cosines between the crops.

        Arguments
        ---------
        mean : (D,), subtracted first.

        Raises
        ------
        ValueError
            A mean of another size, or an embedding without a direction (all zeros).
        """
        vectors = self.vectors
        if mean is not None:
            mean = to_numpy(mean).astype(vectors.dtype)
            if mean.shape != vectors.shape[-1:] or not np.isfinite(mean).all():
                raise ValueError(
                    f"the mean to subtract has shape {mean.shape}: it must be finite and "
                    f"({vectors.shape[-1]},), as Embeddings.mean() gives"
                )
            vectors = vectors - mean
        # scaled first, so that no square underflows or overflows
        largest = np.abs(vectors).max(axis=-1, keepdims=True)
        zero = np.flatnonzero((largest == 0).reshape(len(self), -1).any(axis=1))
        if len(zero):
            raise ValueError(
                f"the embedding of {self.names[zero[0]]!r} is zero"
                f"{' after mean subtraction' if mean is not None else ''}: it has no direction, so "
                "no cosine"
            )
        vectors = vectors / largest
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        return vectors if vectors.ndim == 2 else vectors.mean(axis=1)


def cosine_scores(
    trials: TrialList,
    embeddings: Embeddings,
    *,
    mean: np.ndarray | None = None,
    partial: bool = False,
    block_trials: int = _BLOCK_TRIALS,
) -> np.ndarray:
    """Cosine similarity of the two embeddings of every trial, in the order of the trials.

    Arguments
    ---------
    trials : the list.
    embeddings : of all recordings in it.
    mean : (D,), subtracted from all embeddings first.
    partial : say that the list is meant to use only some of the embeddings.
    block_trials : trials at once; the memory beyond the result is two blocks of rows. The result
        does not depend on it.

    Returns
    -------
    (n,), float32 or float64 as the embeddings.

    Raises
    ------
    ValueError
        As for `TrialList.locate` and `Embeddings.directions`.

    Example
    -------
    >>> trials = TrialList.from_pairs([("a", "b", True), ("a", "c", False)])
    >>> vectors = [[1.0, 0.0], [3.0, 4.0], [0.0, -2.0]]
    >>> cosine_scores(trials, Embeddings(["a", "b", "c"], vectors)).tolist()
    [0.6000000238418579, 0.0]
    """
    enroll, test = trials.locate(embeddings.names, partial=partial)
    rows = embeddings.directions(mean)
    return row_products(rows, rows, enroll, test, block_trials)


def row_products(
    left: np.ndarray, right: np.ndarray, enroll: np.ndarray, test: np.ndarray, block_trials: int
) -> np.ndarray:
    """Scalar products of the rows of two tables that each trial names, a block at a time. -> (n,)"""
    if block_trials < 1:
        raise ValueError(f"block_trials is {block_trials}: give at least 1")
    products = np.empty(len(enroll), left.dtype)
    for at in range(0, len(enroll), block_trials):
        part = slice(at, at + block_trials)
        np.einsum("nd,nd->n", left[enroll[part]], right[test[part]], out=products[part])
    return products


class EmbeddingCollector:
    """Collects embeddings batch by batch and merges the shares of several processes.

    Example
    -------
    >>> one, other = EmbeddingCollector(), EmbeddingCollector()
    >>> one.append(["b"], [[1.0, 2.0]])
    >>> other.append(["a"], [[3.0, 4.0]])
    >>> EmbeddingCollector.from_state(one.state(), other.state()).summarize().names
    ('a', 'b')
    """

    def __init__(self):
        self._vectors: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._vectors)

    def append(self, names: Sequence[str], vectors) -> None:
        """Add a batch; after an error nothing of it has been added.

        Raises
        ------
        ValueError
            As for `Embeddings`, another shape than before, or a recording seen before with another
            embedding. (The same recording with the same embedding may come again: samplers pad
            shards by repeating.)
        """
        batch = Embeddings(names, vectors)
        self._check(batch.names, batch.vectors)
        self._vectors.update(zip(batch.names, batch.vectors, strict=True))

    def summarize(self) -> Embeddings:
        """All embeddings, in the order of the names: sharding and order of arrival do not matter.

        Raises
        ------
        ValueError
            Nothing was collected.
        """
        if not self._vectors:
            raise ValueError("no embedding was collected: append at least one batch")
        names = sorted(self._vectors)
        return Embeddings(names, np.stack([self._vectors[name] for name in names]))

    def state(self) -> dict:
        """What was collected, as a list of names and one array: for `all_gather_object`."""
        vectors = list(self._vectors.values())
        return {"names": list(self._vectors), "vectors": np.stack(vectors) if vectors else None}

    @classmethod
    def from_state(cls, *states: dict) -> EmbeddingCollector:
        """Rebuild from what `state` gave; several states (one per process) are merged."""
        whole = cls()
        for state in states:
            if state["names"]:
                whole.append(state["names"], state["vectors"])
        return whole

    def _check(self, names: Sequence[str], vectors: Sequence[np.ndarray]) -> None:
        shape = next(iter(self._vectors.values()), vectors[0]).shape
        for name, vector in zip(names, vectors, strict=True):
            if vector.shape != shape:
                raise ValueError(
                    f"the embedding of {name!r} has shape {vector.shape}, those before have {shape}"
                )
            known = self._vectors.get(name)
            if known is not None and not np.allclose(known, vector, rtol=1e-3, atol=1e-4):
                raise ValueError(
                    f"recording {name!r} has two different embeddings: is a part of the name cut "
                    "off (names are full relative paths), or is the model in training mode?"
                )
