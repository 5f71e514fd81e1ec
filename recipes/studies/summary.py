"""What the runs of a study amount to: scores over seeds, paired differences, costs, doubts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scipy.special import stdtr

from ...lobes.registry import LobeError
from ...lobes.tasks import Score, find_task
from ...processing.scoring.bootstrap import seed_interval, t_quantile
from ...processing.scoring.paired import holm
from ..reports.results import RESULTS_NAME, RunResult, load_results
from .running import history
from .store import Store
from .study import Study, Table


@dataclass
class Group:
    """The runs of one cell, over its seeds.

    Attributes
    ----------
    labels : dict, axis -> label
    runs, histories, states : dict, seed -> result, records of epochs, state
    names : dict, seed -> name of the cell's folder
    failures : dict, seed -> last words
    epochs : int or None, what was asked for
    """

    labels: Mapping[str, str]
    epochs: int | None
    runs: dict[int, RunResult] = field(default_factory=dict)
    histories: dict[int, list[dict]] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return ", ".join(self.labels.values()) or "the only cell"

    def values(self, score: str, shown: Score) -> dict[int, float]:
        """The test score of each seed, as a table shows it."""
        values = {seed: run.metrics["test"].get(score) for seed, run in self.runs.items()}
        return {s: shown.factor * v for s, v in values.items() if isinstance(v, (int, float))}

    def mean(self, value) -> float | None:
        """Mean over the runs of what a function says of each; None where it says nothing."""
        values = [v for v in map(value, self.runs.values()) if v is not None]
        return math.fsum(values) / len(values) if values else None


@dataclass(frozen=True)
class Difference:
    """A cell minus the baseline, seed by seed.

    Attributes
    ----------
    difference, low, high : in the unit of the report; the ends are None with one seed
    p_value, corrected : two-sided, of Student's t; and after Holm over all differences
    better : whether the interval leaves out 0 on the good side; None: it holds 0, or is not known
    """

    name: str
    baseline: str
    seeds: int
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    corrected: float | None = None
    better: bool | None = None


@dataclass
class Summary:
    """Everything that the report of a study shows.

    Attributes
    ----------
    score : str, name of the headline score; shown : how it is shown
    higher_is_better : bool
    """

    study: Study
    groups: list[Group]
    score: str
    shown: Score
    higher_is_better: bool

    @property
    def runs(self) -> list[RunResult]:
        return [run for group in self.groups for run in group.runs.values()]

    @property
    def baseline(self) -> Mapping[str, str]:
        """The study's, or the first value of its first axis."""
        if self.study.baseline or not self.study.axes:
            return self.study.baseline
        axis, labels = next(iter(self.study.axes.items()))
        return {axis: next(iter(labels))}

    def interval(self, group: Group) -> tuple[float, float | None] | None:
        """Mean over seeds and half of its 95 % interval, None with one seed; None without a run."""
        values = [*group.values(self.score, self.shown).values()]
        if len(values) > 1:
            return seed_interval(values)
        return (values[0], None) if values else None


def summarize(study: Study, store: Store) -> Summary:
    """Read all results of a study.

    Raises
    ------
    ValueError
        A result that cannot be read.
    """
    cells = study.cells()
    states = store.states(cells)
    groups: dict[tuple, Group] = {}
    for cell in cells:
        key = tuple(cell.labels.items())
        if key not in groups:
            groups[key] = Group(cell.labels, study.settings(cell, "number_of_epochs")[0])
        group, seed, name = groups[key], cell.seed, cell.name
        group.states[seed], group.names[seed] = states[name], name
        if states[name] == "done":
            (group.runs[seed],) = load_results(store.run(name) / RESULTS_NAME)
            group.histories[seed] = history(store, name).get("epochs", [])
        elif states[name] == "failed":
            group.failures[seed] = str(store.failure(name).get("words", ""))
    runs = [run for group in groups.values() for run in group.runs.values()]
    score, shown, higher = study.score, Score(study.score), True
    if runs:
        try:
            task = find_task(runs[0].task)
            score = score or task.headline
            shown, higher = task.scores.get(score, Score(score)), task.higher_is_better
        except LobeError:
            score = score or next(iter(runs[0].metrics["test"]))
            shown = Score(score)
    return Summary(study, [*groups.values()], score, shown, higher)


def differences(summary: Summary) -> list[Difference]:
    """Every cell against the one that differs from it in having the baseline's labels alone."""
    baseline = summary.baseline
    by_labels = {tuple(group.labels.items()): group for group in summary.groups}
    found = []
    for group in summary.groups:
        other = by_labels.get(tuple({**group.labels, **baseline}.items()))
        if other is None or other is group:
            continue
        mine, theirs = (g.values(summary.score, summary.shown) for g in (group, other))
        by_seed = [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]
        if by_seed:
            found.append(_difference(group, other, by_seed))
    tested = [d for d in found if d.p_value is not None]
    corrected = dict(zip(map(id, tested), holm([d.p_value for d in tested]), strict=True))
    sign = 1 if summary.higher_is_better else -1
    return [
        Difference(
            **{
                **vars(d),
                "corrected": corrected.get(id(d)),
                "better": None
                if d.low is None or d.low <= 0 <= d.high
                else bool(sign * d.difference > 0),
            }
        )
        for d in found
    ]


