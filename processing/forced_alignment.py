"""When what was said was said: a transcript aligned to the log-probabilities of a CTC model.

A CTC model gives a peak somewhere in each unit and blanks between the peaks, so the best path
alone is no segmentation. Here the steps between two peaks are divided where the units themselves
change: at the step m that maximises the sum of log p(unit before) up to m and of log p(unit after)
from m on, blanks left aside. Where the model is equally sure of both (one unit twice, or two that
it holds for impossible alike), it is the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torchaudio.functional import forced_align, merge_tokens

from .segments import Segment

__all__ = ["AlignmentError", "Peak", "align_steps", "divide", "segment_times", "steps_needed"]

BLANK_INDEX = 0
_SAME = 1e-5  # nats: sums that differ by less are equal


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
    A number m for each of the L - 1 pairs of neighbours: the change is between steps m - 1 and m;
    halves where the middle is at a step.

    Example
    -------
    The first unit fades and the second rises; step 2 is still the first's:

    >>> steps = torch.tensor([[0.0, 0.9, 0.1], [0.6, 0.3, 0.1], [0.6, 0.25, 0.15], [0.6, 0.1, 0.3],
    ...     [0.0, 0.1, 0.9]]).clamp(1e-3).log()
    >>> divide(steps, [1, 2], align_steps(steps, [1, 2]))
    [3.0]
    """
    item = log_probabilities.detach().double().cpu().clamp(min=-1e4)
    changes = []
    for pair in zip(indices[:-1], indices[1:], peaks[:-1], peaks[1:], strict=True):
        unit, next_unit, peak, next_peak = pair
        low, high = peak.end_step, next_peak.start_step
        gain = (item[low:high, unit] - item[low:high, next_unit]).cumsum(0)
        gain = torch.cat([torch.zeros(1, dtype=torch.float64), gain])
        best = (gain >= gain.max() - _SAME).nonzero().flatten() + low
        middle = (low + high) / 2
        if best[0] < middle < best[-1] and len(best) == high - low + 1:
            changes.append(middle)  # the units say nothing about it
        else:
            changes.append(float(best[(best - middle).abs().argmin()]))
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
    return [
        Segment(start, end, label)
        for start, end, label in zip([0, *ends], ends, labels, strict=False)
    ]
