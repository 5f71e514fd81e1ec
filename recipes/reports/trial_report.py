"""What `auricle score` says about a trial list: rates, intervals, what they rest on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ...processing.scoring.verification.trial_scores import TrialScores, write_scores
from ..inference.calibration_files import FILE, read_calibration
from ..inference.trial_scoring import Scored

__all__ = ["report", "summarize"]


def report(
    scored: Scored,
    *,
    calibration: str | None = None,
    llrs: bool = False,
    conventions: bool = False,
    save_scores: str | None = None,
    det: str | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    as_json: bool = False,
) -> dict:
    """Print the error rates of scores and write what was asked for; returns the summary.

    Arguments
    ---------
    scored : the trials, the scores and how they came about.
    calibration : file of `auricle calibrate`, to be applied first.
    llrs : the scores are natural log-likelihood ratios as they are.
    conventions : print EER by the max and average conventions too.
    save_scores : file for the scores (before calibration).
    det : PNG file for the DET curve.
    n_resamples, seed : of the intervals over speakers; 0 for none.
    as_json : print one JSON object.
    """
    fitted = read_calibration(calibration) if calibration else None
    summary = summarize(scored, fitted, llrs=llrs, n_resamples=n_resamples, seed=seed)
    if save_scores:
        write_scores(save_scores, scored.trials, scored.scores)
    if det:
        _draw(scored, det)
    summary["files"] = {"scores": save_scores, "det": det}
    if as_json:
        print(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(lines_of(summary, conventions)))
    return summary


def summarize(
    scored: Scored, fitted=None, *, llrs: bool = False, n_resamples: int = 1000, seed: int = 0
) -> dict:
    """`TrialScores.summarize` with how the scores were made, and calibrated where they can be.

    Intervals are over speakers; where the speakers are not known, `interval` is None and
    `no_interval` says why.
    """
    calibrated = llrs or fitted is not None
    scores = fitted.apply(scored) if fitted else scored.scores
    whole = TrialScores(scored.trials, scored.speaker_of)
    whole.append(np.arange(len(scores)), scores)
    reason = None
    if n_resamples < 0:
        raise ValueError(f"n_resamples is {n_resamples}: give 0 for no intervals, or how many")
    if n_resamples and scored.speaker_of is None:
        # a list whose names do not say the speaker can be scored, if without an interval
        try:
            scored.trials.speakers()
        except ValueError as error:
            reason = f"{error} (auricle score: --speakers FILE)"
    asked = 0 if reason else n_resamples
    if asked:
        try:
            summary = whole.summarize(calibrated=calibrated, n_resamples=asked, seed=seed)
        except ValueError as error:
            if scored.speaker_of is not None:
                raise
            reason, asked = str(error), 0
    if not asked:
        summary = whole.summarize(calibrated=calibrated, n_resamples=0)
    if fitted:
        # thresholds are said for the scores as they came, which is what a user compares with
        back = fitted.calibration
        summary["eer_threshold"] = (summary["eer_threshold"] - back.offset) / back.scale
        summary["min_dcf_threshold"] = {
            p: (at - back.offset) / back.scale for p, at in summary["min_dcf_threshold"].items()
        }
    summary["no_interval"] = reason
    summary["scoring"] = scored.how
    summary["calibration"] = None
    if fitted:
        same = fitted.fitted_on.get("digest") == scored.trials.digest
        summary["calibration"] = {**fitted.to_dict(), "fitted_on_this_list": same}
    elif llrs:
        summary["calibration"] = "scores are log-likelihood ratios as they are"
    return summary


def lines_of(summary: dict, conventions: bool = False) -> list[str]:
    """The summary in words."""
    counts, trials, scoring = summary["counts"], summary["trials"], summary["scoring"]
    repeats = "".join(
        f", {counts[key]:,} {said}"
        for key, said in (("repeated", "repeated"), ("with_itself", "of a recording with itself"))
        if counts[key]
    )
    lines = [
        f"{trials['source']} ({trials['format']}, SHA-256 {trials['digest'][:16]}): "
        f"{counts['trials']:,} trials, {counts['target']:,} target, {counts['nontarget']:,} "
        f"nontarget; {counts['recordings']:,} recordings{repeats}",
        "Scores: " + describe_scoring(scoring),
        f"EER           {_percent(summary, 'eer')} at score {summary['eer_threshold']:.4f} "
        "(interpolated)",
    ]
    if conventions:
        for name in ("max", "average"):
            lines.append(f"EER ({name})".ljust(14) + f"{100 * summary[f'eer_{name}']:.2f} %")
    for p, value in summary["min_dcf"].items():
        interval = _interval(summary, f"min_dcf_{p}")
        span = f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
        at = summary["min_dcf_threshold"][p]
        lines.append(f"minDCF({p})".ljust(14) + f"{value:.4f}{span} at score {at:.4f} (normalised)")
    for p, value in summary.get("act_dcf", {}).items():
        lines.append(f"actDCF({p})".ljust(14) + f"{value:.4f}")
    if "cllr" in summary:
        lines.append(f"Cllr          {summary['cllr']:.4f}")
    lines.append(f"minCllr       {summary['min_cllr']:.4f}")
    lines.append(_describe_calibration(summary["calibration"]))
    if summary["interval"]:
        found = summary["interval"]
        lines.append(
            f"Interval: {100 * found['confidence']:g} %, {found['method']} over "
            f"{found['n_speakers']} speakers, {found['n_resamples']} resamples, seed {found['seed']}"
        )
    elif summary["no_interval"]:
        lines.append(f"No interval: {summary['no_interval']}")
    for what, path in summary.get("files", {}).items():
        if path:
            lines.append(f"{'DET curve' if what == 'det' else 'Scores'}: {path}")
    return lines


def describe_scoring(how: dict) -> str:
    """In words how scores were made."""
    if how.get("source") != "embeddings":
        return f"of {how.get('file')}, as they are"
    if how["backend"] == "plda":
        model = how["plda"]
        said = (
            f"PLDA ({model['dimensions']} dimensions, rank {model['rank']}, trained on "
            f"{model['recordings']:,} recordings of {model['speakers']:,} speakers)"
        )
    else:
        said = "cosine"
    if how["mean_subtraction"]:
        said += ", cohort's mean subtracted"
    if how["norm"] != "none":
        cohort = how["cohort"]
        members = cohort.get("speakers") or cohort["recordings"]
        top = f", top {how['top_n']:,}" if how["top_n"] else ""
        what = "speakers" if "speakers" in cohort else "recordings"
        said += f", {how['norm']}-norm against {members:,} {what}{top}"
    if how["crops"]:
        said += f", {how['crops']} crops of {how['crop_s']:g} s"
    elif how["crops"] == 0:
        said += ", whole recordings"
    return f"{said}; {how['file']}"


def _describe_calibration(calibration) -> str:
    if calibration is None:
        return (
            "Not calibrated: actual DCF and Cllr need log-likelihood ratios (--calibration FILE, "
            "or --llrs)"
        )
    if isinstance(calibration, str):
        return f"Calibration: none; the {calibration}"
    on = calibration["fitted_on"]
    said = (
        f"Calibration: {FILE} with prior {calibration['prior']:g}, fitted on {on.get('source')} "
        f"(SHA-256 {str(on.get('digest'))[:16]})"
    )
    if calibration["fitted_on_this_list"]:
        said += "; that is this very list: its actual DCF and Cllr are too good"
    return said


def _interval(summary: dict, name: str):
    return summary["interval"] and summary["interval"].get(name)


def _percent(summary: dict, name: str) -> str:
    interval = _interval(summary, name)
    span = f" [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]" if interval else ""
    return f"{100 * summary[name]:.2f} %{span}"


def _draw(scored: Scored, path: str) -> None:
    from ...processing.plots.det import det_curve
    from ...processing.scoring.verification.metrics import error_curve

    curve = error_curve(scored.scores, scored.trials.is_target)
    label = Path(str(scored.how.get("file"))).name
    det_curve({label: curve}, path, f"{scored.trials.source}, {len(scored.trials):,} trials")
