"""Text files that name recordings: one to a line, or each with its speaker."""

from __future__ import annotations

import os

__all__ = ["read_names", "read_speakers"]


def read_speakers(path: str | os.PathLike) -> dict[str, str]:
    """Speakers by recording, of a file with a line 'RECORDING SPEAKER' each (Kaldi's utt2spk)."""
    speaker_of: dict[str, str] = {}
    for number, fields in _lines(path):
        if len(fields) != 2:
            raise ValueError(f"{path}, line {number}: lines are 'RECORDING SPEAKER'")
        if speaker_of.setdefault(fields[0], fields[1]) != fields[1]:
            raise ValueError(f"{path}, line {number}: {fields[0]!r} has two speakers")
    return speaker_of


def read_names(path: str | os.PathLike) -> list[str]:
    """Names of recordings, of a text file with one to a line."""
    names = []
    for number, fields in _lines(path):
        if len(fields) != 1:
            raise ValueError(f"{path}, line {number}: lines are one recording's name each")
        names.append(fields[0])
    if not names:
        raise ValueError(f"{path} names no recording")
    return names


def _lines(path: str | os.PathLike):
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                fields = line.decode().split()
            except UnicodeDecodeError:
                raise ValueError(f"{path}, line {number} is not UTF-8 text") from None
            if fields:
                yield number, fields
