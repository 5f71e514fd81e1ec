"""Suggest the known name that is nearest to a mistyped one."""

import difflib
from collections.abc import Iterable


def nearest(name, known: Iterable) -> str:
    """The end of a sentence about an unknown name: "; did you mean 'x'?", or a full stop.

    Example
    -------
    >>> nearest("lef", ["leaf", "mel"]), nearest("xyz", ["leaf", "mel"])
    ("; did you mean 'leaf'?", '.')
    """
    matches = difflib.get_close_matches(str(name), [str(key) for key in known], n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else "."
