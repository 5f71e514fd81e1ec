"""Pictures of a study: curves of all seeds, and scores against what they cost."""

import io
import re
from collections.abc import Mapping, Sequence

from .common import COLOURS, GREY, new_figure, without_formulas

_PANELS_PER_ROW = 3


def curves_of_seeds(groups: Mapping[str, Sequence[Sequence[float]]], ylabel: str):
    """Draw the course of a validation score: a panel per cell, a line per seed.

    Arguments
    ---------
    groups : name of the cell -> for each seed the score after each epoch.
    ylabel : the score, with its unit.

    Returns
    -------
    The figure. All panels have one scale, so that they can be compared.
    """
    columns = min(len(groups), _PANELS_PER_ROW)
    rows = -(-len(groups) // columns)
    figure = new_figure(3.6 * columns, 0.4 + 2.5 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, seeds) in zip(panels, groups.items(), strict=False):
        for number, values in enumerate(seeds):
            colour = COLOURS[number % len(COLOURS)]
            marker = "o" if len(values) == 1 else None
            axes.plot(range(1, len(values) + 1), values, color=colour, lw=1.2, marker=marker)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels[len(groups) :]:
        axes.remove()
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    return figure


def score_against_cost(
    points: Mapping[str, tuple[float, float, float | None]], xlabel: str, ylabel: str
):
    """Draw each cell's score over what it costs, on a logarithmic axis.

    Arguments
    ---------
    points : name of the cell -> (cost, mean score, half of its interval or None).
    xlabel, ylabel : what they are, with units.

    Returns
    -------
    The figure.
    """
    figure = new_figure(7.4, 4.6)
    axes = figure.subplots()
    for number, (name, (cost, mean, half)) in enumerate(points.items()):
        colour = COLOURS[number % len(COLOURS)]
        axes.errorbar(cost, mean, yerr=half, fmt="o", color=colour, ecolor=GREY, capsize=3)
        axes.annotate(name, (cost, mean), (5, 4), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.15)  # room for the names
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3, which="both")
    return figure


def svg(figure, name: str) -> str:
    """A figure as an SVG element for a page, with its text as text.

    Arguments
    ---------
    name : of the figure on its page; its parts have no names in common with other figures.
    """
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        without_formulas(figure).savefig(
            stream, format="svg", metadata={"Date": None, "Creator": None}
        )
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    # Matplotlib numbers its parts in every figure alike.
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    opening = f'<svg viewBox="{size[0][9:-1]}" style="width:100%;max-width:{float(size[1]):.0f}pt"'
    return re.sub(r"<svg[^>]*>", f'{opening} aria-hidden="true" focusable="false">', text, count=1)
