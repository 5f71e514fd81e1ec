"""Pictures: what they show is what they were given, and it can be read."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from refusals import refused
from scipy.special import ndtri

from auricle.processing.filterbank.displacement import displacement
from auricle.processing.filterbank.responses import FilterSet
from auricle.processing.plots.common import new_figure, save_figure
from auricle.processing.plots.confusion import confusion_matrix, token_confusion
from auricle.processing.plots.det import det_curve
from auricle.processing.plots.filters import learned_filters
from auricle.processing.plots.training import training_curves
from auricle.processing.scoring.verification.metrics import error_curve

PNG = b"\x89PNG\r\n\x1a\n"


def confusion(classes):
    generator = np.random.default_rng(classes)
    return generator.integers(0, 4, (classes, classes)) + np.diag(np.full(classes, 380))


def filterbank(shift=1.0, bandwidth_hz=100.0, size=40, bins=129):
    """Mel-like centres, moved by a factor."""
    frequency = np.linspace(0, 8000, bins)
    centre = shift * np.linspace(60, 7500, size)
    response = np.exp(-(((frequency - centre[:, None]) / 150) ** 2))
    return FilterSet(centre, np.full(size, bandwidth_hz), frequency, response)


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


@pytest.mark.slow
def test_every_picture_is_a_png_of_at_least_1000_pixels(tmp_path):
    figures = [
        confusion_matrix(confusion(12), [f"w{i}" for i in range(12)]),
        learned_filters(filterbank(), filterbank(1.02)),
        learned_filters(filterbank(), None),
        training_curves(HISTORY, best_epoch=7),
    ]
    paths = [save_figure(f, tmp_path / "new" / f"{i}.png") for i, f in enumerate(figures)]
    for path in paths:
        assert width_pixels(path) >= 1000
        assert path.stat().st_size < 400_000


@pytest.mark.parametrize("classes", [2, 12, 35])
def test_confusion_matrix_shows_its_counts_and_the_accuracy(classes):
    counts = confusion(classes)
    labels = [f"word{i}" for i in range(classes)]
    figure = confusion_matrix(torch.tensor(counts), labels, "leaf + bcresnet")
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


@pytest.mark.slow
@pytest.mark.parametrize("classes", [12, 35])
def test_confusion_matrix_can_be_read_at_1000_pixels(classes):
    """No count leaves its cell, no class name covers its neighbour, nothing is below 7 pixels."""
    labels = ["_background_" if i % 2 else "_unknown_" for i in range(classes)]
    figure = confusion_matrix(confusion(classes), labels, "Speech Commands")
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


def dots(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line.get_xdata(), line.get_ydata()


def test_filters_are_drawn_where_they_are():
    before, after = filterbank(), filterbank(1.02, 150.0)
    figure = learned_filters(before, after, "LEAF on mini")
    start, end, bar, centres, shifts, bandwidths = figure.axes
    index = np.arange(1, 41)
    for when, bank in (("before training", before), ("after training", after)):
        np.testing.assert_array_equal(dots(centres, when), (index, bank.centre_hz))
        np.testing.assert_array_equal(dots(bandwidths, when), (bank.centre_hz, bank.bandwidth_hz))
    for axes, bank in ((start, before), (end, after)):
        level = np.asarray(axes.collections[0].get_array()).reshape(129, 40)
        peaks_hz = bank.freqs_hz[level.argmax(axis=0)]
        assert np.abs(peaks_hz - bank.centre_hz).max() <= 8000 / 128 / 2
        assert level.max() == 0 and level.min() >= -60.001
    ways = np.array(bandwidths.collections[0].get_segments())
    np.testing.assert_allclose(
        ways[:, 1] - ways[:, 0], np.stack([before.centre_hz * 0.02, [50] * 40], 1)
    )
    moved = displacement(before, after)
    heights = [bar.get_height() for bar in shifts.patches]
    assert np.mean(heights) == pytest.approx(moved["centre_shift_erb"]) and min(heights) > 0
    assert f"{moved['centre_shift_hz']:.1f} Hz" in centres.get_title()
    assert "50.0 Hz" in bandwidths.get_title() and "ERB" in shifts.get_title()
    assert figure.get_suptitle() == "LEAF on mini"
    assert "(dB)" in bar.get_ylabel()
    for axes in (start, end, centres):
        assert "(Hz)" in axes.get_ylabel() and "(index)" in axes.get_xlabel()
        assert axes.get_ylim() == (0, 8000)


def test_a_mel_spaced_bank_lies_on_the_line_of_mel():
    mel = 2595 * np.log10(1 + np.array([100, 7000]) / 700)
    centre = 700 * (10 ** (np.linspace(*mel, 40) / 2595) - 1)
    bank = filterbank()
    bank = FilterSet(centre, bank.bandwidth_hz, bank.freqs_hz, bank.responses)
    centres = learned_filters(bank, None, "mel").axes[2]
    np.testing.assert_allclose(dots(centres, "mel-spaced")[1], centre)
    drawn = centres.transData.transform(np.stack([np.arange(1, 41), centre], 1))[:, 1]
    np.testing.assert_allclose(np.diff(drawn), np.diff(drawn).mean(), rtol=1e-6)


def test_one_bank_alone_is_not_called_before_or_after():
    figure = learned_filters(filterbank(), None, "mel")
    assert len(figure.axes) == 4
    words = [axes.get_title() for axes in figure.axes]
    words += [line.get_label() for axes in figure.axes for line in axes.lines]
    assert "filters" in words and not [word for word in words if "before" in word]


@pytest.mark.slow
def test_nothing_of_the_filters_is_cut_off_and_titles_do_not_meet():
    bank = filterbank(size=80)
    figure = learned_filters(bank, filterbank(1.02, 150.0, size=80), "80 filters")
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert len(panels) == 5
    for axes in panels:
        box = axes.get_tightbbox()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
        title = axes.title.get_window_extent()
        assert axes.get_window_extent().x0 - 40 < title.x0
        assert title.x1 < axes.get_window_extent().x1 + 40


@pytest.mark.slow
def test_a_bandwidth_of_zero_is_drawn_too():
    before, after = filterbank(), filterbank(bandwidth_hz=0.0)
    bandwidths = learned_filters(before, after, "")
    assert bandwidths.axes[-1].get_yscale() == "linear"
    assert learned_filters(before, before, "").axes[-1].get_yscale() == "log"


def test_curves_show_the_history_in_percent_where_it_is_a_share():
    history = [*HISTORY, {"epoch": 9, "train_loss": float("nan"), "valid_accuracy": None}]
    figure = training_curves(history, "seed 1", best_epoch=7)
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


def test_counts_that_a_measure_is_made_of_have_no_panel():
    """As a phone recogniser's history has them; ten panels in a row could not be read."""
    history = [
        {
            "epoch": epoch,
            "train_loss": 3.0 / epoch,
            "valid_per": 0.5 / epoch,
            "valid_edits": 60 // epoch,
            "valid_reference_tokens": 120,
            "valid_per_utterance_mean": 0.51 / epoch,
        }
        for epoch in (1, 2)
    ]
    figure = training_curves(history, "")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "per (%)"]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [50, 25])
    refused("no measure", training_curves, [{"epoch": 1, "valid_edits": 3}], "")


