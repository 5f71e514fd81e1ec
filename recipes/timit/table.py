"""Read a table of recordings with phone strings: manifest.tsv or manifest.csv.

Columns: path, speaker, split, phones, and text where there is one; others are left alone. Phones are
ARPAbet, with or without stress digits, separated by spaces. They are written as TIMIT writes them,
so that everything that reads TIMIT reads them.
"""

from pathlib import Path, PurePosixPath

from ...processing.data.manifest import SPLITS
from ...processing.data.scan import AudioFile
from ...processing.data.seeding import seed_for
from ...processing.system.tables import read_table as read_cells
from ..training.preparation import PreparationError
from .labels import SYMBOLS

TABLES = {"manifest.tsv": "\t", "manifest.csv": ","}
COLUMNS = ("path", "speaker", "split", "phones")
VALID_SHARE = 0.1  # of the training speakers, where the table has no validation split

_SPLITS = {split: split for split in SPLITS} | {"dev": "valid", "validation": "valid"}
_SEPARATORS = {".tsv": "tabs", ".csv": "commas"}
_AUDIO_FOLDERS = ("", "wav", "audio", "clips")
_ARPABET = {"wh": "w", "sil": "pau", "sp": "pau"}  # symbols that TIMIT has not


def find_tables(data_folder):
    """The tables that lie in a folder, a list of Path."""
    paths = [Path(data_folder, name) for name in TABLES]
    return [path for path in paths if path.is_file()]


def read_table(data_folder):
    """Rows of the table and what is wrong with it.

    Returns
    -------
    path : Path
        Of the table.
    rows : list of dict
        {"id", "path", "split", "speaker", "text", "phones"}.
    files : dict
        AudioFile by id.
    problems : list of (str, str, str)
        (id, kind, reason that names the line).

    Raises
    ------
    PreparationError
        No table, two of them, or one that lacks a column.
    """
    folder = Path(data_folder)
    present = find_tables(folder)
    if len(present) != 1:
        raise PreparationError(
            f"data folder {folder} holds {' and '.join(p.name for p in present) or 'no table'}: "
            f"protocol manifest reads one manifest.tsv or manifest.csv, with the columns "
            f"{', '.join(COLUMNS)} and text"
        )
    (path,) = present
    rows, files, problems, first = [], {}, [], {}
    # Tab-separated tables of transcripts do not quote: a text may begin with a quotation mark.
    columns, cells = read_cells(path, separator=TABLES[path.name], quotes=path.suffix == ".csv")
    lacking = [column for column in COLUMNS if column not in columns]
    if lacking:
        raise PreparationError(
            f"{path} lacks the columns {', '.join(lacking)}; it has "
            f"{', '.join(columns or ['none'])}. Needed are {', '.join(COLUMNS)}, and "
            f"text where there is one, separated by {_SEPARATORS[path.suffix]}"
        )
    base = None
    for line, fields, surplus in cells:
        place = f"{path.name}, line {line}"
        name = fields["path"].replace("\\", "/")
        if base is None:
            base = _audio_folder(folder, name)
        row, wrong = _row(fields, name, base, place)
        if surplus:
            wrong.append(("more cells than columns", f"{place}: {surplus}"))
        if row["id"] in first:
            wrong.append(("there twice", f"{place}: {name} is in {first[row['id']]} already"))
        else:
            first[row["id"]] = place
            rows.append(row)
            if not wrong:
                files[row["id"]] = _file(folder, row["path"])
        problems += [(row["id"], *problem) for problem in wrong]
    if not rows:
        raise PreparationError(f"{path} holds no recording")
    return path, rows, files, problems


def split_off_validation(rows, seed):
    """Give a share of the training speakers to validation where the table has none; returns them.

    Which speakers depends on their names and the seed alone.
    """
    if any(row["split"] == "valid" for row in rows):
        return []
    speakers = sorted({row["speaker"] for row in rows if row["split"] == "train"})
    if len(speakers) < 2:
        raise PreparationError(
            f"the table has no split valid, and {len(speakers)} training speakers to take it from; "
            "at least two are needed"
        )
    speakers.sort(key=lambda speaker: seed_for("timit manifest", seed, speaker))
    held_out = sorted(speakers[: max(1, round(VALID_SHARE * len(speakers)))])
    for row in rows:
        if row["split"] == "train" and row["speaker"] in held_out:
            row["split"] = "valid"
    return held_out


def _row(fields, name, base, place):
    """A row of the manifest from a row of the table, and what is wrong with it."""
    wrong = []
    where = PurePosixPath(name)
    if not name or where.is_absolute() or ".." in where.parts:
        reason = f"{place}: path {name!r} is not a path inside the data folder"
        wrong.append(("impossible path", reason))
    split = fields["split"].lower()
    if split not in _SPLITS:
        reason = f"{place}: split {split!r} is none of train, valid, test"
        wrong.append(("unknown split", reason))
    speaker = fields["speaker"]
    if not speaker:
        wrong.append(("no speaker", f"{place}: the speaker is empty"))
    phones = []
    for symbol in fields["phones"].split():
        lower = symbol.lower().rstrip("012")
        phone = _ARPABET.get(lower, lower)
        if phone not in SYMBOLS:
            reason = f"{place}: {symbol!r} is neither ARPAbet nor one of TIMIT's symbols"
            wrong.append(("unknown phone", reason))
        phones.append(phone)
    if not phones:
        wrong.append(("empty transcript", f"{place}: no phones"))
    return {
        "id": str(where.with_suffix("")) if name else place,
        "path": str(PurePosixPath(base, name)),
        "split": _SPLITS.get(split, split),
        "speaker": speaker,
        "text": " ".join(fields.get("text", "").split()),
        "phones": " ".join(phones),
    }, wrong


def _audio_folder(folder, name):
    """The folder that paths are relative to, as the first of them shows."""
    return next((base for base in _AUDIO_FOLDERS if (folder / base / name).is_file()), "")


def _file(folder, name):
    try:
        return AudioFile.at(name, folder / name)
    except (OSError, ValueError):
        # That it is missing, or can be no name, becomes an error when it is read.
        return AudioFile(name, str(folder / name), 0, 0)
