"""Single error rates of scores, read off their curve: for tests that need one number."""

from auricle.processing.scoring.verification.metrics import error_curve


def eer(scores, labels, convention="interpolated"):
    return error_curve(scores, labels).eer(convention)[0]


def min_dcf(scores, labels, p_target=0.01, **costs):
    return error_curve(scores, labels).min_dcf(p_target, **costs)[0]


def min_cllr(scores, labels):
    return error_curve(scores, labels).min_cllr()
