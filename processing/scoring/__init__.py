"""Scores as pure functions over counts, with confidence intervals and paired comparisons."""
