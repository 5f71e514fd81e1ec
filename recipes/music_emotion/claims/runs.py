"""Find the runs that a claim needs, and train those that are missing."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ....hparams.loader import Config, load_hparams, shipped, shipped_defaults
from ....lobes.build import options_of
from ....lobes.registry import ENCODERS, FRONTENDS
from ....processing.scoring.regression.files import FILE_NAME, read_scores
from ....processing.scoring.regression.metrics import RegressionScores
from ...reports.results import RESULTS_NAME, RunResult, load_results
from ...training.messages import RecipeError
from ...training.output_folder import NO_OPTIONS
from .finding import Settings

RECIPE = "music_emotion"
_LAST_LINES = 5


@dataclass(frozen=True)
class PlannedRun:
    """A run that a claim needs.

    Arguments
    ---------
    experiment : str
        Row of `experiments.yaml`.
    variant : str
        What the claim calls it; a folder's name too.
    options : mapping
        What differs from the row, as on the command line: {"encoder_options.vit.path": FILE}.
    seed : int
    """

    experiment: str
    variant: str
    options: Mapping[str, object]
    seed: int

    @property
    def name(self) -> str:
        return f"{self.experiment}/{self.variant}/seed_{self.seed}"

    def words(self, settings: Settings) -> list[str]:
        """The command line behind the YAML's name, without folders for what it writes."""
        options = {"data_folder": settings.data_folder, "seed": self.seed, **self.options}
        if settings.number_of_epochs:
            options["number_of_epochs"] = settings.number_of_epochs
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        return ["--experiment", self.experiment, *words]

    def folder(self, settings: Settings) -> Path:
        """Where it is trained; what the command line changes is another folder."""
        variant = self.variant
        if settings.data_folder != "mini":
            variant += f"-{Path(settings.data_folder).expanduser().resolve().name}"
        if settings.number_of_epochs:
            variant += f"-{settings.number_of_epochs}_epochs"
        base = Path(settings.results_folder).expanduser().resolve()
        return base / self.experiment / variant / f"seed_{self.seed}"


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: what was planned, its results file and its folder."""

    plan: PlannedRun
    result: RunResult
    folder: Path

    def predictions(self) -> RegressionScores:
        """Predictions and labels of its test."""
        return read_scores(self.folder / FILE_NAME)

    @property
    def ccc(self) -> float:
        """Joint CCC of its test."""
        return self.result.metrics["test"]["ccc"]


@dataclass(frozen=True)
class Collected:
    """The runs that are there, and the names of those that are not (only without training)."""

    done: list[FinishedRun] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @cached_property
    def runs(self) -> dict[str, dict[int, FinishedRun]]:
        """Those that are there by variant and seed."""
        runs: dict[str, dict[int, FinishedRun]] = {}
        for run in self.done:
            runs.setdefault(run.plan.variant, {})[run.plan.seed] = run
        return runs

    @property
    def lacking(self) -> str:
        """A sentence on what is missing; empty where nothing is."""
        if not self.missing:
            return ""
        named = ", ".join(self.missing[:3]) + (", ..." if len(self.missing) > 3 else "")
        return f" Missing are {len(self.missing)} runs ({named}); without --dry they are trained."


def planned(
    experiment: str, variants: Mapping[str, Mapping[str, object]], seeds: int
) -> list[PlannedRun]:
    """All variants with seed 1, then all with seed 2: what is there early can be compared early."""
    return [
        PlannedRun(experiment, variant, options, seed)
        for seed in range(1, seeds + 1)
        for variant, options in variants.items()
    ]


def collect(plans: list[PlannedRun], settings: Settings) -> Collected:
    """Find the runs below the results folder, and train those that are not there.

    A run is found by what its results file says of it, wherever below the folder it lies: row,
    lobes, options, seed and corpus. One without predictions was stopped at its very end, and goes
    on. A line of progress per run goes to the standard error.

    Raises
    ------
    ValueError
        A results file cannot be read; a planned run is no configuration; runs are of other data.
    RecipeError
        A run failed: says how it ended, and where its log is.
    """
    configs = _configurations(plans, settings)
    finished = _finished(Path(settings.results_folder).expanduser())
    defaults = shipped_defaults(RECIPE)
    done, missing = [], []
    for number, (run, config) in enumerate(zip(plans, configs, strict=True), 1):
        match = _find(finished, config, defaults)
        if match is None and settings.dry:
            missing.append(run.name)
            continue
        if match is None:
            folder = run.folder(settings)
            _train(run, settings, folder, f"{number}/{len(plans)}")
            (result,) = load_results(folder / RESULTS_NAME)
            match = (result, folder)
        done.append(FinishedRun(run, *match))
    _check_data(done)
    return Collected(done, missing)


def _configurations(plans: list[PlannedRun], settings: Settings) -> list[Config]:
    """One per run; read once for the runs that differ by their seed only."""
    read: dict[str, Config] = {}
    configs = []
    for run in plans:
        key = repr(replace(run, variant="", seed=0))
        if key not in read:
            read[key] = load_hparams(run.words(settings), RECIPE)
        config = read[key]
        configs.append(replace(config, plain={**config.plain, "seed": run.seed}))
    return configs


def _finished(folder: Path) -> list[tuple[RunResult, Path]]:
    """Results with predictions beside them, the newest first."""
    files = sorted(folder.rglob(RESULTS_NAME)) if folder.is_dir() else []
    files = [file for file in files if (file.parent / FILE_NAME).is_file()]
    results = [(load_results(file)[0], file.parent) for file in files]
    return sorted(results, key=lambda pair: pair[0].started, reverse=True)


def _find(
    finished: list[tuple[RunResult, Path]], config: Config, defaults: dict
) -> tuple[RunResult, Path] | None:
    plain = config.plain
    data_folder = str(plain["data_folder"])
    corpus = f"mini-{plain['mini_size']}"
    if data_folder != "mini":
        corpus = Path(data_folder).expanduser().resolve().name
    lobes = (config.experiment, plain["frontend"], plain["encoder"], plain["seed"], corpus)
    for result, folder in finished:
        theirs = (result.experiment, result.frontend, result.encoder, result.seed)
        if lobes == (*theirs, result.corpus["name"]) and _same_options(result, config, defaults):
            return result, folder
    return None


def _same_options(result: RunResult, config: Config, defaults: dict) -> bool:
    """Whether the settings that are not as shipped, in either, have the same values."""
    plain = config.plain
    keys = {*result.options, *(key for key in plain if plain[key] != defaults.get(key))}
    for key in keys - {*NO_OPTIONS, "frontend_options", "encoder_options"}:
        if _public(result.options.get(key, defaults.get(key))) != _public(plain.get(key)):
            return False
    for kind, registry in (("frontend", FRONTENDS), ("encoder", ENCODERS)):
        built = {name: p.default for name, p in options_of(registry, plain[kind]).items()}
        ours = (plain[f"{kind}_options"] or {}).get(plain[kind]) or {}
        theirs = result.options.get(f"{kind}_options") or {}
        if _public({**built, **ours}) != _public({**built, **theirs}):
            return False
    return True


def _public(value):
    """As a results file holds it: lists for tuples, paths without their folders."""
    if isinstance(value, Mapping):
        return {key: _public(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_public(inner) for inner in value]
    if isinstance(value, str) and os.path.isabs(value):
        return Path(value).name
    return value


def _train(run: PlannedRun, settings: Settings, folder: Path, place: str) -> None:
    """Train in a process of its own, so that runs do not share a state or their memory."""
    print(f"{place} {run.name}: training", end="", file=sys.stderr, flush=True)
    words = [*run.words(settings), "--output_folder", str(folder), "--noprogressbar"]
    # What is prepared is shared by all runs of the folder.
    words += ["--results_folder", str(Path(settings.results_folder).expanduser().resolve())]
    command = [
        sys.executable,
        "-m",
        f"auricle.recipes.{RECIPE}.train",
        str(shipped(RECIPE)),
        *words,
    ]
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    began = time.perf_counter()
    with open(log, "w", encoding="utf-8") as stream:
        status = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT).returncode
    if status or not (folder / FILE_NAME).is_file():
        print(", failed", file=sys.stderr, flush=True)
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RecipeError(
            f"the run {run.name} failed with status {status}. The end of its log, {log}:\n  "
            + "\n  ".join(last[-_LAST_LINES:])
            + "\nWhat is finished stays: the same command goes on from here"
        )
    print(f", {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


def _check_data(done: list[FinishedRun]) -> None:
    for run in done[1:]:
        first = done[0]
        ours = (run.result.data_digest, run.result.protocol)
        if ours != (first.result.data_digest, first.result.protocol):
            raise ValueError(
                f"{first.folder} and {run.folder} were trained or tested on other data or by "
                "another protocol, and cannot be compared; give another --results-folder"
            )
