"""Parser of `auricle check`: promises of a lobe, labels and leakage of data sets."""

from __future__ import annotations

import json
from dataclasses import asdict

from .common import add_command, add_shared

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    check = add_command(
        commands, "check", run, "run the promises of the contract on a lobe, or check a data set"
    )
    check.add_argument(
        "kind",
        choices=["frontend", "encoder", "labels", "leakage"],
        help="a lobe of that kind; labels: do static and dynamic labels of a music data set agree; "
        "leakage: do two of them share songs",
    )
    check.add_argument("name", help="the lobe's name, or the folder of the data set")
    check.add_argument("other", nargs="?", help="leakage: the folder of the other data set")
    check.add_argument(
        "--options", type=json.loads, default={}, help='the lobe\'s options as JSON: {"layers": 4}'
    )
    check.add_argument(
        "--no-audio", action="store_true", help="leakage: compare numbers only, decode nothing"
    )
    add_shared(check, "json")


def run(arguments) -> int:
    """Print a line per promise, or what the data set's check found; 1 where something is wrong."""
    if arguments.kind == "leakage" and arguments.other is None:
        arguments.usage_error("leakage compares two data sets: auricle check leakage A B")
    if arguments.kind != "leakage" and (arguments.other is not None or arguments.no_audio):
        extra = "--no-audio" if arguments.other is None else repr(arguments.other)
        arguments.usage_error(f"{extra} is for auricle check leakage A B only")
    if arguments.kind in ("labels", "leakage"):
        from .check_data import check_labels, check_leakage

        if arguments.options:
            arguments.usage_error("--options is for lobes only")
        if arguments.kind == "labels":
            return check_labels(arguments.name, arguments.json)
        return check_leakage(
            arguments.name, arguments.other, not arguments.no_audio, arguments.json
        )
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
