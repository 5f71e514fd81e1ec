"""Command lines of functions: options from a signature, their help from its docstring.

An argument that is positional only, or that has no default, is a positional one; what is keyword
only and has no default is a required option; `*words` are all words that follow, options or not. An argument of a dataclass stands for the fields of it.
The annotation says how a word is read, and the docstring has the help:

    Arguments (of the picture)
    --------------------------
    out : FILE.png
        Where the picture goes.

Words in brackets are the title of a group in the help; a word in capitals stands for the value.
"""

import argparse
import dataclasses
import inspect
import json
import logging
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping

from ...processing.system.rules import wrong_values
from .option_ranges import RANGES

_NUMBERS = {int: "a whole number", float: "a number"}
_SECTION = re.compile(
    r"^Arguments(?: \(([^)\n]+)\))?\n-+\n(.*?)(?=\n\n[A-Z][^\n]*\n-+\n|\Z)", re.M | re.S
)


class UsageError(Exception):
    """Options that can be read and do not go together, or lack another one."""


def run_prepare(prepare: Callable, words: list[str] | None = None) -> None:
    """Prepare as the command line says and print the record; errors of the user are one message.

    Arguments
    ---------
    prepare, words : of a recipe; the command line, None for the process'.
    """
    options = vars(parser_of(prepare, hidden=("progress",)).parse_args(words))
    given = {name: value for name, value in options.items() if value is not None}
    if wrong := wrong_values(given, RANGES):
        sys.exit("prepare.py: " + "\n".join(wrong))
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    try:
        record = prepare(**options, progress=True)
    except (RuntimeError, ValueError, OSError) as error:
        sys.exit(f"prepare.py: {error}")
    print(record.describe())
    print(f"\nwrote {record.manifest_path}")


def parser_of(function: Callable, hidden: tuple[str, ...] = ()) -> argparse.ArgumentParser:
    """A parser with the options of a function, spelt as the options of a training run."""
    parser = argparse.ArgumentParser(description=summary_of(function), allow_abbrev=False)
    add_options(parser, function, hidden)
    return parser


def summary_of(function: Callable) -> str:
    """The first paragraph of a docstring, as one line."""
    return inspect.getdoc(function).partition("\n\n")[0].replace("\n", " ")


def add_options(
    parser: argparse.ArgumentParser,
    function: Callable,
    hidden: tuple[str, ...] = (),
    dashes: bool = False,
) -> None:
    """Add the arguments of a function to a parser.

    Arguments
    ---------
    parser, hidden
        Of any options before; arguments that are no option.
    function
        With annotations and a docstring. An underscore at the end of a name is no part of the
        option.
    dashes
        `--with-dashes` or `--with_underscores`, and bool is a switch without a value. Otherwise as
        the options of a training run: underscores only; `--name`, `--name true`, `--name false`.
    """
    texts, groups = _argument_texts(inspect.getdoc(function)), {None: parser}
    follows = False
    for name, parameter in _parameters(function).items():
        if name in hidden:
            continue
        if dataclasses.is_dataclass(parameter.annotation):
            add_options(parser, parameter.annotation, dashes=dashes)
            continue
        title, kind, text = texts[name]
        groups[title] = groups.get(title) or parser.add_argument_group(title)
        if parameter.kind is parameter.VAR_POSITIONAL:
            parser.add_argument(name, nargs=argparse.REMAINDER, metavar=kind, help=text)
            continue
        default, required = parameter.default, parameter.default is parameter.empty
        reading = _reading(parameter.annotation, dashes) | {"help": text.replace("%", "%%")}
        if re.fullmatch(r"[A-Z][A-Z_,=]*(\.\w+)?", kind):
            reading["metavar"] = kind
        if not required:
            reading["default"] = default
            if default not in (None, False, ()):
                reading["help"] += " (default: %(default)s)"
        positional = parameter.kind is parameter.POSITIONAL_ONLY
        if not positional and (not required or parameter.kind is parameter.KEYWORD_ONLY):
            plain = "--" + name.rstrip("_")
            spellings = dict.fromkeys([_spelling(name) if dashes else plain, plain])
            groups[title].add_argument(*spellings, dest=name, required=required, **reading)
            continue
        if typing.get_origin(parameter.annotation) is list:
            # "*" would take a list for given, and empty, as soon as another word is read
            reading |= {"type": str, "nargs": "+" if required or follows else "*"}
        elif not required:
            reading["nargs"] = "?"
        groups[title].add_argument(name, **reading).required = required
        follows = True


def call(function: Callable, values: Mapping):
    """Call a function with the values of its options; dataclasses are built."""
    arguments = {}
    for name, parameter in _parameters(function).items():
        if dataclasses.is_dataclass(parameter.annotation):
            arguments[name] = call(parameter.annotation, values)
        elif name in values:
            arguments[name] = values[name]
    bound = inspect.BoundArguments(inspect.signature(function), arguments)
    return function(*bound.args, **bound.kwargs)


def changed(*groups) -> list[str]:
    """Options, spelt with dashes, of instances of dataclasses that are not at their default."""
    return [
        _spelling(field.name)
        for group in groups
        for field in dataclasses.fields(group)
        if getattr(group, field.name) != field.default
    ]


def _spelling(name: str) -> str:
    return "--" + name.rstrip("_").replace("_", "-")


def _parameters(function: Callable) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function, eval_str=True).parameters


def _argument_texts(docstring: str) -> dict[str, tuple[str | None, str, str]]:
    """Title of the group, what follows the colon, and text, of every argument of a docstring."""
    texts: dict[str, tuple[str | None, str, str]] = {}
    for title, section in _SECTION.findall(docstring):
        for entry in re.findall(r"^\S.*\n(?:[ \n].*\n?)*", section, re.M):
            head, _, text = entry.partition("\n")
            names, _, kind = head.partition(" : ")
            texts |= {
                name: (title or None, kind, " ".join(text.split())) for name in names.split(", ")
            }
    return texts


def _reading(annotation, dashes: bool) -> dict:
    """How argparse reads the words of an option with this annotation."""
    is_union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    kinds = typing.get_args(annotation) if is_union else [annotation]
    kinds = [kind for kind in kinds if kind is not types.NoneType]
    origin, parts = typing.get_origin(kinds[0]), typing.get_args(kinds[0])
    if dashes and kinds == [bool]:
        return {"action": "store_true"}
    if dashes and origin is typing.Literal:
        return {"type": type(parts[0]), "choices": parts}
    if origin is tuple and parts[-1] is Ellipsis:  # the option may be given several times
        return {"type": parts[0], "action": "append"}
    if origin is tuple:
        return {"type": parts[0], "nargs": len(parts)}
    if origin is list:
        return {"type": lambda words: list(map(parts[0], words.split(",")))}
    if kinds == [dict]:
        return {"type": json.loads}
    values = {str(value): value for kind in kinds for value in typing.get_args(kind)}
    if bool in kinds:
        values |= {"true": True, "false": False}
    numbers = [kind for kind in kinds if kind in _NUMBERS]
    if not values and len(numbers) < 2:
        return {"type": numbers[0] if numbers else str}

    def read(word: str):
        if word.lower() in values:
            return values[word.lower()]
        for number in numbers:
            try:
                return number(word)
            except ValueError:
                continue
        allowed = [*values, *(_NUMBERS[number] for number in numbers)]
        raise argparse.ArgumentTypeError(f"{word!r} is neither {' nor '.join(allowed)}")

    reading = {"type": read, "metavar": f"{{{','.join(values)}}}" if values else None}
    return {**reading, "nargs": "?", "const": True} if kinds == [bool] else reading
