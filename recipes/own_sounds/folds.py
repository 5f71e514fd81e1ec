"""Cross-validation: one run per fold in folders of their own, and one result over all of them."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

from speechbrain.utils.distributed import if_main_process

from ...hparams.loader import Config
from ...processing.plots.common import save_figure
from ...processing.plots.confusion import confusion_matrix
from ...processing.scoring.bootstrap import seed_interval
from ...processing.scoring.predictions import TABLE_NAME, write_predictions
from ..reports.results import RESULTS_NAME, RunResult, load_results
from ..training.messages import tell
from ..training.output_folder import claim_folder
from ..training.runner import resolve_corpus
from .corpus import read_corpus
from .splits import fold_names, protocol_of


def folds_of(config: Config) -> list[str]:
    """The folds that a run goes through; none where it has one split or names one fold.

    Raises
    ------
    PreparationError
        The data cannot be read, or have no folds where folds are asked for.
    """
    plain = config.plain
    if plain["fold"] is not None or plain["protocol"] not in ("auto", "folds"):
        return []
    folder, _ = resolve_corpus(config, "own_sounds", quiet=True)
    corpus = read_corpus(folder, plain["table"], plain["name_pattern"], plain["task"])
    return fold_names(corpus) if protocol_of(corpus, plain["protocol"]) == "folds" else []


def cross_validate(config: Config, names: list[str], train_one: Callable) -> None:
    """Train and test on every fold, and write what they give together.

    Each fold has a run of its own in `fold_<name>`, which goes on where it was stopped. The result
    of all pools the test predictions: every recording is scored once, by the model that has not
    heard its fold.

    Arguments
    ---------
    train_one : of a configuration; returns the finished Brain and its Run.
    """
    folder = Path(config.build()["output_folder"])
    claim_folder(config, folder, "all folds")
    pooled = None
    for number, name in enumerate(names, 1):
        tell(f"\nFold {name} ({number} of {len(names)})")
        brain, _ = train_one(_of_fold(config, name, folder))
        pooled = brain.score if pooled is None else pooled.merge(brain.score)
    if if_main_process():
        _write(config, folder, names, brain, pooled)


def _of_fold(config: Config, name: str, folder: Path) -> Config:
    # As the command line reads it: the run of a fold goes on that was begun alone.
    fold = int(name) if name.isdecimal() and str(int(name)) == name else name
    own = {"fold": fold, "protocol": "folds", "output_folder": str(folder / f"fold_{name}")}
    return dataclasses.replace(
        config, overrides={**config.overrides, **own}, plain={**config.plain, **own}
    )


def _write(config, folder: Path, names: list[str], brain, pooled) -> None:
    results = load_results([folder / f"fold_{name}" / RESULTS_NAME for name in names])
    headline = brain.task.headline
    test = pooled.summarize()
    each = {
        score: {name: r.metrics["test"][score] for name, r in zip(names, results, strict=True)}
        for score in brain.task.scores
    }
    means = {score: seed_interval(list(values.values())) for score, values in each.items()}
    test["folds"] = {
        score: {"mean": means[score][0], "half_width": means[score][1], "each": each[score]}
        for score in each
    }
    first = results[0]
    digest = hashlib.sha256("".join(r.data_digest for r in results).encode()).hexdigest()
    protocol = {key: value for key, value in first.protocol.items() if key != "fold"}
    result = RunResult(
        **{
            **first.to_dict(),
            "protocol": {**protocol, "folds": len(names)},
            "options": {key: value for key, value in first.options.items() if key != "fold"},
            "data_digest": digest,
            "counts": {"test": {r.protocol["fold"]: r.metrics["test"]["n"] for r in results}},
            "metrics": {"valid": _mean_valid(results, headline), "test": test},
            "epochs": max(r.epochs for r in results),
            "wall_s": round(sum(r.wall_s for r in results), 1),
            "filters": None,
        }
    )
    path = result.write(folder)
    write_predictions(folder / TABLE_NAME, pooled)
    pooled_text = brain.task.scores[headline].text(test[headline])
    mean, half_width = (brain.task.scores[headline].text(value) for value in means[headline])
    if "confusion" in test:
        figure = confusion_matrix(test["confusion"], test["labels"], f"All folds: {folder.name}")
        save_figure(figure, folder / "confusion_matrix.png")
    tell(
        f"\nAll {len(names)} folds: {brain.task.scores[headline].heading} {mean} +- {half_width} "
        f"(mean and half of the 95 % t interval over folds), {pooled_text} over all "
        f"{len(pooled)} recordings\nResults:  {path}"
    )


def _mean_valid(results, headline: str) -> dict:
    values = [r.metrics["valid"][headline] for r in results]
    return {headline: sum(values) / len(values)}
