"""Read CSV tables of annotations, and collect what is wrong with their columns and numbers."""

import re

from ...processing.system.listing import first_of
from ...processing.system.tables import read_table, to_number
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
    notes : list of str
        What changes a count and is no reason to refuse.
    missing : list of str
        Missing columns, file by file; `finish` raises them all.
    """

    def __init__(self, root):
        self.root, self.problems, self.notes, self.missing = root, [], [], []

    def name(self, path):
        return path.relative_to(self.root).as_posix()

    def rows(self, path, columns, decisive=True):
        """The rows of a table: dicts by column in lower case, without spaces around anything.

        A table without one of the columns gives no row and is told by `finish`. A row with more
        cells than columns is a problem and none of the rows: which cell is which is not known; it
        is a note only where the table is not `decisive`.
        """
        header, rows = read_table(path, errors="replace")
        header = [column.lower() for column in header]
        lacking = [column for column in columns if column.lower() not in header]
        if lacking:
            self.missing.append(
                f"{self.name(path)} has no column {', '.join(lacking)}; it has "
                f"{first_of(header, most=8) or 'nothing'}"
            )
            return []
        kept = []
        for line, cells, wrong in rows:
            if wrong and not decisive:
                self.notes.append(f"{self.name(path)}, line {line} is not used: {wrong}")
            elif wrong:
                self.problem(path, "more cells than columns", f"line {line}: {wrong}")
            else:
                kept.append({column.lower(): cell for column, cell in cells.items()})
        return kept

    def songs(self, path, columns, what=None, seen=None):
        """(number, row) of the rows that have a song's number.

        Arguments
        ---------
        path : Path
        columns : list of str
            That the table must have; the first holds the number.
        what : str, optional
            What a row is; a song's second one is a problem. None allows several.
        seen : collection of str, optional
            Songs that have had one already, of another table.
        """
        numbers = set(seen or ())
        for row in self.rows(path, columns):
            song = self.song_id(path, row[columns[0].lower()])
            if what and song in numbers:
                self.problem(path, "there twice", f"song {song} has more than one {what}")
            elif song is not None:
                numbers.add(song)
                yield song, row

    def song_id(self, path, text):
        """A song's number as text without leading zeros or a decimal point; None: there is none."""
        match = re.fullmatch(r"0*(\d+)(\.0*)?", text)
        if not match:
            self.problem(path, "no song id", f"{text!r} is no song's number")
        return match and match[1]

    def number(self, path, song, column, text, scale):
        """A label within its scale; None, and a problem, if it is none."""
        try:
            value = to_number(text)
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

    def emotion(self, path, song, row, columns, scale):
        """Valence and arousal from their columns; None if one of them is none."""
        values = [self.number(path, song, name, row[name.lower()], scale) for name in columns]
        return None if None in values else tuple(values)

    def series(self, path, song, row, scale):
        """A wide row of samples as {time in seconds: value}; empty cells have no value."""
        values = {}
        for column, text in row.items():
            match = _SAMPLE.fullmatch(column or "")
            if match and text and text.lower() != "nan":
                value = self.number(path, song, column, text, scale)
                if value is not None:
                    values[int(match[1]) / 1000] = value
        return values

    def wide_tables(self, tree, pattern, scale):
        """Read the tables of valence and of arousal: a row per song and a column per time.

        Arguments
        ---------
        tree : Tree
        pattern : str
            End of a table's path, with {} for the dimension; a table may be missing.
        scale : dict

        Returns
        -------
        list of (dimension, path or None, {song: {time: value}})
        """
        tables = []
        for dimension in ("valence", "arousal"):
            path = tree.find_one(pattern.format(dimension), required=False)
            rows = list(self.songs(path, ["song_id", "sample_15000ms"], "row")) if path else []
            if empty := sum(text.lower() == "nan" for _, row in rows for text in row.values()):
                self.notes.append(f"{self.name(path)}: {empty} labels are NaN, and not used")
            series = {song: self.series(path, song, row, scale) for song, row in rows}
            tables.append((dimension, path, series))
        return tables

    def problem(self, path, kind, reason):
        self.problems.append((self.name(path), kind, f"{self.name(path)}: {reason}"))

    def finish(self):
        """Raise all missing columns at once."""
        if self.missing:
            raise PreparationError(
                "the tables are not those of the data set:"
                + "".join(f"\n  {line}" for line in self.missing)
            )
