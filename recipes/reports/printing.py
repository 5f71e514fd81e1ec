"""Output of reports: lines for people, one JSON object, rows of a Markdown table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

__all__ = ["markdown_rows", "show"]


def show(record, lines: Iterable[str], as_json: bool, indent: int | None = 2) -> None:
    """Print a record as strict JSON, or the lines that say the same in words."""
    if as_json:
        print(json.dumps(record, indent=indent, ensure_ascii=False, allow_nan=False))
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
