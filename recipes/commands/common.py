"""What the commands share: the parser of one, and the loop over files of which some are bad."""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TypeVar

from ...lobes.bundles import find_bundle
from ..reports.printing import print_error
from ..training.command_line import UsageError, add_options, call, summary_of

Item = TypeVar("Item")


def add_command(commands, module: ModuleType) -> None:
    """Add the command of a module: its `run`, and the options that all commands have.

    Arguments
    ---------
    commands : of `ArgumentParser.add_subparsers`.
    module : called as the command is; an argument `plugin` of its `run` gets the files that were
        loaded, and `bundle` the folder of the bundle that was named; what it raises as `UsageError`
        ends the program as what the parser refuses by itself.
    """
    summary = summary_of(module.run)
    name = module.__name__.rpartition(".")[2]
    parser = commands.add_parser(
        name, help=summary.replace("%", "%%"), description=summary, allow_abbrev=False
    )
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE.py",
        help="A file that registers lobes of your own; it is run, so it must be trusted.",
    )
    add_options(parser, module.run, hidden=("plugin",), dashes=True)

    def run(arguments) -> int:
        values = vars(arguments)
        if values.get("bundle"):
            values["bundle"] = str(find_bundle(values["bundle"]))
        try:
            return call(module.run, values) or 0
        except UsageError as error:
            parser.error(str(error))

    parser.set_defaults(run=run)


def for_each(items: Iterable[Item], answer: Callable[[Item], None]) -> int:
    """Call a function for each item; returns the exit status, 2 where it raised a ValueError.

    The error is printed: one bad file must not keep the others from being answered for.
    """
    status = 0
    for item in items:
        try:
            answer(item)
        except ValueError as error:
            print_error(error)
            status = 2
    return status
