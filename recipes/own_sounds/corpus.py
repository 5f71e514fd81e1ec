"""List own recordings with their labels: a folder a class, or a table of paths and labels."""

import difflib
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from ...processing.data.audio import AUDIO_SUFFIXES, OTHER_SUFFIXES
from ...processing.data.manifest import SPLITS
from ...processing.data.scan import AudioFile
from ...processing.system.files import TextError
from ...processing.system.listing import first_lines, first_of
from ...processing.system.tables import read_table, to_number
from ..training.preparation import PreparationError, check_folder, contents, subfolders

#: The table that is read where none is named and the folder has it.
TABLE = "sounds.csv"
COLUMNS = ("path", "label", "split", "group", "fold", "start_s", "end_s")
#: Names of splits that others use.
SPLIT_NAMES = {name: name for name in SPLITS} | {
    **dict.fromkeys(("training", "development_train"), "train"),
    **dict.fromkeys(("validation", "val", "dev"), "valid"),
    **dict.fromkeys(("testing", "eval", "evaluation"), "test"),
}
SUFFIXES = tuple(AUDIO_SUFFIXES) + tuple(OTHER_SUFFIXES)
_PATTERN_GROUPS = ("group", "fold", "split")


@dataclass(frozen=True)
class Sound:
    """One recording, or the part of one from start_s to end_s.

    Attributes
    ----------
    path : relative to the data folder, with forward slashes.
    labels : one class; of tagging any number of tags.
    split, group, fold : "" where not known.
    start_s, end_s : None for the beginning and the end.
    """

    path: str
    labels: tuple[str, ...]
    split: str = ""
    group: str = ""
    fold: str = ""
    start_s: float | None = None
    end_s: float | None = None

    @property
    def id(self) -> str:
        """The path, and the part where it is one."""
        if self.start_s is None and self.end_s is None:
            return self.path
        end = "end" if self.end_s is None else f"{self.end_s:g}"
        return f"{self.path}@{self.start_s or 0:g}-{end}"


@dataclass
class Corpus:
    """The recordings of a data folder.

    Attributes
    ----------
    sounds : list of Sound
    files : dict
        AudioFile by path.
    source : str
        Where the labels are from, in words.
    problems : list of (path, kind, reason)
        What is wrong without being read.
    notes : list of str
    tagging : bool
        Whether a recording may have several labels.
    """

    sounds: list = field(default_factory=list)
    files: dict = field(default_factory=dict)
    source: str = ""
    problems: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    tagging: bool = False

    @property
    def classes(self) -> list[str]:
        """Every label, sorted."""
        return sorted({label for sound in self.sounds for label in sound.labels})


def read_corpus(
    data_folder: Path, table: str | None = None, name_pattern: str | None = None, task: str = "auto"
) -> Corpus:
    """List the recordings of a folder, by its table or by its folders.

    Arguments
    ---------
    data_folder : of the recordings.
    table : CSV, relative to the data folder or absolute; None: `TABLE` where it is there, else one
        folder a class.
    name_pattern : regular expression searched in each path, whose named groups `group`, `fold` and
        `split` say so of the recording where the table does not.
    task : "classification", "tagging", or "auto": tagging where a label of the table has a `;`.

    Raises
    ------
    PreparationError
        A folder or table that is not there, has no recordings or columns that are none.
    """
    data_folder = Path(data_folder)
    check_folder(data_folder, "data folder", "Name the folder of your recordings: --data_folder")
    if table is not None or (data_folder / TABLE).is_file():
        corpus = _read_table(data_folder, Path(data_folder, table or TABLE), task)
    else:
        if task == "tagging":
            raise PreparationError(
                f"task tagging needs a table of path,label with labels split by ';': {data_folder} "
                f"has no {TABLE}, and --table names none. Folders say one class each"
            )
        corpus = _read_folders(data_folder)
    if name_pattern:
        _apply_pattern(corpus, name_pattern)
    if not corpus.sounds and not corpus.problems:
        raise PreparationError(f"{corpus.source} lists no recording ({', '.join(SUFFIXES)})")
    return corpus


def _read_folders(folder: Path) -> Corpus:
    corpus = Corpus(source=f"the folders of {folder}")
    tops = subfolders(folder)
    if tops and all(name.lower() in SPLIT_NAMES for name in tops):
        classes = [
            (SPLIT_NAMES[top.lower()], name, path)
            for top, inner in tops.items()
            for name, path in subfolders(inner).items()
        ]
    else:
        classes = [("", name, path) for name, path in tops.items()]
    skipped, empty = [], []
    for split, label, path in classes:
        before = len(corpus.sounds)
        for file in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
            if hidden or not file.is_file():
                continue
            name = file.relative_to(folder).as_posix()
            if not name.lower().endswith(SUFFIXES):
                skipped.append(name)
                continue
            corpus.sounds.append(Sound(name, (label,), split))
            corpus.files[name] = AudioFile.at(name, file)
        if len(corpus.sounds) == before:
            empty.append(path.name)
    if not corpus.sounds:
        tables = [path.name for path in sorted(folder.glob("*.csv"))]
        hint = f" If {tables[0]} is a table of path,label: --table {tables[0]}" if tables else ""
        raise PreparationError(
            f"data folder {folder} has no folder with recordings ({', '.join(SUFFIXES)}); it holds "
            f"{contents(folder)}. Put the recordings of each class into a folder of its name, or "
            f"list them in {TABLE} (path,label).{hint}"
        )
    if empty:
        corpus.notes.append(f"folders without recordings are no classes: {first_of(empty)}")
    if skipped:
        corpus.notes.append(f"{len(skipped)} files are no recordings: {first_of(skipped)}")
    return corpus


