"""Praat's TextGrid files: interval tiers in the long text format, UTF-8."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from .segments import Segment

__all__ = ["read_textgrid", "write_textgrid"]

_FIELD = re.compile(r"(xmin|xmax|text|name|class) = ")
# A quotation mark inside a text is written twice.
_TEXT = re.compile(r'"((?:[^"]|"")*)"')


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
    >>> read_textgrid(path, 16000)["phones"] == phones
    True
    """
    if not tiers:
        raise ValueError("a TextGrid needs at least one tier")
    end_s = _seconds(num_samples, sample_rate_hz)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end_s}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
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
    path = Path(path)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return path


def read_textgrid(path: str | os.PathLike, sample_rate_hz: int) -> dict[str, list[Segment]]:
    """Interval tiers of a TextGrid in the long text format, UTF-8 or UTF-16; empty intervals too.

    Arguments
    ---------
    path : the file.
    sample_rate_hz : of the recording; times are rounded to samples.

    Raises
    ------
    ValueError
        Another format; a tier of points.
    """
    raw = Path(path).read_bytes()
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no TextGrid in UTF-8 or UTF-16") from None
    if 'Object class = "TextGrid"' not in text[:200] or "item []:" not in text:
        raise ValueError(
            f"{path} is no TextGrid in the long text format; Praat writes it by 'Save as text file'"
        )
    tiers: dict[str, list[Segment]] = {}
    name, times = "", {}
    for key, value in _fields(text[text.index("item []:") :]):
        if key == "class" and value != "IntervalTier":
            raise ValueError(f"{path} has a tier of class {value!r}; read are tiers of intervals")
        if key == "name":
            name = value
            tiers[name] = []
        elif key in ("xmin", "xmax"):
            times[key] = round(float(value) * sample_rate_hz)
        elif key == "text":
            tiers[name].append(Segment(times["xmin"], times["xmax"], value))
    return tiers


def _fields(text: str):
    """(key, value) in order; texts may hold anything, line breaks as well."""
    at = 0
    while found := _FIELD.search(text, at):
        at = found.end()
        if found[1] in ("text", "name", "class"):
            quoted = _TEXT.match(text, at)
            if quoted is None:
                raise ValueError(f"{text[at : at + 20]!r} is no text in quotation marks")
            at = quoted.end()
            yield found[1], quoted[1].replace('""', '"')
        else:
            yield found[1], text[at:].split(None, 1)[0]


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
