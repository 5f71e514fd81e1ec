"""Bundles: a trained model as a folder of weights in safetensors and a declarative description.

from auricle.lobes import bundles
bundle = bundles.load("results/.../bundle")
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

import importlib

#: Where each public name is.
_MODULES = {
    **dict.fromkeys(("Bundle", "BundleError", "amend", "file_in", "load", "save"), "bundle"),
    **dict.fromkeys(("card_text", "write_card"), "card"),
    **dict.fromkeys(("find_bundle", "shipped_bundles"), "shipped"),
}
__all__ = list(_MODULES)


def __getattr__(name: str):
    # Not imported before it is asked for: listing packages loads no torch.
    if name in _MODULES:
        return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
