"""`auricle filters`: its options; the work is in `auricle.recipes.inference.filters`."""

from __future__ import annotations

import json

from .common import add_command

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
    filters.add_argument("--json", action="store_true", help="print JSON")


def run(arguments) -> int:
    """Draw the filters and print their table."""
    from ..inference.filters import show_filters

    show_filters(
        arguments.what, arguments.against, arguments.out, arguments.json, arguments.options
    )
    return 0
