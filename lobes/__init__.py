"""Frontends, encoders and models by name: list, build, register.

The public names here import neither torch nor any lobe until they are called.
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

from .build import (
    build_encoder,
    build_frontend,
    build_model,
    build_normalization,
    count_frames,
    create_model,
)
from .plugins import load_plugin
from .registry import (
    ENCODERS,
    FRONTENDS,
    list_encoders,
    list_frontends,
    register_encoder,
    register_frontend,
)

__all__ = [
    "ENCODERS",
    "FRONTENDS",
    "build_encoder",
    "build_frontend",
    "build_model",
    "build_normalization",
    "count_frames",
    "create_model",
    "list_encoders",
    "list_frontends",
    "load_plugin",
    "register_encoder",
    "register_frontend",
]
