"""Export: a trained model as one file of another runtime, made only where it gives the same."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

import importlib

#: Module of each name.
_MODULES = {
    **dict.fromkeys(("OnnxModel", "open_model"), "runtime"),
    **dict.fromkeys(("ExportedModel", "OUTPUTS"), "form"),
    "Stream": "stream",
}
__all__ = list(_MODULES)


def __getattr__(name: str):
    # Not imported before it is asked for: listing packages loads no torch.
    if name in _MODULES:
        return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
