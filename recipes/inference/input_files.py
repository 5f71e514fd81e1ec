"""Files named on a command line: checked before any work, and lists of recordings read."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ...processing.scoring.recording_names import plain_name
from ...processing.system.files import text_lines


def check_readable(path: str | os.PathLike, what: str) -> None:
    """Raise unless a path is a file.

    Arguments
    ---------
    path : as it was given.
    what : what it should hold, as "a file of transcripts".

    Raises
    ------
    OSError
        It is not there, or is a folder.

    Example
    -------
    >>> check_readable("none.txt", "a file of transcripts")
    Traceback (most recent call last):
        ...
    FileNotFoundError: none.txt: no such file; give a file of transcripts
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give {what}")
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file; give {what}")


def check_writable(path: str | os.PathLike, option: str) -> None:
    """Raise unless a file can be put where a path says.

    Arguments
    ---------
    path : as it was given.
    option : the option it was given to.

    Raises
    ------
    OSError
        Its folder is not there, or it is a folder itself.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{option} {path}: is a folder; name a file")
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(f"{option} {path}: there is no folder {Path(path).parent}; make it")


@contextlib.contextmanager
def naming(*files: str | os.PathLike | None) -> Iterator[None]:
    """Put the names of files, those that are not None, in front of a ValueError about their content.

    Example
    -------
    >>> with naming("a.txt", None, "b.txt"):
    ...     raise ValueError("of other recordings")
    Traceback (most recent call last):
        ...
    ValueError: a.txt and b.txt: of other recordings
    """
    try:
        yield
    except ValueError as error:
        names = " and ".join(str(file) for file in files if file is not None)
        raise ValueError(f"{names}: {error}" if names else error) from None


def read_speakers(path: str | os.PathLike, fold_case: bool = False) -> dict[str, str]:
    """Speakers by recording, of a file with a line 'RECORDING SPEAKER' each (Kaldi's utt2spk).

    `fold_case` makes one name of those that differ in case only.
    """
    speaker_of: dict[str, str] = {}
    for number, line in text_lines(path):
        fields = line.split()
        if len(fields) != 2:
            raise ValueError(f"{path}, line {number}: lines are 'RECORDING SPEAKER'")
        name = plain_name(fields[0], fold_case)
        if speaker_of.setdefault(name, fields[1]) != fields[1]:
            raise ValueError(f"{path}, line {number}: {name!r} has two speakers")
    return speaker_of


def read_names(path: str | os.PathLike) -> list[str]:
    """Names of recordings, of a text file with one to a line."""
    names = []
    for number, line in text_lines(path):
        if len(line.split()) != 1:
            raise ValueError(f"{path}, line {number}: lines are one recording's name each")
        names.append(line)
    if not names:
        raise ValueError(f"{path} names no recording")
    return names
