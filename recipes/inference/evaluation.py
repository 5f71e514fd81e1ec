"""Evaluation of a bundle on labelled recordings: scores, intervals, and what they are of."""

import os
import sys
from pathlib import Path

from tqdm import tqdm

from ...lobes.bundles.evaluation import check_labels
from ...lobes.bundles.trained import Trained
from ...processing.data import manifest
from ...processing.data.audio import AudioError
from ...processing.scoring.predictions import TABLE_NAME, write_predictions
from ...processing.scoring.regression.files import FILE_NAME
from ...processing.scoring.regression.files import write_scores as write_values
from ...processing.scoring.regression.metrics import RegressionScores
from ...processing.scoring.verification.embedding_scores import EmbeddingScores
from ...processing.scoring.verification.trial_scores import SCORES_NAME, write_scores
from ...processing.system.files import write_json
from ..reports.printing import print_error, show

EVALUATION_NAME = "evaluation.json"


def evaluate(bundle: Trained, source: str, labelled, as_json: bool = False):
    """Score a bundle on labelled recordings and print what came out.

    Arguments
    ---------
    bundle, source : the model, and where it is from.
    labelled : `rows`, `read(row, rate)`, `source` and `grouped`.
    as_json : print one JSON object.

    Returns
    -------
    As `scored`.

    Raises
    ------
    ValueError
        As `scored`.
    """
    record, scores, broken = scored(bundle, labelled)
    show(record, _lines(source, bundle, record), as_json)
    return record, scores, broken


def scored(bundle: Trained, labelled):
    """Score a bundle on labelled recordings.

    Returns
    -------
    record (dict), collector, number of recordings that could not be read

    Raises
    ------
    ValueError
        Labels that the model does not know, nothing that could be read, no two classes.
    """
    task, rows, broken = bundle.task, labelled.rows, []
    if task.name == "tagging":
        for row in rows:
            row["labels"] = [t for label in row["labels"] for t in label.split(";") if t]
    if task.name in ("classification", "tagging"):
        check_labels(bundle, (label for row in rows for label in row["labels"]))

    def items():
        bar = tqdm(rows, "scoring", unit="file", disable=not sys.stderr.isatty(), leave=False)
        for row in bar:
            try:
                wav = labelled.read(row, bundle.sample_rate)
            except AudioError as error:
                print_error(error)
                broken.append(row["id"])
                continue
            yield row, wav

    unit = "group" if labelled.grouped else "recording"
    scores = task.evaluate(bundle, items(), unit)
    if len(broken) == len(rows):
        raise ValueError(f"none of the {len(rows)} recordings of {labelled.source} could be read")
    summary = scores.summarize()
    digest = manifest.digest(
        {"id": row["id"], "path": row.get("path", ""), "label": row.get("labels", "")}
        for row in rows
    )
    record = {
        "task": task.name,
        "bundle": {name: bundle.description.get(name) for name in ("dataset", "data_digest")},
        "data": labelled.source,
        "digest": digest,
        "recordings": len(rows) - len(broken),
        "broken": broken,
        "scores": summary,
    }
    return record, scores, len(broken)


def _lines(source: str, bundle: Trained, record: dict) -> list[str]:
    task, summary = bundle.task, record["scores"]
    lines = [f"{source} ({task.name}) on {record['recordings']:,} recordings of {record['data']}"]
    names = [name for name in task.scores if name in summary]
    names += [name for name in summary if name in ("per", "cer", "wer") and name not in names]
    interval = summary.get("interval") or {}
    for name in names:
        shown = task.scores.get(name)
        bounds, text = interval.get(name), str(summary[name])
        if shown is not None:
            text = shown.text(summary[name])
            bounds = bounds and tuple(map(shown.text, bounds))
        count = interval.get("n_groups", interval.get("n_speakers"))
        over = f", {bounds[0]} to {bounds[1]} over {count} {interval['over']}s" if bounds else ""
        lines.append(f"{shown.heading if shown else name}: {text}{over}")
    if record["broken"]:
        lines.append(f"{len(record['broken'])} recordings could not be read and are not scored")
    return lines


def keep(folder: str | os.PathLike, record: dict, scores) -> None:
    """Write the record and the predictions of an evaluation into a folder of their own."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / EVALUATION_NAME, record)
    if isinstance(scores, RegressionScores):
        write_values(folder / FILE_NAME, scores)
    elif isinstance(scores, EmbeddingScores):
        write_scores(folder / SCORES_NAME, scores.trials, scores.scores)
    else:
        write_predictions(folder / TABLE_NAME, scores)
