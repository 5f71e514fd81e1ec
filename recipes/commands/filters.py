"""Parser of `auricle filters`: the filters of a frontend, and how far training moved them."""

from __future__ import annotations

import json

from .common import add_command, add_shared, options_for

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    filters = add_command(
        commands, "filters", run, "the filters of a frontend, and how far training moved them"
    )
    filters.add_argument("what", metavar="BUNDLE_OR_NAME", help="a bundle, or a frontend's name")
    filters.add_argument(
        "--against", metavar="BUNDLE", help="compare with this one, not with its own beginning"
    )
    filters.add_argument("--out", default=".", metavar="FOLDER", help="where the picture goes")
    filters.add_argument(
        "--options", type=json.loads, help='a named frontend\'s options as JSON: {"window_ms": 30}'
    )
    add_shared(filters, "json")


def run(arguments) -> int:
    """Draw the filters and print their table."""
    from ..inference.filters import show_filters

    show_filters(**options_for(show_filters, arguments))
    return 0
