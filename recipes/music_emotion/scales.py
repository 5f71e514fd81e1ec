"""The scales on which emotion is labelled, and the way to -1..1 and back.

CCC, R2 and correlation do not change when target and prediction are mapped alike; RMSE does, so a
result says on which scale it is.
"""

__all__ = ["DYNAMIC", "ONE_TO_NINE", "ZERO_TO_ONE", "from_unit", "to_unit"]

ONE_TO_NINE = {"low": 1.0, "high": 9.0}
ZERO_TO_ONE = {"low": 0.0, "high": 1.0}
DYNAMIC = {"low": -1.0, "high": 1.0}


def to_unit(values, scale):
    """Labels on their own scale as -1..1; numbers, arrays and tensors.

    Example
    -------
    >>> to_unit(7.0, ONE_TO_NINE), to_unit(0.25, ZERO_TO_ONE)
    (0.5, -0.5)
    """
    low, high = scale["low"], scale["high"]
    return (values - low) / (high - low) * 2.0 - 1.0


def from_unit(values, scale):
    """The inverse of `to_unit`.

    Example
    -------
    >>> from_unit(0.5, ONE_TO_NINE), from_unit(-1.0, DYNAMIC)
    (7.0, -1.0)
    """
    low, high = scale["low"], scale["high"]
    return (values + 1.0) / 2.0 * (high - low) + low
