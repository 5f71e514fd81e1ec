"""`auricle compare`: whether two systems differ on the same trials."""

from __future__ import annotations

import json
from dataclasses import asdict

from ..processing.scoring.pair_scores import read_scored_trials
from ..processing.scoring.speaker_bootstrap import HEADLINE, compare
from ..processing.scoring.trials import read_trials
from .name_lists import read_speakers

__all__ = ["compare_systems"]


def compare_systems(
    a: str,
    b: str,
    trials: str | None = None,
    *,
    trials_format: str = "auto",
    speakers: str | None = None,
    metric: str = "eer",
    partial: bool = False,
    n_resamples: int = 1000,
    seed: int = 0,
    as_json: bool = False,
) -> dict:
    """Compare two files of scores by paired bootstrap over speakers; returns what was printed.

    Arguments
    ---------
    a, b : files of scores of the same trials, in any order.
    trials : the list; None takes it from `a`, which then needs labels.
    trials_format : of the list.
    speakers : file of lines 'RECORDING SPEAKER'; None: the first folder of the names.
    metric : one of `HEADLINE`.
    partial : both files hold scores of more than the list, and this is meant.
    n_resamples, seed : of the bootstrap.
    as_json : print one JSON object.

    Raises
    ------
    ValueError
        Files of other trials, with the first that differs; NaN; names without speakers.
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}: a comparison needs draws of speakers")
    listed = read_trials(trials, trials_format) if trials else None
    listed, scores_a = read_scored_trials(a, listed, partial=partial)
    _, scores_b = read_scored_trials(b, listed, partial=partial)
    number = listed.speakers(read_speakers(speakers) if speakers else None)
    found = compare(
        scores_a,
        scores_b,
        listed.is_target,
        number[listed.enroll],
        number[listed.test],
        HEADLINE[metric],
        n_resamples=n_resamples,
        seed=seed,
    )
    record = {"files": {"a": a, "b": b}, "metric": metric, **asdict(found)}
    record["interval"] = list(found.interval)
    record |= {"seed": seed, "counts": listed.counts}
    record["verdict"] = _verdict(record)
    record["trials"] = {name: getattr(listed, name) for name in ("source", "format", "digest")}
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(record)))
    return record


def _lines(record: dict) -> list[str]:
    low, high = (_number(record, value, "+") for value in record["interval"])
    name = "EER" if record["metric"] == "eer" else record["metric"]
    counts, trials = record["counts"], record["trials"]
    return [
        f"{trials['source']} (SHA-256 {trials['digest'][:16]}): {counts['trials']:,} trials, "
        f"{counts['target']:,} target, {counts['nontarget']:,} nontarget",
        f"A  {_number(record, record['a'])} {name}  {record['files']['a']}",
        f"B  {_number(record, record['b'])} {name}  {record['files']['b']}",
        f"A - B  {_number(record, record['difference'], '+')} [{low}, {high}], p "
        f"{_p_value(record)} ({100 * record['confidence']:g} %, paired bootstrap over "
        f"{record['n_speakers']} speakers, {record['n_resamples']} resamples, seed "
        f"{record['seed']})",
        record["verdict"],
    ]


def _verdict(record: dict) -> str:
    trials = f"these {record['counts']['trials']:,} trials of {record['n_speakers']} speakers"
    if record["a"] == record["b"] and record["interval"] == [0.0, 0.0]:
        return f"A and B err alike in every resample of {trials}: nothing tells them apart."
    if not record["differ"]:
        return (
            f"A and B do not differ measurably on {trials}: the interval of the difference holds 0."
        )
    better, worse = ("A", "B") if record["difference"] < 0 else ("B", "A")
    return (
        f"{better} errs less than {worse} on {trials}: the interval of the difference leaves out "
        "0. This is about these two trained models, not about the methods that made them."
    )


def _number(record: dict, value: float, sign: str = "") -> str:
    if record["metric"] == "eer":
        return f"{100 * value:{sign}.2f} %"
    return f"{value:{sign}.4f}"


def _p_value(record: dict) -> str:
    least = 1 / record["n_resamples"]
    return f"< {least:g}" if record["p_value"] <= least else f"= {record['p_value']:.3g}"
