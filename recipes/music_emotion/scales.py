"""The scales on which emotion is labelled; `from_unit` and `to_unit` map them to -1..1 and back."""

from ...processing.scoring.regression.scales import from_unit, to_unit

__all__ = ["DYNAMIC", "ONE_TO_NINE", "ZERO_TO_ONE", "from_unit", "to_unit"]

ONE_TO_NINE = {"low": 1.0, "high": 9.0}
ZERO_TO_ONE = {"low": 0.0, "high": 1.0}
DYNAMIC = {"low": -1.0, "high": 1.0}
