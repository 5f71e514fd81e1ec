"""Bundles: a trained model as a folder of weights in safetensors and a declarative description.

from auricle.lobes import bundles
bundle = bundles.load("results/.../bundle")
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

import importlib

__all__ = ["Bundle", "BundleError", "amend", "file_in", "load", "save"]


def __getattr__(name: str):
    # Not imported before it is asked for: listing packages loads no torch.
    if name in __all__:
        return getattr(importlib.import_module(".bundle", __name__), name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
