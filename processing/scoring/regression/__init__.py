"""Scores of regressions: CCC, RMSE, R2, their files and their scale."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
