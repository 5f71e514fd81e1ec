"""Tables and numbers of text files: nothing of a row is lost in silence."""

import pytest
from refusals import refused

from auricle.processing.system.tables import read_table, to_number


def rows_of(tmp_path, text, **options):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    columns, rows = read_table(path, **options)
    return columns, list(rows)


def test_cells_by_column_with_their_line(tmp_path):
    columns, rows = rows_of(tmp_path, '\ufeffa, b\r\n 1 ,"x, y"\r\n\r\n2\r\n3,4,,\r\n')
    assert columns == ["a", "b"]
    assert rows == [
        (2, {"a": "1", "b": "x, y"}, ""), (4, {"a": "2", "b": ""}, ""),
        (5, {"a": "3", "b": "4"}, ""),
    ]  # fmt: skip
    assert rows_of(tmp_path, "a\tb\n \t'\"", separator="\t", quotes=False, spaces=True)[1] == [
        (2, {"a": " ", "b": "'\""}, "")
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a,b\n1,2,9\n", 2, "3 cells for 2 columns"),
        ('a,b\n1,"x\n2,y\n3,z\n', 4, "does not close"),
        ('\n\na,b\n1,"x\n2,y\n3,"z\n', 6, "over 3 lines"),
    ],
)
def test_a_row_that_loses_something_says_so(tmp_path, text, line, what):
    ((place, _, wrong),) = rows_of(tmp_path, text)[1]
    assert place == line and what in wrong


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,a\n1,2\n", "'a' is there twice"),
        (b"a,b\n1,\xe9\n", "table.csv, line 2: .*UTF-8"),
        ("a\n" + "x" * 200_000, "table.csv, line 2: .*limit"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, what):
    refused(what, rows_of, tmp_path, text)


def test_cells_over_several_lines_are_for_tables_with_spaces(tmp_path):
    text = 'a,b\n1,"x\ny"\n2,z\n'
    assert [row["b"] for _, row, wrong in rows_of(tmp_path, text, spaces=True)[1] if not wrong] == [
        "x\ny", "z",
    ]  # fmt: skip
    refused("line 3: .*expected", rows_of, tmp_path, 'a,b\n1,"x\n2,"y\n3,z\n', spaces=True)


def test_numbers():
    assert to_number("-1.5e3") == -1500 and to_number("+7", int) == 7
    for text in ("1_0", "٣.٥", "2,9", ""):
        refused("", to_number, text)
