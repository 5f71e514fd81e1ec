"""Read CSV tables of annotations, and collect what is wrong with their columns and numbers."""

import csv
import re

from ..training.preparation import PreparationError

_SAMPLE = re.compile(r"sample_(\d+)ms")


class Reader:
    """Reads the tables of one data set and collects what is wrong with them.

    Attributes
    ----------
    root : Path
        What paths are told from.
    problems : list of (str, str, str)
        (path, kind, reason).
    missing : list of str
        Missing columns, file by file; `finish` raises them all.
    """

    def __init__(self, root):
        self.root, self.problems, self.missing = root, [], []

    def name(self, path):
        return path.relative_to(self.root).as_posix()

    def rows(self, path, columns):
        """The rows of a table: dicts by column in lower case, without spaces around anything.

        A table without one of the columns gives no row and is told by `finish`.
        """
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file, skipinitialspace=True)
            header = [column.strip().lower() for column in next(reader, [])]
            lacking = [column for column in columns if column.lower() not in header]
            if lacking:
                self.missing.append(
                    f"{self.name(path)} has no column {', '.join(lacking)}; "
                    f"it has {', '.join(header[:8]) or 'nothing'}"
                    + (", ..." if len(header) > 8 else "")
                )
                return []
            rows = []
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    cells += [""] * (len(header) - len(cells))
                    rows.append(dict(zip(header, cells, strict=False)))
            return rows

    def song_id(self, path, text):
        """A song's number as text without leading zeros or a decimal point; None: there is none."""
        found = re.fullmatch(r"0*(\d+)(\.0*)?", text)
        if not found:
            self.problem(path, "no song id", f"{text!r} is no song's number")
            return None
        return found[1]

    def number(self, path, song, column, text, scale):
        """A label within its scale; None, and a problem, if it is none."""
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if value != value:
            self.problem(path, "no number", f"song {song}: {column} is {text!r}")
            return None
        if not scale["low"] - 1e-6 <= value <= scale["high"] + 1e-6:
            self.problem(
                path,
                "label outside the scale",
                f"song {song}: {column} is {value:g}, the scale goes from {scale['low']:g} to "
                f"{scale['high']:g}",
            )
            return None
        return value

    def series(self, path, song, row, scale):
        """A wide row of samples as {time in seconds: value}; empty cells have no value."""
        values = {}
        for column, text in row.items():
            found = _SAMPLE.fullmatch(column or "")
            if found and text and text.lower() != "nan":
                value = self.number(path, song, column, text, scale)
                if value is not None:
                    values[int(found[1]) / 1000] = value
        return values

    def wide_table(self, path, scale):
        """{song: {time: value}} of a table with a row per song and a column per time."""
        found = {}
        for row in self.rows(path, ["song_id", "sample_15000ms"]):
            song = self.song_id(path, row["song_id"])
            if song in found:
                self.problem(path, "there twice", f"song {song} has more than one row")
            elif song is not None:
                found[song] = self.series(path, song, row, scale)
        return found

    def problem(self, path, kind, reason):
        self.problems.append((self.name(path), kind, f"{self.name(path)}: {reason}"))

    def finish(self):
        """Raise all missing columns at once."""
        if self.missing:
            raise PreparationError(
                "the tables are not those of the data set:"
                + "".join(f"\n  {line}" for line in self.missing)
            )
