"""Labelled recordings to score a model on: a folder a class, a table, or a prepared data set."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ...processing.data import manifest
from ...processing.data.audio import probe_audio, read_audio
from ...processing.data.dataset import read_row, resolve
from ...processing.system.files import TextError
from ...processing.system.tables import read_table, to_number
from ..training.preparation import PreparationError, check_folder
from ..training.record import MANIFEST, RECORD
from .corpus import TABLE, read_corpus

SPLITS = ("all", *manifest.SPLITS)


@dataclass
class Labelled:
    """Rows of recordings, and where they are.

    Attributes
    ----------
    rows : list of dict
        With `id`, `path`, `group`, `labels`, and every further column of a manifest or of a table
        of values; `start_s` and `end_s` or `start_sample` and `num_samples` of a part of a file.
    roots : dict
        Folders by root name.
    source : what they are of, in words.
    grouped : whether rows have groups; else each is its own.
    """

    rows: list
    roots: dict
    source: str
    grouped: bool

    def read(self, row: dict, sample_rate: int) -> torch.Tensor:
        """Waveform (T,) of a row at a rate; AudioError where it cannot be read."""
        if row.get("start_s") is None and row.get("end_s") is None:
            return read_row(row, self.roots, sample_rate, convert=True)
        path = resolve(row, self.roots)
        info = probe_audio(path)
        start = round((row.get("start_s") or 0.0) * info.sample_rate_hz)
        end = info.num_samples
        if row.get("end_s") is not None:
            end = min(end, round(row["end_s"] * info.sample_rate_hz))
        part = {"start_sample": start, "num_samples": max(1, end - start)}
        return read_audio(path, sample_rate, **part, resample="convert", channels="mix")


def find_labelled(
    data: str,
    task: str,
    names: list[str],
    *,
    table: str | None = None,
    name_pattern: str | None = None,
    split: str | None = None,
    data_folder: str | None = None,
) -> Labelled:
    """The labelled recordings of a folder, a table, or a prepared data set.

    Arguments
    ---------
    data : a folder of recordings, a table (CSV), or a folder with `manifest.csv` and `prepare.json`.
    task : of the model: "tagging" reads several labels, "regression" a number per name.
    names : outputs of the model, the columns of a table of values.
    table, name_pattern : as for `read_corpus`.
    split : one of `SPLITS`; None: test where there is such a split, else all.
    data_folder : what paths of a prepared data set, or of a table, are relative to.

    Raises
    ------
    PreparationError
        Nothing to read there, a split that is empty, a row without what the task needs.
    """
    path = Path(data)
    if (path / MANIFEST).is_file() and (path / RECORD).is_file():
        found = _prepared(path, data_folder)
    else:
        if path.suffix.lower() == ".csv":
            table, path = str(path.resolve()), Path(data_folder or path.parent)
        elif data_folder is not None:
            raise PreparationError(
                f"--data_folder is where the paths of a table or a prepared data set begin, and "
                f"{data} is neither: leave it out"
            )
        check_folder(path, "data", "Name a folder of recordings, a table, or a prepared data set.")
        if task == "regression":
            found = _values(path, Path(path, table or TABLE), names)
        else:
            found = _corpus(path, table, name_pattern, task)
    has = {row.get("split", "") for row in found.rows}
    split = split or ("test" if "test" in has else "all")
    if split != "all":
        found.rows = [row for row in found.rows if row.get("split") == split]
        found.source += f", split {split}"
    if not found.rows:
        kinds = ", ".join(sorted(filter(None, has))) or "none"
        raise PreparationError(f"{data} has no recording of the split {split}; it has {kinds}")
    return found


def _corpus(folder: Path, table, name_pattern, task) -> Labelled:
    kind = "tagging" if task == "tagging" else "classification"
    corpus = read_corpus(folder, table, name_pattern, kind)
    if corpus.problems:
        path, _, reason = corpus.problems[0]
        raise PreparationError(
            f"{len(corpus.problems)} recordings of {corpus.source} are not there: {reason}"
        )
    rows = [
        {
            **{"id": sound.id, "path": sound.path, "split": sound.split, "labels": sound.labels},
            **{"start_s": sound.start_s, "end_s": sound.end_s, "group": sound.group or sound.id},
            **dict.fromkeys(("phones", "words", "text"), sound.labels[0] if sound.labels else ""),
        }
        for sound in corpus.sounds
    ]
    grouped = any(sound.group for sound in corpus.sounds)
    return Labelled(rows, {"": folder}, corpus.source, grouped)


def _prepared(folder: Path, data_folder: str | None) -> Labelled:
    if data_folder is None:
        raise PreparationError(
            f"{folder} is a prepared data set, which does not say where its recordings lie: give "
            "the folder with --data-folder"
        )
    check_folder(Path(data_folder), "data folder")
    rows = manifest.read_manifest(folder / MANIFEST)
    for row in rows:
        # A prepared tag list is "a;b", and a class is the whole text: the caller's task knows.
        row |= {"labels": (row["label"],), "group": row["speaker"] or row["id"]}
    roots = dict.fromkeys({row.get("root", "") for row in rows}, data_folder)
    grouped = any(row["speaker"] for row in rows)
    return Labelled(rows, roots, f"the prepared data set {folder.name}", grouped)


def _values(folder: Path, path: Path, names: list[str]) -> Labelled:
    """A table of path and a number for every output."""
    try:
        columns, lines = read_table(path)
        rows, grouped = list(_value_rows(path, columns, lines, names)), "group" in columns
    except FileNotFoundError:
        raise PreparationError(
            f"table {path} is not there: a model of values is scored on a table "
            f"path,{','.join(names)}; name it with --table"
        ) from None
    except TextError as error:
        raise PreparationError(str(error)) from None
    return Labelled(rows, {"": folder}, f"the table {path.name}", grouped)


def _value_rows(path: Path, columns: list[str], lines, names: list[str]) -> Iterator[dict]:
    if missing := [name for name in ("path", *names) if name not in columns]:
        raise PreparationError(
            f"table {path} lacks the column {' and '.join(missing)}: the model gives "
            f"{', '.join(names)}, and the table has {', '.join(columns)}"
        )
    for line, row, wrong in lines:
        try:
            if wrong:
                raise ValueError(wrong)
            values = {name: to_number(row[name]) for name in names}
        except ValueError as error:
            raise PreparationError(f"table {path}, line {line}: {error}") from None
        yield {**row, **values, "id": row["path"], "group": row.get("group") or row["path"]}
