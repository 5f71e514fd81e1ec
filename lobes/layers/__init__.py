"""Layers shared by encoders: masks of valid frames, norms, convolutions, pooling."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
