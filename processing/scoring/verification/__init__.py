"""Scores of verification trials: EER, minDCF, Cllr, embeddings, calibration."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
