"""Phone recognition on TIMIT, or on any table of recordings with phone strings."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
