"""Segments of a recording with their labels, and TIMIT's files of them (.PHN, .WRD, .TXT)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Segment", "check_contiguous", "read_segments", "write_segments"]


class Segment(NamedTuple):
    """[start_samples, end_samples) of a recording, and what is said there."""

    start_samples: int
    end_samples: int
    text: str


def read_segments(path: str | os.PathLike) -> list[Segment]:
    """Read lines ``START END TEXT``, times in samples: a .PHN, .WRD or .TXT of TIMIT.

    Raises
    ------
    ValueError
        No such line, a segment that ends before it begins, segments out of order or none at all,
        each with file and line.
    OSError
        No such file.
    """
    segments: list[Segment] = []
    text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            start, end, what = line.split(None, 2)
            segment = Segment(int(start), int(end), what.strip())
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: {line.strip()[:40]!r} is not 'START END TEXT'"
            ) from None
        if not 0 <= segment.start_samples <= segment.end_samples:
            raise ValueError(f"{path}, line {number}: begins at {start} and ends at {end}")
        if segments and segment.start_samples < segments[-1].start_samples:
            raise ValueError(
                f"{path}, line {number}: begins at {start}, before the line above it "
                f"({segments[-1].start_samples})"
            )
        segments.append(segment)
    if not segments:
        raise ValueError(f"{path} holds no segment")
    return segments


def write_segments(segments: Sequence[Segment], path: str | os.PathLike) -> Path:
    """Write lines ``START END TEXT``, with "\\n" on every system.

    Raises
    ------
    ValueError
        A text that is empty or holds a line break.
    """
    for segment in segments:
        if not segment.text.strip() or "\n" in segment.text or "\r" in segment.text:
            raise ValueError(f"{segment.text!r} cannot be a label in {path}: empty, or two lines")
    lines = "".join(f"{start} {end} {text}\n" for start, end, text in segments)
    path = Path(path)
    path.write_text(lines, encoding="utf-8", newline="\n")
    return path


def check_contiguous(segments: Sequence[Segment], num_samples: int) -> None:
    """Raise ValueError unless the segments cover a recording from 0 to its end without a gap.

    Example
    -------
    >>> check_contiguous([Segment(0, 5, "sil"), Segment(6, 9, "ae")], 9)
    Traceback (most recent call last):
        ...
    ValueError: 'ae' begins at sample 6, and 5 is where the segment before it ends
    """
    at = 0
    for start, end, text in segments:
        if start != at:
            raise ValueError(
                f"{text!r} begins at sample {start}, and {at} is where the segment before it ends"
            )
        if end <= start:
            raise ValueError(f"{text!r} begins at sample {start} and ends at {end}")
        at = end
    if at != num_samples:
        raise ValueError(f"the segments end at sample {at}, the recording at {num_samples}")
