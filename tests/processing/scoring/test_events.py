"""Detections from scores, and misses and false alarms of them, worked by hand."""

import numpy as np
import pytest

from auricle.processing.scoring.detector import Detector, Smoother
from auricle.processing.scoring.events import Detection, Event, EventScores, count_errors

YES = Event(2.0, 2.5, "yes")


def test_smoothing_and_detection_do_not_depend_on_how_a_stream_is_divided():
    scores = np.random.default_rng(0).random((200, 3))
    whole = Smoother(4).feed(scores)
    assert whole[0] == pytest.approx(scores[0]) and whole[9] == pytest.approx(scores[6:10].mean(0))
    found = Detector(0.6, 5).feed(whole)
    smoother, detector, parts = Smoother(4), Detector(0.6, 5), []
    for part in np.split(scores, [0, 1, 3, 4, 90]):
        parts += detector.feed(smoother.feed(part))
    assert parts == found and len(found) > 10


def test_a_keyword_is_detected_once_in_a_refractory_time():
    scores = np.array([[0.9, 0], [0.9, 0.9], [0.9, 0], [0.2, 0], [0.9, 0]])
    assert [row[:2] for row in Detector(0.9, 3).feed(scores)] == [(0, 0), (1, 1), (4, 0)]
    assert len(Detector(0.9, 1).feed(scores)) == 5
    assert not Detector(0.91, 1).feed(scores)


@pytest.mark.parametrize(
    "times_s, label, expected",
    [
        ([], "yes", (1, 0)),
        ([2.2], "yes", (0, 0)),
        ([1.5, 2.2], "yes", (0, 1)),  # the second of one keyword
        ([1.49], "yes", (1, 1)),
        ([3.0], "yes", (0, 0)),
        ([3.01], "yes", (1, 1)),
        ([2.2], "no", (1, 1)),
    ],
)
def test_what_a_detection_is_worth(times_s, label, expected):
    detections = [Detection(time_s, label, 0.9) for time_s in times_s]
    assert count_errors(detections, [YES], 0.5) == expected


def test_two_keywords_close_to_each_other_have_a_detection_each():
    events = [YES, Event(2.7, 3.0, "yes")]
    detections = [Detection(2.4, "yes", 0.9), Detection(2.9, "yes", 0.9)]
    assert count_errors(detections, events, 0.5) == (0, 0)
    # The first could be of either, the second of the first event alone could not.
    assert count_errors([Detection(2.3, "yes", 0.9), Detection(3.4, "yes", 0.9)], events, 0.5) == (
        0,
        0,
    )


def scores_of(*recordings):
    """Counts of (duration_s, events, detections), a detection at all thresholds below its score."""
    scores = EventScores(0.5)
    for duration_s, events, detections in recordings:
        by_threshold = [[d for d in detections if d.score >= t] for t in scores.thresholds]
        scores.append(duration_s, events, by_threshold)
    return scores


RECORDINGS = (
    (1800, [YES, Event(9, 10, "no")], [Detection(2.2, "yes", 0.9), Detection(30, "no", 0.6)]),
    (1800, [], [Detection(5, "yes", 0.4)]),
    (3600, [YES], [Detection(2, "yes", 0.3)]),
)


def test_rates_are_divided_last_and_the_curve_goes_over_thresholds():
    summary = scores_of(*RECORDINGS).summarize()
    assert (summary["misses"], summary["events"], summary["false_alarms"]) == (2, 3, 1)
    assert summary["hours"] == 2.0 and summary["false_alarms_per_hour"] == 0.5
    assert summary["miss_rate_at_false_alarms_per_hour"] == {
        "1": pytest.approx(1 / 3),
        "10": pytest.approx(1 / 3),
    }
    low, high = summary["interval"]["miss_rate"]
    assert 0.5 <= low < summary["miss_rate"] < high <= 1.0
    curve = summary["curve"]
    assert curve[0]["miss_rate"] == pytest.approx(1 / 3) and curve[0]["false_alarms_per_hour"] == 1
    assert curve[-1]["miss_rate"] == 1.0 and curve[-1]["false_alarms_per_hour"] == 0


def test_merged_counts_are_those_of_the_whole():
    first, second = scores_of(RECORDINGS[0]), scores_of(*RECORDINGS[1:])
    first.merge(second)
    assert first.summarize() == scores_of(*RECORDINGS).summarize()


def test_what_cannot_be_scored():
    with pytest.raises(ValueError, match="nothing to miss"):
        scores_of(RECORDINGS[1]).summarize()
    with pytest.raises(ValueError, match="threshold"):
        EventScores(1.0)
    with pytest.raises(ValueError, match="collar_s"):
        EventScores(0.5, -1.0)
    with pytest.raises(ValueError, match="longer than 0"):
        EventScores(0.5).append(0.0, [], [])
