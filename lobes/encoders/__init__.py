"""Encoders, one published network a file: frames in, embeddings or steps out."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
