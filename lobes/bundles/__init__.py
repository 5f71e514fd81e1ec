"""Bundles: a trained model as a folder of weights in safetensors and a declarative description."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")
