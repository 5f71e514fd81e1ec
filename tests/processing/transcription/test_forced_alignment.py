"""Alignment: known peaks give known boundaries; files of segments; how boundaries are scored."""

import json
import math

import numpy as np
import pytest
import torch
from refusals import refused
from segment_files import is_contiguous, read_textgrid

from auricle.processing.scoring.transcription.boundaries import BoundaryErrors, boundary_errors_ms
from auricle.processing.transcription.forced_alignment import (
    AlignmentError,
    Peak,
    align_steps,
    divide,
    segment_times,
    steps_needed,
)
from auricle.processing.transcription.phones import folding
from auricle.processing.transcription.segments import Segment, read_segments, write_segments
from auricle.processing.transcription.textgrid import write_textgrid

RATE_HZ, STEP = 16000, 160


def said(ends_steps, units, num_steps, peak_width=1, labels=6):
    """Log-probabilities (N, C) of a peaky model of units that end at these (fractional) steps.

    In the middle of each unit is a peak; everywhere else is blank, and below it the unit of the
    moment is more probable than the others.
    """
    position = torch.arange(num_steps, dtype=torch.float64)
    starts = [0.0, *ends_steps[:-1]]
    logits = torch.zeros(num_steps, labels, dtype=torch.float64)
    logits[:, 0] = 8.0
    for unit, start, end in zip(units, starts, ends_steps, strict=True):
        # 1 inside, 0 outside, and across half a step at the edges
        inside = ((position + 0.5 - start).clamp(0, 1) * (end - position + 0.5).clamp(0, 1)).sqrt()
        logits[:, unit] = torch.maximum(logits[:, unit], 4 * inside)
        centre = (start + end) / 2
        near = (position - centre).abs() <= peak_width / 2
        logits[near, unit] = 12.0
    return logits.log_softmax(-1)


# --- steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("peak_width", [1, 4])
def test_known_peaks_give_known_boundaries_within_half_a_step(seed, peak_width):
    rng = np.random.default_rng(seed)
    ends = np.cumsum(rng.uniform(5, 20, size=12))
    units = [1 + i % 5 for i in range(12)]
    num_steps = math.ceil(ends[-1]) + 1
    log_probabilities = said(list(ends), units, num_steps, peak_width)
    peaks = align_steps(log_probabilities, units)
    assert all(peak.end_step - peak.start_step <= peak_width + 1 for peak in peaks)  # no segments
    changes = divide(log_probabilities, units, peaks)
    num_samples = num_steps * STEP
    segments = segment_times(changes, [str(u) for u in units], num_samples, STEP)
    assert is_contiguous(segments, num_samples)
    # steps are centred: position n is at sample n * STEP
    found = np.array([s.end_samples for s in segments[:-1]]) / STEP
    assert np.abs(found - ends[:-1]).max() <= 0.5
    # the midpoints of the blanks are no such boundaries
    midpoints = [(a.end_step + b.start_step - 1) / 2 for a, b in zip(peaks, peaks[1:])]  # noqa: B905
    assert np.abs(np.array(midpoints) - ends[:-1]).max() > 1


def test_units_that_the_model_cannot_tell_are_divided_in_the_middle():
    steps = torch.full((9, 3), 0.05).log()
    steps[:, 0] = math.log(0.9)
    steps[1] = steps[7] = torch.tensor([0.05, 0.9, 0.05]).log()
    peaks = align_steps(steps, [1, 1])
    assert peaks == [Peak(1, 2), Peak(7, 8)]
    assert divide(steps, [1, 1], peaks) == pytest.approx([4.5])


def test_neighbours_without_a_blank_change_where_the_path_does():
    steps = torch.eye(3)[[1, 1, 1, 2, 2]].mul(9).log_softmax(-1)
    assert divide(steps, [1, 2], align_steps(steps, [1, 2])) == [3.0]


