"""Settings: one complete YAML per data set, experiments as rows of overrides, and their reader."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
