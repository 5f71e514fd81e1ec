"""Tables of results for a README: one table per protocol, data, corpus and experiment.

Accuracies of different protocols or data look alike and mean different things ("12-class Speech
Commands" alone is five test sets), so what may stand in one table is decided here and not by the
reader's care.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..processing.scoring.bootstrap import seed_interval
from .results import RunResult, load_results

BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"

# How a score is shown: heading, factor, decimals. A score that is not here is shown as it is.
_SHOWN = {"accuracy": ("accuracy (%)", 100.0, 1), "macro_f1": ("macro F1 (%)", 100.0, 1)}

#: What else can be a column; a column that is empty in a whole table is left out of it.
_HEADINGS = {
    "centre_shift_hz": "centres moved (Hz)",
    "centre_shift_erb": "centres moved (ERB)",
    "bandwidth_shift_hz": "bandwidths moved (Hz)",
    "divergence": "divergence",
    "forward": "forward / {reference}",
    "forward_backward": "forward + backward / {reference}",
    "seeds": "seeds",
    "frontend_parameters": "frontend's parameters",
    "parameters": "parameters (frontend + encoder + head)",
    "epochs": "epochs",
    "wall_s": "time per run",
}
_DECIMALS = {"centre_shift_hz": 1, "centre_shift_erb": 3, "bandwidth_shift_hz": 1, "divergence": 4}
_TIMES = ("forward", "forward_backward")
COLUMNS = (
    "accuracy",
    "macro_f1",
    "centre_shift_hz",
    "centre_shift_erb",
    "divergence",
    "forward",
    "forward_backward",
    "seeds",
    "parameters",
    "epochs",
    "wall_s",
)


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
    columns : what to show: "centre_shift_hz", "centre_shift_erb", "bandwidth_shift_hz" and
        "divergence" (how far training moved the filters, mean over the runs), "forward" and
        "forward_backward" (the frontend's time relative to the bench's reference), "seeds",
        "frontend_parameters", "parameters", "epochs", "wall_s"; any other name is a test score.
    bench : what `load_bench` gives; without one the two columns of time are empty.

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
        key = (result.frontend, result.encoder, _canonical(result.options))
        rows.setdefault(key, []).append(result)
    common = _common_options([runs[0] for runs in rows.values()])
    options_differ = any(set(result.options) - set(common) for result in results)
    columns = [name for name in columns if _has_content(name, rows.values(), bench)]
    reference = f"`{bench['reference']}`" if bench else ""
    header = ["frontend", "encoder"] + ["options"] * options_differ
    header += [
        _HEADINGS[name].format(reference=reference)
        if name in _HEADINGS
        else _SHOWN.get(name, (name,))[0]
        for name in columns
    ]
    lines = []
    for own, runs in sorted(
        ((_without(runs[0].options, common), runs) for runs in rows.values()),
        key=lambda row: (row[1][0].frontend, row[1][0].encoder, bool(row[0]), _canonical(row[0])),
    ):
        _check_row(runs)
        cells = [f"`{runs[0].frontend}`", f"`{runs[0].encoder}`"]
        cells += [_options_text(own)] * options_differ
        cells += [_cell(name, runs, bench) for name in columns]
        lines.append(cells)
    first_number = 2 + options_differ
    rule = ["---" if i < first_number else "---:" for i in range(len(header))]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *lines])
    notes = []
    if common:
        notes.append(f"All with {_options_text(common).replace('<br>', ', ')}.")
    if any(len(runs) > 1 for runs in rows.values()):
        notes.append("±: half of the 95 % t interval over seeds.")
    if any(len(runs) == 1 for runs in rows.values()):
        over = {_interval_unit(runs[0]) for runs in rows.values() if len(runs) == 1}
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
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(new)
    return True


def _identity(result: RunResult) -> str:
    """What two results must share to be compared, as text that is also fit for a message."""
    corpus = {name: result.corpus[name] for name in ("name", "synthetic", "complete")}
    return _canonical(
        {
            "task": result.task,
            "dataset": result.dataset,
            "protocol": result.protocol,
            "data_digest": result.data_digest,
            "corpus": corpus,
            **({"experiment": result.experiment} if result.experiment else {}),
        },
        sort=False,
    )


def _canonical(value, sort: bool = True) -> str:
    if not sort:  # the fields in their own order, everything below sorted
        return ", ".join(f"{name}: {_canonical(inner)}" for name, inner in value.items())
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _check_row(runs: list[RunResult]) -> None:
    name = f"{runs[0].frontend} + {runs[0].encoder} {_canonical(runs[0].options)}"
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


def _score(run: RunResult, score: str) -> float:
    value = run.metrics["test"].get(score)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(
            f"{run.frontend} + {run.encoder}, seed {run.seed}: the test metrics hold no number "
            f"{score!r}; they hold {sorted(run.metrics['test'])}"
        )
    return value


def _score_text(runs: list[RunResult], score: str) -> str:
    _, factor, decimals = _SHOWN.get(score, (score, 1.0, 3))
    values = [factor * _score(run, score) for run in runs]
    if len(values) > 1:
        mean, half_width = seed_interval(values)
        return f"{mean:.{decimals}f} ± {half_width:.{decimals}f}"
    interval = runs[0].metrics["test"].get("interval", {}).get(score)
    if interval is None:
        return f"{values[0]:.{decimals}f} (no interval)\\*"
    low, high = (factor * bound for bound in interval)
    return f"{values[0]:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})\\*"


def load_bench(path: str | os.PathLike) -> dict:
    """Times of frontends, as tests/bench/frontends.py writes them.

    Returns
    -------
    dict with "reference" (a frontend's name) and "frontends", a list of {"frontend", "options",
    "forward", "forward_backward"}, times relative to the reference.

    Raises
    ------
    ValueError
        No such file, or one of another kind.
    """
    try:
        bench = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(bench["reference"], str):
            raise TypeError("reference")
        for row in bench["frontends"]:
            _ = row["frontend"], row["options"], [float(row[name]) for name in _TIMES]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no bench of frontends ({error!r}); tests/bench/frontends.py writes one"
        ) from None
    return bench


def _common_options(runs: list[RunResult]) -> dict:
    """Options that all rows of an experiment's table share: said once and not in every row."""
    if len(runs) < 2 or runs[0].experiment is None:
        return {}
    return {
        key: value
        for key, value in runs[0].options.items()
        if all(key in run.options and run.options[key] == value for run in runs)
    }


