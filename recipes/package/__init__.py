"""The package `auricle` itself, whose folder this is: its version, and `python -m auricle`.

setup.cfg maps it here, and the folders at the repository's root below it.
"""

if not __name__.startswith("auricle"):
    raise ImportError("import this folder as auricle; first: pip install -e .")

from auricle.processing.system.version import __version__

__all__ = ["__version__"]
