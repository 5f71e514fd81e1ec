"""Picture of the course of a training: one panel per measure, training and validation together."""

from collections.abc import Mapping, Sequence

import numpy as np

from .common import BLUE, GREY, ORANGE, new_figure

# The number of items, and a second error rate, which would be taken for the first.
_NOT_DRAWN = ("n", "per_utterance_mean")
#: Nor what is another measure in another unit: the same curve twice.
_DRAWN_ELSEWHERE = ("rmse_unit_scale",)
#: More measures than this go to further rows: a regression has a dozen.
_PANELS_PER_ROW = 4


def training_curves(
    history: Sequence[Mapping[str, float]], title: str = "Training", best_epoch: int | None = None
):
    """Draw the course of a training: one panel per measure, training and validation together.

    Arguments
    ---------
    history : one mapping per epoch: "epoch" (from 1), and any of "train_loss", "valid_loss",
        "train_accuracy", "valid_accuracy" and further "train_..." and "valid_..." measures.
        Accuracies, error rates and F1 scores are shares and drawn in percent. What an epoch
        lacks, or what is not finite, is left out of the curve. Whole numbers in every epoch ("n",
        edits) are counts that a measure is made of, and are not drawn.
    title : what was trained on what.
    best_epoch : the epoch that was kept, marked by a line.

    Returns
    -------
    The figure, for `save_figure`.

    Raises
    ------
    ValueError
        No epoch, an epoch without a number, or no measure at all.
    """
    if not history:
        raise ValueError("no history: pass one mapping per epoch, with at least one epoch")
    if not all("epoch" in epoch for epoch in history):
        raise ValueError('every epoch of the history needs its number as "epoch"')
    sides = ("train_", "valid_")
    names = dict.fromkeys(n[6:] for epoch in history for n in epoch if n.startswith(sides))
    measures = [
        name
        for name in names
        if name not in _NOT_DRAWN
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
        for side, colour, name in (("train_", BLUE, "training"), ("valid_", ORANGE, "validation")):
            values = [epoch.get(side + measure) for epoch in history]
            values = np.array([np.nan if value is None else value for value in values], dtype=float)
            if np.isfinite(values).any():
                values = np.where(np.isfinite(values), values, np.nan) * (100 if percent else 1)
                marker = "o" if len(history) <= 40 else None
                axes.plot(numbers, values, color=colour, marker=marker, markersize=3.5, label=name)
                drawn.append(values)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=GREY, ls="--", lw=1.2, label=f"kept: {best_epoch}")
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
