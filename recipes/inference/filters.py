"""Filters of a frontend (`auricle filters`): table and picture, and how far training moved them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...lobes.build import build_frontend
from ...lobes.bundles import bundle as pretrained
from ...lobes.bundles import find_bundle
from ...lobes.registry import FRONTENDS, LobeError
from ...processing.filterbank.responses import FilterSet
from ...processing.plots.filters import TRAINING

#: A mean shift below this is no learning: LEAF's filters are some 60 Hz wide at their narrowest.
UNMOVED_ERB = 0.01


@dataclass(frozen=True)
class Banks:
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


def compare(what: str, against: str | None = None, options: dict | None = None) -> Banks:
    """Find the filters that a name or a folder means, and what to compare them with."""
    name, rate, frontend, fresh = _open(what, options)
    now = _filters(name, frontend)
    if against is not None:
        other_name, other_rate, other, _ = _open(against, None)
        if other_rate != rate:
            raise ValueError(f"{what} is for {rate} Hz, {against} for {other_rate} Hz")
        return Banks(name, rate, _filters(other_name, other), now, (f"of {against}", f"of {what}"))
    names = TRAINING
    if frontend.fixed:
        remark = f"{name} is a fixed frontend: training does not move its filters."
        return Banks(name, rate, now, None, names, remark)
    if fresh is None:
        remark = "These are its initial filters. Give a bundle to see what training made of them."
        return Banks(name, rate, now, None, names, remark)
    before, again = fresh(0).filters(), fresh(1).filters()
    remark = ""
    if not np.array_equal(before.responses, again.responses):
        remark = (
            f"The initial filters of {name} are drawn at random, and those shown are not the ones "
            "this run began with: how far it moved them is in its results.json."
        )
    return Banks(name, rate, before, now, names, remark)


def _open(source: str, options: dict | None):
    """Name, sample rate, frontend, and for a bundle a function that builds it as it began."""
    if source not in FRONTENDS.lobes:
        folder = find_bundle(source)
        for candidate in (folder, folder / "bundle"):
            if (candidate / pretrained.DESCRIPTION).exists():
                folder = candidate
        if not folder.exists():
            try:
                FRONTENDS.describe(source)
            except LobeError as error:
                raise ValueError(f"{error}. A bundle's folder is the other choice") from None
        if options:
            raise ValueError("--options is for a frontend given by name; a bundle has its own")
        bundle = pretrained.load(folder)  # runs no code that the bundle brings
        frontend_entry = bundle.description["frontend"]
        keyed = {frontend_entry["name"]: frontend_entry["options"]}

        def fresh(seed: int):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return build_frontend(frontend_entry["name"], bundle.sample_rate, keyed)

        return frontend_entry["name"], bundle.sample_rate, bundle.compute_features, fresh
    frontend = build_frontend(source, options={source: options or {}})
    return source, frontend.sample_rate, frontend, None


def folder_name(folder: str) -> str:
    """A run's bundles are all called "bundle": the folder around it says which one it is."""
    path = Path(folder).resolve()
    return path.parent.name if path.name == "bundle" else path.name


def _filters(name: str, frontend) -> FilterSet:
    if not hasattr(frontend, "filters"):
        raise ValueError(
            f"frontend {name} has no filters: there is no centre frequency or bandwidth to show"
        )
    return frontend.filters()


def table(before: FilterSet, after: FilterSet | None, each: dict | None) -> list[str]:
    """A line per filter; with two banks also how far it moved."""
    if after is None:
        rows = zip(before.centre_hz, before.bandwidth_hz, strict=True)
        lines = [f"{k:6d}  {c:11.1f}  {b:14.1f}" for k, (c, b) in enumerate(rows, 1)]
        return ["filter  centre (Hz)  bandwidth (Hz)", *lines]
    lines = [
        "             centre (Hz)        bandwidth (Hz)             moved by",
        "filter    before     after    before     after       Hz     ERB  divergence",
    ]
    for k in range(len(before)):
        lines.append(
            f"{k + 1:6d}  {before.centre_hz[k]:8.1f}  {after.centre_hz[k]:8.1f}"
            f"  {before.bandwidth_hz[k]:8.1f}  {after.bandwidth_hz[k]:8.1f}"
            f" {each['centre_shift_hz'][k]:+8.1f} {each['centre_shift_erb'][k]:+7.3f}"
            f"  {each['divergence'][k]:10.4f}"
        )
    return lines


def summary(remark: str, moved: dict | None) -> list[str]:
    """What has to be known about the banks, and their mean displacement."""
    lines = [remark] if remark else []
    if moved is None:
        return lines
    lines += [
        "Mean absolute shift over the filters (largest):",
        "  centre      {centre_shift_hz:.2f} Hz ({centre_shift_hz_max:.2f}), "
        "{centre_shift_erb:.3f} ERB ({centre_shift_erb_max:.3f})".format(**moved),
        "  bandwidth   {bandwidth_shift_hz:.2f} Hz ({bandwidth_shift_hz_max:.2f})".format(**moved),
        f"  divergence  {moved['divergence']:.4f} ({moved['divergence_max']:.4f}), "
        "Jensen-Shannon of the power responses: 0 equal, 1 disjoint",
    ]
    if not any(value for key, value in moved.items() if key != "count"):
        lines.append("No filter moved at all.")
    elif moved["centre_shift_erb"] < UNMOVED_ERB and moved["divergence"] < UNMOVED_ERB**2:
        lines.append("The filters are, for hearing or a picture, where they were.")
    return lines


def bank_record(bank: FilterSet, what: str) -> dict:
    centres, widths = bank.centre_hz.tolist(), bank.bandwidth_hz.tolist()
    return {"what": what, "centre_hz": centres, "bandwidth_hz": widths}
