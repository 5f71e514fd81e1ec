"""Text for a terminal: no character from a file moves its cursor or reorders its lines."""

import json
import re
from typing import TextIO

#: Controls (C0, DEL, C1), ends of lines, overrides of the direction, halves of characters.
_MOVES = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_ONE_LINE, _LINES = re.compile(f"[{_MOVES}]"), re.compile(f"(?![\n\t])[{_MOVES}]")


def printable(text: str, lines: bool = False) -> str:
    r"""Text with an escape of JSON in the place of every character that moves the cursor.

    What is JSON stays the same value. With `lines`, line breaks and tabs are kept.

    Example
    -------
    >>> print(printable("yes\x1b[2J\n"), printable("a\nb\x9b", lines=True))
    yes\u001b[2J\n a
    b\u009b
    """
    pattern = _LINES if lines else _ONE_LINE
    return pattern.sub(lambda match: json.dumps(match[0])[1:-1], text)


def no_bar(progress: bool) -> bool | None:
    """What tqdm calls `disable`: a bar is for a terminal, and no file or pipe gets one."""
    return None if progress else True


class Printable:
    """A text stream that writes what is printable, in lines, and is the other stream otherwise."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(printable(text, lines=True))

    def __getattr__(self, name: str):
        return getattr(self._stream, name)
