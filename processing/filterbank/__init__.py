"""Filter shapes, frequency scales, framing, PCEN, and the fast filterbank engine."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
