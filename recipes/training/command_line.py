"""Make a command line of a function: options from its signature, help from its docstring."""

from __future__ import annotations

import argparse
import inspect
import logging
import re
import sys
import types
import typing
from collections.abc import Callable
from typing import Literal

__all__ = ["parser_of", "run_prepare"]

_NUMBERS = {int: "a whole number", float: "a number"}


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
    """A parser whose options are the arguments of a function.

    An argument without a default is a positional one. Annotations say how a word is read: text,
    numbers, `Literal` values, `tuple` for several words, and bool for a switch that is given as
    `--name`, `--name true` or `--name false`.

    Arguments
    ---------
    function
        With annotations, and with a section Arguments in its docstring that has all of them.
    hidden
        Arguments that are no option.
    """
    summary = inspect.getdoc(function).partition("\n\n")[0]
    parser = argparse.ArgumentParser(description=summary.replace("\n", " "), allow_abbrev=False)
    texts = _argument_texts(inspect.getdoc(function))
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if name in hidden:
            continue
        text = texts[name].replace("%", "%%")
        if parameter.default is parameter.empty:
            parser.add_argument(name, help=text)
            continue
        if parameter.default not in (None, False):
            text += " (default: %(default)s)"
        reading = _reading(parameter.annotation)
        parser.add_argument(f"--{name}", default=parameter.default, help=text, **reading)
    return parser


def _argument_texts(docstring: str) -> dict[str, str]:
    """What the section Arguments of a docstring says of each argument."""
    section = re.search(
        r"^Arguments\n-+\n(.*?)(?:\n\n[A-Z][a-z]+\n-+\n|\Z)", docstring, re.M | re.S
    )
    texts: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section[1].splitlines():
        if line[:1].isspace():
            for name in names:
                texts[name].append(line.strip())
        else:
            names = line.partition(" : ")[0].split(", ")
            texts |= {name: [] for name in names}
    return {name: " ".join(lines) for name, lines in texts.items()}


def _reading(annotation) -> dict:
    """How argparse reads the words of an option with this annotation."""
    is_union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    kinds = [kind for kind in kinds if kind is not types.NoneType]
    if typing.get_origin(kinds[0]) is tuple:
        parts = typing.get_args(kinds[0])
        return {"type": parts[0], "nargs": len(parts)}
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
