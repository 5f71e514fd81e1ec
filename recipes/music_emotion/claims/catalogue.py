"""The claims there are, read from their files without importing any."""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from pathlib import Path

from ....processing.system.names import nearest
from .finding import Finding
from .settings import Settings

__all__ = ["Claim", "claims", "find_claims"]

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Claim:
    """A claim that can be measured.

    Arguments
    ---------
    name : str
        Of its module.
    sentence : str
        What is claimed.
    trains : bool
        Whether measuring it trains networks.
    """

    name: str
    sentence: str
    trains: bool

    def measure(self, settings: Settings | None = None) -> Finding:
        """Import its module and measure it; `settings` are for those that train."""
        module = importlib.import_module(f".{self.name}", __package__)
        return module.measure(settings or Settings()) if self.trains else module.measure()


def claims(folder: Path = FOLDER) -> dict[str, Claim]:
    """All claims by name: first those that are computed, then those that train.

    A module is one by its line CLAIM; nothing of it is executed.

    Example
    -------
    >>> claims()["elements"].trains
    False
    """
    found = []
    for path in sorted(folder.glob("*.py")):
        literals = _literals(path)
        if "CLAIM" in literals:
            found.append(Claim(path.stem, literals["CLAIM"], literals["TRAINS"]))
    return {claim.name: claim for claim in sorted(found, key=lambda claim: claim.trains)}


def find_claims(names: list[str]) -> list[Claim]:
    """The claims of these names.

    Raises
    ------
    ValueError
        There is none of a name; suggests the nearest.
    """
    known = claims()
    unknown = [name for name in names if name not in known]
    if unknown:
        said = " ".join(f"no claim is called {name!r}{nearest(name, known)}" for name in unknown)
        raise ValueError(f"{said} The claims: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _literals(path: Path) -> dict:
    """CLAIM and TRAINS of a module, as they are written."""
    found = {}
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in ("CLAIM", "TRAINS"):
                found[name] = ast.literal_eval(statement.value)
    return found
