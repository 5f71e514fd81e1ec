"""Probabilistic linear discriminant analysis (PLDA) of speaker embeddings: fit, score, files.

The model is x = mean + F h + e with h ~ N(0, I) of the speaker and e ~ N(0, Sigma) of the
recording. A trial's score is the natural log-likelihood ratio of "one h" to "two". It is trained by
SpeechBrain's EM; scores are computed here, a block of trials at a time.

What is worked round in speechbrain 1.1.2, ``processing/PLDA_LDA.py``:

- its minimum-divergence step multiplies by scipy's upper Cholesky factor where the lower one
  belongs; that disturbs the first iterations and not where they settle, so there are many of them,
  from a start near the answer: the data are first brought to coordinates where the variation
  within speakers is the identity and that between them is diagonal, largest first. Its initial F
  (leading eigenvectors, unit length) then points at what tells speakers apart;
- it divides by the square roots of a covariance's eigenvalues: recordings fewer than dimensions
  give NaN. Principal components keep the dimensions below what the recordings support;
- its LDA takes the eigenvectors of a matrix that is not symmetric with ``eigh``, which reads half
  of it; it is not used;
- a rank above the number of dimensions fails in the middle: it is refused at the beginning;
- ``fast_PLDA_scoring`` computes every enrolment against every test recording and matches names by
  comparing all with all; its models are saved with pickle.

References
----------
D. Garcia-Romero and C. Y. Espy-Wilson, "Analysis of i-vector length normalization in speaker
recognition systems", Interspeech 2011.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from scipy import linalg

from ...system.files import parse_json
from ...system.rules import is_whole
from ..arrays import sum_by_group
from .embedding_files import save_tensors
from .embeddings import Embeddings, row_products
from .trials import TrialList, speakers_of

FORMAT = "auricle plda 1"
_BLOCK_TRIALS = 8192
_ITERATIONS = 30
#: EM holds rank squared numbers per speaker: 2 GB for 6,000 speakers at 200.
_MOST_DIMENSIONS = 200


@dataclass(frozen=True, eq=False)
class Plda:
    """A trained model, in the space of `project`.

    Arguments
    ---------
    centre : (D,), subtracted from embeddings before their length is normalised.
    length_norm : whether it is.
    projection : (D, K), principal components and the rotation to the model's coordinates.
    mean : (K,).
    factors : (K, R), what speakers differ in: F.
    residual : (K, K), covariance within a speaker: Sigma.
    about : what it was trained on; anything that JSON holds.
    """

    centre: np.ndarray
    length_norm: bool
    projection: np.ndarray
    mean: np.ndarray
    factors: np.ndarray
    residual: np.ndarray
    about: dict

    def project(self, embeddings: Embeddings) -> np.ndarray:
        """Embeddings (n, D) as float64 (n, K) less the mean; crops are averaged.

        Raises
        ------
        ValueError
            Embeddings of another size, or without a direction.
        """
        size = embeddings.vectors.shape[-1]
        if size != len(self.centre):
            raise ValueError(
                f"embeddings have {size} dimensions and the PLDA model {len(self.centre)}: train "
                "it on embeddings of the same model"
            )
        rows = _normalized(embeddings, self.centre, self.length_norm)
        return rows @ self.projection - self.mean


def fit_plda(
    cohort: Embeddings,
    speaker_of: Mapping[str, str],
    *,
    dimensions: int | None = None,
    rank: int | None = None,
    length_norm: bool = True,
    iterations: int = _ITERATIONS,
) -> Plda:
    """Train PLDA on recordings of known speakers.

    Arguments
    ---------
    cohort : embeddings of training recordings, several of each speaker.
    speaker_of : the speaker of every recording.
    dimensions : principal components to work in; default: all, but at most 200, and half of the
        degrees of freedom within speakers (recordings less speakers).
    rank : dimensions that speakers differ in, at most `dimensions`; default: as many as there are,
        but fewer than speakers.
    length_norm : bring all embeddings to one length after centring.
    iterations : of EM.

    Raises
    ------
    ValueError
        Fewer than 3 speakers with two recordings, a recording without a speaker, dimensions or rank
        out of range, embeddings without variation.
    """
    known = "PLDA is trained on known speakers: "
    labels, speaker = np.unique(speakers_of(cohort.names, speaker_of, known), return_inverse=True)
    several = int((np.bincount(speaker) > 1).sum())
    if several < 3:
        raise ValueError(
            f"the cohort has {several} speakers with two recordings or more, of {len(labels)}: "
            "PLDA learns from them how recordings of one speaker differ, and needs at least 3"
        )
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}: give at least 1")
    centre = cohort.mean().astype(np.float64)
    rows = _normalized(cohort, centre, length_norm)
    most = min(rows.shape[1], len(rows) - len(labels))
    if dimensions is None:
        dimensions = max(2, min(rows.shape[1], (len(rows) - len(labels)) // 2, _MOST_DIMENSIONS))
    if not 2 <= dimensions <= most:
        raise ValueError(
            f"dimensions is {dimensions}: {len(rows)} recordings of {len(labels)} speakers in "
            f"{rows.shape[1]} dimensions allow 2 to {most}"
        )
    top = min(dimensions, len(labels) - 1)
    rank = top if rank is None else rank
    if not 1 <= rank <= top:
        raise ValueError(
            f"rank is {rank}: with {dimensions} dimensions and {len(labels)} speakers it can be 1 "
            f"to {top}"
        )
    projection = _coordinates(rows, speaker, dimensions)
    mean, factors, residual = _speechbrain_em(rows @ projection, speaker, rank, iterations)
    about = {"recordings": len(rows), "speakers": len(labels)}
    about |= {"dimensions": dimensions, "rank": rank}
    return Plda(centre, bool(length_norm), projection, mean, factors, residual, about)


def _normalized(embeddings: Embeddings, centre: np.ndarray, length_norm: bool) -> np.ndarray:
    """Rows (n, D) float64, of mean square 1 where lengths are normalised."""
    exact = Embeddings(embeddings.names, np.asarray(embeddings.vectors, np.float64))
    if length_norm:
        rows = exact.directions(centre)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) * np.sqrt(rows.shape[1])
    rows = exact.vectors if exact.vectors.ndim == 2 else exact.vectors.mean(axis=1)
    return rows - centre


def _coordinates(rows: np.ndarray, speaker: np.ndarray, dimensions: int) -> np.ndarray:
    """(D, K): variation within speakers becomes the identity, between them diagonal, falling."""
    total = np.cov(rows.T, bias=True)
    values, vectors = linalg.eigh(total)
    components = vectors[:, ::-1][:, :dimensions]
    if values[::-1][dimensions - 1] <= 1e-10 * values[-1]:
        raise ValueError(
            f"the cohort varies in fewer than {dimensions} dimensions: give fewer dimensions"
        )
    reduced = rows @ components
    counts = np.bincount(speaker)
    means = sum_by_group(reduced, speaker) / counts[:, None]
    deviation = reduced - means[speaker]
    within = deviation.T @ deviation / (len(rows) - len(counts))
    between = np.cov(means.T, bias=True)
    try:
        values, vectors = linalg.eigh(between, within)
    except linalg.LinAlgError:
        raise ValueError(
            f"recordings of one speaker vary in fewer than {dimensions} dimensions (are some of "
            "them copies?): give fewer dimensions"
        ) from None
    return components @ vectors[:, ::-1]


def _speechbrain_em(
    rows: np.ndarray, speaker: np.ndarray, rank: int, iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (K,), F (K, R) and Sigma (K, K)."""
    from speechbrain.processing.PLDA_LDA import PLDA, StatObject_SB

    nothing = np.full(len(rows), None)
    model = PLDA(rank_f=rank, nb_iter=iterations)
    model.plda(
        StatObject_SB(
            modelset=speaker,  # numbers: it compares every one with every one
            segset=np.arange(len(rows)),
            start=nothing,
            stop=nothing,
            stat0=np.ones((len(rows), 1)),
            stat1=rows,
        )
    )
    learned = model.mean, model.F, model.Sigma
    if not all(np.isfinite(values).all() for values in learned):
        raise ValueError(
            "PLDA did not converge to finite numbers: give fewer dimensions, or more recordings"
        )
    return learned


