"""The first few of many: counts, limits, and the nearest name."""

import pytest

from auricle.processing.system.listing import MOST, by_kind, first_lines, first_of
from auricle.processing.system.names import nearest


@pytest.mark.parametrize("count", [0, 1, MOST, MOST + 1, 40])
def test_the_first_are_shown_and_the_rest_is_counted(count):
    names = [f"n{i}" for i in range(count)]
    rest = max(0, count - MOST)
    line, lines = first_of(iter(names)), first_lines(iter(names))
    assert line.startswith(", ".join(names[:MOST])) and f"n{MOST}" not in line
    assert lines.splitlines()[1 : MOST + 1] == [f"  {name}" for name in names[:MOST]]
    for text in (line, lines):
        assert text.endswith(f" {rest} more") == bool(rest)


def test_problems_are_listed_by_kind_in_the_order_of_their_first():
    problems = [("b", "b0")] + [("a", f"a{i}") for i in range(7)] + [("b", "b1")]
    lines = by_kind(problems).splitlines()[1:]
    assert lines[:3] == ["  b (2):", "    b0", "    b1"]
    assert lines[3] == "  a (7):" and lines[-1].endswith("2 more") and len(lines) == 10
    assert by_kind([]) == ""


def test_a_name_far_from_all_suggests_none():
    assert nearest(["standard"], ["standard"]).endswith("'standard'?")
    assert nearest("x", ["standard", 3]) == nearest("x", []) == "."
