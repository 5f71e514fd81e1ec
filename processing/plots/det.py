"""Pictures of detection error trade-offs: DET curves, misses against false alarms per hour."""

import itertools
from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr, ndtri

from ..scoring.verification.metrics import ErrorCurve
from .common import COLOURS, new_figure

#: After the colours come other styles of line.
_STYLES = ("-", "--", ":", "-.")
_TICKS = (0.0001, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99)
_MAX_POINTS = 4000


def det_curve(
    curves: Mapping[str, ErrorCurve],
    title: str = "Detection error trade-off",
    p_target: float | None = 0.01,
    c_miss: float = 1.0,
    c_false_alarm: float = 1.0,
):
    """Draw miss rate against false alarm rate, both on the normal-deviate scale.

    On this scale scores that are normal on both sides give a straight line, of slope -1 where
    their deviations are equal. Each system's EER is marked on the diagonal and said in the legend.

    Arguments
    ---------
    curves : `error_curve(...)` of each system, by the system's name.
    title : what was scored on which list.
    p_target, c_miss, c_false_alarm : where to mark each system's minDCF (a ring); p_target None:
        no marks. What lies outside the axes is marked where the curve comes nearest to it.

    Returns
    -------
    The figure, for `save_figure`.

    Raises
    ------
    ValueError
        No system.

    References
    ----------
    A. Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.
    """
    if not curves:
        raise ValueError("no system to draw: give at least one error curve by name")
    drawn = {name: det_points(curve) for name, curve in curves.items()}
    # a rate below one error cannot be seen on this scale: the axes end at half of the least one
    least = min(min(1 / curve.n_target, 1 / curve.n_nontarget) for curve in curves.values())
    low = float(np.clip(least / 2, 1e-5, 0.02))
    largest = max(curve.eer()[0] for curve in curves.values())
    high = float(np.clip(4 * largest, 0.5, 1 - 1e-3))
    figure = new_figure(7.6, 7.6)
    axes = figure.add_subplot()
    for which in (axes.set_xscale, axes.set_yscale):
        which("function", functions=(ndtri, ndtr))
    axes.plot([low, high], [low, high], color="#B0B0B0", linewidth=0.8, zorder=1)
    for index, (name, (false_alarms, misses)) in enumerate(drawn.items()):
        curve = curves[name]
        colour = COLOURS[index % len(COLOURS)]
        style = _STYLES[index // len(COLOURS) % len(_STYLES)]
        rate = curve.eer()[0]
        points = np.clip([false_alarms, misses], low / 10, 1 - low / 10)
        label = f"{name}: EER {100 * rate:.2f} %"
        axes.plot(*points, style, color=colour, linewidth=1.6, label=label)
        axes.plot(max(rate, low), max(rate, low), "o", color=colour, markersize=5)
        if p_target is not None:
            threshold = curve.min_dcf(p_target, c_miss, c_false_alarm)[1]
            at = np.searchsorted(curve.thresholds, threshold)
            ring = _mark(points, (curve.false_alarm_rates[at], curve.miss_rates[at]), low, high)
            axes.plot(*ring, "o", markerfacecolor="none", color=colour, markersize=8)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{100 * tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set(xlabel="False alarms (% of non-target trials)", ylabel="Misses (% of target trials)")
    axes.grid(color="#DDDDDD", linewidth=0.6)
    marks = "dot: EER" if p_target is None else f"dot: EER, ring: minDCF at p_target {p_target:g}"
    if p_target is not None and not c_miss == c_false_alarm == 1:
        marks += f", costs {c_miss:g} and {c_false_alarm:g}"
    axes.set_title(f"{title}\n{marks}", fontsize=11)
    axes.legend(loc="upper right", fontsize=9)
    return figure


def detection_curve(summaries: Mapping[str, Mapping], title: str = "Keywords in recordings"):
    """Draw misses against false alarms per hour over thresholds, the one in use as a dot.

    Arguments
    ---------
    summaries : of each system, what `EventScores.summarize` gives.

    Returns
    -------
    The figure, for `save_figure`.
    """
    figure = new_figure(7.6, 5.6)
    axes = figure.add_subplot()
    for (name, summary), colour in zip(summaries.items(), itertools.cycle(COLOURS)):
        alarms = [row["false_alarms_per_hour"] for row in summary["curve"]]
        misses = [100 * row["miss_rate"] for row in summary["curve"]]
        axes.plot(alarms, misses, "-", color=colour, linewidth=1.6, label=name)
        used = summary["false_alarms_per_hour"], 100 * summary["miss_rate"]
        axes.plot(*used, "o", color=colour, markersize=6)
    # No false alarm at all has a place on this scale, too.
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set(xlim=(0, None), ylim=(0, 100))
    axes.set(xlabel="False alarms per hour", ylabel="Misses (% of keywords)", title=title)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.legend(loc="upper right", fontsize=9)
    return figure


def _mark(points: np.ndarray, goal: tuple[float, float], low: float, high: float) -> np.ndarray:
    """The place on a drawn curve (2, n), inside the axes, that is nearest to a point of it."""
    if low <= min(goal) and max(goal) <= high:
        return np.array(goal)
    way = ndtri(points)
    at = np.arange(way.shape[1])
    fine = np.linspace(0, at[-1], max(20_000, 4 * len(at)))
    fine = np.stack([np.interp(fine, at, side) for side in way])
    inside = ((fine >= ndtri(low)) & (fine <= ndtri(high))).all(axis=0)
    if not inside.any():
        return np.clip(goal, low, high)
    fine = fine[:, inside]
    distance = np.hypot(*(fine - ndtri(np.clip(goal, low / 10, 1 - low / 10))[:, None]))
    return ndtr(fine[:, distance.argmin()])


def det_points(curve: ErrorCurve, max_points: int = _MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """(false alarm rates, miss rates) of a curve, thinned out to what a picture can show.

    The points are taken evenly on the normal-deviate scale, so the ends keep their steps.
    """
    false_alarms, misses = curve.false_alarm_rates, curve.miss_rates
    if len(misses) > max_points:
        tiny = 1 / (4 * max(curve.n_target, curve.n_nontarget))
        way = [ndtri(np.clip(rate, tiny, 1 - tiny)) for rate in (misses, 1 - false_alarms)]
        length = way[0] + way[1]  # both rise with the threshold
        steps = np.linspace(length[0], length[-1], max_points)
        kept = np.unique(np.clip(np.searchsorted(length, steps), 0, len(length) - 1))
        false_alarms, misses = false_alarms[kept], misses[kept]
    return false_alarms, misses
