"""Pictures of a run: confusion matrix, learned filters, training curves, as PNG files.

matplotlib is imported when a picture is drawn, not when the package is; the figures belong to no
window system and to no global state, so they can be drawn from any process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

# Colours that stay apart with colour-blindness and in grey (Okabe and Ito, 2008).
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#8A8A8A"
_DPI = 140


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
    return _save(confusion_matrix_figure(counts, labels, title), path)


def learned_filters(
    filters: Mapping, path: str | os.PathLike, title: str = "Learned filters"
) -> Path:
    """Draw a filterbank before and after training: its responses, its centres and bandwidths.

    Arguments
    ---------
    filters : arrays of a filterbank with F filters, all in Hz where a frequency:
        center_hz_before, center_hz_after, bandwidth_hz_before, bandwidth_hz_after : (F,)
        response : (F, bins), magnitude of the frequency responses after training
        frequency_hz : (bins,), the frequencies of the bins
    path : where the PNG goes; folders are made.
    title : what was trained on what.

    Raises
    ------
    ValueError
        An entry is missing, not known, not finite, or of another shape than the others.
    """
    return _save(learned_filters_figure(filters, title), path)


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
        lacks, or what is not finite, is left out of the curve; "n", a number of items, is no
        measure and not drawn.
    path : where the PNG goes; folders are made.
    title : what was trained on what.
    best_epoch : the epoch that was kept, marked by a line.

    Raises
    ------
    ValueError
        No epoch, an epoch without a number, or no measure at all.
    """
    return _save(training_curves_figure(history, title, best_epoch), path)


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
    figure = _figure(side + 0.9, side)
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


def learned_filters_figure(filters: Mapping, title: str):
    """The figure that `learned_filters` saves."""
    known = [
        f"{what}_hz_{when}" for what in ("center", "bandwidth") for when in ("before", "after")
    ]
    f = _checked_filters(filters, known)
    size = len(f["center_hz_after"])
    figure = _figure(11.5, 5.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.12, 1], sharey=True)
    figure.suptitle(title)
    index = np.arange(1, size + 1)

    peak = np.maximum(f["response"].max(axis=1, keepdims=True), np.finfo(float).tiny)
    level_db = 20 * np.log10(np.maximum(f["response"] / peak, 1e-3))
    image = left.pcolormesh(
        index, f["frequency_hz"], level_db.T, cmap="magma", vmin=-60, vmax=0, shading="nearest"
    )
    figure.colorbar(image, ax=left, label="level re the filter's maximum (dB)", pad=0.02)
    left.set_title("Frequency responses after training", fontsize=11)
    left.set_ylabel("frequency (Hz), mel scale")

    thin = min(1.0, 40 / size)
    for when, colour, width in (("before", "#B8B8B8", 5.0), ("after", _ORANGE, 2.0)):
        centre, half = f[f"center_hz_{when}"], f[f"bandwidth_hz_{when}"] / 2
        right.vlines(
            index,
            np.maximum(centre - half, 0),  # no band below 0 Hz
            centre + half,
            color=colour,
            lw=max(0.8, width * thin),
        )
        right.plot(
            index,
            centre,
            "o",
            color=_GREY if when == "before" else colour,
            markersize=1.6 + 2.0 * thin,
            label=f"{when} training",
        )
    right.set_title("Centre frequency (dot) and bandwidth (bar)", fontsize=11)
    right.legend(loc="upper left")
    right.grid(alpha=0.3)
    right.tick_params(labelleft=True)
    right.set_ylabel("frequency (Hz), mel scale")
    top_hz = f["frequency_hz"].max()
    # On the mel scale a mel-spaced bank is a straight line of equal bars: what was learned shows.
    right.set_yscale("function", functions=(_hz_to_mel, _mel_to_hz))
    ticks = [hz for hz in (0, 125, 250, 500, 1000, 2000, 4000, 8000, 16000) if hz <= top_hz]
    right.set_yticks(ticks, [f"{hz:,}" for hz in ticks])
    right.set_ylim(0, top_hz)
    for axes in (left, right):
        axes.set_xlabel("filter (index)")
        axes.set_xlim(0.5, size + 0.5)
    return figure


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
            if name.startswith(sides) and name[6:] not in (*measures, "n"):
                measures.append(name[6:])
    if not measures:
        raise ValueError(
            'the history holds no measure: name them "train_loss", "valid_accuracy" and so on; '
            f"the first epoch holds {sorted(history[0])}"
        )
    figure = _figure(max(7.4, (5.4 if len(measures) < 3 else 4.3) * len(measures)), 4.4)
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    figure.suptitle(title)
    numbers = np.array([epoch["epoch"] for epoch in history], dtype=float)
    for axes, measure in zip(panels, measures, strict=True):
        percent = measure.endswith(("accuracy", "error", "f1", "eer", "per"))
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


def _checked_filters(filters: Mapping, per_filter: list[str]) -> dict[str, np.ndarray]:
    names = [*per_filter, "response", "frequency_hz"]
    missing = [name for name in names if name not in filters]
    unknown = [name for name in filters if name not in names]
    if missing or unknown:
        raise ValueError(
            f"filters must hold {', '.join(names)}: missing {missing or 'none'}, not known "
            f"{unknown or 'none'}"
        )
    arrays = {name: _array(filters[name]).astype(np.float64) for name in names}
    for name, array in arrays.items():
        if not np.isfinite(array).all() or array.size == 0:
            raise ValueError(f"{name} is empty or holds NaN or infinity: nothing to draw")
    size, bins = arrays["center_hz_after"].size, arrays["frequency_hz"].size
    shapes = dict.fromkeys(per_filter, (size,))
    shapes |= {"response": (size, bins), "frequency_hz": (bins,)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(
                f"{name} has shape {arrays[name].shape}: {size} filters and {bins} bins need "
                f"{shape}"
            )
    if (arrays["response"] < 0).any():
        raise ValueError("response holds negative values: pass magnitudes, not dB or a waveform")
    return arrays


def _hz_to_mel(hz):
    return 2595 * np.log10(1 + np.maximum(hz, 0) / 700)


def _mel_to_hz(mel):
    return 700 * (10 ** (np.maximum(mel, 0) / 2595) - 1)


def _root_scale(top: float):
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, vmin=0, vmax=top)


def _figure(width_inches: float, height_inches: float):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure, path: str | os.PathLike) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
    return path


def _array(values) -> np.ndarray:
    if hasattr(values, "detach"):  # a tensor, wherever it lives
        values = values.detach().cpu().numpy()
    return np.asarray(values)
