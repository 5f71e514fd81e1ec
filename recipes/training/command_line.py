"""Command lines of functions: options from a signature, their help from its docstring.

An argument that is positional only, or that has no default, is a positional one; what is keyword
only and has no default is a required option. An argument whose annotation is a dataclass stands for
the fields of it, a group of options that several functions share. The annotation says how a word is
read, and the docstring has the help:

    Arguments (of the picture)
    --------------------------
    out : FILE.png
        Where the picture goes.

The words in brackets are the title of a group in the help; upper-case words after the colon are
what stands for the value there (elsewhere than in a help text they may be a type).
"""

from __future__ import annotations

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
from typing import Literal

__all__ = ["UsageError", "add_options", "call", "changed", "parser_of", "run_prepare", "summary_of"]

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
    prepare : of a recipe.
    words : the command line; None: the process'.
    """
    options = vars(parser_of(prepare, hidden=("progress",)).parse_args(words))
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
    parser
        Of any options before.
    function
        With annotations, and with sections Arguments in its docstring that have all of them. An
        underscore at the end of a name is no part of the option.
    hidden
        Arguments that are no option.
    dashes
        `--with-dashes` or `--with_underscores`, and bool is a switch without a value. Otherwise
        underscores only, and bool is `--name`, `--name true` or `--name false`, as in the options
        of a training run.
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
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        default, required = parameter.default, parameter.default is parameter.empty
        reading = _reading(parameter.annotation, dashes) | {"help": text.replace("%", "%%")}
        if re.fullmatch(r"[A-Z][A-Z_,]*(\.\w+)?", kind):
            reading["metavar"] = kind
        if not required:
            reading["default"] = default
            if default not in (None, False, ()):
                reading["help"] += " (default: %(default)s)"
        keyword = parameter.kind is parameter.KEYWORD_ONLY
        if parameter.kind is parameter.POSITIONAL_ONLY or (required and not keyword):
            is_list = typing.get_origin(parameter.annotation) is list
            if is_list:
                # "*" would take a list for given, and empty, as soon as another word is read
                reading |= {"type": str, "nargs": "+" if required or follows else "*"}
            elif not required:
                reading["nargs"] = "?"
            action = groups[title].add_argument(name, **reading)
            action.required = required
            follows = True
            continue
        option = name.rstrip("_")
        spellings = dict.fromkeys([option.replace("_", "-") if dashes else option, option])
        if keyword and required:
            reading["required"] = True
        groups[title].add_argument(*(f"--{word}" for word in spellings), dest=name, **reading)


def call(function: Callable, values: Mapping):
    """Call a function with the values that its options were parsed to; groups are built."""
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
        "--" + field.name.rstrip("_").replace("_", "-")
        for group in groups
        for field in dataclasses.fields(group)
        if getattr(group, field.name) != field.default
    ]


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
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    kinds = [kind for kind in kinds if kind is not types.NoneType]
    origin, parts = typing.get_origin(kinds[0]), typing.get_args(kinds[0])
    if dashes and kinds == [bool]:
        return {"action": "store_true"}
    if dashes and origin is Literal:
        return {"type": type(parts[0]), "choices": parts}
    if origin is tuple:
        return {"type": parts[0], "nargs": len(parts)}
    if origin is list:
        return {"type": lambda words: words.split(",")}
    if kinds == [dict]:
        return {"type": json.loads}
    values = {}
    for kind in kinds:
        if kind is bool:
            values |= {"true": True, "false": False}
        elif typing.get_origin(kind) is Literal:
            values |= {str(value): value for value in typing.get_args(kind)}
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
