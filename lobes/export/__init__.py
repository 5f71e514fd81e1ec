"""Export: a trained model as one file of another runtime, made only where it gives the same."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