def plda_scores(
    trials: TrialList,
    embeddings: Embeddings,
    model: Plda,
    *,
    partial: bool = False,
    block_trials: int = _BLOCK_TRIALS,
) -> np.ndarray:
    """Natural log-likelihood ratios of trials, in their order.

    They are calibrated where embeddings are as the model says, which they seldom are: fit a
    `Calibration` before they are taken for probabilities.

    Arguments
    ---------
    trials, embeddings, partial, block_trials : as for `cosine_scores`.
    model : of `fit_plda`.

    Returns
    -------
    float64 (n,)
    """
    enroll, test = trials.locate(embeddings.names, partial=partial)
    rows = model.project(embeddings)
    # Coordinates where Sigma is the identity and F F' diagonal (lambda): the ratio of two Gaussians
    # of (a, b) is then a sum over coordinates, of which those without speaker variation add 0.
    values, vectors = linalg.eigh(model.factors @ model.factors.T, model.residual)
    kept = values > 1e-12 * max(values[-1], 1e-300)
    ratio, rows = values[kept], rows @ vectors[:, kept]
    total = 1 + ratio
    # joint precision of (a, b), both of variance 1 + lambda and covariance lambda
    determinant = total**2 - ratio**2
    own = 0.5 * (rows**2) @ (1 / total - total / determinant)
    cross = rows * (ratio / determinant)
    constant = float(np.log(total).sum() - 0.5 * np.log(determinant).sum())
    products = row_products(cross, rows, enroll, test, block_trials)
    return products + (own[enroll] + own[test] + constant)