@pytest.mark.slow
def test_many_measures_go_to_rows_and_none_is_drawn_twice():
    """As the history of a regression has them; a picture 70 inches wide could not be read."""
    names = [f"{score}{end}" for score in ("ccc", "r2", "rmse") for end in ("", "_valence")]
    names += ["rmse_unit_scale", "rmse_unit_scale_valence"]
    history = [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            **{f"valid_{name}": 0.1 * epoch for name in names},
        }
        for epoch in (1, 2)
    ]
    figure = training_curves(history, "")
    assert [axes.get_title() for axes in figure.axes] == [
        "loss", "ccc", "ccc valence", "r2", "r2 valence", "rmse", "rmse valence",
    ]  # fmt: skip
    figure.draw_without_rendering()
    left, bottom = zip(*(axes.get_position().p0.round(2) for axes in figure.axes), strict=True)
    assert len(set(left)) == 4 and len(set(bottom)) == 2
    assert figure.get_size_inches()[0] < 20


@pytest.mark.long
@pytest.mark.parametrize("symbols", [27, 39, 61])
def test_names_of_tokens_and_their_shares_do_not_overlap(symbols):
    generator = np.random.default_rng(symbols)
    counts = generator.integers(0, 9, (symbols + 1,) * 2) + np.diag(np.full(symbols + 1, 200))
    names = [" ", *(f"ax-{i}" for i in range(symbols - 1))]
    labels = {"reference": [*names, "<ins>"], "hypothesis": [*names, "<del>"]}
    figure = token_confusion(counts, labels, "Test: mel + blstm")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    # A space is seen, and what is said above the picture fits.
    assert axes.get_xticklabels()[0].get_text() == "_"
    assert axes.get_yticklabels()[0].get_text() == f"_  ({counts[0].sum()})"
    texts = axes.texts[: 2 * len(names)]
    for group in (axes.get_xticklabels(), axes.get_yticklabels(), texts):
        boxes = [text.get_window_extent() for text in group]
        for box, after in zip(boxes, boxes[1:], strict=False):
            assert not box.overlaps(after)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_yticklabels()):
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    ("counts", "labels", "message"),
    [
        ([[1, 0], [0, 1]], ["a", "b", "c"], "3 labels need"),
        ([[0, 0], [0, 0]], ["a", "b"], "not all 0"),
        ([[0.9, 0.1], [0.2, 0.8]], ["a", "b"], "pass the counts"),
    ],
)
def test_confusion_matrix_refuses_what_is_none(counts, labels, message):
    refused(message, confusion_matrix, counts, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centre_hz": np.full(40, np.nan)}, "centre_hz.*NaN"),
        ({"bandwidth_hz": np.full(40, np.inf)}, "bandwidth_hz.*infinity"),
        ({"responses": -np.ones((40, 129))}, "negative"),
        ({"centre_hz": np.ones(3)}, "40 filters.*3"),
        ({"freqs_hz": np.linspace(0, 4000, 129)}, "other frequencies"),
    ],
)
def test_filters_refuse_what_is_none(change, message):
    refused(message, lambda: learned_filters(filterbank(), replace(filterbank(), **change)))


