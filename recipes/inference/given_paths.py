"""Paths on a command line: said to be wrong before anything is loaded, and in words."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["check_readable", "check_writable"]


def check_readable(path: str | os.PathLike, what: str) -> None:
    """Raise unless a path is a file.

    Arguments
    ---------
    path : as it was given.
    what : what it should hold, as "a file of transcripts".

    Raises
    ------
    OSError
        It is not there, or is a folder.

    Example
    -------
    >>> check_readable("none.txt", "a file of transcripts")
    Traceback (most recent call last):
        ...
    FileNotFoundError: none.txt: no such file; give a file of transcripts
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give {what}")
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file; give {what}")


def check_writable(path: str | os.PathLike, option: str) -> None:
    """Raise unless a file can be put where a path says.

    Arguments
    ---------
    path : as it was given.
    option : the option it was given to.

    Raises
    ------
    OSError
        Its folder is not there, or it is a folder itself.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{option} {path}: is a folder; name a file")
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(f"{option} {path}: there is no folder {Path(path).parent}; make it")
