"""Keywords in long recordings and live sound: a model on a stream, smoothed, above a threshold."""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ...lobes.export.stream import Stream
from ...processing.data.audio import probe_audio
from ...processing.data.audio_blocks import file_blocks
from ...processing.plots.common import save_figure
from ...processing.plots.det import detection_curve
from ...processing.scoring.detector import Detector, Smoother
from ...processing.scoring.events import Detection, Event, EventScores
from ...processing.system.files import TextError, file_digest, write_json, write_text
from ...processing.system.names import nearest
from ...processing.system.tables import read_table, to_number
from ..reports.printing import show
from .evaluation import EVALUATION_NAME
from .options import Listening

#: What turns the outputs of a task's head into probabilities.
PROBABILITIES = {"classification": torch.exp, "tagging": torch.sigmoid}


class Listener:
    """Probabilities of keywords on a stream, and what is detected by them.

    Arguments
    ---------
    model : Bundle
        Of classification or tagging.
    options : Listening

    Attributes
    ----------
    keywords : list of str
        What is listened for, in the order of the scores.

    Raises
    ------
    ValueError
        A model of another task, an unknown keyword, an option out of range.
    """

    def __init__(self, model, options: Listening):
        task = model.task.name
        if task not in PROBABILITIES:
            raise ValueError(
                f"the bundle was trained for {task}, which has no keywords to detect: one of "
                f"{' or '.join(PROBABILITIES)} is needed"
            )
        for name, low, high in (
            ("threshold", 0, 1),
            ("smooth_s", 0, 60),
            ("refractory_s", 0, 3600),
        ):
            value = getattr(options, name)
            if not low <= value <= high or (name == "threshold" and value in (0, 1)):
                raise ValueError(f"{name} must lie in {low} to {high}, got {value}")
        self.probabilities = PROBABILITIES[task]
        self.keywords = options.keywords or [name for name in model.labels if name[:1] != "_"]
        for name in self.keywords:
            if name not in model.labels:
                raise ValueError(
                    f"the bundle has no label {name!r}{nearest(name, model.labels)} "
                    f"Labels: {', '.join(model.labels)}"
                )
        self.columns = [model.labels.index(name) for name in self.keywords]
        self.stream = Stream(model, options.chunk_ms, options.window_s)
        if self.stream.form == "causal":
            self.stream = Stream(model, options.chunk_ms, options.window_s, form="frames")
        chunk_s = self.stream.chunk_samples / self.stream.sample_rate
        self.width = max(1, round(options.smooth_s / chunk_s))
        self.refractory = max(1, round(options.refractory_s / chunk_s))
        #: A mean of the last scores is of a time before the last window's.
        self.delay_s = (self.width - 1) / 2 * chunk_s
        self.threshold = options.threshold

    def scores(self, blocks: Iterable[torch.Tensor]) -> Iterator[np.ndarray]:
        """Smoothed probabilities (K, keywords) as windows become complete, of a new stream."""
        self.stream.reset()
        smoother = Smoother(self.width)
        for samples, last in _with_last(blocks):
            outputs = self.stream.feed(samples, last)
            if len(outputs):
                probabilities = self.probabilities(outputs)[:, self.columns]
                yield smoother.feed(probabilities.double().numpy())

    def time_s(self, index: int) -> float:
        """The middle of what a smoothed score is of."""
        start_s, end_s = self.stream.span_s(index)
        return max(0.0, (start_s + end_s) / 2 - self.delay_s)

    def detect(self, blocks: Iterable[torch.Tensor]) -> Iterator[Detection]:
        """Detections in a new stream, each as soon as its window is complete."""
        detector = Detector(self.threshold, self.refractory)
        for scores in self.scores(blocks):
            for index, column, score in detector.feed(scores):
                yield Detection(self.time_s(index), self.keywords[column], score)


def _with_last(blocks: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, bool]]:
    """Each block as it comes, and an empty one at the end, which is the last."""
    for block in blocks:
        yield block, False
    yield torch.zeros(0), True


def written(detection: Detection, as_json: bool) -> str:
    """A detection as a line: time in s, label and score, by tabs; or as a JSON object."""
    if as_json:
        values = {"time_s": round(detection.time_s, 3), "label": detection.label}
        return json.dumps(values | {"score": round(detection.score, 4)}, ensure_ascii=False)
    return f"{detection.time_s:.2f}\t{detection.label}\t{detection.score:.3f}"


