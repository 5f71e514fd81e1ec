"""Pictures of a run: confusion matrix, learned filters, training curves, as PNG files.

matplotlib is imported when a picture is drawn, not when the package is; the figures belong to no
window system and to no global state, so they can be drawn from any process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..filterbank.responses import FilterSet

# Colours that stay apart with colour-blindness and in grey (Okabe and Ito, 2008).
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#8A8A8A"
_DPI = 140
# Of a history: the number of items, and a second error rate, which would be taken for the first.
_NOT_DRAWN = ("n", "per_utterance_mean")
#: Nor what is another measure in another unit: the same curve twice.
_DRAWN_ELSEWHERE = ("rmse_unit_scale",)
#: More measures than this go to further rows: a regression has a dozen.
_PANELS_PER_ROW = 4
#: What the two banks of a picture of filters are called.
TRAINING = ("before training", "after training")


def confusion_matrix(
    counts, labels: Sequence[str], path: str | os.PathLike, title: str = "Confusion matrix"
) -> Path:
    """Draw a confusion matrix: colour is the share of the true class, the text the count.

    The colour scale is a square root, so that a confusion of 3 % is seen beside hits of 95 %.

    Arguments
    ---------
    counts : (C, C) counts, rows are the true class.
    labels : the class names, in class order.
    path : where the PNG goes; folders are made.
    title : what was scored; the accuracy is put below it.

    Raises
    ------
    ValueError
        Counts that are no (C, C) counts of at least one item, or labels of another number.
    """
    return save_figure(confusion_matrix_figure(counts, labels, title), path)


def token_confusion(
    counts,
    labels: Mapping[str, Sequence[str]],
    path: str | os.PathLike,
    title: str = "Confusions",
) -> Path:
    """Draw which token was taken for which, with what was left out and what was put in.

    Colour is the share of the reference's token; cells below a count of 1 % of it stay without a
    number, because there are some forty rows.

    Arguments
    ---------
    counts : (S + 1, S + 1) counts, rows are the reference, the last row insertions, the last column
        deletions, as `EditCounts.summarize` gives them.
    labels : {"reference": S + 1 names, "hypothesis": S + 1 names}.
    path : where the PNG goes; folders are made.
    title : what was scored.

    Raises
    ------
    ValueError
        Counts that are no such table, or labels of another number.
    """
    return save_figure(token_confusion_figure(counts, labels, title), path)


def token_confusion_figure(counts, labels: Mapping[str, Sequence[str]], title: str):
    """The figure that `token_confusion` saves."""
    counts = _array(counts)
    # A space, as a character, is shown as alignments show it.
    rows, columns = (
        [label.replace(" ", "_") for label in labels[side]] for side in ("reference", "hypothesis")
    )
    if counts.shape != (len(rows), len(columns)) or len(rows) < 2 or not counts.any():
        raise ValueError(
            f"counts have shape {counts.shape}: {len(rows)} by {len(columns)} labels need counts of "
            "that shape, not all 0"
        )
    support = counts.sum(axis=1)
    share = 100 * counts / np.maximum(support, 1)[:, None]
    side = max(7.2, 2.4 + 0.24 * len(rows))
    figure = new_figure(side + 0.9, side)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", norm=_root_scale(100))
    for row, column in np.argwhere((counts > 0) & (share >= 1)):
        axes.text(
            column,
            row,
            f"{share[row, column]:.0f}",
            ha="center",
            va="center",
            fontsize=6.5,
            color="white" if share[row, column] > 30 else "black",
        )
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    names = [f"{label}  ({n})" for label, n in zip(rows, support, strict=True)]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_xlabel("recognised")
    axes.set_ylabel("reference (number of tokens)")
    axes.set_title(f"{title}\nper cent of each reference token", fontsize=11)
    figure.colorbar(
        image, ax=axes, shrink=0.8, pad=0.02, ticks=[0, 1, 5, 10, 25, 50, 75, 100]
    ).set_label("share of the reference token (%)")
    return figure


def learned_filters(
    before: FilterSet,
    after: FilterSet | None,
    path: str | os.PathLike,
    title: str = "Learned filters",
    names: tuple[str, str] = TRAINING,
) -> Path:
    """Draw a bank of filters before and after training: responses, centres, bandwidths.

    Centres are drawn beside mel-spaced ones, bandwidths against the centres and beside those of
    hearing (ERB), all on a mel axis, and each filter's way from before to after as a line.

    Arguments
    ---------
    before, after : as `frontend.filters()` gives them; after None: one bank alone.
    path : where the PNG goes; folders are made.
    title : what was trained on what.
    names : what to call the two banks.

    Raises
    ------
    ValueError
        Two banks that cannot be compared, or values that are not finite.
    """
    return save_figure(learned_filters_figure(before, after, title, names), path)


def training_curves(
    history: Sequence[Mapping[str, float]],
    path: str | os.PathLike,
    title: str = "Training",
    best_epoch: int | None = None,
) -> Path:
    """Draw the course of a training: one panel per measure, training and validation together.

    Arguments
    ---------
    history : one mapping per epoch: "epoch" (from 1), and any of "train_loss", "valid_loss",
        "train_accuracy", "valid_accuracy" and further "train_..." and "valid_..." measures.
        Accuracies, error rates and F1 scores are shares and drawn in percent. What an epoch
        lacks, or what is not finite, is left out of the curve. Whole numbers in every epoch ("n",
        edits) are counts that a measure is made of, and are not drawn.
    path : where the PNG goes; folders are made.
    title : what was trained on what.
    best_epoch : the epoch that was kept, marked by a line.

    Raises
    ------
    ValueError
        No epoch, an epoch without a number, or no measure at all.
    """
    return save_figure(training_curves_figure(history, title, best_epoch), path)


def confusion_matrix_figure(counts, labels: Sequence[str], title: str):
    """The figure that `confusion_matrix` saves."""
    counts = _array(counts)
    size = len(labels)
    if counts.shape != (size, size) or size < 2:
        raise ValueError(f"counts have shape {counts.shape}: {size} labels need ({size}, {size})")
    if counts.dtype.kind not in "iu" or (counts < 0).any() or not counts.any():
        raise ValueError("counts must be integers of at least 0, and not all 0: pass the counts")
    support = counts.sum(axis=1)
    share = 100 * counts / np.maximum(support, 1)[:, None]
    side = max(7.2, 3.0 + 0.34 * size)  # inches: room for three digits in every cell
    scale = min(
        1.6, side / 7.2
    )  # of all text, so that it is as large at a given width of the picture
    figure = new_figure(side + 0.9, side)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", norm=_root_scale(100))
    digits = max(2, len(str(counts.max())))
    cell_points = 72 * 0.74 * side / size
    fontsize = min(11.0 * scale, cell_points / (0.62 * digits + 0.2))
    for row, column in np.argwhere(counts):
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=fontsize,
            color="white" if share[row, column] > 30 else "black",
        )
    tick_size = min(11.0 * scale, 0.58 * cell_points)
    rotation = 0 if size <= 4 else 45 if size <= 12 else 90
    axes.set_xticks(range(size), labels, rotation=rotation, fontsize=tick_size)
    if rotation == 45:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    names = [f"{label}  ({n})" for label, n in zip(labels, support, strict=True)]
    axes.set_yticks(range(size), names, fontsize=tick_size)
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
    bar = figure.colorbar(
        image, ax=axes, shrink=0.8, pad=0.02, ticks=[0, 1, 5, 10, 25, 50, 75, 100]
    )
    bar.set_label("share of the true class (%)", fontsize=11 * scale)
    bar.ax.tick_params(labelsize=9 * scale)
    return figure


def learned_filters_figure(
    before: FilterSet,
    after: FilterSet | None,
    title: str,
    names: tuple[str, str] = TRAINING,
):
    """The figure that `learned_filters` saves."""
    from ..filterbank.displacement import displacement, per_filter
    from ..filterbank.scales import erb_hz

    other = before if after is None else after
    moved, shifts = displacement(before, other), per_filter(before, other)
    banks = [(before, names[0])] + ([(after, names[1])] if after is not None else [])
    if any((bank.responses < 0).any() for bank, _ in banks):
        raise ValueError("responses hold negative values: pass magnitudes, not dB or taps")
    figure = new_figure(11.5 if after is None else 14.5, 8.6)
    upper, lower = figure.subfigures(2, 1, height_ratios=[1, 1.06])
    figure.suptitle(title)

    panels = upper.subplots(1, len(banks), squeeze=False)[0]
    for axes, (bank, name) in zip(panels, banks, strict=True):
        image = _draw_responses(axes, bank)
        axes.set_title(f"Responses {name}" if after is not None else "Responses", fontsize=11)
    bar = upper.colorbar(image, ax=list(panels), pad=0.01, aspect=24)
    bar.set_label("level re the filter's maximum (dB)")

    left, *middle, right = lower.subplots(1, 2 if after is None else 3)
    index = np.arange(1, len(before) + 1)
    from ..filterbank.scales import spaced_hz

    mel_spaced = spaced_hz(before.centre_hz.min(), before.centre_hz.max(), len(before))
    left.plot(index, mel_spaced, "--", color="black", lw=1, label="mel-spaced")
    _draw_ways(left, [(index, bank.centre_hz) for bank, _ in banks], names)
    left.set_xlabel("filter (index)")
    left.set_xlim(0.5, len(before) + 0.5)
    _mel_axis(left, "y", before)
    left.set_ylabel("centre frequency (Hz), mel scale")

    for axes in middle:
        _draw_shifts(axes, index, shifts["centre_shift_erb"])
        axes.set_title(f"Shift of the centres: {moved['centre_shift_erb']:.2g} ERB on average")

    frequency = np.linspace(0, before.freqs_hz[-1], 200)
    erb = erb_hz(frequency)
    right.plot(frequency, erb, "--", color="black", lw=1, label="hearing (ERB)")
    _draw_ways(right, [(bank.centre_hz, bank.bandwidth_hz) for bank, _ in banks], names)
    _mel_axis(right, "x", before)
    right.set_xlabel("centre frequency (Hz), mel scale")
    if all((bank.bandwidth_hz > 0).all() for bank, _ in banks):
        _log_hz_axis(right, np.concatenate([erb, *(bank.bandwidth_hz for bank, _ in banks)]))
    right.set_ylabel("bandwidth at half maximum (Hz)")
    titles = ["Centre frequencies", "Bandwidths"]
    if after is not None:
        titles[0] += f": moved by {_hz(moved['centre_shift_hz'])} on average"
        titles[1] += f": changed by {_hz(moved['bandwidth_shift_hz'])} on average"
    for axes, text in zip((left, right), titles, strict=True):
        axes.set_title(text)
        axes.legend(loc="upper left", fontsize=9)
    for axes in (left, *middle, right):
        axes.title.set_fontsize(11)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    return figure


def _draw_responses(axes, bank: FilterSet):
    peak = np.maximum(bank.responses.max(axis=1, keepdims=True), np.finfo(float).tiny)
    level_db = 20 * np.log10(np.maximum(bank.responses / peak, 1e-3))
    image = axes.pcolormesh(
        np.arange(1, len(bank) + 1),
        bank.freqs_hz,
        level_db.T,
        cmap="magma",
        vmin=-60,
        vmax=0,
        shading="nearest",
    )
    axes.set_xlabel("filter (index)")
    axes.set_xlim(0.5, len(bank) + 0.5)
    _mel_axis(axes, "y", bank)
    axes.set_ylabel("frequency (Hz), mel scale")
    return image


def _draw_shifts(axes, index: np.ndarray, shift_erb: np.ndarray) -> None:
    """A way that is short beside the whole range of frequencies has an axis of its own."""
    axes.bar(index, shift_erb, width=0.8, color=_ORANGE)
    axes.axhline(0, color="black", lw=0.8)
    # Not so near that the noise of a bank that stayed where it was looks like learning.
    reach = max(0.1, 1.15 * np.abs(shift_erb).max())
    axes.set_ylim(-reach, reach)
    axes.set_xlim(0.5, len(index) + 0.5)
    axes.set_xlabel("filter (index)")
    axes.set_ylabel("after minus before (ERB)")


def _draw_ways(axes, points: list[tuple], names) -> None:
    """Where each filter was, where it is, and a line from one to the other."""
    from matplotlib.collections import LineCollection

    size = 2.2 + 2.8 * min(1.0, 40 / len(points[0][0]))
    if len(points) == 1:
        axes.plot(*points[0], "o", color=_ORANGE, markersize=size, label="filters")
        return
    before, after = points
    ways = np.stack([np.stack(before, axis=1), np.stack(after, axis=1)], axis=1)
    axes.add_collection(LineCollection(ways, colors=_GREY, linewidths=1, zorder=1.5))
    axes.plot(*before, "o", color="white", mec=_GREY, markersize=size + 1, label=names[0])
    axes.plot(*after, "o", color=_ORANGE, markersize=size - 0.8, label=names[1])


def _mel_axis(axes, which: str, bank: FilterSet) -> None:
    """A mel-spaced bank is a straight line on it: what was learned shows."""
    from ..filterbank.scales import hz_to_mel, mel_to_hz

    top_hz = bank.freqs_hz[-1]  # of taps, half the rate less a rounding
    marks = (0, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)
    ticks = [hz for hz in marks if hz <= 1.0001 * top_hz]
    if which == "x":
        ticks = [hz for hz in ticks if hz != 125]
    axis = getattr(axes, f"{which}axis")
    # The scale is defined from 0 on; matplotlib also asks for margins below.
    functions = [lambda x, f=f: f(np.maximum(x, 0)) for f in (hz_to_mel, mel_to_hz)]
    getattr(axes, f"set_{which}scale")("function", functions=functions)
    axis.set_ticks(ticks, [f"{hz:,}" for hz in ticks])
    getattr(axes, f"set_{which}lim")(0, top_hz)


def _log_hz_axis(axes, values_hz: np.ndarray) -> None:
    low, high = values_hz.min() / 1.25, values_hz.max() * 1.25
    ticks = [m * 10**e for e in range(-2, 5) for m in (1, 2, 5) if low <= m * 10**e <= high]
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_yticks(ticks, [f"{hz:,g}" for hz in ticks])
    axes.set_yticks([], minor=True)


def _hz(value: float) -> str:
    return f"{value:.1f} Hz" if value >= 0.95 or value == 0 else f"{value:.2g} Hz"


def training_curves_figure(
    history: Sequence[Mapping[str, float]], title: str, best_epoch: int | None = None
):
    """The figure that `training_curves` saves."""
    if not history:
        raise ValueError("no history: pass one mapping per epoch, with at least one epoch")
    if not all("epoch" in epoch for epoch in history):
        raise ValueError('every epoch of the history needs its number as "epoch"')
    sides = ("train_", "valid_")
    measures: list[str] = []
    for epoch in history:
        for name in epoch:
            if name.startswith(sides) and name[6:] not in (*measures, *_NOT_DRAWN):
                measures.append(name[6:])
    measures = [
        name
        for name in measures
        if not _is_count(history, name) and not name.startswith(_DRAWN_ELSEWHERE)
    ]
    if not measures:
        raise ValueError(
            'the history holds no measure: name them "train_loss", "valid_accuracy" and so on; '
            f"the first epoch holds {sorted(history[0])}"
        )
    columns = min(len(measures), _PANELS_PER_ROW)
    rows = -(-len(measures) // columns)
    figure = new_figure(max(7.4, (5.4 if columns < 3 else 4.3) * columns), 0.6 + 3.8 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    panels, rest = grid[: len(measures)], grid[len(measures) :]
    for axes in rest:
        axes.remove()
    figure.suptitle(title)
    numbers = np.array([epoch["epoch"] for epoch in history], dtype=float)
    for axes, measure in zip(panels, measures, strict=True):
        percent = measure.endswith(("accuracy", "error", "f1", "eer", "per", "cer", "wer"))
        drawn = []
        for side, colour, name in (
            ("train_", _BLUE, "training"),
            ("valid_", _ORANGE, "validation"),
        ):
            values = [epoch.get(side + measure) for epoch in history]
            values = np.array([np.nan if value is None else value for value in values], dtype=float)
            if np.isfinite(values).any():
                values = np.where(np.isfinite(values), values, np.nan) * (100 if percent else 1)
                marker = "o" if len(history) <= 40 else None
                axes.plot(numbers, values, color=colour, marker=marker, markersize=3.5, label=name)
                drawn.append(values)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=_GREY, ls="--", lw=1.2, label=f"kept: {best_epoch}")
        words = measure.replace("_", " ").replace("f1", "F1")
        axes.set_title(words, fontsize=11)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{words} (%)" if percent else words)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(history) == 1:
            axes.set_xlim(numbers[0] - 1, numbers[0] + 1)
        axes.grid(alpha=0.3)
        if drawn or best_epoch is not None:
            axes.legend()
    return figure


def _is_count(history: Sequence[Mapping[str, float]], measure: str) -> bool:
    """Whether a measure is a whole number wherever it is given."""
    values = [epoch.get(side + measure) for epoch in history for side in ("train_", "valid_")]
    return all(isinstance(value, int) for value in values if value is not None)


def _root_scale(top: float):
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, vmin=0, vmax=top)


def new_figure(width_inches: float, height_inches: float):
    """An empty figure that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure, path: str | os.PathLike) -> Path:
    """Write a PNG file, in a folder that is made where it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
    return path


def _array(values) -> np.ndarray:
    if hasattr(values, "detach"):  # a tensor, wherever it lives
        values = values.detach().cpu().numpy()
    return np.asarray(values)
