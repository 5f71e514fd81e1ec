"""Prepare recordings with any named values per recording, listed in a table: protocol table."""

from dataclasses import dataclass
from pathlib import Path

from ...processing.data.recordings import Scanned, scan_recordings
from ...processing.data.scan import AudioFile
from ...processing.system.files import TextError
from ...processing.system.listing import first_lines, first_of
from ...processing.system.tables import read_table, to_number
from ..training.group_splits import Grouped, draw_splits
from ..training.preparation import (
    PreparationError,
    check_folder,
    contents,
    count_splits,
    refuse_broken,
)
from ..training.record import Record, fingerprint
from ..training.shared_recordings import Item, leave_out_shared
from .record import MusicRecord

#: The table that is read where none is named.
TABLE = "values.csv"
#: Columns that are no values.
ABOUT = ("path", "split", "group")
SHARES = {"train": 0.7, "valid": 0.15, "test": 0.15}
#: Labels that a draw spreads alike: parts of the order of the first value.
_PARTS = 4
_SHARED = (
    "Correct the splits or the groups, or leave the column split out, and groups are not divided"
)
_REMEDY = "Correct them, take them out, or go on without them: --skip_broken true"


@dataclass(kw_only=True)
class ValueRecord(MusicRecord):
    """A prepared table of values; see `MusicRecord` for what all data sets of this recipe have.

    Attributes
    ----------
    dimensions : list of str
        Names of the values, in the order of the table.
    """

    dimensions: list

    COLUMNS = {"songs": 8, "artists": 9, "hours": 8}

    @classmethod
    def read(cls, folder, fingerprint, roots):
        values = cls.read_values(folder, fingerprint)
        try:
            return values and cls(**{**values, "window_s": tuple(values["window_s"])}, roots=roots)
        except (KeyError, TypeError):  # of another version
            return None

    def rows(self, split=None):
        """Rows with their values as numbers by name, and `start_s`."""
        rows = Record.rows(self, split)
        numbers = ({name: float(row[name]) for name in self.dimensions} for row in rows)
        start_s = self.window_s[0]
        return [row | own | {"start_s": start_s} for row, own in zip(rows, numbers, strict=True)]

    def heading(self):
        scale, (start_s, end_s) = self.scale, self.window_s
        return [
            f"{', '.join(self.dimensions)} from {scale['low']:g} to {scale['high']:g}: "
            f"{self.dataset}",
            f"data {self.roots['']}, heard from {start_s:g} to {end_s:g} s",
            f"digest {self.digest[:16]} (test {self.test_digest[:16]}), "
            f"data seed {self.settings['seed']}",
        ]


def prepare_values(
    data_folder: Path,
    output_folder: Path,
    table: str | None,
    settings: dict,
    scan_cache: Path,
    num_workers: int | None,
    progress: bool,
) -> ValueRecord:
    """Write manifest.csv and prepare.json of a table `path,NAME,NAME,...[,split][,group]`.

    Arguments
    ---------
    data_folder : what the paths are relative to.
    output_folder : where the files go.
    table : CSV, relative to the data folder or absolute; None: `TABLE`.
    settings : those of the recipe's `prepare`.
    scan_cache, num_workers, progress : as for `scan_recordings`.

    Raises
    ------
    PreparationError
        A table that cannot be used, recordings that cannot be read; the text lists all of it.
    """
    check_folder(data_folder, "data folder", "Name the folder of your recordings: --data_folder")
    path = Path(data_folder, table or TABLE)
    names, listed = _read(data_folder, path)
    files = {row["path"]: AudioFile.at(row["path"], data_folder / row["path"]) for row in listed}
    roots = {"": str(data_folder.resolve())}
    inputs = fingerprint([ValueRecord.VERSION, settings, listed], *files.values())
    output_folder.mkdir(parents=True, exist_ok=True)
    if record := ValueRecord.read(output_folder, inputs, roots):
        return record

    scanned = scan_recordings(list(files.values()), scan_cache, num_workers, progress)
    window_s = settings["window_s"]
    rows, broken = [], []
    for row in listed:
        info = scanned[row["path"]]
        if not isinstance(info, Scanned):
            broken.append((row["path"], info.kind, f"{row['path']}: {info.problem}; {info.cure}"))
            continue
        start, end = 0, info.num_samples
        if window_s:
            start, end = (round(edge_s * info.sample_rate_hz) for edge_s in window_s)
            end = min(end, info.num_samples)
            if end <= start:
                reason = f"{row['path']} ends before window_s begins, at {window_s[0]:g} s"
                broken.append((row["path"], "shorter than the window", reason))
                continue
        part = {"start_sample": start, "num_samples": end - start} if window_s else {}
        rows.append({**row, **part, "duration_s": (end - start) / info.sample_rate_hz})
    skipped = refuse_broken(broken, settings["skip_broken"], _REMEDY)
    content = {row["id"]: scanned[row["path"]].digest for row in rows}
    rows, notes = _split(rows, path, names[0], content, settings)
    values = [row[name] for row in rows for name in names]
    scale = {"low": min(values), "high": max(values)}
    notes += _scale_notes(rows, names, scale)
    longest_s = max(row["duration_s"] for row in rows)
    return ValueRecord.create(
        [{**row, **{name: repr(row[name]) for name in names}, "label": ""} for row in rows],
        output_folder,
        inputs,
        dataset=f"table {path.name}",
        protocol="table",
        target="static",
        roots=roots,
        sample_rate_hz=settings["sample_rate"],
        window_s=tuple(window_s or (0.0, longest_s)),
        scale=scale,
        scales={"static": scale},
        counts=count_splits(rows, "songs", "artists"),
        completeness="complete",
        comparable=False,
        remark="of a table of one's own",
        exchange={"setting": False, "exchanged": False, "reason": "it is no DEAM"},
        decoded={"songs": len(rows), "padded": 0, "clipped": 0, "shifted": 0},
        skipped=skipped,
        notes=notes,
        settings=settings,
        dimensions=names,
    )