def read_events(table: str | os.PathLike, labels: list[str]) -> dict[str, list[Event]]:
    """Events by recording of a table path,start_s,end_s,label; a row of a path alone: it has none.

    Raises
    ------
    ValueError
        A table without these columns, a row that is damaged, a label that is not listened for.
    """
    columns, rows = read_table(table)
    if missing := [name for name in ("path", *Event._fields) if name not in columns]:
        raise TextError(f"{table}: no column {missing[0]!r}; path,start_s,end_s,label are needed")
    events: dict[str, list[Event]] = {}
    for line, row, wrong in rows:
        where = f"{table}, line {line}"
        if wrong or not row["path"]:
            raise TextError(f"{where}: {wrong or 'no path'}")
        of_file = events.setdefault(row["path"], [])
        if not any(row[name] for name in Event._fields):
            continue
        try:
            start_s, end_s = to_number(row["start_s"]), to_number(row["end_s"])
        except ValueError as error:
            raise TextError(f"{where}: {error}; times are given in s") from None
        if not 0 <= start_s < end_s < float("inf"):
            raise TextError(f"{where}: from {start_s} to {end_s} s is no part of a recording")
        if row["label"] not in labels:
            known = nearest(row["label"], labels)
            raise TextError(f"{where}: {row['label']!r} is not listened for{known}")
        of_file.append(Event(start_s, end_s, row["label"]))
    if not events:
        raise TextError(f"{table} names no recording")
    return events


def score_events(
    model, folder: str | os.PathLike, table: str | os.PathLike, options: Listening, collar_s: float
) -> EventScores:
    """Listen to the recordings of a table and count, at every threshold of the curve.

    Raises
    ------
    ValueError
        What `read_events` and `Listener` refuse; a recording that cannot be read, or that ends
        before an event does.
    """
    listener = Listener(model, options)
    scores = EventScores(options.threshold, collar_s)
    recordings = read_events(table, listener.keywords)
    for name, events in tqdm(recordings.items(), "listening", unit="file", disable=None):
        path = Path(folder, name)
        duration_s = probe_audio(path).duration_s
        latest_s = max((event.end_s for event in events), default=0.0)
        if latest_s > duration_s + collar_s:
            raise ValueError(
                f"{table}: an event of {name} ends at {latest_s:g} s, and the recording at "
                f"{duration_s:.2f} s: correct the table"
            )
        smoothed = [*listener.scores(file_blocks(path, model.sample_rate))]
        smoothed = np.concatenate(smoothed or [np.zeros((0, len(listener.keywords)))])
        times_s = [listener.time_s(index) for index in range(len(smoothed))]
        detections = [
            [
                Detection(times_s[index], listener.keywords[column], score)
                for index, column, score in Detector(value, listener.refractory).feed(smoothed)
            ]
            for value in scores.thresholds
        ]
        scores.append(duration_s, events, detections)
    return scores


def event_lines(source: str, summary: dict) -> list[str]:
    """The summary of `EventScores` in words."""

    def bounds(name: str, factor: float) -> str:
        if name not in summary["interval"]:
            return ""
        low, high = (factor * value for value in summary["interval"][name])
        return f", {low:.1f} to {high:.1f} over {summary['recordings']} recordings"

    lines = [
        f"{source}: {summary['events']} keywords in {summary['recordings']} recordings of "
        f"{summary['hours']:.2f} h, threshold {summary['threshold']:g}",
        f"misses: {summary['misses']}, {100 * summary['miss_rate']:.1f} %{bounds('miss_rate', 100)}",
        f"false alarms: {summary['false_alarms']}, {summary['false_alarms_per_hour']:.1f} per hour"
        f"{bounds('false_alarms_per_hour', 1)}",
    ]
    for limit, rate in summary["miss_rate_at_false_alarms_per_hour"].items():
        reached = "not reached" if rate is None else f"{100 * rate:.1f} %"
        lines.append(f"least misses at {limit} false alarms per hour or fewer: {reached}")
    return lines


def evaluate_events(
    model,
    source: str,
    data: str,
    table: str,
    options: Listening,
    collar_s: float,
    out: Path | None,
    as_json: bool,
) -> dict:
    """Score detections, print them, and keep them in a folder: evaluation.json, and the curve as a
    table and a picture."""
    summary = score_events(model, data, table, options, collar_s).summarize()
    record = {
        "task": model.task.name,
        "bundle": {name: model.description.get(name) for name in ("dataset", "data_digest")},
        "data": str(data),
        "digest": file_digest(table),
        "listening": dataclasses.asdict(options),
        "scores": summary,
    }
    show(record, event_lines(source, summary), as_json)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / EVALUATION_NAME, record)
        columns = list(summary["curve"][0])
        rows = [",".join(f"{row[name]:.6g}" for name in columns) for row in summary["curve"]]
        write_text(out / "curve.csv", "\n".join([",".join(columns), *rows]) + "\n")
        save_figure(detection_curve({source: summary}), out / "curve.png")
    return record
