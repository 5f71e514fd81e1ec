"""Picture of a bank of filters before and after training: responses, centres, bandwidths."""

import numpy as np

from ..filterbank.displacement import displacement, per_filter
from ..filterbank.responses import FilterSet
from ..filterbank.scales import erb_hz, hz_to_mel, mel_to_hz, spaced_hz
from .common import GREY, ORANGE, new_figure

#: What the two banks of a picture of filters are called.
TRAINING = ("before training", "after training")


def learned_filters(
    before: FilterSet,
    after: FilterSet | None,
    title: str = "Learned filters",
    names: tuple[str, str] = TRAINING,
):
    """Draw a bank of filters before and after training: responses, centres, bandwidths.

    Centres are drawn beside mel-spaced ones, bandwidths against the centres and beside those of
    hearing (ERB), all on a mel axis, and each filter's way from before to after as a line.

    Arguments
    ---------
    before, after : as `frontend.filters()` gives them; after None: one bank alone.
    title : what was trained on what.
    names : what to call the two banks.

    Returns
    -------
    The figure, for `save_figure`.

    Raises
    ------
    ValueError
        Two banks that cannot be compared, or values that are not finite.
    """
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
    mel_spaced = spaced_hz(before.centre_hz.min(), before.centre_hz.max(), len(before))
    left.plot(index, mel_spaced, "--", color="black", lw=1, label="mel-spaced")
    _draw_ways(left, [(index, bank.centre_hz) for bank, _ in banks], names)
    _index_axis(left, len(before), ylabel="centre frequency (Hz), mel scale")
    _mel_axis(left, "y", before)

    for axes in middle:
        _draw_shifts(axes, index, shifts["centre_shift_erb"])
        axes.set_title(f"Shift of the centres: {moved['centre_shift_erb']:.2g} ERB on average")

    frequency = np.linspace(0, before.freqs_hz[-1], 200)
    erb = erb_hz(frequency)
    right.plot(frequency, erb, "--", color="black", lw=1, label="hearing (ERB)")
    _draw_ways(right, [(bank.centre_hz, bank.bandwidth_hz) for bank, _ in banks], names)
    _mel_axis(right, "x", before)
    if all((bank.bandwidth_hz > 0).all() for bank, _ in banks):
        _log_hz_axis(right, np.concatenate([erb, *(bank.bandwidth_hz for bank, _ in banks)]))
    right.set(xlabel="centre frequency (Hz), mel scale", ylabel="bandwidth at half maximum (Hz)")
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
    index, colours = np.arange(1, len(bank) + 1), {"cmap": "magma", "vmin": -60, "vmax": 0}
    image = axes.pcolormesh(index, bank.freqs_hz, level_db.T, **colours, shading="nearest")
    _index_axis(axes, len(bank), ylabel="frequency (Hz), mel scale")
    _mel_axis(axes, "y", bank)
    return image


def _index_axis(axes, num_filters: int, **others) -> None:
    axes.set(xlabel="filter (index)", xlim=(0.5, num_filters + 0.5), **others)


def _draw_shifts(axes, index: np.ndarray, shift_erb: np.ndarray) -> None:
    """A way that is short beside the whole range of frequencies has an axis of its own."""
    axes.bar(index, shift_erb, width=0.8, color=ORANGE)
    axes.axhline(0, color="black", lw=0.8)
    # Not so near that the noise of a bank that stayed where it was looks like learning.
    reach = max(0.1, 1.15 * np.abs(shift_erb).max())
    _index_axis(axes, len(index), ylim=(-reach, reach), ylabel="after minus before (ERB)")


def _draw_ways(axes, points: list[tuple], names) -> None:
    """Where each filter was, where it is, and a line from one to the other."""
    from matplotlib.collections import LineCollection

    size = 2.2 + 2.8 * min(1.0, 40 / len(points[0][0]))
    if len(points) == 1:
        axes.plot(*points[0], "o", color=ORANGE, markersize=size, label="filters")
        return
    before, after = points
    ways = np.stack([np.stack(before, axis=1), np.stack(after, axis=1)], axis=1)
    axes.add_collection(LineCollection(ways, colors=GREY, linewidths=1, zorder=1.5))
    axes.plot(*before, "o", color="white", mec=GREY, markersize=size + 1, label=names[0])
    axes.plot(*after, "o", color=ORANGE, markersize=size - 0.8, label=names[1])


# Of an axis, whose margins may lie below 0.
_MEL = (lambda hz: hz_to_mel(np.maximum(hz, 0)), lambda mel: mel_to_hz(np.maximum(mel, 0)))


def _mel_axis(axes, which: str, bank: FilterSet) -> None:
    """A mel-spaced bank is a straight line on it: what was learned shows."""
    top_hz = bank.freqs_hz[-1]  # of taps, half the rate less a rounding
    marks = (0, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)
    ticks = [hz for hz in marks if hz <= 1.0001 * top_hz]
    if which == "x":
        ticks = [hz for hz in ticks if hz != 125]
    axis = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}scale")("function", functions=_MEL)
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
