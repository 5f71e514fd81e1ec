"""Prepared data sets: what a run has to know of one; records written beside their manifests."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from ...processing.data import manifest
from ...processing.data.scan import AudioFile
from ...processing.system.files import file_digest, read_json, sweep_parts, write_text
from ...processing.system.listing import first_of
from .preparation import PreparationError

MANIFEST, RECORD = "manifest.csv", "prepare.json"
_LISTED = 20  # skipped files in a description

logger = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True)
class Prepared:
    """What a run has to know of a prepared data set; a recipe's `prepare` returns one.

    A recipe of somebody's own returns this class, a subclass with what its datasets need, `Rows`,
    or an object with the same attributes.

    Attributes
    ----------
    digest : str
        SHA-256 of what is trained, validated and tested on: results of other data never stand in
        one table, and an output folder is not continued with other data.
    counts : dict
        Items by split, or by split and class.
    completeness : str
        "complete", or which part of the published data set this is.
    overlap : dict
        What splits share, in words, with the number of recordings: what was left out, what was kept.
    """

    digest: str
    counts: dict
    completeness: str = "complete"
    overlap: dict = dataclasses.field(default_factory=dict)

    def describe(self) -> str:
        """What the run prints of the data set before it trains."""
        counts = ", ".join(f"{split} {count}" for split, count in self.counts.items())
        return f"Data: {counts} ({self.completeness})"


@dataclasses.dataclass(kw_only=True)
class Rows(Prepared):
    """A prepared data set whose rows, as `auricle.processing.data.manifest` has them, are in memory.

    Attributes
    ----------
    rows : list of dict
        {"id", "path", "duration_s", "split", "label", "speaker"}, and what else a manifest may have.
    roots : str or Path
        What the paths are relative to.

    Example
    -------
    >>> row = {"path": "a.wav", "duration_s": 1.0, "label": "oak", "speaker": "x"}
    >>> Path("a.wav").touch()
    >>> splits = ("train", "valid", "test")
    >>> data = Rows.of([{**row, "id": split, "split": split} for split in splits], ".")
    >>> data.labels, data.describe()
    (['oak'], 'Data: train 1, valid 1, test 1 (complete)')
    """

    rows: list
    roots: str | Path

    @classmethod
    def of(cls, rows: Iterable[dict], roots: str | Path, **values):
        """From checked rows, at least one of every split.

        Raises
        ------
        PreparationError
            What is wrong with the rows, all of it.
        """
        rows = list(rows)
        problems = [] if Path(roots).is_dir() else ["there is no such folder"]
        problems += manifest.find_problems(rows, label_required=False)
        counts = {
            split: sum(row.get("split") == split for row in rows) for split in manifest.SPLITS
        }
        problems += [f"no recording of the split {split}" for split, n in counts.items() if not n]
        files = [row["path"] for row in rows if row.get("path")]
        if absent := [file for file in files if not Path(roots, file).is_file()]:
            problems.append(f"{len(absent)} files are not there: {first_of(absent)}")
        if problems:
            raise PreparationError(
                f"the recordings in {roots} cannot be used:\n  " + "\n  ".join(problems)
            )
        digest = manifest.digest(rows)
        return cls(digest=digest, counts=counts, rows=rows, roots=roots, **values)

    @property
    def labels(self) -> list[str]:
        """Every label that a row has, sorted."""
        return sorted({row["label"] for row in self.rows})

    def by_id(self, split: str) -> dict[str, dict]:
        """Rows of a split by their id."""
        return {row["id"]: row for row in self.rows if row["split"] == split}


@dataclasses.dataclass(kw_only=True)
class Record(Prepared):
    """A prepared data set; every recipe derives its own, with what a result has to say of it.

    Attributes
    ----------
    manifest_path : str
        The CSV file, as `auricle.processing.data.manifest` writes it.
    roots : dict
        Folders by root name, for `dataset.resolve` and `dataset.read_row`. They are those of
        this run and not written down.
    protocol : str
        Name of the protocol.
    skipped : list of dict
        {"path", "reason"} and mostly {"kind"} of what `skip_broken` left out.
    notes : list of str
        What is unusual about this preparation.
    settings : dict
        The arguments of `prepare` that decide on the rows.
    """

    manifest_path: str
    roots: dict
    protocol: str
    skipped: list
    notes: list
    settings: dict

    #: Part of the fingerprint: raise it whenever the same input gives other rows.
    VERSION: ClassVar[int]
    #: Files beside the record whose digests it holds.
    FILES: ClassVar[tuple[str, ...]] = (MANIFEST,)
    #: Attributes of this run, or that other files hold.
    UNWRITTEN: ClassVar[tuple[str, ...]] = ("roots",)
    #: Width of every column of the table of counts.
    COLUMNS: ClassVar[dict[str, int]]

    @classmethod
    def create(cls, rows: list[dict], folder: Path, fingerprint: str, **values):
        """Check the rows, write the manifest and its record, and log the notes.

        Arguments
        ---------
        rows : of all splits.
        folder : where both files go.
        fingerprint : of everything that the rows depend on.
        values : the other attributes; labels among them are those that rows may have.
        """
        manifest.validate(rows, labels=values.get("labels"), label_required="labels" in values)
        manifest.write_manifest(rows, folder / MANIFEST)
        record = cls(
            manifest_path=str(folder / MANIFEST),
            digest=cls.digest_of(rows),
            test_digest=cls.digest_of(row for row in rows if row["split"] == "test"),
            **values,
        )
        for note in record.notes:
            logger.warning("%s: %s", record.dataset, note)
        record.write(fingerprint)
        return record

    @classmethod
    def digest_of(cls, rows: Iterable[dict]) -> str:
        """`manifest.digest` without the paths: every form and copy of a corpus is the same."""
        return manifest.digest({**row, "path": ""} for row in rows)

    def write(self, fingerprint: str) -> None:
        """Write `prepare.json` beside the manifest, whole or not at all; sweep what was killed."""
        folder = Path(self.manifest_path).parent
        sweep_parts(folder)
        names = [field.name for field in dataclasses.fields(self)]
        values = {name: getattr(self, name) for name in names if name not in self.UNWRITTEN}
        values |= {"manifest_path": MANIFEST, "fingerprint": fingerprint}
        values["sha256"] = {name: file_digest(folder / name) for name in self.FILES}
        # ASCII: a file name on disk need not be valid UTF-8.
        write_text(folder / RECORD, json.dumps(values, indent=1) + "\n")

    @classmethod
    def read_values(cls, folder: Path, fingerprint: str) -> dict | None:
        """What `write` wrote; None if it is of other input or the files have changed since."""
        try:
            values = read_json(folder / RECORD)
            if values.pop("fingerprint") != fingerprint:
                return None
            digests = values.pop("sha256")
            if any(file_digest(folder / name) != digests[name] for name in cls.FILES):
                return None
            return values | {"manifest_path": str(folder / MANIFEST)}
        except (AttributeError, FileNotFoundError, KeyError, TypeError, ValueError):
            return None

    @classmethod
    def read(cls, folder: Path, fingerprint: str, roots: dict):
        """The record in a folder, with the roots of this run; None as of `read_values`."""
        values = cls.read_values(folder, fingerprint)
        try:
            return values and cls(**values, roots=roots)
        except TypeError:  # of another version
            return None

    def rows(self, split: str | None = None) -> list[dict]:
        """Rows of one split, or of all."""
        rows = manifest.read_manifest(self.manifest_path)
        return [row for row in rows if split is None or row["split"] == split]

    def describe(self) -> str:
        """The data set as text: provenance, counts by split, notes, and what was left out."""
        lines = [*self.heading(), "", *self.table(), *self.remarks()]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"note: {count} {what}" for what, count in self.overlap.items()]
        if self.skipped:
            lines.append(f"skipped {len(self.skipped)}:")
            lines += [f"  {_skip_text(**skip)}" for skip in self.skipped[:_LISTED]]
        if len(self.skipped) > _LISTED:
            lines.append(f"  ... all of them are in {RECORD}")
        return "\n".join(lines)

    def heading(self) -> list[str]:
        """Lines on where the data is from and what they are used for."""
        raise NotImplementedError

    def table(self) -> list[str]:
        """Lines of the table of counts: one row per split."""
        widths = self.COLUMNS.items()
        titles = (f"{name.replace('_', ' '):>{width}}" for name, width in widths)
        lines = [f"{'split':<6}" + "".join(titles)]
        for split, counts in self.counts.items():
            cells = {name: counts.get(name, "") for name in self.COLUMNS}
            cells["hours"] = f"{cells['hours']:.2f}"
            lines.append(f"{split:<6}" + "".join(f"{cells[name]:>{w}}" for name, w in widths))
        return lines

    def remarks(self) -> list[str]:
        """Lines below the table."""
        return []


def _skip_text(path: str, reason: str, kind: str = "") -> str:
    # Most reasons that have a kind name the file themselves.
    is_named = kind and path.rpartition(".")[0] in reason
    return ": ".join([*([kind] if kind else []), *([] if is_named else [path]), reason])


def fingerprint(*parts) -> str:
    """SHA-256 of everything a preparation depends on, as far as it shows without decoding.

    Arguments
    ---------
    parts
        AudioFile or None (no file), counted by name, size and time of modification; bytes; anything
        else as JSON.
    """
    total = hashlib.sha256()
    for part in parts:
        if part is None:
            part = b"-\n"
        elif isinstance(part, AudioFile):
            part = f"{part.key}\n{part.size}\n{part.mtime_ns}\n".encode()
        elif not isinstance(part, bytes):
            part = json.dumps(part, sort_keys=True).encode()
        total.update(part)
    return total.hexdigest()
