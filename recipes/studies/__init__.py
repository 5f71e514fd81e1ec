"""Studies: grids of training runs, started anywhere, and one report of all of them."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
