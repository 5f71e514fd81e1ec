"""What the preparation of every data set shares: refusing, recording, reusing, the command line."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

__all__ = [
    "PreparationError",
    "add_switch",
    "describe_rest",
    "on_every_rank",
    "pick_protocol",
    "prepare_from_command_line",
    "read_prepared",
    "read_record",
    "refuse_broken",
    "write_prepared",
    "write_record",
]

RECORD = "prepare.json"
_NAMED = 5  # of a kind, in an error
_LISTED = 20  # of what was left out, in a description


class PreparationError(ValueError):
    """A data set that cannot be prepared; the text lists what is wrong and what to do."""


def pick_protocol(name: str, protocols: Mapping):
    """The protocol of that name among a recipe's own.

    Raises
    ------
    ValueError
        No protocol has the name; the text names the nearest, and all.
    """
    if isinstance(name, str) and name in protocols:
        return protocols[name]
    near = difflib.get_close_matches(str(name), protocols, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(f"protocol {name!r} is not known{hint}; there are {', '.join(protocols)}")


def refuse_broken(
    problems: Iterable[tuple[str, str, str]], skip_broken: bool, cure: str
) -> list[dict]:
    """Raise all that cannot be used, five of a kind by name, or list it.

    Arguments
    ---------
    problems : (path, kind, reason that names the file) each.
    skip_broken : whether to go on without them.
    cure : what else the reader can do, as the end of the error.

    Returns
    -------
    {"path", "kind", "reason"} each.

    Raises
    ------
    PreparationError
        There are problems and they are not to be skipped.
    """
    problems = list(problems)
    if problems and not skip_broken:
        by_kind: dict[str, list[str]] = {}
        for _, kind, reason in problems:
            by_kind.setdefault(kind, []).append(reason)
        lines = []
        for kind, reasons in by_kind.items():
            lines.append(f"  {kind} ({len(reasons)}):")
            lines += [f"    {reason}" for reason in reasons[:_NAMED]]
            if len(reasons) > _NAMED:
                lines.append(f"    ... and {len(reasons) - _NAMED} more")
        raise PreparationError("what follows cannot be used:\n" + "\n".join(lines) + f"\n{cure}")
    return [{"path": path, "kind": kind, "reason": reason} for path, kind, reason in problems]


def write_record(
    record: dict, output_folder: Path, fingerprint: str, files: Iterable[str] = ("manifest.csv",)
) -> None:
    """Write `prepare.json`, whole or not at all.

    Arguments
    ---------
    record : plain values, without the folders of this run.
    output_folder : where it goes, beside the files.
    fingerprint : of everything that the files depend on.
    files : names of what was prepared; their digests are kept.
    """
    written = {
        **record,
        "fingerprint": fingerprint,
        "sha256": {name: _sha256(output_folder / name) for name in files},
    }
    path = output_folder / RECORD
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def read_record(output_folder: Path, fingerprint: str) -> dict | None:
    """The record in a folder; None when it is of something else, or the files are not as it says."""
    try:
        record = json.loads((output_folder / RECORD).read_text(encoding="utf-8"))
        if record.pop("fingerprint") != fingerprint:
            return None
        sha256 = record.pop("sha256")
        if any(_sha256(output_folder / name) != digest for name, digest in sha256.items()):
            return None
        return record
    except (AttributeError, FileNotFoundError, KeyError, TypeError, ValueError):
        return None


def write_prepared(prepared, output_folder: Path, fingerprint: str) -> None:
    """`write_record` of a recipe's `Prepared`: all of it but the folders of this run."""
    record = dataclasses.asdict(prepared)
    record.pop("roots")
    write_record({**record, "manifest_path": "manifest.csv"}, output_folder, fingerprint)


def read_prepared(kind: type, output_folder: Path, fingerprint: str, roots: dict):
    """What `write_prepared` left in a folder, as this kind, or None, as `read_record`.

    Arguments
    ---------
    kind : the recipe's `Prepared`, a dataclass with `manifest_path` and `roots`.
    output_folder, fingerprint : as of `read_record`.
    roots : folders by root name, of this run.
    """
    record = read_record(output_folder, fingerprint)
    if record is None:
        return None
    path = output_folder / record["manifest_path"]
    try:
        return kind(**record | {"manifest_path": str(path), "roots": roots})
    except TypeError:  # of another version
        return None


def _sha256(path: Path) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            total.update(block)
    return total.hexdigest()


def describe_rest(notes: list[str], skipped: list[dict]) -> list[str]:
    """The end of every description: what is unusual, and what was left out."""
    lines = [f"note: {note}" for note in notes]
    if skipped:
        lines.append(f"skipped {len(skipped)}:")
        # A reason that has a kind names its file itself.
        lines += [f"  {s.get('kind', s['path'])}: {s['reason']}" for s in skipped[:_LISTED]]
        if len(skipped) > _LISTED:
            lines.append(f"  ... all of them are in {RECORD}")
    return lines


def add_switch(parser: argparse.ArgumentParser, name: str, what: str) -> None:
    """An option that is given as `--name`, `--name true` or `--name false`."""
    parser.add_argument(f"--{name}", type=_boolean, nargs="?", const=True, default=False, help=what)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def on_every_rank(prepare: Callable, arguments: Mapping, **only_main):
    """What `prepare` gives, on every rank: the main process prepares, the others find it done.

    Arguments
    ---------
    prepare : of the recipe; when all is there, it reads it instead of preparing again.
    arguments : its arguments, but `progress`: only the main process draws bars.
    only_main : further arguments for the main process, such as `download`.
    """
    from speechbrain.utils.distributed import run_on_main

    # Kept in a list and not returned: what is returned would be sent to the other ranks.
    prepared = []
    run_on_main(lambda: prepared.append(prepare(**arguments, **only_main, progress=True)))
    return prepared[0] if prepared else prepare(**arguments, progress=False)


def prepare_from_command_line(
    parser: argparse.ArgumentParser, prepare: Callable, describe: Callable, arguments=None, **fixed
) -> None:
    """Prepare as the options say and print what was prepared; errors of the user are one message.

    Arguments
    ---------
    parser : its options are the arguments of `prepare`.
    prepare, describe : of the recipe.
    arguments : the words; None: the process'.
    fixed : further arguments of `prepare`.
    """
    options = vars(parser.parse_args(arguments))
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    try:
        prepared = prepare(**options, **fixed)
    except (RuntimeError, ValueError, OSError) as error:
        sys.exit(f"prepare.py: {error}")
    print(describe(prepared))
    print(f"\nwrote {prepared.manifest_path}")
