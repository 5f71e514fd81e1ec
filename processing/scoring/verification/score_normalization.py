"""Score normalisation with a cohort: z-, t-, s- and adaptive s-norm.

Each side of a trial is compared with a cohort of other speakers; the trial's score is then said
in standard deviations above the mean of those scores:

- z-norm: (s - m_e) / d_e, the enrolment side against the cohort.
- t-norm: (s - m_t) / d_t, the test side.
- s-norm: the mean of the two.
- adaptive s-norm ("as"): s-norm, where m and d are over the top n cohort scores of each side.

Mean and standard deviation (of the n scores as they are, not an estimate for more: divided by n)
are functions of a recording, not of a trial, so they are computed once for each recording.
"""

import numpy as np

from ...system.rules import choice
from .embeddings import Embeddings, cosine_scores
from .trials import TrialList

KINDS = ("z", "t", "s", "as")
_BLOCK_CELLS = 2_000_000  # cohort scores held at once: 8 MB of float32


def cohort_statistics(
    embeddings: Embeddings,
    cohort: Embeddings,
    *,
    top_n: int | None = None,
    mean: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each recording's scores against a cohort.

    Arguments
    ---------
    embeddings : the recordings.
    cohort : recordings or speakers (`Embeddings.by_speaker`) that occur in no trial.
    top_n : only each recording's n highest scores; by default all.
    mean : (D,), subtracted from both first.

    Returns
    -------
    (means, deviations), float64 (n,) each.

    Raises
    ------
    ValueError
        A recording that is also in the cohort, other dimensions, top_n out of range, or scores
        without spread (the recording is named).
    """
    size = len(cohort)
    if size < 2:
        raise ValueError(f"the cohort has {size} member: a deviation needs at least 2")
    if top_n is not None and not 2 <= top_n <= size:
        raise ValueError(f"top_n is {top_n}: it must be from 2 to the {size} members of the cohort")
    if embeddings.vectors.shape[-1] != cohort.vectors.shape[-1]:
        raise ValueError(
            f"embeddings have {embeddings.vectors.shape[-1]} dimensions and the cohort "
            f"{cohort.vectors.shape[-1]}: extract both with one model"
        )
    shared = set(cohort.names).intersection(embeddings.names)
    if shared:
        raise ValueError(
            f"{len(shared)} recording(s) of the trials are in the cohort, such as "
            f"{min(shared)!r}: a cohort is of other speakers, from the training data"
        )
    others = np.ascontiguousarray(cohort.directions(mean).T)
    rows = embeddings.directions(mean).astype(others.dtype, copy=False)
    means, deviations = np.empty(len(rows)), np.empty(len(rows))
    block = max(1, _BLOCK_CELLS // size)
    for at in range(0, len(rows), block):
        part = slice(at, at + block)
        scores = rows[part] @ others
        if top_n is not None and top_n < size:
            scores.partition(size - top_n, axis=1)
            scores = scores[:, size - top_n :]
        means[part] = scores.mean(axis=1, dtype=np.float64)
        deviations[part] = scores.std(axis=1, dtype=np.float64)
    flat = np.flatnonzero(deviations <= 1e-7)  # float32 scores of equal members differ by less
    if len(flat):
        raise ValueError(
            f"all cohort scores of {embeddings.names[flat[0]]!r} are alike ({len(flat)} such "
            "recordings): nothing to normalise with; is every member of the cohort the same?"
        )
    return means, deviations


def normalized_scores(
    trials: TrialList,
    embeddings: Embeddings,
    cohort: Embeddings,
    kind: str = "as",
    *,
    top_n: int | None = None,
    mean: np.ndarray | None = None,
    partial: bool = False,
) -> np.ndarray:
    """Cosine scores of trials, normalised with a cohort.

    Arguments
    ---------
    trials, embeddings, mean, partial : as for `cosine_scores`.
    cohort : as for `cohort_statistics`.
    kind : "z", "t", "s" or "as".
    top_n : for "as" alone; default 300, or the whole cohort where it is smaller.

    Returns
    -------
    float64 (n,), in the order of the trials.

    References
    ----------
    P. Matejka et al., "Analysis of Score Normalization in Multilingual Speaker Recognition",
    Interspeech 2017 ("adaptive s-norm 1": each side chooses its own cohort).
    wespeaker@dfa7419 ``wespeaker/bin/score_norm.py``: 300 of 5,994 speakers in its VoxCeleb run.

    Example
    -------
    Against a cohort at cosines 1, 0 and -1 to both sides (mean 0, deviation 0.816):

    >>> trials = TrialList.from_pairs([("a", "b", True), ("a", "c", False)])
    >>> embeddings = Embeddings("abc", [[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])
    >>> cohort = Embeddings("xyz", [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> normalized_scores(trials, embeddings, cohort, "s").round(3).tolist()
    [1.225, -1.225]
    """
    choice("kind of normalisation", kind, KINDS)
    if top_n is not None and kind != "as":
        raise ValueError(f"top_n belongs to the adaptive s-norm ('as'), not to {kind!r}")
    if kind == "as" and top_n is None:
        top_n = min(300, len(cohort))
    scores = cosine_scores(trials, embeddings, mean=mean, partial=partial).astype(np.float64)
    enroll, test = trials.locate(embeddings.names, partial=partial)
    means, deviations = cohort_statistics(embeddings, cohort, top_n=top_n, mean=mean)
    by_enroll, by_test = ((scores - means[side]) / deviations[side] for side in (enroll, test))
    return {"z": by_enroll, "t": by_test}.get(kind, (by_enroll + by_test) / 2)
