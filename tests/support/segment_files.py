"""Segments in tests: whether they cover a recording, and reading of the TextGrids written."""

import re
from pathlib import Path

from auricle.processing.transcription.segments import Segment


def is_contiguous(segments, num_samples):
    """Whether segments cover a recording from 0 to its end, none of them empty."""
    starts, ends = [s.start_samples for s in segments], [s.end_samples for s in segments]
    return starts == [0, *ends[:-1]] and ends[-1] == num_samples and sorted(set(ends)) == ends


def read_textgrid(path, rate_hz):
    """Interval tiers {name: segments} of a TextGrid in the long text format."""
    interval = r'intervals \[\d+\]:\s+xmin = (\S+)\s+xmax = (\S+)\s+text = "((?:[^"]|"")*)"'
    tiers = {}
    for part in Path(path).read_text(encoding="utf-8").split('class = "IntervalTier"')[1:]:
        tiers[re.search('name = "(.*)"', part)[1]] = [
            Segment(*(round(float(s) * rate_hz) for s in (start, end)), text.replace('""', '"'))
            for start, end, text in re.findall(interval, part)
        ]
    return tiers
