"""The command `auricle`: its subcommands, and how errors end it."""

import argparse
import contextlib
import io
import os
import sys

from ..lobes.plugins import load_plugin
from ..processing.system.terminal import Printable
from ..processing.system.version import __version__
from .commands import (
    align,
    attention,
    cache,
    calibrate,
    check,
    claims,
    compare,
    convert,
    copy,
    demo,
    describe,
    embed,
    evaluate,
    export,
    filters,
    listen,
    mini,
    predict,
    publish,
    robustness,
    score,
    study,
    table,
    train,
    transcribe,
    verify,
)
from .commands import list as list_lobes
from .commands.common import add_command
from .reports.printing import print_error

#: In the order of the help.
COMMANDS = (
    list_lobes,
    describe,
    check,
    mini,
    train,
    copy,
    study,
    predict,
    listen,
    evaluate,
    export,
    filters,
    attention,
    embed,
    transcribe,
    align,
    score,
    compare,
    calibrate,
    verify,
    robustness,
    claims,
    table,
    publish,
    convert,
    demo,
    cache,
)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 good, 1 a check failed, 2 wrong input)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold what the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stdout is None:  # closed by whoever started this, as `>&-` does
        print_error("there is no standard output, where the answer would go: leave it open")
        return 2
    with contextlib.redirect_stdout(Printable(sys.stdout)):
        return _answer(_parser().parse_args(argv))


def _answer(arguments: argparse.Namespace) -> int:
    try:
        for plugin in arguments.plugin:
            load_plugin(plugin)
        status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read the output has seen enough (`| head`); what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("auricle: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print_error(error)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="auricle",
        description="Learn audio models from the waveform up.",
        epilog="Training: auricle train speech_commands --help",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"auricle {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        add_command(commands, module)
    return parser


if __name__ == "__main__":
    sys.exit(main())
