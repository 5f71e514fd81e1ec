"""`auricle filters`: the filters of a frontend, and how far training moved them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...lobes.build import build_frontend
from ...lobes.bundles import bundle as pretrained
from ...lobes.registry import FRONTENDS, LobeError
from ...processing.filterbank.displacement import displacement, per_filter
from ...processing.filterbank.responses import FilterSet
from ...processing.plots import common as plots

__all__ = ["Comparison", "compare", "show_filters"]

#: A mean shift below this is no learning: LEAF's filters are some 60 Hz wide at their narrowest.
UNMOVED_ERB = 0.01


@dataclass(frozen=True)
class Comparison:
    """The filters of a frontend, alone or beside what they are compared with.

    Attributes
    ----------
    name : the frontend's registered name
    sample_rate : in Hz
    before, after : FilterSet; `after` is None for one bank alone
    names : what the two banks are, in words
    remark : what has to be known to read the numbers; may be empty
    """

    name: str
    sample_rate: int
    before: FilterSet
    after: FilterSet | None
    names: tuple[str, str]
    remark: str = ""


def show_filters(
    wanted: str, against: str | None, out: str, as_json: bool, options: dict | None = None
) -> None:
    """Draw the filters and print their table; the work of `auricle filters`.

    Arguments
    ---------
    wanted : a frontend's name, a bundle's folder, or a run's folder with a bundle in it.
    against : the same, to compare with; None: a bundle is compared with its own beginning.
    out : folder of the picture.
    as_json : print one JSON object in place of the table.
    options : of a frontend given by name.

    Raises
    ------
    ValueError
        No such frontend or bundle, a frontend without filters, banks that cannot be compared.
    """
    found = compare(wanted, against, options)
    numbers = None if found.after is None else displacement(found.before, found.after)
    what = _called(wanted) if found.name != wanted else ""
    title = f"{found.name}, {len(found.before)} filters at {found.sample_rate:,} Hz"
    picture = plots.learned_filters(
        found.before,
        found.after,
        Path(out) / f"filters_{found.name}.png",
        f"{title} ({what})" if what else title,
        found.names,
    )
    if as_json:
        print(json.dumps(_record(found, numbers, picture), indent=2, allow_nan=False))
        return
    print(
        title
        + ("" if found.after is None else f"; before: {found.names[0]}, after: {found.names[1]}")
    )
    print(_table(found))
    for line in _summary(found, numbers):
        print(line)
    print(f"Picture: {picture}")


def compare(wanted: str, against: str | None = None, options: dict | None = None) -> Comparison:
    """Find the filters that a name or a folder means, and what to compare them with."""
    name, rate, frontend, fresh = _open(wanted, options)
    now = _filters(name, frontend)
    if against is not None:
        other_name, other_rate, other, _ = _open(against, None)
        if other_rate != rate:
            raise ValueError(f"{wanted} is for {rate} Hz, {against} for {other_rate} Hz")
        return Comparison(
            name, rate, _filters(other_name, other), now, (f"of {against}", f"of {wanted}")
        )
    names = plots.TRAINING
    if frontend.fixed:
        remark = f"{name} is a fixed frontend: training does not move its filters."
        return Comparison(name, rate, now, None, names, remark)
    if fresh is None:
        remark = "These are its initial filters. Give a bundle to see what training made of them."
        return Comparison(name, rate, now, None, names, remark)
    before, again = fresh(0).filters(), fresh(1).filters()
    remark = ""
    if not np.array_equal(before.responses, again.responses):
        remark = (
            f"The initial filters of {name} are drawn at random, and those shown are not the ones "
            "this run began with: how far it moved them is in its results.json."
        )
    return Comparison(name, rate, before, now, names, remark)


def _open(wanted: str, options: dict | None):
    """Name, sample rate, frontend, and for a bundle a function that builds it as it began."""
    folder = Path(wanted)
    if wanted not in FRONTENDS.lobes:
        for candidate in (folder, folder / "bundle"):
            if (candidate / pretrained.DESCRIPTION).exists():
                folder = candidate
        if not folder.exists():
            try:
                FRONTENDS.describe(wanted)
            except LobeError as error:
                raise ValueError(f"{error}. A bundle's folder is the other choice") from None
        if options:
            raise ValueError("--options is for a frontend given by name; a bundle has its own")
        bundle = pretrained.load(folder)  # runs no code that the bundle brings
        given = bundle.description["frontend"]
        keyed = {given["name"]: given["options"]}

        def fresh(seed: int):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return build_frontend(given["name"], bundle.sample_rate, keyed)

        return given["name"], bundle.sample_rate, bundle.compute_features, fresh
    frontend = build_frontend(wanted, options={wanted: options or {}})
    return wanted, frontend.sample_rate, frontend, None


def _called(folder: str) -> str:
    """A run's bundles are all called "bundle": the folder around it says which one it is."""
    path = Path(folder).resolve()
    return path.parent.name if path.name == "bundle" else path.name


