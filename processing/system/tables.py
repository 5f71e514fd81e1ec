"""Read tables with a header, and numbers, of text files: what is lost elsewhere is an error here."""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from .files import TextError, read_text


def to_number(text: str, kind: type = float):
    """A number as files write it: "1_0" and digits of other scripts, which Python takes, are none.

    Raises
    ------
    ValueError
        Anything else, too.

    Example
    -------
    >>> to_number("-1.5e3"), to_number("12", int)
    (-1500.0, 12)
    """
    if not text.isascii() or "_" in text:
        raise ValueError(f"{text!r} is no number")
    return kind(text)


def rows_that_parse(lines: Iterable[str]) -> Iterator[list[str]]:
    """Rows of a CSV that a run keeps for itself: what was cut off or damaged is passed over."""
    rows = csv.reader(line.replace("\0", "") for line in lines)
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error:  # a cell beyond the size that `csv` reads
            continue


def to_count(text: str | None) -> int | None:
    """A whole number from 0 to below 10^18 in plain digits; None for anything else."""
    if text is None or not re.fullmatch("[0-9]{1,18}", text):
        return None
    return int(text)


def read_table(
    path: str | os.PathLike,
    *,
    separator: str = ",",
    quotes: bool = True,
    spaces: bool = False,
    errors: str = "strict",
) -> tuple[list[str], Iterator[tuple[int, dict[str, str], str]]]:
    """The columns of a table, and its rows as (line, cells by column, what is wrong with the row).

    A row that ends early has empty cells, and a row without any is passed over. What can be wrong
    is a row with more cells than columns (a cell that holds the separator without quotation marks),
    and one that swallows the lines after it (quotation marks that do not close, or close later).

    Arguments
    ---------
    path : text, UTF-8, with or without a byte order mark.
    separator : between cells.
    quotes : whether a cell may be in quotation marks.
    spaces : whether white space around a cell belongs to it, and a cell may go over several lines.
    errors : as for `read_text`.

    Raises
    ------
    TextError
        What `read_text` refuses; a column twice; a cell beyond the size that `csv` reads; with
        `spaces`, text behind a quotation mark that closes.
    """
    text = read_text(path, errors)
    open_quotes = quotes and text.count('"') % 2 == 1
    table = csv.reader(
        io.StringIO(text),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        skipinitialspace=not spaces,
        strict=spaces,
    )

    def filled() -> Iterator[tuple[int, int, list[str]]]:
        """(last line, how many lines, cells) of each row that is not blank."""
        before = 0
        try:
            for cells in table:
                first, before = before, table.line_num
                cells = cells if spaces else [cell.strip() for cell in cells]
                if any(cells):
                    yield before, before - first, cells
        except csv.Error as error:
            raise TextError(f"{path}, line {table.line_num}: {error}") from None

    numbered = filled()
    columns = next(numbered, (0, 0, []))[2]
    if twice := [column for column, n in Counter(filter(None, columns)).items() if n > 1]:
        raise TextError(f"{path}: the column {twice[0]!r} is there twice; keep one of them")

    def rows():
        for line, num_lines, cells in numbered:
            wrong = ""
            while len(cells) > len(columns) and not cells[-1]:
                cells.pop()
            if num_lines > 1 and (open_quotes or not spaces):
                wrong = f"a cell goes over {num_lines} lines: a quotation mark does not close"
            elif len(cells) > len(columns):
                wrong = (
                    f"{len(cells)} cells for {len(columns)} columns: put a cell that holds "
                    f"{separator!r} in quotation marks, and write numbers with a decimal point"
                )
            cells += [""] * (len(columns) - len(cells))
            yield line, dict(zip(columns, cells, strict=False)), wrong

    return columns, rows()
