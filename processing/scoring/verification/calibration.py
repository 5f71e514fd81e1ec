"""Calibration of verification scores: Cllr, actual detection cost, logistic regression.

A calibrated score is a natural log-likelihood ratio l = log p(score | one speaker) / p(score | two
speakers). With a prior p_target it gives the probability of one speaker, and the decision that
costs least: accept where l >= log(C_fa (1 - p_target) / (C_miss p_target)), the Bayes threshold.

- Cllr = (mean over targets of log2(1 + e^-l) + mean over non-targets of log2(1 + e^l)) / 2: bits
  lost; 1 for a system that always says l = 0.
- actual DCF: the normalised detection cost at the Bayes threshold. It is never below minDCF; what
  lies between them is lost by calibration, not by discrimination.

References
----------
N. Brümmer and J. du Preez, "Application-independent evaluation of speaker detection", Computer
Speech and Language 20, 2006.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import minimize

from .metrics import cost_weights, validate_scores


def bayes_threshold(
    p_target: float = 0.01, c_miss: float = 1.0, c_false_alarm: float = 1.0
) -> float:
    """Log-likelihood ratio from which accepting costs less than rejecting.

    Example
    -------
    >>> bayes_threshold(0.5), round(bayes_threshold(0.01), 4)
    (0.0, 4.5951)
    """
    miss, false_alarm = cost_weights(p_target, c_miss, c_false_alarm)
    return math.log(false_alarm / miss)


def actual_dcf(
    llrs, is_target, p_target: float = 0.01, c_miss: float = 1.0, c_false_alarm: float = 1.0
) -> float:
    """Normalised detection cost of decisions at the Bayes threshold.

    Arguments
    ---------
    llrs : (n,), natural log-likelihood ratios, as `Calibration` gives; bare cosines are none.
    is_target : (n,).
    p_target, c_miss, c_false_alarm : the operating point.

    Raises
    ------
    ValueError
        As for `error_curve`, and for an impossible operating point.

    Example
    -------
    >>> actual_dcf([2.0, -1.0, -3.0, 0.5], [1, 1, 0, 0], p_target=0.5)
    1.0
    """
    llrs, is_target = validate_scores(llrs, is_target)
    miss, false_alarm = cost_weights(p_target, c_miss, c_false_alarm)
    accepted = llrs >= bayes_threshold(p_target, c_miss, c_false_alarm)
    misses = int((~accepted[is_target]).sum())
    false_alarms = int(accepted[~is_target].sum())
    n_target = int(is_target.sum())
    return miss * misses / n_target + false_alarm * false_alarms / (len(llrs) - n_target)


def cllr(llrs, is_target) -> float:
    """Cost of log-likelihood ratios in bits, over all operating points.

    Arguments and errors as for `actual_dcf`.

    Example
    -------
    >>> cllr([0.0, 0.0], [1, 0])
    1.0
    """
    llrs, is_target = validate_scores(llrs, is_target)
    llrs = llrs.astype(np.float64)
    targets = np.logaddexp(0, -llrs[is_target]).mean()
    nontargets = np.logaddexp(0, llrs[~is_target]).mean()
    return float((targets + nontargets) / (2 * math.log(2)))


@dataclass(frozen=True)
class Calibration:
    """Affine map from scores to natural log-likelihood ratios: llr = scale * score + offset.

    Arguments
    ---------
    scale : above 0; a rising map, so EER, minDCF and minCllr do not change.
    offset : natural logarithm.
    prior : the p_target that it was fitted for.

    Example
    -------
    >>> calibration = Calibration(scale=10.0, offset=-4.0, prior=0.5)
    >>> round(float(calibration.probability(0.5, p_target=0.5)), 4)
    0.7311
    >>> round(calibration.threshold(p_target=0.01), 4)
    0.8595
    """

    scale: float
    offset: float
    prior: float

    def __post_init__(self):
        if not (0 < self.scale < math.inf and math.isfinite(self.offset) and 0 < self.prior < 1):
            raise ValueError(
                f"{self}: scale must be above 0, offset finite and prior between 0 and 1"
            )

    def __call__(self, scores) -> np.ndarray:
        """Scores as natural log-likelihood ratios, float64."""
        return self.scale * np.asarray(scores, np.float64) + self.offset

    def probability(self, scores, p_target: float) -> np.ndarray:
        """Probability of one speaker, where a share p_target of comparisons is of one speaker."""
        log_odds = self(scores) - bayes_threshold(p_target)
        return np.exp(-np.logaddexp(0, -log_odds))

    def threshold(self, p_target: float, c_miss: float = 1.0, c_false_alarm: float = 1.0) -> float:
        """Score (uncalibrated) from which a trial is to be accepted at this operating point."""
        return (bayes_threshold(p_target, c_miss, c_false_alarm) - self.offset) / self.scale

    def to_dict(self) -> dict[str, float]:
        """Plain numbers for a file; `Calibration(**d)` reads them."""
        return asdict(self)


def fit_calibration(scores, is_target, prior: float = 0.01, penalty: float = 0.0) -> Calibration:
    """Fit an affine calibration by logistic regression with a stated prior.

    Minimises  p mean over targets of log(1 + e^-z) + (1 - p) mean over non-targets of log(1 + e^z)
    + penalty a^2 / 2,  z = scale * score + offset + log(p / (1 - p)), p being the prior and a the
    scale for scores of unit deviation. Both sides count as the prior says, whatever their numbers.
    The problem is convex, so there is one answer; a trust-region Newton method finds it.

    The scores are those of held-out trials: fitted and measured on one list, actual DCF and Cllr
    are too good.

    Arguments
    ---------
    scores, is_target : as for `error_curve`.
    prior : p_target of the operating points that matter most.
    penalty : at least 0. Where all targets score above all non-targets no likelihood ratio is too
        large for the data, and only a penalty (1e-3, say) gives a finite answer.

    Raises
    ------
    ValueError
        As for `error_curve`; scores that are all equal, separated without a penalty, or higher
        for non-targets.

    Example
    -------
    >>> generator = np.random.default_rng(0)
    >>> labels = np.arange(20000) % 2 == 0
    >>> scores = generator.normal(np.where(labels, 1.0, -1.0), 1.0)  # llr of these is 2 * score
    >>> calibration = fit_calibration(scores, labels, prior=0.5)
    >>> abs(calibration.scale - 2) < 0.1, abs(calibration.offset) < 0.1
    (True, True)
    """
    scores, is_target = validate_scores(scores, is_target)
    shift_prior = -bayes_threshold(prior)
    if not 0 <= penalty < math.inf:
        raise ValueError(f"penalty is {penalty}: give a finite number of at least 0")
    scores = scores.astype(np.float64)
    targets, nontargets = scores[is_target], scores[~is_target]
    centre = (targets.mean() + nontargets.mean()) / 2
    spread = scores.std()
    if targets.min() == targets.max() == nontargets.min() == nontargets.max():
        raise ValueError("all scores are equal: they tell nothing, so there is no calibration")
    if penalty == 0 and (targets.min() >= nontargets.max() or targets.max() <= nontargets.min()):
        raise ValueError(
            "the scores of target and non-target trials do not overlap: the best scale is "
            "infinite; calibrate on more trials, or give a penalty such as 1e-3"
        )
    z = (scores - centre) / spread
    weight = np.where(is_target, prior / len(targets), (1 - prior) / len(nontargets))
    sign = np.where(is_target, 1.0, -1.0)

    def loss(theta: np.ndarray) -> float:
        margin = sign * (theta[0] * z + theta[1] + shift_prior)
        return float(weight @ np.logaddexp(0, -margin)) + penalty * theta[0] ** 2 / 2

    def p_target(theta: np.ndarray) -> np.ndarray:
        return np.exp(-np.logaddexp(0, -(theta[0] * z + theta[1] + shift_prior)))

    def gradient(theta: np.ndarray) -> np.ndarray:
        error = weight * (p_target(theta) - is_target)
        return np.array([error @ z + penalty * theta[0], error.sum()])

    def hessian(theta: np.ndarray) -> np.ndarray:
        curvature = weight * p_target(theta) * (1 - p_target(theta))
        cross = curvature @ z
        return np.array([[curvature @ (z * z) + penalty, cross], [cross, curvature.sum()]])

    theta = minimize(
        loss, np.zeros(2), jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-14}
    ).x
    # The search ends where the loss no longer changes in float64; its gradient still does.
    for _ in range(2):
        theta = theta - np.linalg.solve(hessian(theta), gradient(theta))
    scale = theta[0] / spread
    if scale <= 0:
        raise ValueError(
            "non-target trials score higher than target trials: scores must rise with similarity "
            "(negate distances)"
        )
    return Calibration(float(scale), float(theta[1] - scale * centre), float(prior))
