"""Contenders timed in turn, numbers held against goals, and the report that a benchmark prints."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import torch

from auricle.recipes.reports.results import collect_versions


class Row(NamedTuple):
    """A number and its goal: measured once, or in each of several rounds."""

    what: str
    values: list[float]
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_missed(self) -> bool:
        """By more than the spread: in every round."""
        return (self.at_most is not None and min(self.values) > self.at_most) or (
            self.at_least is not None and max(self.values) < self.at_least
        )

    def cells(self) -> str:
        value, least, most = (f(self.values) for f in (statistics.median, min, max))
        spread = f" ({least:.3g} to {most:.3g})" if len(self.values) > 1 else ""
        goal = "" if self.at_least is None else f"at least {self.at_least:g} {self.unit}"
        goal = goal if self.at_most is None else f"at most {self.at_most:g} {self.unit}"
        return f"| {self.what} | {value:.3g} {self.unit}{spread} | {goal.strip()} |"


def clock(step) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def in_turn(steps: dict, rounds: int) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Seconds of each step in a first round, and in the later rounds."""
    first = {name: clock(step) for name, step in steps.items()}
    later: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            later[name].append(clock(step))
    return first, later


def medians(steps: dict, rounds: int) -> dict[str, float]:
    return {name: statistics.median(times) for name, times in in_turn(steps, rounds)[1].items()}


def ratios(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def machine() -> str:
    versions = ", ".join(f"{name} {number}" for name, number in collect_versions().items())
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, load "
        f"{os.getloadavg()[0]:.1f}; {versions}"
    )


def report(title: str, script: str, notes, rows: list[Row], more=()) -> str:
    lines = [f"# {title}", "", f"Written by `tests/bench/{Path(script).name}`.", ""]
    lines += [f"- {note}" for note in (machine(), *notes)]
    lines += ["", "| | measured | goal |", "| --- | ---: | ---: |", *(row.cells() for row in rows)]
    missed = "; ".join(row.what for row in rows if row.is_missed)
    lines += ["", f"Missed by more than the spread: {missed or 'nothing'}.", *more]
    return "\n".join(lines) + "\n"


def new_parser(doc: str, rounds: int = 5) -> argparse.ArgumentParser:
    """What every benchmark takes; a script adds its own."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--report", type=Path, help="where the report goes (Markdown)")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"counted; default: {rounds}")
    return parser


def finish(text: str, path: Path | None, rows: list[Row] = ()) -> int:
    """Print and keep a report; the exit code is 1 when a goal is missed."""
    print(text)
    if path:
        path.write_text(text, encoding="utf-8")
    return int(any(row.is_missed for row in rows))
