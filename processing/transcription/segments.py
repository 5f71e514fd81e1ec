"""Labelled segments of a recording, and TIMIT's files of them (.PHN, .WRD, .TXT)."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..system.files import text_lines, write_text
from ..system.tables import to_number


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
    for number, line in text_lines(path):
        try:
            start, end, what = line.split(None, 2)
            segment = Segment(to_number(start, int), to_number(end, int), what.strip())
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: {line[:40]!r} is not 'START END TEXT'"
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
    return write_text(path, lines)
