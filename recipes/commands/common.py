"""What several commands share: how one is added, and how its options are spelled."""

from __future__ import annotations

import argparse
from collections.abc import Callable

__all__ = ["add_command", "spellings"]


def add_command(
    commands, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Add a command with the options that all have.

    What the parser cannot refuse by itself is refused by `arguments.usage_error(message)`.
    """
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE.py",
        help="a file that registers lobes of your own; it is run, so it must be trusted",
    )
    added = commands.add_parser(
        name, parents=[common], help=text, description=text, allow_abbrev=False
    )
    added.set_defaults(run=run, usage_error=added.error)
    return added


def spellings(option: str) -> tuple[str, ...]:
    """An option with dashes, and with the underscores of a training run's options.

    Example
    -------
    >>> spellings("--data-folder"), spellings("--norm")
    (('--data-folder', '--data_folder'), ('--norm',))
    """
    return tuple(dict.fromkeys([option, "--" + option[2:].replace("-", "_")]))
