"""`auricle check`: whether a lobe keeps the promises of the contract."""

from __future__ import annotations

import json
from dataclasses import asdict

from .common import add_command

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    check = add_command(commands, "check", run, "run the promises of the contract on a lobe")
    check.add_argument("kind", choices=["frontend", "encoder"])
    check.add_argument("name")
    check.add_argument(
        "--options", type=json.loads, default={}, help='the lobe\'s options as JSON: {"layers": 4}'
    )
    check.add_argument("--json", action="store_true", help="print JSON")


def run(arguments) -> int:
    """Print a line per promise; 1 where one is broken."""
    from ...lobes.promises import check

    results = check(arguments.kind, arguments.name, {arguments.name: arguments.options})
    broken = [result for result in results if not result.passed]
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2, default=str))
        return 1 if broken else 0
    for result in results:
        print(f"{'kept  ' if result.passed else 'BROKEN'}  {result.title}")
        if not result.passed:
            print("        " + str(result.detail).replace("\n", "\n        "))
    print(
        f"{arguments.kind} {arguments.name}: "
        f"{len(results) - len(broken)} of {len(results)} promises kept"
    )
    return 1 if broken else 0