def _without(options: dict, common: dict) -> dict:
    return {key: value for key, value in options.items() if key not in common}


def _has_content(name: str, rows: Iterable[list[RunResult]], bench: dict | None) -> bool:
    return name not in (*_DECIMALS, *_TIMES) or any(_cell(name, runs, bench) for runs in rows)


def _cell(name: str, runs: list[RunResult], bench: dict | None) -> str:
    """Text of a row's cell; empty where there is nothing to say."""
    first = runs[0]
    if name in _DECIMALS:
        moved = [run.filters[name] for run in runs if run.filters and name in run.filters]
        # What has no parameter cannot move, and 0.0 would look like something that did not.
        if not moved or not first.params["frontend"]:
            return ""
        return f"{sum(moved) / len(moved):.{_DECIMALS[name]}f}"
    if name in _TIMES:
        options = first.options.get("frontend_options") or {}
        for row in bench["frontends"] if bench else ():
            if row["frontend"] == first.frontend and row["options"] == options:
                return f"{row[name]:.1f}"
        return ""
    if name == "wall_s":
        return _duration_text(sum(run.wall_s for run in runs) / len(runs))
    own = {
        "seeds": lambda: str(len(runs)),
        "frontend_parameters": lambda: f"{first.params['frontend']:,}",
        "parameters": lambda: _params_text(first.params),
        "epochs": lambda: _range_text(runs),
    }
    return own[name]() if name in own else _score_text(runs, name)


def _interval_unit(run: RunResult) -> str:
    return run.metrics["test"].get("interval", {}).get("over", "item")


def _options_text(options: dict) -> str:
    """{"encoder": {"bcresnet": {"tau": 2}}} as `encoder.bcresnet.tau=2`, one per option."""
    flat: list[str] = []

    def walk(prefix: str, value) -> None:
        if isinstance(value, dict) and value:
            for key in sorted(value):
                walk(f"{prefix}.{key}" if prefix else key, value[key])
        else:
            text = value if isinstance(value, str) else _canonical(value)
            flat.append(f"`{prefix}={text}`".replace("|", "\\|"))

    walk("", options) if options else None
    return "<br>".join(flat)


def _params_text(params: dict) -> str:
    parts = [params["frontend"], params["encoder"], params["head"]]
    return f"{sum(parts):,} ({' + '.join(f'{part:,}' for part in parts)})"


def _range_text(runs: list[RunResult]) -> str:
    low, high = min(run.epochs for run in runs), max(run.epochs for run in runs)
    return str(low) if low == high else f"{low} to {high}"


def _duration_text(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _heading(result: RunResult) -> str:
    protocol = result.protocol
    name = protocol if isinstance(protocol, str) else protocol.get("name", _canonical(protocol))
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
        sentences += [f"Protocol: {_options_text(rest).replace('<br>', ', ')}."] if rest else []
    if not first.corpus["synthetic"] and first.corpus["complete"] is False:
        sentences.append("Part of the corpus only: not comparable with published results.")
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
