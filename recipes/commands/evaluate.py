"""`auricle evaluate`: the scores of a bundle on labelled recordings, without training."""

from pathlib import Path
from typing import Literal

from ..inference.options import Listening
from ..training.command_line import UsageError, changed
from ..training.messages import RecipeError


def run(
    bundle: str,
    data: str,
    /,
    *,
    table: str | None = None,
    name_pattern: str | None = None,
    split: Literal["all", "train", "valid", "test"] | None = None,
    data_folder: str | None = None,
    out: str | None = None,
    json: bool = False,
    events: str | None = None,
    collar_s: float = 0.5,
    listening: Listening,
) -> int:
    """Score a trained model of any task on labelled recordings that it need not have seen, with the
    task's scores and intervals.

    Arguments
    ---------
    bundle
        A folder that a run wrote: <output_folder>/bundle; or an .onnx file that one was exported to.
    data : DATA
        A folder of recordings, one folder a class (of verification: a speaker); a table (CSV) of
        path,label, of path and a column per value for a model of values, of path and the transcript as
        label for one of transcripts; or a prepared data set (manifest.csv and prepare.json).
    table : FILE
        The table in the folder, where it is not sounds.csv.
    name_pattern : REGEX
        Searched in each path; its groups (?P<group>...) and (?P<split>...) say so of a recording.
    split
        Which recordings; default: test where there is such a split, else all.
    data_folder : DIR
        What the paths of a prepared data set, or of a table elsewhere, are relative to.
    out : DIR
        Write evaluation.json and test_predictions.csv there, never into the folder of a run.
    json
        Print JSON.
    events : TABLE
        Score detections in long recordings instead: a table (CSV) of path,start_s,end_s,label with the
        keywords that are said in the recordings of DATA; a path alone: none is said there. Misses
        against false alarms per hour, at --threshold and over a curve of thresholds.
    collar_s : S
        With --events: how far a detection may be from its keyword.

    Returns
    -------
    2 where a recording could not be read; the others are scored.
    """
    if events is None and (of_events := changed(listening)):
        raise UsageError(
            f"{of_events[0]} is for detections in long recordings: give --events TABLE"
        )
    from ...lobes.export import open_model
    from ..inference.evaluation import evaluate, keep
    from ..own_sounds.labelled import find_labelled

    model = open_model(bundle)
    folder = None if out is None else Path(out)
    if folder is not None and any((folder / name).exists() for name in ("results.json", "bundle")):
        raise ValueError(f"--out {out} is the folder of a run, whose results stay: give another")
    if events is not None:
        from ..inference.listen import evaluate_events

        evaluate_events(model, bundle, data, events, listening, collar_s, folder, json)
        return 0
    try:
        found = find_labelled(
            data,
            model.task.name,
            model.labels,
            table=table,
            name_pattern=name_pattern,
            split=split,
            data_folder=data_folder,
        )
    except RecipeError as error:
        raise ValueError(error) from error
    record, scores, broken = evaluate(model, bundle, found, json)
    if folder is not None:
        keep(folder, record, scores)
    return 2 if broken else 0