def _read_table(folder: Path, path: Path, task: str) -> Corpus:
    try:
        columns, lines = read_table(path)
        rows = list(lines)
    except FileNotFoundError:
        raise PreparationError(
            f"table {path} is not there; {folder} holds {contents(folder)}. Name the table, "
            "relative to the data folder: --table"
        ) from None
    except TextError as error:
        raise PreparationError(str(error)) from None
    corpus = Corpus(source=f"the table {path.name}")
    _check_columns(path, columns, corpus)
    corpus.tagging = task == "tagging" or (
        task == "auto" and any(";" in row["label"] for _, row, _ in rows)
    )
    problems, seen = [], {}
    for line, row, wrong in rows:
        try:
            if wrong:
                raise ValueError(wrong)
            sound = _sound(folder, row, corpus.tagging)
            if sound.id in seen:
                raise ValueError(f"{sound.id} is there already, in line {seen[sound.id]}")
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        seen[sound.id] = line
        file = folder / sound.path
        if not file.is_file():
            reason = f"{sound.path} (line {line}) is not in the data folder"
            corpus.problems.append((sound.path, "missing", reason))
            continue
        corpus.sounds.append(sound)
        corpus.files.setdefault(sound.path, AudioFile.at(sound.path, file))
    if problems:
        raise PreparationError(f"table {path} cannot be used:{first_lines(problems, most=20)}")
    return corpus


def _check_columns(path: Path, columns: list[str], corpus: Corpus) -> None:
    missing = [name for name in ("path", "label") if name not in columns]
    others = [name for name in columns if name and name not in COLUMNS]
    meant = {name: difflib.get_close_matches(name, COLUMNS, 1, 0.7) for name in others}
    if missing:
        raise PreparationError(
            f"table {path} lacks the column {' and '.join(missing)}: it has {', '.join(columns)}. "
            f"Its first line must name them: {','.join(COLUMNS)}, the last five where there are any"
        )
    mistyped = [f"{name!r}; did you mean {near[0]!r}?" for name, near in meant.items() if near]
    if mistyped:
        raise PreparationError(
            f"table {path} has the column {first_of(mistyped)} Known: {', '.join(COLUMNS)}"
        )
    if others:
        corpus.notes.append(f"columns that are not read: {first_of(others)}")


def _sound(folder: Path, row: dict, tagging: bool) -> Sound:
    name = row["path"].replace("\\", "/")
    if not name:
        raise ValueError("it has no path")
    path = PurePosixPath(name)
    if path.is_absolute() and path.is_relative_to(folder.resolve().as_posix()):
        path = path.relative_to(folder.resolve().as_posix())
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name} is outside the data folder {folder}: paths are relative to it")
    labels = (row["label"],)
    if tagging:
        labels = tuple(dict.fromkeys(tag.strip() for tag in row["label"].split(";") if tag.strip()))
    elif not row["label"]:
        raise ValueError(f"{name} has no label")
    split = row.get("split", "")
    if split and split.lower() not in SPLIT_NAMES:
        raise ValueError(f"the split of {name} is {split!r}; it can be {', '.join(SPLITS)}")
    start_s, end_s = (_time(row.get(column, ""), column) for column in ("start_s", "end_s"))
    if end_s is not None and end_s <= (start_s or 0):
        raise ValueError(f"end_s of {name} is {end_s:g}, not after its start at {start_s or 0:g} s")
    return Sound(
        path.as_posix(),
        labels,
        SPLIT_NAMES[split.lower()] if split else "",
        row.get("group", ""),
        row.get("fold", ""),
        start_s,
        end_s,
    )


def _time(text: str, column: str) -> float | None:
    if not text:
        return None
    try:
        value = to_number(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ValueError(f"{column} is {text!r}; it is a time in s, such as 1.5")
    return value


def pattern_problem(name_pattern) -> str:
    """What is wrong with a `name_pattern`; "" for nothing."""
    if name_pattern is None:
        return ""
    try:
        groups = set(re.compile(str(name_pattern)).groupindex)
    except re.error as error:
        return f"name_pattern {name_pattern!r} is no regular expression: {error}"
    allowed = " and ".join(f"(?P<{name}>...)" for name in _PATTERN_GROUPS)
    if not groups or groups - set(_PATTERN_GROUPS):
        return (
            f"name_pattern {name_pattern!r} has the named groups {sorted(groups) or 'none'}; it can "
            f"have {allowed}, such as '(?P<group>[^/_]+)_[^/]*$'"
        )
    return ""


def _apply_pattern(corpus: Corpus, name_pattern: str) -> None:
    pattern, unmatched = re.compile(name_pattern), []
    for number, sound in enumerate(corpus.sounds):
        match = pattern.search(sound.path)
        if match is None:
            unmatched.append(sound.path)
            continue
        known = {name: text for name, text in match.groupdict().items() if text}
        if "split" in known:
            known["split"] = SPLIT_NAMES.get(known["split"].lower(), known["split"])
        known = {name: text for name, text in known.items() if not getattr(sound, name)}
        corpus.sounds[number] = replace(sound, **known)
    if unmatched:
        raise PreparationError(
            f"name_pattern {name_pattern!r} is not found in {len(unmatched)} of "
            f"{len(corpus.sounds)} paths: {first_of(unmatched)}. Correct the pattern, or leave it "
            "out"
        )
    splits = Counter(sound.split for sound in corpus.sounds)
    if strange := [name for name in splits if name and name not in SPLITS]:
        raise PreparationError(
            f"name_pattern {name_pattern!r} finds the splits {first_of(strange)}; a split can be "
            f"{', '.join(SPLITS)}"
        )
