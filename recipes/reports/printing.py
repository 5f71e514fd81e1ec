"""Output for people: reports as lines or one JSON object, Markdown tables, errors."""

import errno
import json
import sys
from collections.abc import Iterable, Sequence

from ...lobes.registry import LOAD_PLUGIN
from ...processing.system.files import DiskFullError
from ...processing.system.listing import shortened
from ...processing.system.terminal import printable


def show(record, lines: Iterable[str], as_json: bool, indent: int | None = 2) -> None:
    """Print a record as strict JSON, or the lines that say the same in words."""
    if as_json:
        print(json.dumps(record, indent=indent, ensure_ascii=False, allow_nan=False, default=str))
    else:
        print("\n".join(lines))


def markdown_rows(
    header: Sequence[str], rows: Iterable[Sequence[str]], first_number: int = 1
) -> str:
    """A Markdown table whose columns from `first_number` on are aligned to the right.

    Example
    -------
    >>> print(markdown_rows(["name", "EER"], [["mel", "3.1"]]))
    | name | EER |
    | --- | ---: |
    | mel | 3.1 |
    """
    rule = ["---" if i < first_number else "---:" for i in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def print_error(error: Exception) -> None:
    """Print an error of the user to stderr.

    A remedy that is a call in Python is printed as the option of the command line that does it.
    """
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if is_full and not isinstance(error, DiskFullError):
        error = f"disk full: {error.filename or error}"
    text = f"auricle: {error}".replace(LOAD_PLUGIN, "--plugin FILE.py")
    print(printable(shortened(text), lines=True), file=sys.stderr)
