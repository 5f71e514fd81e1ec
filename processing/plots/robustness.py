"""Picture of a robustness suite: EER against the strength of each distortion."""

from collections.abc import Mapping, Sequence

import numpy as np

from .common import COLOURS, new_figure

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_TITLES = {"white": "White noise", "noise": "Noise", "babble": "Babble", "music": "Music"}
_KINDS = {"mp3": "MP3", "opus": "Opus", "vorbis": "Vorbis", "mu-law 8 kHz": "mu-law"}


def robustness_picture(report: Mapping, title: str = "Speaker verification under distortions"):
    """Draw the EER of one or several systems under every condition that was measured.

    Noises and rooms are curves against their strength, from clean on the left; codecs and the rest
    are points. Bars are the intervals, a dashed line is a system's clean EER.

    Arguments
    ---------
    report : what a suite measured: "systems", "sides", "trials" and "records", each of these with system, group, kind, value, unit, eer (a share), interval and missing.
    title : what was measured; list, sides and bars are put below it.

    Returns
    -------
    The figure, for `save_figure`.

    Raises
    ------
    ValueError
        No record with an EER.
    """
    measured = [row for row in report["records"] if row["eer"] is not None]
    if not measured:
        raise ValueError("nothing to draw: no record has an EER")
    panels = _panels(measured)
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(max(7.0, 4.6 * columns), 1.0 + 3.7 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, (draw, heading, groups) in zip(grid, panels, strict=False):
        draw(axes, report["systems"], measured, groups)
        axes.set_title(heading, fontsize=11)
        axes.grid(axis="y", alpha=0.35)
        axes.set_axisbelow(True)
    for axes in grid[: len(panels) : columns]:
        axes.set_ylabel("EER (%)")
    highest = max(max([row["eer"], *(row["interval"] or ())]) for row in measured)
    grid[0].set_ylim(0, min(100, 108 * highest) or 1)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    lines = "\n" if columns == 1 else "; "  # one panel is narrower than its list of facts
    figure.suptitle(f"{title}\n{lines.join(_facts(report, measured))}", fontsize=11)
    return figure


def _panels(measured: Sequence[Mapping]) -> list[tuple]:
    """(how to draw, heading, which conditions), for what was measured."""
    groups = {row["group"] for row in measured}
    kinds = {row["kind"] for row in measured}
    panels = [
        (_draw_curve, title, (kind, "signal-to-noise ratio (dB)"))
        for kind, title in _TITLES.items()
        if kind in kinds
    ]
    if "reverberation" in groups:
        panels.append((_draw_curve, "Reverberation", ("room", "RT60 (s)")))
    if "codec" in groups:
        panels.append((_draw_points, "Codecs", ("codec",)))
    rest = tuple(g for g in ("telephone", "mulaw", "clipping", "speed") if g in groups)
    if rest:
        panels.append((_draw_points, "Telephone, clipping, speed", rest))
    return panels or [(_draw_points, "Clean", ("clean",))]


def _draw_curve(axes, systems, measured, what) -> None:
    kind, label = what
    # from weak to strong, as in the tables
    values = list(dict.fromkeys(row["value"] for row in measured if row["kind"] == kind))
    for number, system in enumerate(systems):
        rows = {row["value"]: row for row in measured if _is(row, system, kind)}
        clean = [row for row in measured if _is(row, system, "clean")]
        places = [0.0] * len(clean) + [1.0 + values.index(value) for value in rows]
        _draw_system(axes, number, systems, places, [*clean, *rows.values()], clean, "-")
    axes.set_xticks(range(len(values) + 1), ["clean", *(f"{value:g}" for value in values)])
    axes.set(xlim=(-0.4, len(values) + 0.4), xlabel=label)


def _draw_points(axes, systems, measured, groups) -> None:
    chosen = [row for group in groups for row in measured if row["group"] == group]
    names = list(dict.fromkeys(_label(row) for row in chosen))
    for number, system in enumerate(systems):
        rows = [row for row in chosen if row["system"] == system]
        clean = [row for row in measured if _is(row, system, "clean")]
        places = [float(names.index(_label(row))) for row in rows]
        _draw_system(axes, number, systems, places, rows, clean, "none")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(names) - 0.4)


def _draw_system(axes, number, systems, places, rows, clean, line) -> None:
    """One system's points, beside those of the others so that their bars do not overlap, and a
    dashed line at its clean EER."""
    colour = COLOURS[number % len(COLOURS)]
    offset = min(0.14, 0.6 / len(systems)) * (number - (len(systems) - 1) / 2)
    eer = np.array([100 * row["eer"] for row in rows])
    ends = np.array([[100 * end for end in row["interval"] or (row["eer"],) * 2] for row in rows])
    ends = ends.reshape(-1, 2).T
    # an interval of quantiles may lie beside the value itself: a bar has no negative length
    bars = np.abs([np.minimum(ends[0] - eer, 0), np.maximum(ends[1] - eer, 0)])
    look = {"marker": _MARKERS[number % len(_MARKERS)], "markersize": 4.5, "linewidth": 1.5}
    if rows:
        axes.errorbar(
            np.array(places) + offset,
            eer,
            yerr=bars,
            color=colour,
            linestyle=line,
            elinewidth=1.0,
            capsize=2,
            label=systems[number],
            **look,
        )
    for row in clean:
        axes.axhline(100 * row["eer"], color=colour, ls="--", lw=0.9, alpha=0.6)


def _is(row: Mapping, system: str, kind: str) -> bool:
    return row["system"] == system and row["kind"] == kind


def _label(row: Mapping) -> str:
    name = _KINDS.get(row["kind"], row["kind"])
    if row["value"] is None:
        return name
    unit = "" if row["unit"] == "quality" else row["unit"]
    return f"{name} {row['value']:g} {unit}".strip()


def _facts(report: Mapping, measured: Sequence[Mapping]) -> list[str]:
    trials = report["trials"]
    sides = {"test": "test side distorted", "both": "both sides distorted"}[report["sides"]]
    corpus = " (synthetic mini corpus)" if report.get("synthetic") else ""
    facts = [f"{trials['trials']:,} trials of {trials['source']}{corpus}"]
    facts.append(f"{sides}, dashed: clean")
    if any(row["interval"] for row in measured):
        facts.append("bars: 95 % interval over speakers")
    return facts
