"""Text from files cannot move the cursor of a terminal, and stays the same value in JSON."""

import io
import json

from auricle.processing.system.terminal import Printable, printable
from auricle.recipes import cli
from auricle.recipes.reports.printing import print_error

HOSTILE = "\x1b[2J\x07\r\x9b1A\u202ea\u2028\ud800\x7f"


def test_no_control_is_left_and_json_is_the_same_value():
    text = printable(HOSTILE)
    assert text.isprintable() and json.loads(f'"{text}"') == HOSTILE
    assert printable("Füße, \u06cc\u200c\u06a9 \U0001f600") == "Füße, \u06cc\u200c\u06a9 \U0001f600"


def test_lines_and_tabs_stay_where_they_are_asked_for():
    assert printable("a\tb\n", lines=True) == "a\tb\n"
    assert printable("a\tb\n") == r"a\tb\n"


def test_the_stream_writes_what_is_printable():
    stream = io.StringIO()
    print(HOSTILE, file=Printable(stream))
    assert stream.getvalue().rstrip("\n").isprintable()
    assert Printable(stream).closed is False


def test_errors_and_answers_of_commands_are_printable(tmp_path, capsys):
    print_error(ValueError(HOSTILE))
    assert cli.main(["table", str(tmp_path / HOSTILE[:4])]) == 2
    output = capsys.readouterr()
    assert "2J" in output.err
    assert all(line.isprintable() for line in (output.out + output.err).splitlines())
