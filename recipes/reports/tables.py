"""Tables of results for a README: one table per protocol, data, corpus and experiment.

Accuracies of different protocols or data look alike and mean different things ("12-class Speech
Commands" alone is five test sets), so what may stand in one table is decided here and not by the
reader's care.
"""

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...processing.system.files import read_json, write_text
from . import robustness_table
from .columns import (
    COLUMNS,
    canonical,
    cell,
    expand,
    flat_options,
    has_content,
    heading,
    interval_unit,
    options_text,
)
from .printing import markdown_rows
from .results import RunResult, load_results

BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"


def group_results(results: Iterable[RunResult]) -> list[list[RunResult]]:
    """Split results into those that may stand in one table, in a fixed order.

    Together are runs of one task, data set, protocol, data digest, corpus and experiment.
    """
    groups: dict[str, list[RunResult]] = {}
    for result in results:
        groups.setdefault(_identity(result), []).append(result)
    return [groups[key] for key in sorted(groups)]


def markdown_table(
    results: Sequence[RunResult], columns: Sequence[str] = COLUMNS, bench: dict | None = None
) -> str:
    """One Markdown table: a row per frontend, encoder and options, test scores over seeds.

    A row of several seeds shows mean ± half of the 95 % t interval over seeds; a row of a single
    seed shows that run's bootstrap interval in parentheses and is marked with an asterisk.

    Arguments
    ---------
    results : results of one task, data set, protocol, data digest, corpus and experiment.
    columns : what to show: "scores" (the task's headline scores), "interval" (the headline's over
        the test set, its ends averaged over seeds), "centre_shift_hz", "centre_shift_erb",
        "bandwidth_shift_hz" and "divergence" (how far training moved the filters, mean over the
        runs), "forward" and "forward_backward" (the frontend's time relative to the bench's
        reference), "embeddings_per_s_1" and "embeddings_per_s_2" (the model's speed on so many
        threads), "seeds", "frontend_parameters", "parameters", "epochs", "wall_s"; any other name
        is a test score.
    bench : what `load_bench` gives; without one the columns of speed are empty.

    Raises
    ------
    ValueError
        No results; results that must not stand in one table (what differs is named); one seed
        twice in a row; a row whose runs have different numbers of parameters; a score that is
        not there.
    """
    groups = group_results(results)
    if not groups:
        raise ValueError("no results: a table needs at least one")
    if len(groups) > 1:
        raise ValueError(
            f"these results cannot stand in one table, they are of {len(groups)} kinds:\n  "
            + "\n  ".join(f"{len(group)} x {_identity(group[0])}" for group in groups)
            + "\nask for one table each (markdown_tables), or name results of one kind"
        )
    rows: dict[tuple, list[RunResult]] = {}
    for result in results:
        key = (result.frontend, result.encoder, canonical(result.options))
        rows.setdefault(key, []).append(result)
    common = _common_options([runs[0] for runs in rows.values()])
    options_differ = any(_without(result.options, common) for result in results)
    columns = expand(columns, results[0])
    columns = [name for name in columns if has_content(name, rows.values(), bench)]
    header = ["frontend", "encoder"] + ["options"] * options_differ
    header += [heading(name, results[0], bench) for name in columns]
    lines = []
    for own, runs in sorted(
        ((_without(runs[0].options, common), runs) for runs in rows.values()),
        key=lambda row: (row[1][0].frontend, row[1][0].encoder, bool(row[0]), canonical(row[0])),
    ):
        _check_row(runs)
        cells = [f"`{runs[0].frontend}`", f"`{runs[0].encoder}`"]
        cells += [options_text(own)] * options_differ
        cells += [cell(name, runs, bench) for name in columns]
        lines.append(cells)
    first_number = 2 + options_differ
    table = markdown_rows(header, lines, first_number)
    notes = []
    if common:
        notes.append(f"All with {options_text(common).replace('<br>', ', ')}.")
    if any(len(runs) > 1 for runs in rows.values()):
        notes.append("±: half of the 95 % t interval over seeds.")
    if "interval" in columns:
        notes.append(
            "The interval resamples the test set; its ends are means over the seeds' models."
        )
    if any(len(runs) == 1 for runs in rows.values()):
        over = {interval_unit(runs[0]) for runs in rows.values() if len(runs) == 1}
        units = " or ".join(sorted(f"{unit}s" for unit in over))
        notes.append(
            f"\\*: one seed; in parentheses the 95 % interval over the test set's {units}, which "
            "says nothing about other seeds."
        )
    return table + "\n\n" + " ".join(notes)


