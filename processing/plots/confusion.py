"""Pictures of confusion matrices: of classes, and of tokens with deletions and insertions."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..scoring.arrays import to_numpy
from .common import new_figure

_SHARES = (0, 1, 5, 10, 25, 50, 75, 100)


def confusion_matrix(counts, labels: Sequence[str], title: str = "Confusion matrix"):
    """Draw a confusion matrix: colour is the share of the true class, the text the count.

    The colour scale is a square root, so that a confusion of 3 % is seen beside hits of 95 %.

    Arguments
    ---------
    counts : (C, C) counts, rows are the true class.
    labels : the class names, in class order.
    title : what was scored; the accuracy is put below it.

    Returns
    -------
    The figure, for `save_figure`.

    Raises
    ------
    ValueError
        Counts that are no (C, C) counts of at least one item, or labels of another number.
    """
    counts = to_numpy(counts)
    size = len(labels)
    if counts.shape != (size, size) or size < 2:
        raise ValueError(f"counts have shape {counts.shape}: {size} labels need ({size}, {size})")
    if counts.dtype.kind not in "iu" or (counts < 0).any() or not counts.any():
        raise ValueError("counts must be integers of at least 0, and not all 0: pass the counts")
    side = max(7.2, 3.0 + 0.34 * size)  # inches: room for three digits in every cell
    scale = min(1.6, side / 7.2)  # of all text, so that it is as large at a given width
    digits = max(2, len(str(counts.max())))
    cell_points = 72 * 0.74 * side / size
    cells = {place: str(counts[place]) for place in zip(*np.nonzero(counts), strict=True)}
    axes, bar = _share_map(
        counts, cells, side, min(11.0 * scale, cell_points / (0.62 * digits + 0.2))
    )
    tick_size = min(11.0 * scale, 0.58 * cell_points)
    rotation = 0 if size <= 4 else 45 if size <= 12 else 90
    _name_cells(axes, counts, labels, labels, rotation, tick_size)
    if rotation == 45:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#E4E4E4", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("predicted class", fontsize=11 * scale)
    axes.set_ylabel("true class (number of items)", fontsize=11 * scale)
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(
        f"{title}\naccuracy {100 * right / total:.1f} % ({right:,} of {total:,})",
        fontsize=11 * scale,
    )
    bar.set_label("share of the true class (%)", fontsize=11 * scale)
    bar.ax.tick_params(labelsize=9 * scale)
    return axes.figure


def token_confusion(counts, labels: Mapping[str, Sequence[str]], title: str = "Confusions"):
    """Draw which token was taken for which, with what was left out and what was put in.

    Colour is the share of the reference's token; cells below a count of 1 % of it stay without a
    number, because there are some forty rows.

    Arguments
    ---------
    counts : (S + 1, S + 1) counts, rows are the reference, the last row insertions, the last column
        deletions, as `EditCounts.summarize` gives them.
    labels : {"reference": S + 1 names, "hypothesis": S + 1 names}.
    title : what was scored.

    Returns
    -------
    The figure, for `save_figure`.

    Raises
    ------
    ValueError
        Counts that are no such table, or labels of another number.
    """
    counts = to_numpy(counts)
    # A space, as a character, is shown as alignments show it.
    rows, columns = (
        [label.replace(" ", "_") for label in labels[side]] for side in ("reference", "hypothesis")
    )
    if counts.shape != (len(rows), len(columns)) or len(rows) < 2 or not counts.any():
        raise ValueError(
            f"counts have shape {counts.shape}: {len(rows)} by {len(columns)} labels need counts of "
            "that shape, not all 0"
        )
    share = _shares(counts)
    large = zip(*np.nonzero((counts > 0) & (share >= 1)), strict=True)
    cells = {place: f"{share[place]:.0f}" for place in large}
    axes, bar = _share_map(counts, cells, max(7.2, 2.4 + 0.24 * len(rows)), 6.5)
    _name_cells(axes, counts, rows, columns, 90, 8)
    axes.set(xlabel="recognised", ylabel="reference (number of tokens)")
    axes.set_title(f"{title}\nper cent of each reference token", fontsize=11)
    bar.set_label("share of the reference token (%)")
    return axes.figure


def _shares(counts: np.ndarray) -> np.ndarray:
    """Per cent of each row."""
    return 100 * counts / np.maximum(counts.sum(axis=1), 1)[:, None]


def _share_map(counts: np.ndarray, cells: Mapping[tuple, str], side: float, fontsize: float):
    """Axes and colour bar of the rows' shares as colours, with text in some cells."""
    from matplotlib.colors import PowerNorm

    share = _shares(counts)
    figure = new_figure(side + 0.9, side)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=100))
    for (row, column), text in cells.items():
        colour = "white" if share[row, column] > 30 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=fontsize, color=colour)
    return axes, figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, ticks=_SHARES)


def _name_cells(axes, counts: np.ndarray, rows, columns, rotation: int, fontsize: float) -> None:
    """Names of the columns, and of the rows with their sums."""
    axes.set_xticks(range(len(columns)), columns, rotation=rotation, fontsize=fontsize)
    names = [f"{label}  ({n})" for label, n in zip(rows, counts.sum(axis=1), strict=True)]
    axes.set_yticks(range(len(rows)), names, fontsize=fontsize)