def _filters(name: str, frontend) -> FilterSet:
    if not hasattr(frontend, "filters"):
        raise ValueError(
            f"frontend {name} has no filters: there is no centre frequency or bandwidth to show"
        )
    return frontend.filters()


def _table(found: Comparison) -> str:
    before, after = found.before, found.after
    if after is None:
        lines = ["filter  centre (Hz)  bandwidth (Hz)"]
        rows = zip(before.centre_hz, before.bandwidth_hz, strict=True)
        lines += [f"{k:6d}  {c:11.1f}  {b:14.1f}" for k, (c, b) in enumerate(rows, 1)]
        return "\n".join(lines)
    lines = [
        "             centre (Hz)        bandwidth (Hz)             moved by",
        "filter    before     after    before     after       Hz     ERB  divergence",
    ]
    moved = per_filter(before, after)
    for k in range(len(before)):
        lines.append(
            f"{k + 1:6d}  {before.centre_hz[k]:8.1f}  {after.centre_hz[k]:8.1f}"
            f"  {before.bandwidth_hz[k]:8.1f}  {after.bandwidth_hz[k]:8.1f}"
            f" {moved['centre_shift_hz'][k]:+8.1f} {moved['centre_shift_erb'][k]:+7.3f}"
            f"  {moved['divergence'][k]:10.4f}"
        )
    return "\n".join(lines)


def _summary(found: Comparison, numbers: dict | None) -> list[str]:
    lines = [found.remark] if found.remark else []
    if numbers is None:
        return lines
    lines += [
        "Mean absolute shift over the filters (largest):",
        "  centre      {centre_shift_hz:.2f} Hz ({centre_shift_hz_max:.2f}), "
        "{centre_shift_erb:.3f} ERB ({centre_shift_erb_max:.3f})".format(**numbers),
        "  bandwidth   {bandwidth_shift_hz:.2f} Hz ({bandwidth_shift_hz_max:.2f})".format(
            **numbers
        ),
        f"  divergence  {numbers['divergence']:.4f} ({numbers['divergence_max']:.4f}), "
        "Jensen-Shannon of the power responses: 0 equal, 1 disjoint",
    ]
    if not any(value for key, value in numbers.items() if key != "count"):
        lines.append("No filter moved at all.")
    elif numbers["centre_shift_erb"] < UNMOVED_ERB and numbers["divergence"] < UNMOVED_ERB**2:
        lines.append("The filters are, for hearing or a picture, where they were.")
    return lines


def _record(found: Comparison, numbers: dict | None, picture: Path) -> dict:
    def bank(filters: FilterSet | None):
        return filters and {
            "centre_hz": filters.centre_hz.tolist(),
            "bandwidth_hz": filters.bandwidth_hz.tolist(),
        }

    moved = None if found.after is None else per_filter(found.before, found.after)
    return {
        "frontend": found.name,
        "sample_rate": found.sample_rate,
        "remark": found.remark,
        "before": {"what": found.names[0], **bank(found.before)},
        "after": found.after and {"what": found.names[1], **bank(found.after)},
        "displacement": numbers,
        "per_filter": moved and {key: value.tolist() for key, value in moved.items()},
        "pictures": [str(picture)],
    }
