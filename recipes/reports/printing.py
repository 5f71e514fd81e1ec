"""Printing of a report: lines for people, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterable

__all__ = ["show"]


def show(record, lines: Iterable[str], as_json: bool, indent: int | None = 2) -> None:
    """Print a record as strict JSON, or the lines that say the same in words."""
    if as_json:
        print(json.dumps(record, indent=indent, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(lines))
