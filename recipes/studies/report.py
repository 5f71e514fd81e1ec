"""The report of a study: one page without a network, and the same as Markdown."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

from ...processing.plots.study import curves_of_seeds, score_against_cost, svg
from ...processing.system.files import write_text
from ...processing.system.version import __version__
from ..reports.printing import markdown_rows
from .running import duration, run_folders
from .store import Store
from .study import Study
from .summary import (
    Difference,
    Group,
    Summary,
    columns_of,
    differences,
    doubts,
    published,
    summarize,
)

#: More cells have no picture of their own in the page.
_MOST_PICTURES, _MOST_CURVES = 24, 60


@dataclass
class Grid:
    """A table of the report: rows of text, the first of each its name."""

    title: str
    header: list[str]
    rows: list[list[str]]
    note: str = ""


@dataclass
class Page:
    """What both forms of the report show."""

    title: str
    question: str
    facts: list[tuple[str, str]]
    findings: list[str]
    doubts: list[str]
    grids: list[Grid]
    figures: list[tuple[str, str, str]] = field(default_factory=list)  # title, SVG, in words
    pictures: list[tuple[str, str]] = field(default_factory=list)  # title, data of a PNG
    failures: list[tuple[str, str]] = field(default_factory=list)
    version: str = __version__


def write_report(study: Study, store: Store) -> tuple[Path, Path]:
    """Write `report.html` and `report.md` into a study's folder; returns their paths.

    Raises
    ------
    ValueError
        No cell is done; a result that cannot be read.
    """
    from jinja2 import Environment

    summary = summarize(study, store)
    if not summary.runs:
        raise ValueError(f"no cell of {study.name} is done in {store.folder}: run it first")
    page = make_page(summary, store)
    template = (Path(__file__).parent / "report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    html = environment.from_string(template).render(page=page)
    return (
        write_text(store.folder / "report.html", html),
        write_text(store.folder / "report.md", markdown(page)),
    )


def make_page(summary: Summary, store: Store) -> Page:
    """Everything that the report says, as text and figures."""
    study = summary.study
    compared = differences(summary)
    page = Page(
        title=study.name.replace("_", " "),
        question=study.about,
        facts=_facts(summary),
        findings=[_finding(summary, difference) for difference in compared],
        doubts=doubts(summary),
        grids=[_cells(summary), *_published(summary)],
        failures=[
            (store_name, words)
            for group in summary.groups
            for seed, words in group.failures.items()
            for store_name in [group.names[seed]]
        ],
    )
    if compared:
        page.grids.insert(1, _differences(summary, compared))
    _draw(page, summary)
    _add_pictures(page, summary, store)
    return page


def markdown(page: Page) -> str:
    """The report as Markdown; figures are in the page alone."""
    parts = [f"# {page.title}", page.question]
    parts += ["\n".join(f"- {name}: {value}" for name, value in page.facts)]
    if page.findings:
        parts += ["## Findings", "\n".join(f"- {text}" for text in page.findings)]
    if page.doubts:
        parts += ["## Reasons to doubt", "\n".join(f"- {text}" for text in page.doubts)]
    for grid in page.grids:
        rows = [[text.replace("|", "\\|").replace("\n", " ") for text in row] for row in grid.rows]
        parts += [f"## {grid.title}", markdown_rows(grid.header, rows), grid.note]
    for name, words in page.failures:
        parts += [f"Failed: `{name}`", "\n".join(f"    {line}" for line in words.splitlines())]
    parts.append(f"Figures: report.html. Written by auricle {page.version}.")
    return "\n\n".join(part for part in parts if part) + "\n"


# -- texts -----------------------------------------------------------------------------------------


def _number(summary: Summary, value: float, sign: bool = False) -> str:
    return f"{value:{'+' if sign else ''}.{summary.shown.decimals}f}"


def _measured(summary: Summary, measured) -> str:
    if measured is None:
        return "not run"
    mean, half = measured
    text = _number(summary, mean)
    return f"{text} ± {_number(summary, half)}" if half is not None else f"{text} (one seed)"


def _facts(summary: Summary) -> list[tuple[str, str]]:
    study, runs = summary.study, summary.runs
    first = runs[0]
    protocol = first.protocol
    name = protocol if isinstance(protocol, str) else str(protocol.get("name", "its own"))
    kind = "synthetic" if first.corpus["synthetic"] else "real"
    facts = [
        ("recipe", study.recipe),
        ("data", f"{first.dataset}, {first.corpus['name']} ({kind}), protocol {name}"),
        ("data digest", first.data_digest[:16]),
        ("score", f"{summary.shown.heading} of the test set"),
        ("runs", f"{len(runs)} of {len(summary.groups) * len(study.seeds)}"),
        ("seeds", ", ".join(map(str, study.seeds))),
    ]
    if study.experiment:
        facts.append(("experiment", study.experiment))
    if study.fixed:
        hidden = {key: value for key, value in study.fixed.items() if not key.endswith("_folder")}
        facts.append(("fixed", ", ".join(f"{key} {value}" for key, value in hidden.items())))
    versions = {f"{name} {version}" for run in runs for name, version in run.versions.items()}
    facts.append(("versions", ", ".join(sorted(versions))))
    facts.append(("devices", ", ".join(sorted({run.device for run in runs}))))
    facts.append(("training", duration(sum(run.wall_s for run in runs)) + " in all"))
    return facts


def _finding(summary: Summary, difference: Difference) -> str:
    text = f"{difference.name} − {difference.baseline}: {_number(summary, difference.difference, True)}"
    if difference.low is None:
        return f"{text} (one seed: nothing is known of its interval)"
    ends = " to ".join(_number(summary, end) for end in (difference.low, difference.high))
    verdict = {None: "no difference shown", True: "better", False: "worse"}[difference.better]
    if difference.better is not None and (difference.corrected or 0) >= 0.05:
        verdict += " by itself, but not after correction for all comparisons"
    return f"{text} (95 % interval {ends}, {difference.seeds} seeds): {verdict}"


def _differences(summary: Summary, compared: list[Difference]) -> Grid:
    rows = []
    for d in compared:
        interval = (
            "" if d.low is None else f"{_number(summary, d.low)} to {_number(summary, d.high)}"
        )
        values = ["" if p is None else f"{p:.3f}" for p in (d.p_value, d.corrected)]
        change = _number(summary, d.difference, True)
        rows.append([d.name, d.baseline, str(d.seeds), change, interval, *values])
    return Grid(
        "Differences from the baseline",
        ["cell", "baseline", "seeds", summary.shown.heading, "95 % interval", "p", "p (Holm)"],
        rows,
        "Runs of one seed are compared with one another; interval and p are of Student's t over "
        f"seeds, the last column corrects for {len(compared)} comparisons. What is drawn again is "
        "the training, not the test set.",
    )


def _cells(summary: Summary) -> Grid:
    header = [*summary.study.axes, summary.shown.heading, "seeds", "parameters", "epochs"]
    header += ["time per run", "s of audio per s", "peak memory"]
    rows = [_cell_row(summary, group) for group in summary.groups]
    note = "±: half of the 95 % t interval over seeds." if len(summary.study.seeds) > 1 else ""
    return Grid("Every cell", header, rows, note)


def _cell_row(summary: Summary, group: Group) -> list[str]:
    row = [*group.labels.values(), _measured(summary, summary.interval(group))]
    row.append(f"{len(group.runs)} of {len(group.states)}")
    if not group.runs:
        return row + [""] * 5
    first = next(iter(group.runs.values()))
    low, high = (f(run.epochs for run in group.runs.values()) for f in (min, max))
    memory = group.mean(lambda run: run.memory and run.memory["peak_bytes"])
    return [
        *row,
        f"{sum(first.params.values()):,}",
        str(low) if low == high else f"{low} to {high}",
        duration(group.mean(lambda run: run.wall_s)),
        f"{group.mean(lambda run: run.audio_s_per_s):,.0f}",
        f"{memory / 2**30:.1f} GiB" if memory else "",
    ]


def _published(summary: Summary) -> list[Grid]:
    """Each published table in its own layout: published, measured, verdict."""
    grids = []
    for table in summary.study.tables:
        columns, rows = columns_of(table), []
        for label, cells in zip(table.values, published(summary, table), strict=True):
            row = [label]
            for cell in cells:
                if cell["published"] is None and cell["measured"] is None:
                    row.append("")
                    continue
                here = _measured(summary, cell["measured"])
                there = "–" if cell["published"] is None else f"{cell['published']:g}"
                row.append(
                    f"{there} | {here}" + (f" ({cell['verdict']})" if cell["verdict"] else "")
                )
            rows.append(row)
        if any(group.labels.get(table.rows) in table.values for group in summary.groups):
            note = f"Published | measured here (verdict). Source: {table.source or 'not given'}."
            grids.append(
                Grid(
                    table.title,
                    [table.rows, *(c or summary.shown.heading for c in columns)],
                    rows,
                    note,
                )
            )
    return grids


# -- figures ---------------------------------------------------------------------------------------


def _draw(page: Page, summary: Summary) -> None:
    shown, key = summary.shown, summary.score
    curves = {}
    for group in summary.groups[:_MOST_CURVES]:
        seeds = [
            [shown.factor * record["valid"][key] for record in epochs if key in record["valid"]]
            for epochs in group.histories.values()
        ]
        if any(seeds):
            curves[group.text] = [values for values in seeds if values]
    if curves:
        figure = curves_of_seeds(curves, f"validation {shown.heading}")
        words = "; ".join(
            f"{name} ends at {', '.join(_number(summary, values[-1]) for values in seeds)}"
            for name, seeds in curves.items()
        )
        page.figures.append(("Validation, a line per seed", svg(figure, "curves"), words))
    for title, label, cost in (
        ("Score against size", "parameters", lambda run: sum(run.params.values())),
        ("Score against time", "time per run (s)", lambda run: run.wall_s),
    ):
        points = {}
        for group in summary.groups:
            measured = summary.interval(group)
            if measured is not None and (value := group.mean(cost)):
                points[group.text] = (value, *measured)
        if points:
            figure = score_against_cost(points, label, f"test {shown.heading}")
            words = "; ".join(
                f"{name}: {value:,.0f} {label}, {_number(summary, mean)}"
                for name, (value, mean, _) in points.items()
            )
            page.figures.append((title, svg(figure, label.split()[0]), words))


def _add_pictures(page: Page, summary: Summary, store: Store) -> None:
    """The learned filters of each cell's first run, as its run has drawn them."""
    for group in summary.groups[:_MOST_PICTURES]:
        for seed, run in group.runs.items():
            folders = run_folders(store, group.names[seed])
            paths = (folder / "learned_filters.png" for folder in folders)
            path = next((path for path in paths if path.is_file()), None)
            if run.filters and run.params["frontend"] and path:
                data = base64.b64encode(path.read_bytes()).decode()
                moved = run.filters["centre_shift_hz"]
                title = f"{group.text}, seed {seed}: centres moved by {moved:.1f} Hz on average"
                page.pictures.append((title, data))
            break