def test_impossible_units_give_numbers():
    steps = torch.tensor([[0.0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]]).log()
    assert divide(steps, [1, 2], align_steps(steps, [1, 2])) == [2.0]


def test_steps_that_are_needed():
    assert steps_needed([1, 1, 1]) == 5 and steps_needed([1, 2, 1]) == 3 and steps_needed([]) == 0
    steps = torch.zeros(5, 3).log_softmax(-1)
    assert len(align_steps(steps, [1, 1, 1])) == 3
    said = "u7: 3 units.*5 steps.*4"
    refused(said, align_steps, steps[:4], [1, 1, 1], "u7", error=AlignmentError)


@pytest.mark.parametrize(
    ("indices", "text"), [([], "transcript is empty"), ([1, 0], "index 0"), ([3], "index 3")]
)
def test_transcripts_that_cannot_be_aligned(indices, text):
    with pytest.raises(AlignmentError, match=f"here: .*{text}"):
        align_steps(torch.zeros(5, 3).log_softmax(-1), indices, "here")


def test_only_one_recording_at_a_time():
    refused(r"\(N, C\)", align_steps, torch.zeros(1, 5, 3), [1])


# --- times ---------------------------------------------------------------------------------------


def test_half_a_step_and_a_shift():
    changes, labels = [2.0, 5.0], ["a", "b", "c"]
    ends = [s.end_samples for s in segment_times(changes, labels, 1600, STEP)]
    assert ends == [240, 720, 1600]
    shifted = segment_times(changes, labels, 1600, STEP, shift_samples=-32.0)
    assert [s.end_samples for s in shifted] == [208, 688, 1600]


@pytest.mark.parametrize("shift", [-5000.0, 0.0, 5000.0])
def test_segments_are_never_empty_and_never_leave_the_recording(shift):
    segments = segment_times([0.0, 0.0, 1.0, 9.0], list("abcde"), 1000, STEP, shift)
    assert is_contiguous(segments, 1000)
    refused("too few", segment_times, [0.0, 1.0], list("abc"), 2, STEP, error=AlignmentError)


# --- files ---------------------------------------------------------------------------------------


def test_a_phn_file_comes_back(tmp_path):
    segments = [Segment(0, 100, "h#"), Segment(100, 260, "ax-h"), Segment(260, 300, "h#")]
    path = write_segments(segments, tmp_path / "a.PHN")
    assert path.read_bytes() == b"0 100 h#\n100 260 ax-h\n260 300 h#\n"
    assert read_segments(path) == segments


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 5 a\n5 x b\n", "line 2: '5 x b'"),
        ("0 5\n", "line 1"),
        ("5 0 a\n", "begins at 5"),
        ("5 9 a\n\n0 5 b\n", "line 3: begins at 0"),
        ("\n", "no segment"),
        ("0 5 a\n5 9 \xe9\n", "line 2: not text in UTF-8"),
    ],
)
def test_a_file_that_is_none(tmp_path, text, says):
    path = tmp_path / "bad.phn"
    path.write_bytes(text.encode("latin-1"))
    assert says in str(refused("bad.phn", read_segments, path))


def test_a_label_that_is_none(tmp_path):
    for text in ("", "a\nb"):
        refused("cannot be a label", write_segments, [Segment(0, 1, text)], tmp_path / "a.phn")


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100])
def test_a_textgrid_comes_back_to_the_sample(tmp_path, rate_hz):
    phones = [
        Segment(0, 101, 'say "a"'),
        Segment(101, 777, "ŋ = 1\nxmin = 3"),
        Segment(777, 901, "x"),
    ]
    words = [Segment(101, 777, "naïve")]
    path = write_textgrid(
        {"phones": phones, "words": words}, tmp_path / "a.TextGrid", rate_hz, 1000
    )
    found = read_textgrid(path, rate_hz)
    assert found["phones"] == [*phones, Segment(901, 1000, "")]
    assert found["words"] == [Segment(0, 101, ""), *words, Segment(777, 1000, "")]
    assert path.read_bytes().startswith(b'File type = "ooTextFile"\nObject class = "TextGrid"\n\n')


