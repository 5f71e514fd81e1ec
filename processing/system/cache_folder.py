"""Folder for files that can be made again: compiled libraries, generated corpora."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$AURICLE_CACHE`, else `$XDG_CACHE_HOME/auricle`, else `~/.cache/auricle`.

    Example
    -------
    >>> isinstance(cache_folder(), Path)
    True
    """
    if os.environ.get("AURICLE_CACHE"):
        return Path(os.environ["AURICLE_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "auricle"
