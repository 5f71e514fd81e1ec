"""Score of a verification model: embeddings collected in shares, the list scored as a whole."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np

from .calibration import Calibration, actual_dcf, cllr
from .embeddings import EmbeddingCollector, Embeddings, cosine_scores
from .metrics import error_curve
from .trial_scores import P_TARGETS, summarize_trials
from .trials import TrialList


class EmbeddingScores:
    """What a system says about a trial list: embeddings in, error rates out.

    Every process appends the recordings of its share; the states are exchanged and each process
    scores the whole list, so that an error rate is never a mean over shares.

    Arguments
    ---------
    trials : the list.
    speaker_of : the speaker of every recording, for the intervals; by default the first folder.
    calibration : from scores to log-likelihood ratios, fitted on other trials; adds cllr and the
        actual costs.
    brief : EER and minDCF at 0.01 only, as an epoch of training needs them: no intervals.
    n_resamples, seed : of the bootstrap over speakers.

    Example
    -------
    >>> trials = TrialList.from_pairs([("a/1", "a/2", True), ("a/1", "b/1", False)])
    >>> score = EmbeddingScores(trials, brief=True)
    >>> score.append(["a/1", "a/2", "b/1"], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> score.summarize()
    {'eer': 0.0, 'min_dcf_0.01': 0.0}
    """

    def __init__(
        self,
        trials: TrialList,
        speaker_of: Mapping[str, str] | None = None,
        *,
        calibration: Calibration | None = None,
        brief: bool = False,
        n_resamples: int = 1000,
        seed: int = 0,
    ):
        self.trials = trials
        self.calibration = calibration
        self._speaker_of = speaker_of
        self._brief = brief
        self._draws = {"n_resamples": n_resamples, "seed": seed}
        self._collector = EmbeddingCollector()
        self._scores: np.ndarray | None = None

    def append(self, names: Sequence[str], vectors) -> None:
        """Add a batch (B,), (B, D); what is refused is what `EmbeddingCollector` refuses."""
        self._collector.append(names, vectors)
        self._scores = None

    def state(self) -> dict:
        """What was collected, for `all_gather_object`."""
        return self._collector.state()

    def from_state(self, *states: dict) -> EmbeddingScores:
        """The same list and settings with what `state` gave on every process."""
        whole = copy.copy(self)
        whole._collector, whole._scores = EmbeddingCollector.from_state(*states), None
        return whole

    @property
    def embeddings(self) -> Embeddings:
        """All that was collected, in the order of the names."""
        return self._collector.summarize()

    @property
    def scores(self) -> np.ndarray:
        """Cosine of every trial, (n,), in the order of the list."""
        if self._scores is None:
            # A validation set may hold a speaker's only recording, which is in no trial.
            self._scores = cosine_scores(self.trials, self.embeddings, partial=True)
        return self._scores

    def summarize(self) -> dict:
        """Error rates as shares; costs by name, `min_dcf_0.01`; more of it unless `brief`."""
        if self._brief:
            curve = error_curve(self.scores, self.trials.is_target)
            return {"eer": curve.eer()[0], "min_dcf_0.01": curve.min_dcf(0.01)[0]}
        summary = summarize_trials(self.trials, self.scores, self._speaker_of, **self._draws)
        for name in ("min_dcf", "min_dcf_threshold"):
            summary |= {f"{name}_{p}": value for p, value in summary.pop(name).items()}
        if self.calibration is not None:
            llrs, labels = self.calibration(self.scores), self.trials.is_target
            summary["cllr"] = cllr(llrs, labels)
            summary |= {f"act_dcf_{p:g}": actual_dcf(llrs, labels, p) for p in P_TARGETS}
            summary["calibration"] = self.calibration.to_dict()
        return {**summary, "n": len(self.trials)}
