"""Encoders: frames in, what a task needs out. One file, one published idea."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
