"""The error about one audio file: which file, what is wrong with it, and what to do next."""

import os
import sys


class AudioError(ValueError):
    """One audio file that cannot be used: which, why, and what to do about it.

    Arguments
    ---------
    path : str or Path
        The file.
    problem : str
        What is wrong with it.
    cure : str
        What to do next.
    kind : str
        "missing", "empty", "not_audio", "unsupported", "needs_ffmpeg", "needs_av", "truncated",
        "nan", "rate", "channels", "range" or "name"; for counting.
    """

    def __init__(self, path, problem="", cure="", kind=""):
        super().__init__(str(path), problem, cure, kind)
        self.path, self.problem, self.cure, self.kind = str(path), problem, cure, kind

    def __str__(self):
        # A DataLoader rebuilds an error from its finished text alone.
        path = printable(self.path)
        return f"{path}: {self.problem}; {self.cure}" if self.problem else path


def printable(path) -> str:
    r"""A file's name as text; bytes that are not of the file system's encoding as \xff."""
    return os.fsencode(path).decode(sys.getfilesystemencoding(), "backslashreplace")


_PROBLEMS = {
    "truncated": (
        "is cut off or damaged: {}",
        "copy or unpack the file again, or remove it",
    ),
    "empty": ("holds no samples", "restore or remove the file"),
    "range": ("does not hold the samples from {} to {}", "prepare the manifest again"),
    "channels": (
        "has {} channels where one is required",
        "mix it down, e.g. ffmpeg -i IN -ac 1 OUT",
    ),
    "rate": (
        "has a sample rate of {} Hz where {} Hz is required",
        "resample it, e.g. ffmpeg -i IN -ar {1} OUT",
    ),
    "not_audio": (
        "is no audio file that libsndfile can read ({})",
        "wav, flac, ogg, mp3 and NIST SPHERE are read; restore, convert or remove the file",
    ),
    "unsupported": ("is {}", "convert it, e.g. {1}"),
}


def audio_error(path, kind, *values):
    """An `AudioError` of one of the usual kinds; its problem is completed with `values`."""
    problem, cure = _PROBLEMS[kind]
    return AudioError(path, problem.format(*values), cure.format(*values), kind)
