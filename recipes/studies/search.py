"""Search a space of options with Ray Tune; poor trials end early, by their validation score alone.

A study's file describes the space, beside or in place of axes:

    search:
        lr: {log: [0.0001, 0.01]}                   # of any value between, by its logarithm
        weight_decay: {between: [0.0, 0.1]}
        encoder_options.bcresnet.tau: {of: [1, 2]}
"""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ...processing.system.files import write_json
from ..reports.results import RESULTS_NAME, load_results
from .places import Place, connect_to_ray
from .running import check_cells, prepare_data
from .store import Store
from .study import Cell, Study, StudyError

RECORD = "search.json"
_SCORE = "score"


def space_problems(space: Mapping) -> list[str]:
    """What is wrong with the description of a space, one text per option."""
    problems = []
    for option, described in space.items():
        kind, values = next(iter(described.items())) if _is_entry(described) else ("", None)
        is_range = kind in ("log", "between") and isinstance(values, list) and len(values) == 2
        if is_range:
            is_range = all(isinstance(x, (int, float)) and math.isfinite(x) for x in values)
            is_range = is_range and values[0] < values[1] and (kind != "log" or values[0] > 0)
        if not is_range and not (kind == "of" and isinstance(values, list) and values):
            problems.append(
                f"search {option}: give {{log: [LOW, HIGH]}}, {{between: [LOW, HIGH]}} or "
                f"{{of: [VALUE, ...]}}, got {described!r:.80}"
            )
    return problems


def _is_entry(described) -> bool:
    return isinstance(described, dict) and len(described) == 1


