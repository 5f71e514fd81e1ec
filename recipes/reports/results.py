"""The record of one run, `results.json`: its fields, checked when written and when read.

Everything a number needs to be judged later is in the file: which data (protocol and digest),
which model (lobes, options, parameter counts), which code (versions, commit), which machine class
(device), how long. It is made to be published: paths lose their folders and the machine's name
does not appear.
"""

import importlib.metadata
import json
import math
import os
import platform
import re
import socket
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

from ...processing.system.files import TextError, read_json, write_text
from ...processing.system.rules import (
    Rule,
    is_number,
    is_whole,
    number,
    or_null,
    whole,
    wrong_values,
)
from ...processing.system.version import __version__

RESULTS_NAME = "results.json"
#: Fields that older files do not have.
_OPTIONAL = ("filters", "experiment", "memory")
_MOST_BYTES = 2**24
_PARTS = ("frontend", "encoder", "head")
_MEMORY = ("estimate_bytes", "peak_bytes")
_SOURCE_TREE = Path(__file__).resolve().parents[2]


def collect_versions() -> dict[str, str | None]:
    """Versions of what the numbers depend on; None for a package that is not installed."""
    versions: dict[str, str | None] = {"auricle": __version__}
    for package in ("torch", "torchaudio", "speechbrain"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {**versions, "python": platform.python_version()}


def git_commit(source_tree: Path = _SOURCE_TREE) -> str | None:
    """Commit of auricle's own source tree, with "+dirty" after it where files differ from it.

    None where the tree is no checkout. A wheel inside a virtual environment inside somebody's
    repository is no checkout of auricle, so the folder itself has to hold `.git`.
    """
    if not (source_tree / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(source_tree), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.strip()

    try:
        commit = git("rev-parse", "--verify", "HEAD")
        return commit + ("+dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):  # no git, no commit yet, not our repository
        return None


def describe_device(device: str) -> str:
    """The device in words that mean something elsewhere: "NVIDIA H200", "cpu (2 threads)".

    Arguments
    ---------
    device : what torch understands: "cpu", "cuda", "cuda:1".
    """
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.device(device).type} ({torch.get_num_threads()} threads)"


@dataclass
class RunResult:
    """What one training run was and what it reached.

    Arguments
    ---------
    task : what is learned ("keyword_spotting").
    dataset : the data set ("speech_commands").
    protocol : the protocol's name, or a dict that holds whatever makes two of them differ.
    data_digest : digest of the manifests that were trained and scored on.
    corpus : {"name": "mini" or the data folder's name, "synthetic": bool, "complete": bool, or
        None where it is not known}; "overlap" counts, by what was done in words, the recordings
        that splits share; further entries are free.
    counts : items per split, or per split and class.
    frontend, encoder : registered names.
    options : every setting that differs from the recipe's YAML and changes what is learned: lobe
        options, training settings, and under "run_options" those of SpeechBrain's run options that
        are not at their default; not the seed, not folders, not the device. Two runs with equal
        options and different seeds are two draws of one experiment.
    seed : the training seed.
    params : number of parameters {"frontend": int, "encoder": int, "head": int}.
    metrics : {"valid": {...}, "test": {...}}, as the scoring classes summarize.
    epochs : epochs trained.
    started : when training began, in UTC, as 2026-01-31T12:00:00Z.
    wall_s : seconds from the start to the end of the run.
    audio_s_per_s : seconds of audio trained on per second of training.
    device : as `describe_device` gives it.
    versions, git_commit : collected by default.
    filters : how far training moved the frontend's filters, as `displacement` gives it; None for
        a frontend without filters, and in files that are older than this field.
    experiment : the row of `experiments.yaml` that the run is of; None without one, and in files
        that are older than this field.
    memory : {"estimate_bytes", "peak_bytes"}, what was printed before training and the most that
        the process, or its GPU memory, then took; None where it was not measured, and in files
        that are older than this field.

    Raises
    ------
    ValueError
        A field has the wrong type, lacks an entry, or holds a number that is not finite. All
        faults are named at once.
    """

    task: str
    dataset: str
    protocol: str | dict
    data_digest: str
    corpus: dict
    counts: dict
    frontend: str
    encoder: str
    options: dict
    seed: int
    params: dict
    metrics: dict
    epochs: int
    started: str
    wall_s: float
    audio_s_per_s: float
    device: str
    versions: dict = field(default_factory=collect_versions)
    git_commit: str | None = field(default_factory=git_commit)
    filters: dict | None = None
    experiment: str | None = None
    memory: dict | None = None

    def __post_init__(self):
        faults: list[str] = []
        for item in fields(self):
            value = _published(getattr(self, item.name), item.name, faults)
            setattr(self, item.name, value)
        faults += self._faults()
        if faults:
            raise ValueError("this is no result of a run:\n  " + "\n  ".join(faults))

    def to_dict(self) -> dict:
        """The fields as plain JSON values."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def write(self, output_folder: str | os.PathLike) -> Path:
        """Write `<output_folder>/results.json`; a reader sees the whole file or the old one."""
        folder = Path(output_folder)
        folder.mkdir(parents=True, exist_ok=True)
        return write_text(folder / RESULTS_NAME, _readable(self.to_dict()) + "\n")

    def _faults(self) -> list[str]:
        faults = wrong_values(vars(self), _RULES, "{name} is {value!r:.200}: give {what}")
        for split in ("valid", "test") if isinstance(self.metrics, dict) else ():
            if not isinstance(self.metrics.get(split), dict) or not self.metrics[split]:
                faults.append(f"metrics.{split} is missing or empty: give the scores of that split")
            elif not is_whole(items := self.metrics[split].get("n", 0), 0):
                faults.append(f"metrics.{split}.n is {items!r:.200}: give a count of items")
            elif not _is_interval(
                interval := self.metrics[split].get("interval"), self.metrics[split]
            ):
                faults.append(f"metrics.{split}.interval is {interval!r:.200}: give pairs by score")
        return faults


def _is_text(value) -> bool:
    return isinstance(value, str) and value != ""


def _is_corpus(value) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("synthetic"), bool)
        and value.get("complete", "") in (True, False, None)
        and _are_counts(value.get("overlap", {}))
    )


def _are_counts(value) -> bool:
    return isinstance(value, dict) and all(is_whole(count, 0) for count in value.values())


def _is_interval(value, scores: dict) -> bool:
    """Whether a value is None, or a dict that has two numbers for a score, or None."""
    if value is None:
        return True
    bounds = [value[name] for name in value if name in scores] if isinstance(value, dict) else [0]
    return all(
        pair is None or (isinstance(pair, list) and len(pair) == 2 and all(map(is_number, pair)))
        for pair in bounds
    )


def _counts_of(*names: str) -> Callable[[object], bool]:
    """Whether a value is a dict with a count of each of the names and nothing else."""
    return lambda value: _are_counts(value) and set(value) == set(names)


def _are_numbers(value) -> bool:
    return isinstance(value, dict) and all(map(is_number, value.values()))


_DICT = (lambda value: isinstance(value, dict), "a dict")
_TEXT = (_is_text, "a non-empty string")
_RULES: dict[str, Rule] = {
    **dict.fromkeys(("task", "dataset", "data_digest", "frontend", "encoder", "device"), _TEXT),
    "protocol": (
        lambda value: isinstance(value, (str, dict)) and len(value) > 0,
        "its name, or a dict that defines it",
    ),
    **dict.fromkeys(("counts", "options", "versions", "metrics"), _DICT),
    "corpus": (
        _is_corpus,
        "a dict of name (a string), synthetic (true or false) and complete (true, false, or null: "
        "not known)",
    ),
    "params": (_counts_of(*_PARTS), f"a count for each of {', '.join(_PARTS)}"),
    **dict.fromkeys(("seed", "epochs"), whole(0)),
    **dict.fromkeys(("wall_s", "audio_s_per_s"), number(0)),
    "started": (
        lambda value: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(value)) is not None,
        "UTC as 2026-01-31T12:00:00Z",
    ),
    "filters": or_null((_are_numbers, "numbers by name")),
    "experiment": or_null(_TEXT),
    "memory": or_null((_counts_of(*_MEMORY), f"bytes for {', '.join(_MEMORY)}")),
    "git_commit": or_null(
        (lambda v: _is_text(v) and re.match(r"[0-9a-f]{7,}", v) is not None, "a commit")
    ),
}


def _readable(value, indent: str = "") -> str:
    """JSON with a line per entry, and lists of plain values (a row of a confusion table) in one."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        opening, closing = "{}"
        lines = [f"{json.dumps(str(k))}: {_readable(v, inner)}" for k, v in value.items()]
    elif isinstance(value, (list, tuple)) and any(
        isinstance(v, (dict, list, tuple)) for v in value
    ):
        opening, closing = "[]"
        lines = [_readable(entry, inner) for entry in value]
    else:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    return f"{opening}\n{inner}" + f",\n{inner}".join(lines) + f"\n{indent}{closing}"


def load_results(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[RunResult]:
    """Read the results files named, and all those below the folders named, in order of path.

    Folds of a cross-validation are part of its result and are no results of their own there.

    Raises
    ------
    ValueError
        A path is not there, a folder holds no results file, or a file is not a complete, strict
        JSON record of a run. All faults are named at once; no file is left out silently.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    files: dict[Path, None] = {}  # ordered, and a file named twice is read once
    faults: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            below = [file for file in sorted(path.rglob(RESULTS_NAME)) if not _is_part(file, path)]
            files.update(dict.fromkeys(file.resolve() for file in below))
            if not below:
                faults.append(f"{path}: no {RESULTS_NAME} in or below this folder; run a recipe")
        elif path.is_file():
            files[path.resolve()] = None
        else:
            faults.append(f"{path}: no such file or folder")
    if not files and not faults:
        faults.append("no path given: name results files, or folders of runs")
    results = []
    for file in files:
        try:
            results.append(_load(file))
        except TextError as error:
            faults.append(str(error))  # names the file
        except ValueError as error:
            faults.append(f"{file}: {error}")
    if faults:
        raise ValueError("cannot read the results:\n" + "\n".join(faults))
    return results


def _is_part(file: Path, top: Path) -> bool:
    """Whether a results file below `top` is a part of another run, as that of a fold is."""
    inner = (folder for folder in file.parent.parents if folder.is_relative_to(top))
    return any((folder / RESULTS_NAME).is_file() for folder in inner)


def _load(file: Path) -> RunResult:
    record = read_json(file, _MOST_BYTES)
    if not isinstance(record, dict):
        raise ValueError("holds no record (a JSON object)")
    known = [item.name for item in fields(RunResult)]
    missing = [name for name in known if name not in record and name not in _OPTIONAL]
    unknown = [name for name in record if name not in known]
    if missing or unknown:
        raise ValueError(
            f"is no record of this version: missing {missing or 'nothing'}, not known "
            f"{unknown or 'nothing'}; train again, or read it with the auricle that wrote it"
        )
    return RunResult(**record)


def _published(value, where: str, faults: list[str]):
    """The value as plain JSON without NaN, folders or the machine's name; faults are collected."""
    if isinstance(value, dict):
        plain = {}
        for key, inner in value.items():
            if not isinstance(key, str):
                faults.append(f"{where} has the key {key!r}: give strings as keys")
                continue
            public = _without_machine(key)
            if public in plain:
                faults.append(f"{where}: two keys are both {public!r} once their folders are cut")
            plain[public] = _published(inner, f"{where}.{key}", faults)
        return plain
    if isinstance(value, (list, tuple)):
        return [_published(inner, f"{where}[{i}]", faults) for i, inner in enumerate(value)]
    if isinstance(value, os.PathLike):
        return Path(value).name if Path(value).is_absolute() else str(value)
    if isinstance(value, str):
        return _without_machine(value)
    if hasattr(value, "tolist"):  # numpy arrays and scalars, tensors
        return _published(value.tolist(), where, faults)
    if isinstance(value, float) and not math.isfinite(value):
        faults.append(f"{where} is {value}: a score that is no number must not be written down")
    elif value is not None and not isinstance(value, (bool, int, float)):
        faults.append(f"{where} is a {type(value).__name__}: give numbers, strings, lists, dicts")
    return value


# An absolute path: a slash, a home sign, a drive or a network share at the start of the text or
# after a character that ends a word. "km/h", "speech/yes.wav" and "https://a.org/b" are none.
_ABSOLUTE_PATH = re.compile(
    r"(?:^|(?<=[\s=:,;'\"(\[]))"
    r"(?:(?:file://)?/(?!/)|~\w*/|[A-Za-z]:[\\/]|\\\\)"
    r"[^\s,;'\"()\[\]]+"
)


def _without_machine(text: str) -> str:
    host = socket.gethostname()
    # A bare word as host name ("leaf") may be a lobe's name too, and gives no machine away.
    if not host.isalpha():
        text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", "<host>", text)
    return _ABSOLUTE_PATH.sub(lambda match: re.split(r"[\\/]", match[0].rstrip("\\/"))[-1], text)
