"""Comparison of two systems on the same trials (`auricle compare`), and how comparisons are told."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict

from ...processing.scoring.paired import Comparison
from ...processing.scoring.verification.pair_scores import read_scored_trials
from ...processing.scoring.verification.speaker_bootstrap import HEADLINE
from ...processing.scoring.verification.speaker_bootstrap import compare_systems as compare
from ...processing.scoring.verification.trials import read_trials
from ..reports.printing import show
from .input_files import naming, read_speakers
from .options import TrialFiles


def compare_systems(
    a: Sequence[str | os.PathLike],
    b: Sequence[str | os.PathLike],
    files: TrialFiles,
    metric: str = "eer",
    n_resamples: int = 1000,
    seed: int = 0,
    as_json: bool = False,
) -> dict:
    """Compare two files of scores by paired bootstrap over speakers; returns what was printed.

    Arguments
    ---------
    a, b : files of scores of the same trials, in any order; several of a system are its seeds, and
        the mean of their error rates is compared.
    files : the list and what belongs to it; without a list the first of `a` needs labels.
    metric : one of `HEADLINE`.
    n_resamples, seed : of the bootstrap.
    as_json : print one JSON object.

    Raises
    ------
    ValueError
        Files of other trials, with the first that differs; NaN; names without speakers.
    """
    check_draws(n_resamples, "speakers")
    fold = {"fold_case": files.fold_case}
    listed = read_trials(files.trials, files.trials_format, **fold) if files.trials else None
    scores = []
    for file in (*a, *b):
        listed, own = read_scored_trials(file, listed, partial=files.partial, **fold)
        scores.append(own)
    speaker_of = read_speakers(files.speakers, **fold) if files.speakers else None
    with naming(files.speakers):
        number = listed.speakers(speaker_of)
    compared = compare(
        scores[: len(a)],
        scores[len(a) :],
        listed.is_target,
        number[listed.enroll],
        number[listed.test],
        HEADLINE[metric],
        n_resamples=n_resamples,
        seed=seed,
    )
    names = [", ".join(map(str, side)) for side in (a, b)]
    record = comparison_record(names, metric, compared, "speakers", seed)
    counts = listed.counts
    record["counts"] = counts
    record["trials"] = {name: getattr(listed, name) for name in ("source", "format", "digest")}
    on = f"these {counts['trials']:,} trials of {record['n_speakers']} speakers"
    record["verdict"] = verdict(record, on, "errs less than", higher_is_better=False)

    def number_text(value: float, sign: str = "") -> str:
        return f"{100 * value:{sign}.2f} %" if metric == "eer" else f"{value:{sign}.4f}"

    head = (
        f"{listed.source} (SHA-256 {listed.digest[:16]}): {counts['trials']:,} trials, "
        f"{counts['target']:,} target, {counts['nontarget']:,} nontarget"
    )
    name = "EER" if metric == "eer" else metric
    over = f"{record['n_speakers']} speakers"
    show(record, comparison_lines(record, head, name, number_text, over), as_json)
    return record


def check_draws(n_resamples: int, unit: str) -> None:
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}: a comparison needs draws of {unit}")


def comparison_record(files, metric: str, compared: Comparison, unit: str, seed: int) -> dict:
    """What every comparison reports, the number of groups by what they are."""
    record = {"files": dict(zip("ab", map(str, files), strict=True)), "metric": metric}
    record |= {**asdict(compared), "interval": list(compared.interval), "seed": seed}
    record[f"n_{unit}"] = record.pop("n_groups")
    return record


def verdict(record: dict, on: str, better: str, *, higher_is_better: bool) -> str:
    """One sentence on whether A and B differ.

    Arguments
    ---------
    record : of `_record`.
    on : what they were compared on.
    better : what the better one does to the other.
    higher_is_better : of the score.
    """
    if record["a"] == record["b"] and record["interval"] == [0.0, 0.0]:
        return f"A and B err alike in every resample of {on}: nothing tells them apart."
    if not record["differ"]:
        return f"A and B do not differ measurably on {on}: the interval of the difference holds 0."
    first, second = ("A", "B") if (record["difference"] > 0) == higher_is_better else ("B", "A")
    return (
        f"{first} {better} {second} on {on}: the interval of the difference leaves out 0. This is "
        "about these two trained models, not about the methods that made them."
    )


def comparison_lines(
    record: dict, head: str, name: str, number: Callable[..., str], over: str
) -> list[str]:
    """The comparison in words: what it is on, both scores, the difference, the verdict."""
    low, high = (number(value, "+") for value in record["interval"])
    least = 1 / record["n_resamples"]
    p = f"< {least:g}" if record["p_value"] <= least else f"= {record['p_value']:.3g}"
    return [
        head,
        f"A  {number(record['a'])} {name}  {record['files']['a']}",
        f"B  {number(record['b'])} {name}  {record['files']['b']}",
        f"A - B  {number(record['difference'], '+')} [{low}, {high}], p {p} "
        f"({100 * record['confidence']:g} %, paired bootstrap over {over}, "
        f"{record['n_resamples']} resamples, seed {record['seed']})",
        record["verdict"],
    ]