def search_study(
    study: Study, store: Store, place: Place, samples: int, say: Callable = print
) -> int:
    """Train samples of the space; each goes on only as long as it is among the better ones (ASHA).

    Axes are part of the space; the seed is the study's first. The trials are written to
    `search.json` in the study's folder, by their best validation score, the best first.

    Returns
    -------
    0, or 1 where trials failed.

    Raises
    ------
    StudyError
        No space, options out of range, Ray missing.
    """
    problems = [*place.problems(), *space_problems(study.search)]
    if not study.search:
        problems.append("the file has no `search`, which describes the space")
    if place.on != "ray":
        problems.append(f"--search is for --on ray, not --on {place.on}")
    if not 1 <= samples <= 100_000:
        problems.append(f"--samples {samples}: from 1 to 100,000")
    if problems:
        raise StudyError(study.name, problems)
    store.open(study)
    corners = [_cell(study, _corner(study, side)) for side in (0, -1)]
    check_cells(study, corners)
    prepare_data(study, store, corners)
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    connect_to_ray()
    score, higher = _headline(study)
    (epochs,) = study.settings(corners[0], "number_of_epochs")
    mode = "max" if higher else "min"
    tuner = tune.Tuner(
        tune.with_resources(_trial, {"cpu": place.threads, "gpu": place.gpus}),
        param_space={
            **{f"axis {axis}": tune.choice([*labels]) for axis, labels in study.axes.items()},
            **{option: _distribution(of) for option, of in study.search.items()},
            "given": {"study": study, "folder": str(store.folder), "score": score, "mode": mode},
        },
        tune_config=tune.TuneConfig(
            metric=_SCORE,
            mode=mode,
            scheduler=ASHAScheduler(max_t=epochs, grace_period=min(max(1, epochs // 9), epochs)),
            num_samples=samples,
            max_concurrent_trials=place.jobs,
        ),
        run_config=tune.RunConfig(
            name="trials", storage_path=str(store.folder / "search"), verbose=0
        ),
    )
    say(f"{samples} samples, {place.jobs} at a time, of up to {epochs} epochs each")
    return _conclude(study, store, tuner.fit(), higher, say)


def _conclude(study: Study, store: Store, results, higher: bool, say: Callable) -> int:
    trials = []
    for result in results:
        if "best" in (result.metrics or {}):
            metrics = result.metrics
            options = {key: value for key, value in metrics["config"].items() if key != "given"}
            trials.append(
                {
                    "options": options,
                    "best_valid": metrics["best"],
                    "epochs": metrics["training_iteration"],
                    "folder": metrics["folder"],
                }
            )
    trials.sort(key=lambda trial: trial["best_valid"], reverse=higher)
    write_json(store.folder / RECORD, {"study": study.name, "trials": trials})
    for trial in trials[:5]:
        chosen = ", ".join(f"{key} {_short(value)}" for key, value in trial["options"].items())
        say(f"validation {trial['best_valid']:.4g} after {trial['epochs']} epochs: {chosen}")
    if trials and (Path(trials[0]["folder"]) / RESULTS_NAME).is_file():
        (result,) = load_results(Path(trials[0]["folder"]) / RESULTS_NAME)
        test = result.metrics["test"]
        name = study.score or next(iter(test))
        say(f"The best by validation has on the test set: {name} {test.get(name)}")
    failed = len(results.errors)
    say(f"{len(trials)} trials in {store.folder / RECORD}" + (f", {failed} failed" * bool(failed)))
    for error in results.errors[:3]:
        say(f"failed: {str(error).strip().splitlines()[-1]}")
    return 1 if failed else 0


def _short(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _corner(study: Study, side: int) -> dict:
    """One end of every range, for a check of the options."""
    axes = {f"axis {axis}": [*labels][side] for axis, labels in study.axes.items()}
    return axes | {option: next(iter(of.values()))[side] for option, of in study.search.items()}


def _cell(study: Study, config: Mapping) -> Cell:
    """The run of a sample; it has no key, as no two of them are alike."""
    labels = {axis: config[f"axis {axis}"] for axis in study.axes}
    options = dict(study.fixed)
    for axis, label in labels.items():
        options |= study.axes[axis][label]
    options |= {option: config[option] for option in study.search}
    return Cell(labels, study.seeds[0], {**options, "seed": study.seeds[0]}, "")


def _distribution(described: Mapping):
    from ray import tune

    ((kind, values),) = described.items()
    if kind == "of":
        return tune.choice(values)
    if all(isinstance(value, int) for value in values):
        return (tune.lograndint if kind == "log" else tune.randint)(values[0], values[1] + 1)
    return (tune.loguniform if kind == "log" else tune.uniform)(*values)


def _headline(study: Study) -> tuple[str, bool]:
    """The validation score of the study's recipe, and whether more is better."""
    from ...lobes.tasks import TASKS, find_task

    (task,) = study.settings(_cell(study, _corner(study, 0)), "task")
    tasks = {"timit": "transcription", "voxceleb": "verification", "music_emotion": "regression"}
    name = task if task in TASKS else tasks.get(study.recipe, "classification")
    return study.score or find_task(name).headline, find_task(name).higher_is_better


def _trial(config: dict) -> None:
    """Train one sample in this process, and tell Ray Tune of each epoch."""
    from ray import tune

    from ...lobes.brains.trackers import TRACKERS
    from ..training.by_name import find_recipe

    given = config["given"]
    study: Study = given["study"]
    os.environ["TQDM_DISABLE"] = "1"
    folder = Path(given["folder"]) / "search" / "runs" / tune.get_context().get_trial_id()
    best: list[float] = []

    class Reporter:
        """A tracker that gives the validation score of each epoch, and nothing of the test."""

        package, draws = "ray", False

        def __init__(self, *_):
            self.identity = folder.name

        def log(self, numbers, figures, epoch):
            if (key := f"valid/{given['score']}") in numbers:
                best.append(float(numbers[key]))
                chosen = max(best) if given["mode"] == "max" else min(best)
                tune.report({_SCORE: best[-1], "best": chosen, "folder": str(folder)})

        def close(self, pictures, epoch):
            pass

    TRACKERS["tune"] = Reporter
    words = study.words(_cell(study, config))
    words += ["--results_folder", given["folder"], "--output_folder", str(folder)]
    status = find_recipe(study.recipe)([*words, "--logger", "tune"])
    if status:
        raise RuntimeError(f"the run in {folder} ended with status {status}")
