"""`auricle check`: promises of a lobe, labels and leakage of data sets."""

from dataclasses import asdict
from typing import Literal

from ..reports.printing import show
from ..training.command_line import UsageError
from .check_data import check_labels, check_leakage


def run(
    kind: Literal["frontend", "encoder", "labels", "leakage"],
    name: str,
    other: str | None = None,
    /,
    *,
    options: dict | None = None,
    no_audio: bool = False,
    json: bool = False,
) -> int:
    """Run the promises of the contract on a lobe, or check a data set.

    Arguments
    ---------
    kind
        A lobe of that kind; labels: do static and dynamic labels of a music data set agree;
        leakage: do two of them share songs.
    name
        The lobe's name, or the folder of the data set.
    other
        leakage: the folder of the other data set.
    options
        The lobe's options as JSON: {"layers": 4}.
    no_audio
        leakage: compare numbers only, decode nothing.
    json
        Print JSON.

    Returns
    -------
    1 where a promise is broken or something is wrong with the data.
    """
    if kind == "leakage" and other is None:
        raise UsageError("leakage compares two data sets: auricle check leakage A B")
    if kind != "leakage" and (other is not None or no_audio):
        extra = "--no-audio" if other is None else repr(other)
        raise UsageError(f"{extra} is for auricle check leakage A B only")
    if kind in ("labels", "leakage") and options:
        raise UsageError("--options is for lobes only")
    if kind == "labels":
        return check_labels(name, json)
    if kind == "leakage":
        return check_leakage(name, other, not no_audio, json)
    from ...lobes.promises import check

    results = check(kind, name, {name: {} if options is None else options})
    lines = []
    for result in results:
        lines.append(f"{'kept  ' if result.passed else 'BROKEN'}  {result.title}")
        if not result.passed:
            lines.append("        " + str(result.detail).replace("\n", "\n        "))
    kept = sum(result.passed for result in results)
    lines.append(f"{kind} {name}: {kept} of {len(results)} promises kept")
    show([asdict(result) for result in results], lines, json)
    return 1 if kept < len(results) else 0
