"""Pictures: what they show is what they were given, and it can be read."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from auricle.processing import plots

PNG = b"\x89PNG\r\n\x1a\n"


def confusion(classes):
    generator = np.random.default_rng(classes)
    return generator.integers(0, 4, (classes, classes)) + np.diag(np.full(classes, 380))


def filterbank(size=40, bins=129):
    frequency = np.linspace(0, 8000, bins)
    before = np.linspace(60, 7500, size)
    after = before * 1.02
    return {
        "center_hz_before": before,
        "center_hz_after": after,
        "bandwidth_hz_before": np.full(size, 100.0),
        "bandwidth_hz_after": np.full(size, 150.0),
        "response": np.exp(-(((frequency - after[:, None]) / 150) ** 2)),
        "frequency_hz": frequency,
    }


HISTORY = [
    {
        "epoch": epoch,
        "train_loss": 2 / epoch,
        "valid_loss": 2.2 / epoch,
        "train_accuracy": 1 - 0.8 / epoch,
        "valid_accuracy": 1 - 0.9 / epoch,
        "valid_n": 400,
    }
    for epoch in range(1, 9)
]


def width_pixels(path):
    data = path.read_bytes()
    assert data.startswith(PNG)
    return int.from_bytes(data[16:20], "big")


def test_every_picture_is_a_png_of_at_least_1000_pixels(tmp_path):
    paths = [
        plots.confusion_matrix(confusion(12), [f"w{i}" for i in range(12)], tmp_path / "a/cm.png"),
        plots.learned_filters(filterbank(), tmp_path / "filters.png"),
        plots.training_curves(HISTORY, tmp_path / "curves.png", best_epoch=7),
    ]
    for path in paths:
        assert width_pixels(path) >= 1000
        assert path.stat().st_size < 400_000


@pytest.mark.parametrize("classes", [2, 12, 35])
def test_confusion_matrix_shows_its_counts_and_the_accuracy(classes):
    counts = confusion(classes)
    labels = [f"word{i}" for i in range(classes)]
    figure = plots.confusion_matrix_figure(torch.tensor(counts), labels, "leaf + bcresnet")
    axes = figure.axes[0]
    shown = np.zeros_like(counts)
    for text in axes.texts:
        column, row = map(int, text.get_position())
        shown[row, column] = int(text.get_text())
    np.testing.assert_array_equal(shown, counts)
    right, total = np.trace(counts), counts.sum()
    assert axes.get_title().startswith("leaf + bcresnet\naccuracy ")
    assert f"{100 * right / total:.1f} % ({right:,} of {total:,})" in axes.get_title()
    assert [t.get_text().split()[0] for t in axes.get_yticklabels()] == labels
    share = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(share.sum(axis=1), 100)


@pytest.mark.parametrize("classes", [12, 35])
def test_confusion_matrix_can_be_read_at_1000_pixels(classes):
    """No count leaves its cell, no class name covers its neighbour, nothing is below 7 pixels."""
    labels = ["_background_" if i % 2 else "_unknown_" for i in range(classes)]
    figure = plots.confusion_matrix_figure(confusion(classes), labels, "Speech Commands")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    scale = 1000 / figure.bbox.width
    cell = axes.get_window_extent().width / classes
    for text in axes.texts:
        box = text.get_window_extent()
        assert box.width <= cell and box.height <= cell
        assert box.height * scale >= 7
    heights = [t.get_window_extent().height for t in axes.get_yticklabels()]
    assert max(heights) <= cell and min(heights) * scale >= 7
    for box in (axes.title.get_window_extent(), axes.get_tightbbox()):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1


def test_filters_are_drawn_where_they_are():
    bank = filterbank()
    figure = plots.learned_filters_figure(bank, "LEAF on mini")
    left, right = figure.axes[:2]
    before, after = (line.get_ydata() for line in right.lines)
    np.testing.assert_array_equal(before, bank["center_hz_before"])
    np.testing.assert_array_equal(after, bank["center_hz_after"])
    bars = np.array([segment[:, 1] for segment in right.collections[1].get_segments()])
    np.testing.assert_allclose(bars[5, 1] - bars[5, 0], 150)
    level = np.asarray(left.collections[0].get_array()).reshape(129, 40)
    peaks_hz = bank["frequency_hz"][level.argmax(axis=0)]
    assert np.abs(peaks_hz - bank["center_hz_after"]).max() <= 8000 / 128 / 2
    assert level.max() == 0 and level.min() >= -60.001
    assert figure.get_suptitle() == "LEAF on mini"
    for axes in (left, right):
        assert "(Hz)" in axes.get_ylabel() and "(index)" in axes.get_xlabel()
    assert any("(dB)" in axes.get_ylabel() for axes in figure.axes)


def test_curves_show_the_history_in_percent_where_it_is_a_share():
    history = [*HISTORY, {"epoch": 9, "train_loss": float("nan"), "valid_accuracy": None}]
    figure = plots.training_curves_figure(history, "seed 1", best_epoch=7)
    loss, accuracy = figure.axes
    assert loss.get_ylabel() == "loss" and accuracy.get_ylabel() == "accuracy (%)"
    assert loss.get_xlabel() == accuracy.get_xlabel() == "epoch"
    train, valid, kept = accuracy.lines
    np.testing.assert_allclose(train.get_ydata()[:8], 100 * (1 - 0.8 / np.arange(1, 9)))
    np.testing.assert_allclose(valid.get_ydata()[:8], 100 * (1 - 0.9 / np.arange(1, 9)))
    assert kept.get_xdata()[0] == 7
    assert np.isnan(loss.lines[0].get_ydata()[8])
    assert [t.get_text() for t in loss.get_legend().get_texts()] == [
        "training",
        "validation",
        "kept: 7",
    ]


@pytest.mark.parametrize(
    ("counts", "labels", "message"),
    [
        ([[1, 0], [0, 1]], ["a", "b", "c"], "3 labels need"),
        ([[0, 0], [0, 0]], ["a", "b"], "not all 0"),
        ([[0.9, 0.1], [0.2, 0.8]], ["a", "b"], "pass the counts"),
    ],
)
def test_confusion_matrix_refuses_what_is_none(counts, labels, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plots.confusion_matrix(counts, labels, tmp_path / "cm.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequency_hz": None}, "missing.*frequency_hz"),
        ({"centre": [1]}, "not known.*centre"),
        ({"center_hz_before": np.ones(3)}, "center_hz_before has shape"),
        ({"response": np.ones((40, 7))}, "response has shape"),
        ({"response": -np.ones((40, 129))}, "negative"),
        ({"bandwidth_hz_after": np.full(40, np.nan)}, "NaN"),
    ],
)
def test_filters_refuse_what_is_none(change, message, tmp_path):
    bank = {name: value for name, value in {**filterbank(), **change}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        plots.learned_filters(bank, tmp_path / "filters.png")


@pytest.mark.parametrize(
    ("history", "message"),
    [([], "no history"), ([{"train_loss": 1.0}], '"epoch"'), ([{"epoch": 1}], "no measure")],
)
def test_curves_refuse_an_empty_history(history, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plots.training_curves(history, tmp_path / "curves.png")


def test_matplotlib_is_loaded_only_to_draw():
    code = "import sys, auricle.processing.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
