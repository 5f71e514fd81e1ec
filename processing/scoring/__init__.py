"""Scores as pure functions over counts, with confidence intervals and paired comparisons."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
