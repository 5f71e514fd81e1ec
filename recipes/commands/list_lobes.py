"""Parser of `auricle list`: the lobes there are, with a line each."""

from __future__ import annotations

import json

from ...lobes.registry import ENCODERS, FRONTENDS
from .common import add_command, add_shared

__all__ = ["add_parser", "run"]

REGISTRIES = {"frontend": FRONTENDS, "encoder": ENCODERS}


def add_parser(commands) -> None:
    """Add the command."""
    listing = add_command(commands, "list", run, "the lobes there are, with a line each")
    listing.add_argument("kind", choices=["frontends", "encoders"])
    add_shared(listing, "json")


def run(arguments) -> int:
    """Print a line per lobe; one that cannot be imported is listed as broken."""
    registry = REGISTRIES[arguments.kind.removesuffix("s")]
    lobes = registry.lobes.values()
    if arguments.json:
        rows = [
            {key: getattr(lobe, key) for key in ("name", "summary", "paper", "origin", "error")}
            for lobe in lobes
        ]
        print(json.dumps(rows, indent=2))
        return 0
    width = max((len(lobe.name) for lobe in lobes), default=0)
    for lobe in lobes:
        print(f"{lobe.name:<{width}}  {'BROKEN: ' + lobe.error if lobe.error else lobe.summary}")
    return 0
