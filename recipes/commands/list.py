"""`auricle list`: the lobes, recipes or bundles there are, with a line each."""

from typing import Literal

from ...lobes.bundles import shipped_bundles
from ...lobes.registry import ENCODERS, FRONTENDS
from ..reports.printing import show
from ..training.by_name import recipes

REGISTRIES = {"frontend": FRONTENDS, "encoder": ENCODERS}


def run(
    kind: Literal["frontends", "encoders", "recipes", "models"], /, *, json: bool = False
) -> None:
    """List the lobes, the recipes, or the bundles that auricle ships, with a line each.

    A lobe that cannot be imported is listed as broken, and so is what takes a name that is taken.

    Arguments
    ---------
    kind
        Of lobes; recipes; or models, the bundles that auricle ships.
    json
        Print JSON.
    """
    tables = {"recipes": recipes, "models": shipped_bundles}
    registry = REGISTRIES.get(kind.removesuffix("s"))
    entries = (registry.lobes if registry else tables[kind]()).values()
    keys = ("name", "summary", "paper", "origin", "error")
    width = max((len(entry.name) for entry in entries), default=0)
    lines = [
        f"{entry.name:<{width}}  {'BROKEN: ' + entry.error if entry.error else entry.summary}"
        for entry in entries
    ]
    show([{key: getattr(entry, key, "") for key in keys} for entry in entries], lines, json)
