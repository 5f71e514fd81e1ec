"""Names of recordings: one spelling of each, its first folder, and how two spellings differ."""

import re
from collections.abc import Callable, Iterable

#: What programs write differently: in words, and a spelling that leaves it out.
_HABITS: dict[str, Callable[[str], str]] = {
    "the suffix": lambda name: re.sub(r"\.[A-Za-z]\w{1,4}$", "", name),
    "slashes and backslashes": lambda name: name.replace("\\", "/"),
    "upper and lower case": str.casefold,
}


def plain_name(name: str, fold_case: bool = False) -> str:
    """A name without "./" and doubled slashes: "./a/1.wav", "a//1.wav" and "a/1.wav" are one.

    `fold_case` makes one name of those that differ in case only.

    Example
    -------
    >>> plain_name("./id1//1.wav"), plain_name("Id1/1.WAV", fold_case=True)
    ('id1/1.wav', 'id1/1.wav')
    """
    if "./" in name or "//" in name:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        name = "/" * name.startswith("/") + "/".join(parts)
    return name.casefold() if fold_case else name


def first_folder(name: str) -> str:
    """The speaker of a recording in VoxCeleb and in everything laid out like it."""
    return name.strip("/").split("/", 1)[0]


def spelling_hint(name: str, others: Iterable[str]) -> str:
    """The end of a sentence on a name that is not among others: which of them is meant, if one is.

    Example
    -------
    >>> spelling_hint("id1/1", ["id2/1.wav", "id1/1.wav"])
    "; 'id1/1' and 'id1/1.wav' differ in the suffix: write both alike"
    """
    for other in others:
        for what, spelling in _HABITS.items():
            if spelling(name) == spelling(other):
                return f"; {name!r} and {other!r} differ in {what}: write both alike"
        if name.endswith("/" + other) or other.endswith("/" + name):
            return f"; {name!r} and {other!r} differ in the folder: write both alike"
    return ""
