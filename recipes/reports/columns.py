"""Columns of tables of results: scores, sizes, times, how far filters moved."""

import json
import os
from collections.abc import Iterable, Sequence

from ...lobes.registry import LobeError
from ...lobes.tasks import Score, find_task
from ...processing.scoring.bootstrap import seed_interval
from ...processing.system.files import read_json
from .results import RunResult

#: What else can be a column; a column that is empty in a whole table is left out of it.
_HEADINGS = {
    "interval": "95 % interval over {unit}s",
    "centre_shift_hz": "centres moved (Hz)",
    "centre_shift_erb": "centres moved (ERB)",
    "bandwidth_shift_hz": "bandwidths moved (Hz)",
    "divergence": "divergence",
    "forward": "forward / {reference}",
    "forward_backward": "forward + backward / {reference}",
    "embeddings_per_s_1": "embeddings/s, 1 thread",
    "embeddings_per_s_2": "embeddings/s, 2 threads",
    "seeds": "seeds",
    "frontend_parameters": "frontend's parameters",
    "parameters": "parameters (frontend + encoder + head)",
    "epochs": "epochs",
    "wall_s": "time per run",
    "epoch_s": "time per epoch",
    "songs_per_s": "songs of training/s, validation included",
    "peak_memory": "peak memory",
}
#: Columns that may have nothing to say.
_SPARSE = ("epoch_s", "songs_per_s", "peak_memory")
_MOVED = {"centre_shift_hz": 1, "centre_shift_erb": 3, "bandwidth_shift_hz": 1, "divergence": 4}
#: Columns that a bench measures, with their decimals.
_BENCH = {"forward": 1, "forward_backward": 1, "embeddings_per_s_1": 0, "embeddings_per_s_2": 0}
COLUMNS = (
    "scores",
    "centre_shift_hz",
    "centre_shift_erb",
    "divergence",
    "forward",
    "forward_backward",
    "embeddings_per_s_1",
    "embeddings_per_s_2",
    "seeds",
    "parameters",
    "epochs",
    "wall_s",
)


def expand(columns: Sequence[str], run: RunResult) -> list[str]:
    """The columns with "scores" replaced by the task's own: those with an interval by default."""
    test = run.metrics["test"]
    own = [name for name in test.get("interval") or {} if name in test]
    names: list[str] = []
    for name in columns:
        names += (_columns(run.task) or own) if name == "scores" else [name]
    return names


def _columns(task: str) -> tuple[str, ...]:
    """Scores that tables show of a task; none of one that is not known here."""
    try:
        return find_task(task).columns
    except LobeError:
        return ()


def _shown(score: str, run: RunResult) -> Score:
    """How a run's score is shown; one that its task says nothing about as it is."""
    try:
        return find_task(run.task).scores.get(score, Score(score))
    except LobeError:
        return Score(score)


def heading(name: str, run: RunResult, bench: dict | None) -> str:
    """The heading of a column."""
    if name in _HEADINGS:
        reference = f"`{bench['reference']}`" if bench else ""
        return _HEADINGS[name].format(reference=reference, unit=interval_unit(run))
    return _shown(name, run).heading


def _score(run: RunResult, score: str) -> float:
    value = run.metrics["test"].get(score)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(
            f"{run.frontend} + {run.encoder}, seed {run.seed}: the test metrics hold no number "
            f"{score!r}; they hold {sorted(run.metrics['test'])}"
        )
    return value


def _score_text(runs: list[RunResult], score: str) -> str:
    shown = _shown(score, runs[0])
    factor, decimals = shown.factor, shown.decimals
    values = [factor * _score(run, score) for run in runs]
    if len(values) > 1:
        mean, half_width = seed_interval(values)
        return f"{mean:.{decimals}f} ± {half_width:.{decimals}f}"
    interval = (runs[0].metrics["test"].get("interval") or {}).get(score)
    if interval is None:
        return f"{values[0]:.{decimals}f} (no interval)\\*"
    low, high = (factor * bound for bound in interval)
    return f"{values[0]:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})\\*"


def _interval_text(runs: list[RunResult]) -> str:
    """The headline's interval over the test set, its ends averaged over the seeds."""
    score = _columns(runs[0].task)[0]
    shown = _shown(score, runs[0])
    ends = [(run.metrics["test"].get("interval") or {}).get(score) for run in runs]
    if not all(ends):
        return ""
    low, high = (shown.text(sum(end[side] for end in ends) / len(ends)) for side in (0, 1))
    return f"{low} to {high}"


