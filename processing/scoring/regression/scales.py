"""Scales of labels: to -1..1, where models learn, and back; the step of labels over time.

CCC, R2 and correlation do not change when target and prediction are mapped alike; RMSE does, so a
result says on which scale it is. A scale is {"low": ..., "high": ...}.
"""

#: From label to label over time, in s.
LABEL_STEP_S = 0.5


def to_unit(values, scale):
    """Labels on their own scale as -1..1; numbers, arrays and tensors.

    Example
    -------
    >>> to_unit(7.0, {"low": 1.0, "high": 9.0}), to_unit(0.25, {"low": 0.0, "high": 1.0})
    (0.5, -0.5)
    """
    low, high = scale["low"], scale["high"]
    return (values - low) / (high - low) * 2.0 - 1.0


def from_unit(values, scale):
    """The inverse of `to_unit`.

    Example
    -------
    >>> from_unit(0.5, {"low": 1.0, "high": 9.0}), from_unit(-1.0, {"low": -1.0, "high": 1.0})
    (7.0, -1.0)
    """
    low, high = scale["low"], scale["high"]
    return (values + 1.0) / 2.0 * (high - low) + low