def _read(folder: Path, path: Path) -> tuple[list[str], list[dict]]:
    """Names of the values, and rows with `id`, `path`, `split`, `speaker` and a number by name."""
    try:
        columns, lines = read_table(path)
        lines = list(lines)
    except FileNotFoundError:
        raise PreparationError(
            f"table {path} is not there; {folder} holds {contents(folder)}. Protocol table reads "
            f"path,NAME,NAME,... of {TABLE} in the data folder, or of --table FILE"
        ) from None
    except TextError as error:
        raise PreparationError(str(error)) from None
    names = [name for name in columns if name and name not in ABOUT]
    if "path" not in columns or not names:
        raise PreparationError(
            f"table {path} has the columns {', '.join(columns)}: it needs path, and one for each "
            "value that is to be learned"
        )
    problems, rows, seen = [], [], set()
    for line, row, wrong in lines:
        try:
            if wrong:
                raise ValueError(wrong)
            rows.append(_row(folder, row, names))
            if row["path"] in seen:
                raise ValueError(f"{row['path']} is there already")
            seen.add(row["path"])
        except ValueError as error:
            problems.append(f"line {line}: {error}")
    if not rows and not problems:
        problems.append("it has no row")
    if problems:
        raise PreparationError(f"table {path} cannot be used:{first_lines(problems, most=20)}")
    return names, rows


def _row(folder: Path, row: dict, names: list[str]) -> dict:
    name = row["path"]
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"the path {name!r} is not one below the data folder")
    if not (folder / name).is_file():
        raise ValueError(f"{name} is not in the data folder {folder}")
    values = {}
    for column in names:
        try:
            values[column] = to_number(row[column])
        except ValueError:
            raise ValueError(
                f"{column} is {row[column]!r}, no number; a column that is no value can be "
                f"{', '.join(ABOUT[1:])}, or is taken out"
            ) from None
        if not abs(values[column]) < 1e30:
            raise ValueError(f"{column} is {row[column]}, which cannot be learned")
    split = row.get("split", "")
    if split not in ("", *SHARES):
        raise ValueError(f"split is {split!r}; it can be {', '.join(SHARES)}")
    return {"id": name, "path": name, "split": split, "speaker": row.get("group", ""), **values}


def _split(
    rows: list[dict], path: Path, name: str, content: dict[str, str], settings: dict
) -> tuple[list[dict], list[str]]:
    """Rows with their split, that of the table or a drawn one, and notes."""
    without = [row["path"] for row in rows if not row["split"]]
    if 0 < len(without) < len(rows):
        raise PreparationError(
            f"table {path} gives {len(without)} of {len(rows)} rows no split ({first_of(without)}): "
            "fill the column, or leave it out"
        )
    if not without:
        items = [Item(r["id"], r["split"], r["speaker"], content[r["id"]]) for r in rows]
        left, counts = leave_out_shared(items, settings["skip_broken"], _SHARED)
        return [r for r in rows if r["id"] not in left], [
            f"{n} {what}" for what, n in counts.items()
        ]
    order = sorted(range(len(rows)), key=lambda place: rows[place][name])
    part = {place: str(rank * _PARTS // len(rows)) for rank, place in enumerate(order)}
    members = [
        Grouped(row["id"], row["path"], (part[place],), row["speaker"])
        for place, row in enumerate(rows)
    ]
    drawn = draw_splits(members, content, SHARES, settings["seed"])
    notes = []
    if not any(row["speaker"] for row in rows):
        notes.append(
            "no groups are given, so the split is drawn by recording: where several are of one "
            "artist, speaker or place, the score is too good. Give a column group"
        )
    return [row | {"split": drawn[row["id"]]} for row in rows], notes


def _scale_notes(rows: list[dict], names: list[str], scale: dict) -> list[str]:
    """A note on values that take a small part of the common scale."""
    whole = scale["high"] - scale["low"]
    small = [
        name
        for name in names
        if max(row[name] for row in rows) - min(row[name] for row in rows) < whole / 20
    ]
    if not small or not whole:
        return []
    return [
        f"{first_of(small)} vary by less than a twentieth of {scale['low']:g} to "
        f"{scale['high']:g}, the range of all values: errors of them all are on that one scale; "
        "bring them to like ranges, or learn them apart"
    ]