def markdown_tables(
    results: Sequence[RunResult],
    columns: Sequence[str] = COLUMNS,
    level: int = 3,
    bench: dict | None = None,
) -> str:
    """All results as Markdown: for each group a heading, its provenance, a table.

    Arguments
    ---------
    results : any results.
    columns, bench : as in `markdown_table`.
    level : level of the headings.
    """
    sections = []
    for group in group_results(results):
        heading = "#" * level + " " + _heading(group[0])
        sections.append(
            "\n\n".join([heading, _provenance(group), markdown_table(group, columns, bench)])
        )
    if not sections:
        raise ValueError("no results: a table needs at least one")
    return "\n\n".join(sections)


def robustness_sections(
    paths: str | os.PathLike | Iterable[str | os.PathLike], level: int = 3
) -> list[str]:
    """The robustness reports in or below folders as Markdown, in order of path.

    Raises
    ------
    ValueError
        A file that is no report of the suite.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    sections = []
    for path in map(Path, paths):
        for file in sorted(path.rglob("robustness.json")) if path.is_dir() else ():
            try:
                report = read_json(file)
                text = robustness_table.markdown(report).strip()
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{file} is no report of robustness: {error!r}") from None
            systems = ", ".join(f"`{name}`" for name in report["systems"])
            sections.append(
                f"{'#' * level} Robustness of {systems} (`{file.parent.name}`)\n\n{text}"
            )
    return sections


def update_readme(
    readme_path: str | os.PathLike,
    results_folder: str | os.PathLike | Iterable[str | os.PathLike],
    *,
    check: bool = False,
    columns: Sequence[str] = COLUMNS,
    bench: dict | None = None,
) -> bool:
    """Put the tables of all results between the two marker lines of a README.

    Arguments
    ---------
    readme_path : a Markdown file that holds the lines `<!-- results:begin -->` and
        `<!-- results:end -->` once each, in this order.
    results_folder : what `load_results` takes.
    columns, bench : as in `markdown_table`.
    check : write nothing, and raise when the README is not what the results generate.

    Returns
    -------
    Whether the README was changed.

    Raises
    ------
    ValueError
        No markers or more than one pair; unreadable results; with `check`, a README that differs
        (the difference is shown).
    """
    path = Path(readme_path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; name the README to update")
    with path.open(encoding="utf-8", newline="") as file:  # keeps the file's own line ends
        old = file.read()
    lines = old.splitlines()
    begins = [i for i, line in enumerate(lines) if line.strip() == BEGIN]
    ends = [i for i, line in enumerate(lines) if line.strip() == END]
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise ValueError(
            f"{path} must hold the line {BEGIN} once and after it the line {END} once; found "
            f"{len(begins)} and {len(ends)}"
        )
    tables = markdown_tables(load_results(results_folder), columns, bench=bench)
    tables = "\n\n".join([tables, *robustness_sections(results_folder)])
    new_lines = lines[: begins[0] + 1] + ["", *tables.splitlines(), ""] + lines[ends[0] :]
    newline = "\r\n" if "\r\n" in old else "\n"
    new = newline.join(new_lines) + (newline if old.endswith("\n") else "")
    if new == old:
        return False
    if check:
        difference = difflib.unified_diff(
            lines, new_lines, "as it is", "as the results say", lineterm="", n=1
        )
        raise ValueError(
            f"{path} does not show what the results say; write it again with: auricle table "
            f"RESULTS --readme {path}\n" + "\n".join(difference)
        )
    write_text(path, new)
    return True


def _identity(result: RunResult) -> str:
    """What two results must share to be compared, as text that is also fit for a message."""
    corpus = {name: result.corpus[name] for name in ("name", "synthetic", "complete")}
    shared = {
        "task": result.task,
        "dataset": result.dataset,
        "protocol": result.protocol,
        "data_digest": result.data_digest,
        "corpus": corpus,
        **({"experiment": result.experiment} if result.experiment else {}),
    }
    return ", ".join(f"{name}: {canonical(value)}" for name, value in shared.items())


def _check_row(runs: list[RunResult]) -> None:
    name = f"{runs[0].frontend} + {runs[0].encoder} {canonical(runs[0].options)}"
    seeds = [run.seed for run in runs]
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        raise ValueError(
            f"{name}: seed {repeated} occurs more than once, which would count one draw twice; "
            "leave out all but one of these runs, or record in options what sets them apart"
        )
    if any(run.params != runs[0].params for run in runs):
        raise ValueError(
            f"{name}: runs with the same options have different numbers of parameters "
            f"({[run.params for run in runs]}): they come from different code; train them again"
        )


def _common_options(runs: list[RunResult]) -> dict:
    """Options that all rows of an experiment's table share: said once and not in every row."""
    if len(runs) < 2 or runs[0].experiment is None:
        return {}
    options = [flat_options(run.options) for run in runs]
    return {
        key: value
        for key, value in options[0].items()
        if all(key in own and own[key] == value for own in options)
    }


