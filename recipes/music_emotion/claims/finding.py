"""What claims are measured with, and the result: a table, a verdict and its reasons."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HOLDS = "holds"
DOES_NOT_HOLD = "does not hold"
NOT_DECIDED = "not decided"
VERDICTS = (HOLDS, DOES_NOT_HOLD, NOT_DECIDED)


@dataclass(frozen=True)
class Settings:
    """How a claim that trains is measured.

    Arguments (claims that train networks)
    --------------------------------------
    results_folder : FOLDER
        Where the runs go, and where those that are there already are read from.
    data_folder : FOLDER
        The corpus; mini is auricle's own.
    seeds : N
        Runs of each system, from seed 1. Default: the claim's own number.
    number_of_epochs : N
        Of each run. Default: the claim's own number.
    dry
        Train nothing: judge by the runs that are there, and say which are missing.
    pretrained : FILE
        A .safetensors file of a transformer trained on images, for the claims about such weights.

    Raises
    ------
    ValueError
        Fewer than one seed or epoch.
    """

    results_folder: str = "results/claims"
    data_folder: str = "mini"
    seeds: int | None = None
    number_of_epochs: int | None = None
    dry: bool = False
    pretrained: str | None = None

    def __post_init__(self):
        for name in ("seeds", "number_of_epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


def verdict_of(holds: bool) -> str:
    """The verdict on a claim that could be decided."""
    return HOLDS if holds else DOES_NOT_HOLD


@dataclass(frozen=True)
class Finding:
    """A claim, what was measured, and whether the claim holds.

    Arguments
    ---------
    measured : sequence of mappings
        Rows of a table, by column; columns carry units. Values are text, numbers, booleans or None
        (an empty cell). A row may lack a column.
    verdict : str
        "holds", "does not hold" or "not decided".
    because : str
        What the verdict rests on, in a sentence or more.
    name, claim : str
        The claim's name and its sentence; `Claim.measure` fills them in.

    Raises
    ------
    ValueError
        For another verdict, no row, or a value that is not finite.

    Example
    -------
    >>> rows = [{"what": "1 + 1", "value": 2}]
    >>> finding = Finding(rows, "does not hold", "it is 2.", "sums", "1 + 1 is 3")
    >>> print(finding.text())
    sums
      claim: 1 + 1 is 3
    <BLANKLINE>
      what   value
      1 + 1      2
    <BLANKLINE>
      verdict: does not hold: it is 2.
    """

    measured: Sequence[Mapping[str, object]]
    verdict: str
    because: str
    name: str = ""
    claim: str = ""

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}, got {self.verdict!r}")
        if not self.measured:
            raise ValueError("nothing was measured: a finding needs at least one row")
        for row in self.measured:
            for column, value in row.items():
                if isinstance(value, float) and not math.isfinite(value):
                    raise ValueError(
                        f"the finding's column {column} is {value}, which is not finite"
                    )

    def text(self) -> str:
        """Name, claim, table and verdict, to be read."""
        lines = [self.name, f"  claim: {self.claim}", ""]
        lines += [f"  {line}" for line in table(self.measured)]
        return "\n".join([*lines, "", f"  verdict: {self.verdict}: {self.because}"])

    def as_dict(self) -> dict:
        """The same as plain values."""
        return {
            "name": self.name,
            "claim": self.claim,
            "measured": [dict(row) for row in self.measured],
            "verdict": self.verdict,
            "because": self.because,
        }

    def json(self) -> str:
        """The same as a JSON object."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False)


def table(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Lines of aligned columns: numbers to the right, text to the left.

    Example
    -------
    >>> for line in table([{"model": "vit", "MiB": 1351.04}, {"model": "ast"}]): print(line)
    model    MiB
    vit    1,351
    ast
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = [
        any(isinstance(row.get(column), (int, float)) for row in rows)
        and not any(isinstance(row.get(column), str) for row in rows)
        for column in columns
    ]

    def line(texts: Sequence[str]) -> str:
        placed = zip(texts, widths, right, strict=True)
        return "  ".join(f"{text:>{w}}" if r else f"{text:<{w}}" for text, w, r in placed).rstrip()

    return [line(columns), *map(line, cells)]


def cell(value: object) -> str:
    """Text of a value: whole numbers in groups of three, others with four digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)
