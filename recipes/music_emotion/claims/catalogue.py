"""List the claims from their files without importing any."""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ....processing.system.files import read_text
from ....processing.system.names import nearest
from .finding import Finding, Settings

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
        finding = module.measure(settings or Settings()) if self.trains else module.measure()
        return replace(finding, name=self.name, claim=self.sentence)


def claims(folder: Path = FOLDER) -> dict[str, Claim]:
    """All claims by name: first those that are computed, then those that train.

    A module with a CLAIM (one sentence) is a claim. It trains networks if its function `measure`
    takes `settings`. Nothing of it is executed.

    Example
    -------
    >>> claims()["elements"].trains
    False
    """
    known = [claim for path in sorted(folder.glob("*.py")) for claim in _claim_in(path)]
    return {claim.name: claim for claim in sorted(known, key=lambda claim: claim.trains)}


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
        problems = " ".join(
            f"no claim is called {name!r}{nearest(name, known)}" for name in unknown
        )
        raise ValueError(f"{problems} The claims: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _claim_in(path: Path) -> Iterator[Claim]:
    """The claim of a module, if it has one."""
    sentence, trains = None, False
    for statement in ast.parse(read_text(path)).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "CLAIM":
            sentence = ast.literal_eval(statement.value)
        elif isinstance(statement, ast.FunctionDef) and statement.name == "measure":
            trains = [argument.arg for argument in statement.args.args] == ["settings"]
    if sentence:
        yield Claim(path.stem, sentence, trains)
