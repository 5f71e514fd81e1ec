"""`auricle compare`: whether two systems differ on the same trials."""

from __future__ import annotations

import json
from dataclasses import asdict

from ...processing.scoring.verification.pair_scores import read_scored_trials
from ...processing.scoring.verification.speaker_bootstrap import HEADLINE, compare
from ...processing.scoring.verification.trials import read_trials
from ..reports.comparison_report import difference_line, verdict
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
    on = f"these {record['counts']['trials']:,} trials of {record['n_speakers']} speakers"
    record["verdict"] = verdict(record, on)
    record["trials"] = {name: getattr(listed, name) for name in ("source", "format", "digest")}
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(record)))
    return record


def _lines(record: dict) -> list[str]:
    def number(value: float, sign: str = "") -> str:
        return f"{100 * value:{sign}.2f} %" if record["metric"] == "eer" else f"{value:{sign}.4f}"

    name = "EER" if record["metric"] == "eer" else record["metric"]
    counts, trials = record["counts"], record["trials"]
    return [
        f"{trials['source']} (SHA-256 {trials['digest'][:16]}): {counts['trials']:,} trials, "
        f"{counts['target']:,} target, {counts['nontarget']:,} nontarget",
        f"A  {number(record['a'])} {name}  {record['files']['a']}",
        f"B  {number(record['b'])} {name}  {record['files']['b']}",
        difference_line(record, number, f"{record['n_speakers']} speakers"),
        record["verdict"],
    ]