def load_bench(path: str | os.PathLike) -> dict:
    """Speeds of lobes, as tests/bench/frontends.py and tests/bench/speaker_models.py write them.

    Returns
    -------
    dict with "reference" (a frontend's name, or "" where times are not relative) and "rows", a
    list of {"frontend", "options", one or more of the measured columns}; with "encoder" where it is
    a whole model's speed.

    Raises
    ------
    ValueError
        No such file, or one of another kind.
    """
    try:
        bench = read_json(path)
        if not isinstance(bench["reference"], str):
            raise TypeError("reference")
        for row in bench["rows"]:
            measured = [float(row[name]) for name in _BENCH if name in row]
            _ = row["frontend"], row["options"], measured[0]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{path} is no bench of lobes ({error!r}); tests/bench/frontends.py writes one"
        ) from None
    return bench


def _measured(name: str, run: RunResult, bench: dict | None) -> str:
    own = {kind: run.options.get(f"{kind}_options") or {} for kind in ("frontend", "encoder")}
    for row in bench["rows"] if bench else ():
        whole = "encoder" in row
        if row["frontend"] != run.frontend or (whole and row["encoder"] != run.encoder):
            continue
        if name in row and row["options"] == (own if whole else own["frontend"]):
            return f"{row[name]:.{_BENCH[name]}f}"
    return ""


def has_content(name: str, rows: Iterable[list[RunResult]], bench: dict | None) -> bool:
    """Whether any row has something to say in this column; scores always do."""
    return name not in (*_MOVED, *_BENCH, *_SPARSE) or any(cell(name, runs, bench) for runs in rows)


def cell(name: str, runs: list[RunResult], bench: dict | None) -> str:
    """Text of a row's cell; empty where there is nothing to say."""
    first = runs[0]
    if name in _MOVED:
        moved = [run.filters[name] for run in runs if run.filters and name in run.filters]
        # What has no parameter cannot move, and 0.0 would look like something that did not.
        if not moved or not first.params["frontend"]:
            return ""
        return f"{sum(moved) / len(moved):.{_MOVED[name]}f}"
    if name in _BENCH:
        return _measured(name, first, bench)
    if name == "interval":
        return _interval_text(runs)
    if name == "wall_s":
        return _duration_text(sum(run.wall_s for run in runs) / len(runs))
    if name in _SPARSE:
        return _mean_text(name, runs)
    own = {
        "seeds": lambda: str(len(runs)),
        "frontend_parameters": lambda: f"{first.params['frontend']:,}",
        "parameters": lambda: _params_text(first.params),
        "epochs": lambda: _range_text(runs),
    }
    return own[name]() if name in own else _score_text(runs, name)


def _mean_text(name: str, runs: list[RunResult]) -> str:
    """Mean over the runs that have it."""
    values = {
        "epoch_s": [run.wall_s / run.epochs for run in runs if run.epochs],
        "songs_per_s": [run.epochs * _songs(run) / run.wall_s for run in runs if run.wall_s],
        "peak_memory": [run.memory["peak_bytes"] / 2**30 for run in runs if run.memory],
    }[name]
    if not any(values):
        return ""
    mean = sum(values) / len(values)
    if name == "songs_per_s":
        return f"{mean:.1f}"
    if name == "peak_memory":
        return f"{mean:.1f} GiB"
    return f"{mean:.1f} s" if mean < 10 else _duration_text(mean)


def _songs(run: RunResult) -> int:
    """Songs of the training set, where the data set consists of songs."""
    train = run.counts.get("train")
    return train.get("songs", 0) if isinstance(train, dict) else 0


def interval_unit(run: RunResult) -> str:
    """What a run's interval resamples: "speaker", "utterance"."""
    return run.metrics["test"].get("interval", {}).get("over", "item")


def canonical(value) -> str:
    """JSON of one spelling, whatever the order of the keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def flat_options(options: dict, prefix: str = "") -> dict:
    """{"encoder": {"bcresnet": {"tau": 2}}} as {"encoder.bcresnet.tau": 2}."""
    flat: dict = {}
    for key in sorted(options):
        value, name = options[key], f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat |= flat_options(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def options_text(options: dict) -> str:
    """{"encoder": {"bcresnet": {"tau": 2}}} as `encoder.bcresnet.tau=2`, one per option."""
    return "<br>".join(
        f"`{name}={value if isinstance(value, str) else canonical(value)}`".replace("|", "\\|")
        for name, value in flat_options(options).items()
    )


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