def _without(options: dict, common: dict) -> dict:
    return {key: value for key, value in flat_options(options).items() if key not in common}


def _heading(result: RunResult) -> str:
    protocol = result.protocol
    name = protocol if isinstance(protocol, str) else protocol.get("name", canonical(protocol))
    if result.corpus["synthetic"]:
        corpus = "synthetic mini corpus, not a benchmark result"
    else:
        known = {True: "complete", False: "incomplete", None: "completeness not known"}
        corpus = f"corpus `{result.corpus['name']}` ({known[result.corpus['complete']]})"
    experiment = f", experiment `{result.experiment}`" if result.experiment else ""
    return f"{result.dataset}, protocol `{name}`: {corpus}{experiment}"


def _provenance(group: list[RunResult]) -> str:
    """Where the numbers of a table come from; what differs between its runs is listed."""
    first = group[0]
    sentences = []
    if not isinstance(first.protocol, str):
        rest = {name: value for name, value in first.protocol.items() if name != "name"}
        sentences += [f"Protocol: {options_text(rest).replace('<br>', ', ')}."] if rest else []
    if not first.corpus["synthetic"] and first.corpus["complete"] is False:
        sentences.append("Part of the corpus only: not comparable with published results.")
    shared = [f"{count:,} {what}" for what, count in first.corpus.get("overlap", {}).items()]
    if shared:
        sentences.append(f"Recordings that splits share: {'; '.join(shared)}.")
    items = sorted({run.metrics["test"]["n"] for run in group if "n" in run.metrics["test"]})
    if items:
        sentences.append(f"Test items: {', '.join(f'{n:,}' for n in items)}.")
    sentences.append(f"Data digest: `{first.data_digest[:16]}`.")
    packages = sorted({name for run in group for name in run.versions}, key=_package_order)
    versions = [
        f"{name} {' and '.join(sorted({str(run.versions.get(name)) for run in group}))}"
        for name in packages
    ]
    sentences.append(f"Versions: {', '.join(versions)}.")
    commits = sorted({_commit_text(run.git_commit) for run in group})
    sentences.append(f"Code: {', '.join(commits)}.")
    sentences.append(f"Device: {', '.join(sorted({run.device for run in group}))}.")
    days = sorted({run.started[:10] for run in group})
    sentences.append(f"Trained: {days[0]}" + (f" to {days[-1]}." if len(days) > 1 else "."))
    return " ".join(sentences)


def _package_order(name: str) -> tuple[int, str]:
    order = ["auricle", "python", "torch", "torchaudio", "speechbrain"]
    return (order.index(name) if name in order else len(order), name)


def _commit_text(commit: str | None) -> str:
    if commit is None:
        return "commit not known"
    return f"`{commit[:10]}`" + (" with changes" if commit.endswith("+dirty") else "")
