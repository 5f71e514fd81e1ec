"""Pictures of emotion: what they show is what they were given."""

import numpy as np
import pytest
import torch
from refusals import refused

from auricle.processing.plots import emotion as plots
from auricle.processing.plots.common import save_figure

PNG = b"\x89PNG\r\n\x1a\n"


def points(size=30, seed=0):
    generator = np.random.default_rng(seed)
    return generator.uniform(1, 9, (size, 2)), generator.uniform(1, 9, (size, 2))


@pytest.mark.slow
def test_arrows_go_from_label_to_prediction_and_quadrants_count(tmp_path):
    targets, predictions = points()
    figure = plots.valence_arousal_plane(targets, predictions, "songs")
    plane = figure.axes[0]
    arrows = plane.collections[0]
    np.testing.assert_allclose(arrows.get_offsets(), targets)
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], 1), predictions - targets)
    q1 = int(((targets[:, 0] >= 5) & (targets[:, 1] >= 5)).sum())
    assert any(text.get_text().startswith(f"Q1: {q1} labels") for text in plane.texts)
    low, high = plane.get_xlim()
    assert low < 1 and high > 9
    figure = plots.valence_arousal_plane(torch.tensor(targets), torch.tensor(predictions))
    path = save_figure(figure, tmp_path / "new" / "va.png")
    assert path.read_bytes().startswith(PNG)


def test_quadrants_of_another_scale():
    assert plots.quadrant_counts([[0.6, 0.4]], {"low": 0, "high": 1}) == [0, 0, 0, 1]
    assert plots.quadrant_counts([[-0.1, 0.4]], {"low": -1, "high": 1}) == [0, 1, 0, 0]


def test_ellipse_is_where_two_deviations_are():
    generator = np.random.default_rng(0)
    errors = generator.multivariate_normal([0.5, -1], [[1, 0.6], [0.6, 2]], 20000)
    outline = plots.error_ellipse(errors)
    centred = outline - errors.mean(0)
    distance = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(np.cov(errors.T)), centred)
    np.testing.assert_allclose(np.sqrt(distance), 2, rtol=1e-3)


def test_curves_show_labels_and_predictions_at_their_times():
    times_s = 15 + 0.5 * np.arange(10)
    truth, found = np.random.default_rng(0).uniform(-1, 1, (2, 10, 2))
    figure = plots.dynamic_curves(
        {"a": (times_s, truth, found)} | {"b": (times_s, found, truth)}, "x"
    )
    label, prediction = figure.axes[1].lines[1:3]
    np.testing.assert_array_equal(label.get_xdata(), times_s)
    np.testing.assert_array_equal(label.get_ydata(), truth[:, 1])
    np.testing.assert_array_equal(prediction.get_ydata(), found[:, 1])
    beyond = plots.dynamic_curves({"a": (times_s, truth, 2 + found)}, "x").axes[0]
    low, high = beyond.get_ylim()
    assert low < -1 and high > 2 + found.max(), "a prediction beyond the scale is seen"


@pytest.mark.slow
def test_a_patch_lies_where_its_frames_and_bands_are():
    hop_s, frequencies_hz = 0.02, np.linspace(50, 7950, 80)
    rollout = np.full((8, 10), 0.01)
    rollout[2, 7] = 1.0
    spectrogram = np.zeros((80, 500))
    figure = plots.attention_over_spectrogram(rollout, spectrogram, hop_s, frequencies_hz, "one")
    heat = figure.axes[1].collections[-1]
    corners = heat.get_coordinates()
    shown = np.asarray(heat.get_array()).reshape(8, 10)
    assert np.unravel_index(shown.argmax(), shown.shape) == (2, 7)
    assert shown.mean() == pytest.approx(1)
    np.testing.assert_allclose(corners[2, 7], [7.0, 2000])  # s, Hz
    np.testing.assert_allclose(corners[3, 8], [8.0, 3000])


def test_what_cannot_be_drawn_is_refused():
    targets, predictions = points()
    refused("one each", plots.valence_arousal_plane, targets, predictions[:3], "x")
    refused("NaN", plots.valence_arousal_plane, targets, predictions * np.nan, "x")
    refused("no song", plots.dynamic_curves, {}, "x")
    with pytest.raises(ValueError, match="'a'"):
        plots.dynamic_curves({"a": (np.arange(3), np.zeros((3, 2)), np.zeros((2, 2)))}, "x")
    good = (np.ones((2, 2)), np.zeros((4, 6)), 0.01, np.arange(4) + 1.0)
    for place, value, said in (
        (0, -np.ones((2, 2)), "negative"),
        (0, np.zeros((2, 2)), "all 0"),
        (3, np.arange(3) + 1.0, "frequencies"),
        (3, np.array([4.0, 3, 2, 1]), "rise"),
    ):
        arguments = list(good)
        arguments[place] = value
        refused(said, plots.attention_over_spectrogram, *arguments, "x")
