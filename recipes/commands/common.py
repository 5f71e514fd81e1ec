"""What the commands share: how one is added, the options of several, and how they are read."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterable

__all__ = ["add_command", "add_shared", "changed_options", "options_for", "spellings"]

#: Options of several commands, by their field; `add_shared` adds them.
_SHARED = {
    "json": {"action": "store_true", "help": "print JSON"},
    "seed": {"type": int, "default": 0, "help": "of the interval's draws"},
    "n_resamples": {
        "type": int,
        "default": 1000,
        "metavar": "N",
        "help": "draws of speakers for the intervals; default: 1000; 0: no intervals",
    },
    "trials": {"metavar": "FILE", "help": "the list"},
    "trials_format": {
        "choices": ["auto", "voxceleb", "kaldi", "wespeaker"],
        "default": "auto",
        "help": "'1|0 A B', 'A B target|nontarget', 'A B SCORE target|nontarget'; default: as it "
        "looks",
    },
    "speakers": {
        "metavar": "FILE",
        "help": "lines 'RECORDING SPEAKER' (Kaldi's utt2spk); default: a name's first folder",
    },
    "partial": {
        "action": "store_true",
        "help": "the list is meant to use only some of the embeddings or scores",
    },
    "data_folder": {"required": True, "metavar": "FOLDER", "help": "where the audio is"},
    "crops": {
        "type": int,
        "default": 0,
        "metavar": "N",
        "help": "average N evenly spaced crops of every recording; default: 0, the whole recording",
    },
    "crop_s": {"type": float, "default": 4.0, "help": "length of one in s"},
}


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
    added.set_defaults(run=run, usage_error=added.error, default_of=added.get_default)
    return added


def add_shared(group, *fields: str, **changes: dict) -> None:
    """Add options that several commands have.

    Arguments
    ---------
    group : a parser or a group of one.
    fields : which, by the names of their fields, in the order of the help.
    changes : what is different here, by field: {"help": ...}.
    """
    for field in fields:
        group.add_argument(
            *spellings(_option(field)), **{**_SHARED[field], **changes.get(field, {})}
        )


def spellings(option: str) -> tuple[str, ...]:
    """An option with dashes, and with the underscores of a training run's options.

    Example
    -------
    >>> spellings("--data-folder"), spellings("--norm")
    (('--data-folder', '--data_folder'), ('--norm',))
    """
    return tuple(dict.fromkeys([option, "--" + option[2:].replace("-", "_")]))


def changed_options(arguments: argparse.Namespace, fields: Iterable[str]) -> list[str]:
    """Those of the options that are not at their default, spelled as options."""
    return [
        _option(field)
        for field in fields
        if getattr(arguments, field) != arguments.default_of(field)
    ]


def options_for(function: Callable, arguments: argparse.Namespace) -> dict:
    """The arguments that are parameters of a function, by name; `as_json` is --json."""
    values = {**vars(arguments), "as_json": getattr(arguments, "json", False)}
    return {name: values[name] for name in inspect.signature(function).parameters if name in values}


def _option(field: str) -> str:
    return "--" + field.replace("_", "-")