@pytest.mark.parametrize(
    ("history", "message"),
    [([], "no history"), ([{"train_loss": 1.0}], '"epoch"'), ([{"epoch": 1}], "no measure")],
)
def test_curves_refuse_an_empty_history(history, message):
    refused(message, training_curves, history)


def test_matplotlib_is_loaded_only_to_draw():
    code = "import sys, auricle.processing.plots.confusion; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_name_is_no_formula(tmp_path):
    names = ["c$\\frac$", "a_b^c$", "$x$"]
    figure = new_figure(3, 3)
    axes = figure.subplots()
    figure.suptitle(names[0])
    axes.set_title(names[1])
    axes.set_xlabel(names[2])
    axes.plot([1, 1000], [1, 2], label=names[0])
    axes.legend()
    axes.set_yscale("log")
    axes.set_xticks([1, 2], names[:2])
    save_figure(figure, tmp_path / "a.png")
    assert figure._suptitle.get_parse_math() is False
    assert all(label.get_parse_math() for label in axes.get_yticklabels())


@pytest.mark.parametrize("scale", [0.3, 1.5, 4.0])
def test_the_mark_of_min_dcf_is_on_the_curve(scale):
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 4 == 0
    curve = error_curve(generator.normal(scale * labels), labels)
    for point in ((0.01, 1, 1), (0.5, 1, 1), (0.01, 100, 1)):
        (axes,) = det_curve({"a": curve}, "t", *point).axes
        drawn, ring = axes.lines[1], axes.lines[3]
        way, mark = ndtri(drawn.get_xydata()), ndtri(ring.get_xydata()[0])
        steps = np.linspace(way[:-1], way[1:], 2001).reshape(-1, 2)
        assert np.hypot(*(steps - mark).T).min() < 5e-3
        low, high = axes.get_xlim()
        assert (ring.get_xydata() >= low - 1e-9).all() and (ring.get_xydata() <= high + 1e-9).all()