def _difference(group: Group, other: Group, by_seed: Sequence[float]) -> Difference:
    number = len(by_seed)
    mean = math.fsum(by_seed) / number
    low = high = p_value = None
    if number > 1:
        spread = math.sqrt(math.fsum((x - mean) ** 2 for x in by_seed) / (number - 1))
        error = spread / math.sqrt(number)
        half = t_quantile(number - 1) * error
        low, high = mean - half, mean + half
        if error > 0:
            p_value = float(2 * stdtr(number - 1, -abs(mean / error)))
    return Difference(group.text, other.text, number, mean, low, high, p_value)


def published(summary: Summary, table: Table) -> list[list[dict]]:
    """The cells of a published table, row by row: {"published", "measured", "verdict"}.

    The verdict is "inside" where the published value lies in the interval over seeds, "outside", or
    "not comparable" and why; "" where nothing is published.
    """
    by_labels = {tuple(sorted(group.labels.items())): group for group in summary.groups}
    columns = columns_of(table)
    rows = []
    for row, values in table.values.items():
        cells = []
        for column in columns:
            labels = {**table.where, table.rows: row}
            labels |= {table.columns: column} if table.columns else {}
            group = by_labels.get(tuple(sorted(labels.items())))
            measured = summary.interval(group) if group else None
            value = values.get(column)
            verdict = _verdict(table, group, measured, value) if value is not None else ""
            cells.append({"published": value, "measured": measured, "verdict": verdict})
        rows.append(cells)
    return rows


def columns_of(table: Table) -> list[str]:
    """Labels of the columns of a published table, in their order."""
    return list(dict.fromkeys(column for row in table.values.values() for column in row))


def _verdict(table: Table, group: Group | None, measured, value: float) -> str:
    if measured is None:
        return "not run"
    if any(run.corpus["synthetic"] for run in group.runs.values()):
        return "not comparable: a synthetic corpus"
    if any(run.corpus.get("complete") is False for run in group.runs.values()):
        return "not comparable: part of the corpus"
    if table.not_comparable:
        return f"not comparable: {table.not_comparable}"
    mean, half = measured
    if half is None:
        return "not comparable: one seed"
    return "inside" if abs(value - mean) <= half else "outside"


def doubts(summary: Summary) -> list[str]:
    """What would let a reader doubt the numbers."""
    runs, groups = summary.runs, summary.groups
    said = []
    if any(run.corpus["synthetic"] for run in runs):
        said.append("The corpus is synthetic: these numbers say nothing about recordings.")
    lacking = {}
    for group in groups:
        for state in group.states.values():
            if state != "done":
                lacking[state] = lacking.get(state, 0) + 1
    if lacking:
        parts = ", ".join(f"{count} {state}" for state, count in lacking.items())
        said.append(f"Not all runs are done: {parts}.")
    for what, values in (
        ("auricle's versions", {str(run.versions.get("auricle")) for run in runs}),
        ("torch's versions", {str(run.versions.get("torch")) for run in runs}),
        ("commits of auricle", {str(run.git_commit)[:10] for run in runs}),
        ("devices", {run.device for run in runs}),
        ("digests of the data", {run.data_digest[:10] for run in runs}),
    ):
        if len(values) > 1:
            said.append(f"The runs differ in {what}: {', '.join(sorted(values))}.")
    if any(str(run.git_commit).endswith("+dirty") for run in runs):
        said.append("Some runs are of code that is in no commit.")
    if runs and len(summary.study.seeds) < 3:
        said.append(
            "Fewer than three seeds: what differs between two runs of one cell is hardly known."
        )
    said += [f"{group.text}: {text}" for group in groups for text in _doubts_of(group)]
    return said


def _doubts_of(group: Group) -> list[str]:
    said = []
    runs = group.runs.values()
    stopped = [run.epochs for run in runs if group.epochs and run.epochs < group.epochs]
    if stopped:
        said.append(
            f"{len(stopped)} of {len(runs)} runs stopped early, after {min(stopped)} epochs."
        )
    best = [run.metrics["valid"].get("epoch") for run in runs]
    last = [epoch for epoch, run in zip(best, runs, strict=True) if epoch == run.epochs > 1]
    if last and len(last) * 2 > len(best):
        said.append(
            f"the best epoch is the last in {len(last)} of {len(best)} runs: longer training may help."
        )
    if len({str(run.params) for run in runs}) > 1:
        said.append("its runs have different numbers of parameters: they are of different code.")
    return said
