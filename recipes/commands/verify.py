"""Parser of `auricle verify`: whether two recordings are of one speaker."""

from __future__ import annotations

from .common import add_command, add_shared, options_for, spellings

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    verify = add_command(commands, "verify", run, "whether two recordings are of one speaker")
    verify.add_argument("bundle", metavar="BUNDLE", help="trained for speaker verification")
    verify.add_argument("one", metavar="A.wav")
    verify.add_argument("other", metavar="B.wav")
    verify.add_argument(
        *spellings("--threshold-prior"),
        type=float,
        metavar="P",
        help="share of comparisons that are of one speaker where this is used; default: the prior "
        "that the bundle was calibrated for",
    )
    add_shared(verify, "json")


def run(arguments) -> int:
    """Print score, probability and decision."""
    from ..inference.verify import verify

    verify(**options_for(verify, arguments))
    return 0