def test_tiers_that_cannot_be_written(tmp_path):
    path = tmp_path / "a.TextGrid"
    refused("one tier", write_textgrid, {}, path, 1000, 10)
    for bad in ([Segment(0, 5, "a"), Segment(4, 9, "b")], [Segment(0, 11, "a")]):
        refused("overlaps", write_textgrid, {"t": bad}, path, 1000, 10)


# --- scores --------------------------------------------------------------------------------------

TRUTH = [
    Segment(0, 800, "h#"),
    Segment(800, 1600, "tcl"),
    Segment(1600, 2400, "t"),
    Segment(2400, 3200, "q"),
    Segment(3200, 4000, "ae"),
    Segment(4000, 5000, "h#"),
]


def agreement(reference, hypothesis, fold=str, **options):
    errors = BoundaryErrors()
    errors.append("u", boundary_errors_ms(reference, hypothesis, RATE_HZ, fold))
    return errors.summarize(**options)


def fold(label):
    return {**folding(61, 39), "sil": "sil"}[label]


def test_boundaries_by_hand():
    # +5 ms, -15 ms, beside q: not compared, +40 ms
    found = [
        Segment(0, 880, "sil"),
        Segment(880, 1360, "sil"),
        Segment(1360, 3000, "t"),
        Segment(3000, 4640, "ae"),
        Segment(4640, 5000, "sil"),
    ]
    errors = boundary_errors_ms(TRUTH, found, RATE_HZ, fold)
    assert errors.tolist() == [5.0, -15.0, 40.0]
    scores = agreement(TRUTH, found, fold)
    expected = {"within_10_ms": 1 / 3, "within_20_ms": 2 / 3, "within_30_ms": 2 / 3}
    expected |= {"within_50_ms": 1.0, "mean_absolute_ms": 20.0, "median_ms": 5.0}
    assert {key: scores[key] for key in expected} == pytest.approx(expected)
    assert (scores["boundaries"], scores["n"], scores["interval"]) == (3, 1, None)


def test_a_boundary_at_the_tolerance_is_within():
    a, b = ([Segment(0, end, "a"), Segment(end, 9000, "b")] for end in (1600, 1920))
    assert agreement(a, b)["within_20_ms"] == 1.0
    assert agreement(a, b, tolerances_ms=(19.9,))["within_19.9_ms"] == 0.0


def test_other_phones_are_not_compared():
    other = [segment for segment in TRUTH if segment.text != "t"]
    refused("u1: .* phone 3 .*'t'.*'ae'", boundary_errors_ms, TRUTH, other, RATE_HZ, fold, "u1")
    refused("'sil'.*'nothing more'", boundary_errors_ms, TRUTH, TRUTH[:-1], RATE_HZ, fold)


def test_shards_merge_to_the_whole():
    rng = np.random.default_rng(0)
    shards, whole = [BoundaryErrors(), BoundaryErrors()], BoundaryErrors()
    for i in range(12):
        errors = rng.normal(0, 20, size=rng.integers(0, 9))
        shards[i % 2].append(f"u{i}", errors)
        whole.append(f"u{i}", errors)
    a, b = shards[0].merge(shards[1]).summarize(), whole.summarize()
    for key in ("within_20_ms", "mean_absolute_ms", "median_ms", "boundaries", "n"):
        assert a[key] == pytest.approx(b[key])
    low, high = b["interval"]["within_20_ms"]
    assert low < b["within_20_ms"] < high
    json.dumps(b, allow_nan=False)


def test_bad_boundaries():
    errors = BoundaryErrors()
    refused("no boundary", errors.summarize)
    errors.append("u1", [1.0])
    refused("'u1'.*twice", errors.append, "u1", [2.0])
    refused("not finite", errors.append, "u2", [math.nan])
