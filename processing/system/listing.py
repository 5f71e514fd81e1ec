"""List the first few of many names or problems, and shorten what is too long to be shown."""

import re
from collections.abc import Iterable

#: How many of a kind are shown.
MOST = 5


def first_of(names: Iterable, most: int = MOST) -> str:
    """The first names on one line.

    Example
    -------
    >>> first_of("abcdefg"), first_of("ab"), first_of([])
    ('a, b, c, d, e and 2 more', 'a, b', '')
    """
    names = list(map(str, names))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def first_lines(texts: Iterable, indent: str = "  ", most: int = MOST) -> str:
    r"""The first texts, each on a line of its own that begins with a line break.

    Example
    -------
    >>> first_lines("abc", most=2)
    '\n  a\n  b\n  ... and 1 more'
    """
    texts = list(map(str, texts))
    lines = texts[:most]
    if len(texts) > most:
        lines.append(f"... and {len(texts) - most} more")
    return "".join(f"\n{indent}{line}" for line in lines)


def shortened(text: str, most: int = 300) -> str:
    """Text without the middle of long words and of very long lines, as a damaged file has them.

    Example
    -------
    >>> shortened("line 3: " + "x" * 5000)
    'line 3: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... (5000 characters)'
    """
    cut = rf"(\S{{40}})\S{{{most - 40},}}"
    text = re.sub(cut, lambda word: f"{word[1]}... ({len(word[0])} characters)", text)
    lines = [
        line if len(line) <= 10 * most else f"{line[:most]} ... {line[-most:]}"
        for line in text.split("\n")
    ]
    return "\n".join(lines)


def by_kind(problems: Iterable[tuple[str, str]]) -> str:
    r"""Problems (kind, text) by kind: how many, and the first of each.

    Example
    -------
    >>> by_kind([("empty", "a.wav: is empty"), ("empty", "b.wav: is empty")])
    '\n  empty (2):\n    a.wav: is empty\n    b.wav: is empty'
    """
    texts: dict[str, list[str]] = {}
    for kind, text in problems:
        texts.setdefault(kind, []).append(text)
    return "".join(
        f"\n  {kind} ({len(its)}):{first_lines(its, indent='    ')}" for kind, its in texts.items()
    )
