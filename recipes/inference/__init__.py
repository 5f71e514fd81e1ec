"""What is done with a trained model: predict, verify, transcribe, align, compare."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
