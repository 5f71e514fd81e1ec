"""`auricle list`: the lobes there are, with a line each."""

from typing import Literal

from ...lobes.registry import ENCODERS, FRONTENDS
from ..reports.printing import show

REGISTRIES = {"frontend": FRONTENDS, "encoder": ENCODERS}


def run(kind: Literal["frontends", "encoders"], /, *, json: bool = False) -> None:
    """List the lobes there are, with a line each.

    One that cannot be imported is listed as broken.

    Arguments
    ---------
    kind
        Of lobes.
    json
        Print JSON.
    """
    lobes = REGISTRIES[kind.removesuffix("s")].lobes.values()
    keys = ("name", "summary", "paper", "origin", "error")
    width = max((len(lobe.name) for lobe in lobes), default=0)
    lines = [
        f"{lobe.name:<{width}}  {'BROKEN: ' + lobe.error if lobe.error else lobe.summary}"
        for lobe in lobes
    ]
    show([{key: getattr(lobe, key) for key in keys} for lobe in lobes], lines, json)
