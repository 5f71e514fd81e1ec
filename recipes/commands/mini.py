"""Parser of `auricle mini`: a small synthetic corpus in a data set's own layout."""

from __future__ import annotations

from pathlib import Path

from ...processing.data.mini import CORPORA, write_mini
from .common import add_command

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    mini = add_command(
        commands, "mini", run, "write a small synthetic corpus in a data set's own layout"
    )
    mini.add_argument("corpus", help=" or ".join(CORPORA))
    mini.add_argument("folder", help="where to; must not hold anything yet")
    mini.add_argument("--size", default="tiny", help="tiny (default) or small")
    mini.add_argument("--seed", type=int, default=0)


def run(arguments) -> int:
    """Write the corpus and say where it is."""
    folder = write_mini(
        arguments.corpus, Path(arguments.folder), size=arguments.size, seed=arguments.seed
    )
    print(f"mini {arguments.corpus} ({arguments.size}) is in {folder}")
    return 0
