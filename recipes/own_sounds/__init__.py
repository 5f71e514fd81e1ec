"""Own recordings as a data set: a folder a class, or a table; classes or tags."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
