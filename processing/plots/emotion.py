"""Pictures of music emotion: the valence-arousal plane, curves over time, attention in Hz and s."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..scoring.arrays import to_numpy
from .common import BLUE, GREY, ORANGE, new_figure

_MAX_ARROWS = 400
_TICKS_HZ = (0, 100, 250, 500, 1000, 2000, 4000, 8000, 16000)
#: Scale of labels where nothing else is said.
_SCALE = {"low": 1.0, "high": 9.0}


def valence_arousal_plane(
    targets,
    predictions,
    title: str = "Valence and arousal",
    scale: Mapping[str, float] | None = None,
):
    """Draw songs on the plane of valence and arousal, with an arrow from label to prediction.

    The middle of the scale divides the plane into quadrants; each says how many labels and how
    many predictions lie in it. Beside it are the errors, with their mean and the ellipse of two
    standard deviations, which for normal errors holds 86 % of them.

    Arguments
    ---------
    targets, predictions : (n, 2), valence then arousal, on `scale`.
    title : what was predicted by what.
    scale : {"low", "high"}, 1 to 9 by default.

    Returns
    -------
    The figure, for `save_figure`.

    Raises
    ------
    ValueError
        No points, other shapes, values that are not finite.

    References
    ----------
    J. A. Russell, "A circumplex model of affect", 1980.
    """
    targets, predictions = _pairs(targets), _pairs(predictions)
    if targets.shape != predictions.shape:
        raise ValueError(f"{len(targets)} labels and {len(predictions)} predictions: one each")
    scale = scale or _SCALE
    low, high = scale["low"], scale["high"]
    middle = (low + high) / 2
    figure = new_figure(12.4, 6.8)
    plane, errors = figure.subplots(1, 2, width_ratios=[1.25, 1])
    # Of very many points an even choice is drawn; the counts are of all.
    num_drawn = min(len(targets), _MAX_ARROWS)
    drawn = np.linspace(0, len(targets) - 1, num_drawn).round().astype(int)
    way = (predictions - targets)[drawn]
    shape = {"width": 0.002, "headwidth": 8, "headlength": 9, "color": GREY, "alpha": 0.75}
    data_units = {"angles": "xy", "scale_units": "xy", "scale": 1}
    plane.quiver(*targets[drawn].T, *way.T, **data_units, **shape, zorder=2)
    plane.plot(*targets[drawn].T, "o", color=BLUE, markersize=4, label="label", zorder=3)
    plane.plot(*predictions[drawn].T, "D", color=ORANGE, markersize=2, label="prediction", zorder=4)
    everything = np.concatenate([targets, predictions])
    ends = _ends(everything, scale)
    true_counts, found_counts = (quadrant_counts(v, scale) for v in (targets, predictions))
    for (right, up), number in {(1, 1): 1, (0, 1): 2, (0, 0): 3, (1, 0): 4}.items():
        plane.text(
            0.985 if right else 0.015,
            0.985 if up else 0.015,
            f"Q{number}: {true_counts[number - 1]} labels,\n{found_counts[number - 1]} predictions",
            transform=plane.transAxes,
            ha="right" if right else "left",
            va="top" if up else "bottom",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2},
            zorder=5,
        )
    names = (
        f"Valence ({low:g} negative to {high:g} positive)",
        f"Arousal ({low:g} calm to {high:g} excited)",
    )
    _square(plane, ends, middle, names, "From label to prediction", legend_below=0.09)
    _draw_errors(errors, predictions - targets, high - low)
    shown = "" if len(drawn) == len(targets) else f" ({len(drawn)} of them drawn)"
    figure.suptitle(f"{title}\n{len(targets)} points{shown}", fontsize=11)
    return figure


def quadrant_counts(points, scale: Mapping[str, float] | None = None) -> list[int]:
    """How many points lie in Q1 (positive, excited), Q2 (negative, excited), Q3, Q4.

    A point on the middle of the scale counts as positive, or excited.

    Example
    -------
    >>> quadrant_counts([[8, 8], [2, 8], [2, 2], [8, 2], [5, 5]])
    [2, 1, 1, 1]
    """
    points, scale = _pairs(points), scale or _SCALE
    right, up = (points >= (scale["low"] + scale["high"]) / 2).T
    return [int(n.sum()) for n in (right & up, ~right & up, ~right & ~up, right & ~up)]


def error_ellipse(errors, deviations: float = 2.0, points: int = 181) -> np.ndarray:
    """Outline (points, 2) of the ellipse at `deviations` standard deviations about the mean error."""
    errors = _pairs(errors)
    covariance = np.cov(errors.T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    angle = np.linspace(0, 2 * np.pi, points)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return (
        errors.mean(0)
        + deviations * (vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * circle)).T
    )


def _draw_errors(axes, errors: np.ndarray, span: float) -> None:
    axes.plot(*errors.T, ".", color=GREY, markersize=4, alpha=0.7)
    axes.plot(*error_ellipse(errors).T, color=ORANGE, linewidth=1.8, label="2 deviations")
    mean = errors.mean(0)
    label = f"mean error ({mean[0]:+.2f}, {mean[1]:+.2f})"
    axes.plot(*mean, "P", color=ORANGE, markersize=9, markeredgecolor="white", label=label)
    reach = 1.08 * max(np.abs(errors).max(), np.abs(error_ellipse(errors)).max(), 0.05 * span)
    names = [f"Error of {what} (prediction minus label)" for what in ("valence", "arousal")]
    _square(axes, (-reach, reach), 0, names, "Errors", legend_below=0.12)


def _square(axes, ends, middle: float, names: Sequence[str], title: str, legend_below: float):
    """Two axes of one scale, crossed in the middle, and a legend below them."""
    axes.axhline(middle, color="black", linewidth=0.8, zorder=1)
    axes.axvline(middle, color="black", linewidth=0.8, zorder=1)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel=names[0], ylabel=names[1])
    axes.set_title(title, fontsize=10)
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -legend_below)}
    axes.legend(**place, ncols=2, fontsize=9, frameon=False)


def _ends(values: np.ndarray, scale: Mapping[str, float]) -> tuple[float, float]:
    """Ends of an axis that shows the scale, and the values beyond it, with a margin."""
    margin = 0.02 * (scale["high"] - scale["low"])
    return values.min(initial=scale["low"]) - margin, values.max(initial=scale["high"]) + margin


def dynamic_curves(
    curves: Mapping[str, tuple],
    title: str = "Emotion over time",
    dimensions: Sequence[str] = ("valence", "arousal"),
    scale: Mapping[str, float] | None = None,
):
    """Draw labels and predictions of some songs over time, a row per song, a column per dimension.

    Arguments
    ---------
    curves : {song: (times_s (N,), targets (N, D), predictions (N, D))}
    title : what was predicted by what.
    dimensions : names of the D columns.
    scale : {"low", "high"} of the values, -1 to 1 by default.

    Returns
    -------
    The figure, for `save_figure`.

    Raises
    ------
    ValueError
        No song, shapes that do not fit.
    """
    if not curves:
        raise ValueError("no song to draw: give at least one by name")
    scale = scale or {"low": -1.0, "high": 1.0}
    # All of the scale, and a prediction beyond it; what lies on its end is not cut in half.
    drawn = np.concatenate(
        [to_numpy(v).astype(float).ravel() for c in curves.values() for v in c[1:]]
    )
    ends = _ends(drawn[np.isfinite(drawn)], scale)
    figure = new_figure(5.6 * len(dimensions), 1.2 + 2.1 * len(curves))
    grid = figure.subplots(len(curves), len(dimensions), squeeze=False, sharey=True, sharex="row")
    for row, (song, values) in zip(grid, curves.items(), strict=True):
        times_s, targets, predictions = (to_numpy(v).astype(float) for v in values)
        needed = (len(times_s), len(dimensions))
        if targets.shape != needed or predictions.shape != needed:
            raise ValueError(
                f"song {song!r} has labels {targets.shape} and predictions {predictions.shape} at "
                f"{len(times_s)} times: {needed} is needed"
            )
        for index, (axes, dimension) in enumerate(zip(row, dimensions, strict=True)):
            axes.axhline((scale["low"] + scale["high"]) / 2, color="#C8C8C8", linewidth=0.8)
            for values, line, colour, width, label in (
                (targets, "-", BLUE, 1.8, "label"),
                (predictions, "--", ORANGE, 1.6, "prediction"),
            ):
                axes.plot(times_s, values[:, index], line, color=colour, lw=width, label=label)
            axes.set_ylim(ends)
            axes.set_title(f"{song}: {dimension}", fontsize=10)
            axes.grid(color="#E6E6E6", linewidth=0.6)
        row[0].set_ylabel(f"label ({scale['low']:g} to {scale['high']:g})")
    for axes in grid[-1]:
        axes.set_xlabel("Time in the song (s)")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize=11)
    return figure


def attention_over_spectrogram(
    rollout,
    spectrogram,
    hop_s: float,
    frequencies_hz,
    title: str = "Attention over the spectrogram",
):
    """Draw where a transformer looks: its attention rollout over the spectrogram, in s and Hz.

    Each cell of the grid of patches covers its equal share of the spectrogram.

    Arguments
    ---------
    rollout : (rows, columns), not negative: patches in frequency (low first) and time.
    spectrogram : (F, N), low frequencies first, for example in dB.
    hop_s : seconds from frame to frame.
    frequencies_hz : (F,), rising: the centres of the bands.
    title : which song and which model.

    Returns
    -------
    The figure, for `save_figure`.

    Raises
    ------
    ValueError
        Shapes that do not fit, frequencies that do not rise, attention that is negative, not
        finite or all 0.

    References
    ----------
    S. Abnar and W. Zuidema, "Quantifying attention flow in transformers", ACL 2020.
    """
    rollout, spectrogram = to_numpy(rollout).astype(float), to_numpy(spectrogram).astype(float)
    frequencies_hz = to_numpy(frequencies_hz).astype(float)
    if rollout.ndim != 2 or spectrogram.ndim != 2 or len(frequencies_hz) != len(spectrogram):
        raise ValueError(
            f"rollout {rollout.shape}, spectrogram {spectrogram.shape} and "
            f"{len(frequencies_hz)} frequencies: (rows, columns), (F, N) and F are needed"
        )
    if len(frequencies_hz) < 2 or (np.diff(frequencies_hz) <= 0).any() or not hop_s > 0:
        raise ValueError(f"frequencies must rise and hop_s ({hop_s}) be above 0")
    if not np.isfinite(rollout).all() or (rollout < 0).any() or not rollout.any():
        raise ValueError("attention must be finite, not negative, and not all 0")
    bands_hz = _edges(frequencies_hz)
    times_s = hop_s * np.arange(spectrogram.shape[1] + 1)
    # Patches divide the bands evenly, by number, and so unevenly in Hz.
    patch_rows = np.linspace(0, len(spectrogram), rollout.shape[0] + 1)
    patch_hz = np.interp(patch_rows, np.arange(len(bands_hz)), bands_hz)
    patch_s = np.linspace(0, times_s[-1], rollout.shape[1] + 1)
    share = rollout / rollout.sum() * rollout.size  # 1: what an even look would give
    figure = new_figure(11.0, 7.0)
    above, below = figure.subplots(2, 1, sharex=True, sharey=True)
    colours, _ = (
        axes.pcolormesh(times_s, bands_hz, spectrogram, cmap="gray_r", rasterized=True)
        for axes in (above, below)
    )
    figure.colorbar(colours, ax=above, pad=0.01).set_label("spectrogram (as given)")
    top = max(2.0, float(share.max()))
    heat = below.pcolormesh(
        patch_s, patch_hz, share, cmap="inferno", alpha=0.65, vmin=0, vmax=top, linewidth=0
    )
    figure.colorbar(heat, ax=below, pad=0.01).set_label("attention (1: even)")
    scale_hz = float(np.clip(frequencies_hz[len(frequencies_hz) // 4], 100.0, 1000.0))
    for axes in (above, below):
        # Linear below, logarithmic above, as mel bands lie, and with a place for 0 Hz.
        axes.set_yscale("symlog", linthresh=scale_hz)
        axes.set(ylim=(max(0.0, bands_hz[0]), bands_hz[-1]), ylabel="Frequency (Hz)")
        ticks = [hz for hz in _TICKS_HZ if bands_hz[0] <= hz <= bands_hz[-1]]
        axes.set_yticks(ticks, [f"{hz}" for hz in ticks])
        axes.set_yticks([], minor=True)
    below.set_xlabel("Time (s)")
    above.set_title("Spectrogram", fontsize=10)
    rows, columns = rollout.shape
    below.set_title(f"Attention rollout, {rows} by {columns} patches", fontsize=10)
    figure.suptitle(title, fontsize=11)
    return figure


def _edges(centres: np.ndarray) -> np.ndarray:
    """Edges of bands half way between their centres, none below 0."""
    between = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - between[0], 2 * centres[-1] - between[-1]
    return np.concatenate([[max(first, 0.0)], between, [last]])


def _pairs(values) -> np.ndarray:
    values = to_numpy(values).astype(float)
    if values.ndim != 2 or values.shape[1] != 2 or not len(values):
        raise ValueError(f"points must be (n, 2), valence then arousal, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("points hold NaN or infinity")
    return values
