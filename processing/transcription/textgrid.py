"""Writing of Praat's TextGrid files: interval tiers in the long text format, UTF-8."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..system.files import write_text
from .segments import Segment


def write_textgrid(
    tiers: Mapping[str, Sequence[Segment]],
    path: str | os.PathLike,
    sample_rate_hz: int,
    num_samples: int,
) -> Path:
    """Write interval tiers; where a tier has no segment, it gets an empty interval.

    Arguments
    ---------
    tiers : segments by the name of the tier, in order and without overlap.
    path : file to write.
    sample_rate_hz, num_samples : of the recording; Praat wants its length.

    Raises
    ------
    ValueError
        No tier; segments that overlap, are empty, or lie beyond the end of the recording.

    References
    ----------
    Praat manual, "TextGrid file formats".

    Example
    -------
    >>> import tempfile
    >>> phones = [Segment(0, 800, "h#"), Segment(800, 2000, "ae")]
    >>> path = write_textgrid({"phones": phones}, tempfile.mkdtemp() + "/a.TextGrid", 16000, 2000)
    >>> path.read_text().splitlines()[-3:]
    ['            xmin = 0.05', '            xmax = 0.125', '            text = "ae"']
    """
    if not tiers:
        raise ValueError("a TextGrid needs at least one tier")
    end_s = _seconds(num_samples, sample_rate_hz)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0"]
    lines += [f"xmax = {end_s}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, segments) in enumerate(tiers.items(), start=1):
        intervals = _filled(name, segments, num_samples)
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f"        name = {_quoted(name)}",
            "        xmin = 0",
            f"        xmax = {end_s}",
            f"        intervals: size = {len(intervals)}",
        ]
        for index, (start, end, text) in enumerate(intervals, start=1):
            lines += [
                f"        intervals [{index}]:",
                f"            xmin = {_seconds(start, sample_rate_hz)}",
                f"            xmax = {_seconds(end, sample_rate_hz)}",
                f"            text = {_quoted(text)}",
            ]
    return write_text(path, "\n".join(lines) + "\n")


def _filled(name: str, segments: Sequence[Segment], num_samples: int) -> list[Segment]:
    filled, at = [], 0
    for start, end, text in segments:
        if start < at or end <= start or end > num_samples:
            raise ValueError(
                f"tier {name!r}: {text!r} from sample {start} to {end} overlaps, is empty or lies "
                f"beyond the end of the recording ({num_samples})"
            )
        if start > at:
            filled.append(Segment(at, start, ""))
        filled.append(Segment(start, end, text))
        at = end
    if at < num_samples:
        filled.append(Segment(at, num_samples, ""))
    return filled


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _seconds(samples: int, sample_rate_hz: int) -> str:
    """Exact to a nanosecond, so that it comes back as the same sample."""
    return f"{samples / sample_rate_hz:.9f}".rstrip("0").rstrip(".") or "0"
