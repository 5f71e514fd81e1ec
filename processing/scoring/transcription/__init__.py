"""Scores of transcripts: edit rates, alignments of tokens, boundaries."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
