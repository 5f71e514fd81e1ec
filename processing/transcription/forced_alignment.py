"""Forced alignment of a transcript to the log-probabilities of a CTC model.

A CTC model gives a peak somewhere in each unit and blanks between the peaks, so the best path
alone is no segmentation. Here the steps between two peaks are shared out: a step between units a
and b belongs to a by p(a) / (p(a) + p(b)), blanks and other units left aside, and to b by the rest.
The boundary is where the posteriors of the two cross; it may lie inside a step; and where the model
cannot tell (one unit twice) it is the middle.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torchaudio.functional import forced_align, merge_tokens

from .segments import Segment

BLANK_INDEX = 0


class AlignmentError(ValueError):
    """A transcript that cannot be aligned to a recording."""


class Peak(NamedTuple):
    """The steps [start, end) that the best path gives to one unit."""

    start_step: int
    end_step: int


def steps_needed(indices: Sequence[int]) -> int:
    """Fewest steps in which CTC can say these units: one each, and a blank between equal ones.

    Example
    -------
    >>> steps_needed([4, 4, 2, 4])
    5
    """
    return len(indices) + sum(a == b for a, b in zip(indices[:-1], indices[1:], strict=True))


def align_steps(
    log_probabilities: torch.Tensor, indices: Sequence[int], where: str = "the recording"
) -> list[Peak]:
    """The best path of a transcript, by torchaudio's `forced_align`.

    Arguments
    ---------
    log_probabilities : tensor (N, C); index 0 is the blank.
    indices : units of the transcript, none the blank.
    where : what to name in an error.

    Returns
    -------
    One `Peak` per unit, in order; between them are blanks.

    Raises
    ------
    AlignmentError
        An empty transcript, an index that is no unit, more units than there are steps for.

    Example
    -------
    >>> steps = torch.eye(3)[[0, 1, 1, 0, 2]].mul(9).log_softmax(-1)
    >>> align_steps(steps, [1, 2])
    [Peak(start_step=1, end_step=3), Peak(start_step=4, end_step=5)]
    """
    if log_probabilities.dim() != 2:
        raise ValueError(
            f"log-probabilities must be (N, C), got {tuple(log_probabilities.shape)}: one recording"
        )
    count, labels = log_probabilities.shape
    indices = [int(index) for index in indices]
    if not indices:
        raise AlignmentError(f"{where}: the transcript is empty, there is nothing to align")
    wrong = [index for index in indices if not BLANK_INDEX < index < labels]
    if wrong:
        raise AlignmentError(f"{where}: index {wrong[0]} is none of the {labels - 1} units")
    needed = steps_needed(indices)
    if count < needed:
        raise AlignmentError(
            f"{where}: {len(indices)} units need {needed} steps, and the model gives {count} for "
            "it: is the transcript that of this recording?"
        )
    item = log_probabilities.detach().float().cpu()
    path, scores = forced_align(item[None], torch.tensor([indices]), blank=BLANK_INDEX)
    return [Peak(span.start, span.end) for span in merge_tokens(path[0], scores[0])]


def divide(
    log_probabilities: torch.Tensor, indices: Sequence[int], peaks: Sequence[Peak]
) -> list[float]:
    """Where one unit ends and the next begins, in steps, by the rule above.

    Returns
    -------
    A number m for each of the L - 1 pairs of neighbours: for a whole m the change is between steps
    m - 1 and m.

    Example
    -------
    Of the three blanks two are like the first unit and one is like the second:

    >>> steps = torch.tensor([[0.02, 0.97, 0.01], [0.9, 0.09, 0.01], [0.9, 0.09, 0.01],
    ...     [0.9, 0.01, 0.09], [0.02, 0.01, 0.97]]).log()
    >>> [round(m, 3) for m in divide(steps, [1, 2], align_steps(steps, [1, 2]))]
    [2.9]
    """
    item = log_probabilities.detach().double().cpu().clamp(min=-1e4)
    changes = []
    for unit, next_unit, peak, next_peak in zip(
        indices[:-1], indices[1:], peaks[:-1], peaks[1:], strict=True
    ):
        between = item[peak.end_step : next_peak.start_step]
        share = torch.sigmoid(between[:, unit] - between[:, next_unit])
        changes.append(peak.end_step + float(share.sum()))
    return changes


def segment_times(
    changes: Sequence[float],
    labels: Sequence[str],
    num_samples: int,
    step_samples: float,
    shift_samples: float = 0.0,
) -> list[Segment]:
    """Segments in samples, contiguous from 0 to the end of the recording, none of them empty.

    Step n is what the model says about the time around sample ``n * step_samples``, as frames are
    centred; so the change between steps m - 1 and m is at ``(m - 1/2) * step_samples``, half a
    step earlier than where frame m is.

    Arguments
    ---------
    changes : what `divide` gives.
    labels : one more than there are changes.
    num_samples : of the recording.
    step_samples : distance of two steps.
    shift_samples : added to every change: the constant by which the model is late (negative) or
        early, as measured where the truth is known.

    Example
    -------
    >>> segment_times([2.0, 3.5], ["h#", "ae", "h#"], num_samples=1000, step_samples=160)
    [Segment(start_samples=0, end_samples=240, text='h#'), \
Segment(start_samples=240, end_samples=480, text='ae'), \
Segment(start_samples=480, end_samples=1000, text='h#')]
    """
    if len(labels) != len(changes) + 1:
        raise ValueError(f"{len(labels)} labels and {len(changes)} changes between them")
    if num_samples < len(labels):
        raise AlignmentError(f"{num_samples} samples are too few for {len(labels)} segments")
    ends = [round((change - 0.5) * step_samples + shift_samples) for change in changes]
    ends.append(num_samples)
    # A shift, or the first step, may push changes over an end of the recording.
    for i in range(len(ends)):
        before = ends[i - 1] if i else 0
        ends[i] = max(before + 1, min(ends[i], num_samples - (len(ends) - 1 - i)))
    return list(map(Segment, [0, *ends], ends, labels))
