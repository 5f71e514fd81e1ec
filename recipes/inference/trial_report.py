"""Report of a trial list's scores: error rates, intervals, calibration, what they rest on."""

from collections.abc import Sequence
from pathlib import Path

from ...processing.scoring.verification.calibration import bayes_threshold
from ...processing.scoring.verification.trial_scores import (
    P_TARGETS,
    POINTS,
    summarize_trials,
    write_scores,
)
from ..reports.printing import show
from .calibration_files import FILE, read_calibration
from .options import TrialResults
from .trial_scoring import Scored


def report(scored: Scored, asked: TrialResults, seed: int = 0, as_json: bool = False) -> dict:
    """Print the error rates of scores and write what was asked for; returns the summary.

    Arguments
    ---------
    scored : the trials, the scores and how they came about.
    asked : what is printed and written; scores are saved as they are before calibration.
    seed : of the intervals over speakers.
    as_json : print one JSON object.
    """
    points = operating_points(asked)
    fitted, unused = calibration_of(scored, asked)
    draws = {"n_resamples": asked.n_resamples, "seed": seed}
    summary = summarize(scored, fitted, llrs=asked.llrs, points=points, **draws)
    summary["calibration_not_used"] = unused
    if asked.save_scores:
        write_scores(asked.save_scores, scored.trials, scored.scores)
    if asked.det:
        _draw(scored, asked.det, points[0])
    summary["files"] = {"scores": asked.save_scores, "det": asked.det}
    show(summary, lines_of(summary, asked.conventions), as_json)
    return summary


def operating_points(asked: TrialResults) -> list[tuple[float, float, float]]:
    """(p_target, c_miss, c_fa) of every point that was asked for.

    Raises
    ------
    ValueError
        Other numbers of them; a prior or a cost that is none.
    """
    values = {
        "--p-target": asked.p_target or P_TARGETS,
        "--c-miss": asked.c_miss or [1.0],
        "--c-fa": asked.c_fa or [1.0],
    }
    count = max(map(len, values.values()))
    if wrong := [name for name, given in values.items() if len(given) not in (1, count)]:
        raise ValueError(f"{wrong[0]} has {len(values[wrong[0]])} values: give one, or {count}")
    points = list(
        zip(*(list(v) * (count if len(v) == 1 else 1) for v in values.values()), strict=True)
    )
    for point in points:
        bayes_threshold(*point)
    return points


def calibration_of(scored: Scored, asked: TrialResults):
    """(calibration, why there is none): the one named, else that of the bundle that embedded."""
    if asked.calibration:
        return read_calibration(asked.calibration), None
    own = Path(str(scored.how.get("file")))
    if asked.llrs or scored.how.get("source") != "embeddings" or not (own / FILE).is_file():
        return None, None
    fitted = read_calibration(own)
    try:
        fitted.apply(scored.scores[:1], scored.how)
    except ValueError as error:
        return None, f"the bundle's {FILE} is not used: {error}"
    return fitted, None


def summarize(
    scored: Scored,
    fitted=None,
    *,
    llrs: bool = False,
    points: Sequence[tuple[float, float, float]] = POINTS,
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """`summarize_trials` with how the scores were made, and calibrated where they can be.

    Intervals are over speakers; where the speakers are not known, `interval` is None and
    `no_interval` says why.
    """
    scores = fitted.apply(scored.scores, scored.how) if fitted else scored.scores
    scoring = (scored.trials, scores, scored.speaker_of)
    calibrated = {"calibrated": llrs or fitted is not None, "points": points}
    summary, reason = None, None
    if n_resamples < 0:
        raise ValueError(f"n_resamples is {n_resamples}: give 0 for no intervals, or how many")
    if n_resamples and scored.speaker_of is None:
        # a list whose names do not say the speaker can be scored, if without an interval
        try:
            scored.trials.speakers()
        except ValueError as error:
            reason = f"{error} (auricle score: --speakers FILE)"
    if n_resamples and not reason:
        try:
            summary = summarize_trials(*scoring, **calibrated, n_resamples=n_resamples, seed=seed)
        except ValueError as error:
            if scored.speaker_of is not None:
                raise ValueError(f"{scored.speakers_file}: {error}") from None
            reason = str(error)
    summary = summary or summarize_trials(*scoring, **calibrated, n_resamples=0)
    if fitted:
        # thresholds are text for the scores as they came, which is what a user compares with
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
        f", {counts[key]:,} {what}"
        for key, what in (("repeated", "repeated"), ("with_itself", "of a recording with itself"))
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
        lines.append(
            f"minDCF({p})".ljust(13) + f" {value:.4f}{span} at score {at:.4f} (normalised)"
        )
    for p, value in summary.get("act_dcf", {}).items():
        lines.append(f"actDCF({p})".ljust(13) + f" {value:.4f}")
    if "cllr" in summary:
        lines.append(f"Cllr          {summary['cllr']:.4f}")
    lines.append(f"minCllr       {summary['min_cllr']:.4f}")
    lines.append(
        summary.get("calibration_not_used") or _describe_calibration(summary["calibration"])
    )
    if summary["interval"]:
        draw = summary["interval"]
        lines.append(
            f"Interval: {100 * draw['confidence']:g} %, {draw['method']} over "
            f"{draw['n_speakers']} speakers, {draw['n_resamples']} resamples, seed {draw['seed']}"
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
        text = (
            f"PLDA ({model['dimensions']} dimensions, rank {model['rank']}, trained on "
            f"{model['recordings']:,} recordings of {model['speakers']:,} speakers)"
        )
    else:
        text = "cosine"
    if how["mean_subtraction"]:
        text += ", cohort's mean subtracted"
    if how["norm"] != "none":
        cohort = how["cohort"]
        members = cohort.get("speakers") or cohort["recordings"]
        top = f", top {how['top_n']:,}" if how["top_n"] else ""
        what = "speakers" if "speakers" in cohort else "recordings"
        text += f", {how['norm']}-norm against {members:,} {what}{top}"
    if how["crops"]:
        text += f", {how['crops']} crops of {how['crop_s']:g} s"
    elif how["crops"] == 0:
        text += ", whole recordings"
    return f"{text}; {how['file']}"


def _describe_calibration(calibration) -> str:
    if calibration is None:
        return (
            "Not calibrated: actual DCF and Cllr need log-likelihood ratios (--calibration FILE, "
            "or --llrs)"
        )
    if isinstance(calibration, str):
        return f"Calibration: none; the {calibration}"
    on = calibration["fitted_on"]
    text = (
        f"Calibration: {FILE} with prior {calibration['prior']:g}, fitted on {on.get('source')} "
        f"(SHA-256 {str(on.get('digest'))[:16]})"
    )
    if calibration["fitted_on_this_list"]:
        text += "; that is this very list: its actual DCF and Cllr are too good"
    return text


def _interval(summary: dict, name: str):
    return summary["interval"] and summary["interval"].get(name)


def _percent(summary: dict, name: str) -> str:
    interval = _interval(summary, name)
    span = f" [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]" if interval else ""
    return f"{100 * summary[name]:.2f} %{span}"


def _draw(scored: Scored, path: str, point: tuple[float, float, float]) -> None:
    from ...processing.plots.common import save_figure
    from ...processing.plots.det import det_curve
    from ...processing.scoring.verification.metrics import error_curve

    curve = error_curve(scored.scores, scored.trials.is_target)
    label = Path(str(scored.how.get("file"))).name
    title = f"{scored.trials.source}, {len(scored.trials):,} trials"
    save_figure(det_curve({label: curve}, title, *point), path)