def save_plda(path: str | os.PathLike, model: Plda) -> Path:
    """Write a model as .safetensors; returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"length_norm": model.length_norm, "about": model.about}
    metadata = {"format": FORMAT, "model": json.dumps(about, allow_nan=False)}
    return save_tensors(path, {name: getattr(model, name) for name in _ARRAYS}, metadata)


def load_plda(path: str | os.PathLike) -> Plda:
    """Read what `save_plda` wrote; nothing in it can run code.

    Raises
    ------
    ValueError
        No such file, a damaged one, or one of something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such PLDA model")
    try:
        with safe_open(path, framework="np") as held:
            metadata = held.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
            about = parse_json(metadata["model"].encode(), path)
            if not all(is_whole(about["about"][name], 0) for name in _ABOUT):
                raise ValueError(f"it does not say what it was trained on ({', '.join(_ABOUT)})")
            arrays = {name: held.get_tensor(name) for name in _ARRAYS}
            size, (inner, rank) = len(arrays["centre"]), arrays["factors"].shape
            shapes = [(size,), (size, inner), (inner,), (inner, rank), (inner, inner)]
            if [arrays[name].shape for name in _ARRAYS] != shapes:
                raise ValueError("its arrays do not fit each other")
            if not all(np.isfinite(array).all() for array in arrays.values()):
                raise ValueError("it holds NaN or infinite values")
            residual = arrays["residual"]
            if linalg.eigvalsh(residual)[0] <= 0 or not np.allclose(residual, residual.T):
                raise ValueError("its variation within speakers is no covariance")
            return Plda(length_norm=about["length_norm"], about=about["about"], **arrays)
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{path} is no PLDA model: {error}") from None


_ABOUT = ("recordings", "speakers", "dimensions", "rank")
_ARRAYS = ("centre", "projection", "mean", "factors", "residual")
