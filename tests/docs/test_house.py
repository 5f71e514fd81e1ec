"""The map in CONTRIBUTING.md against the folders, and the modules' first lines as a table of contents."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ("lobes", "processing", "recipes", "hparams")
TITLE = "## The house: where to find things, where to put them\n"
LONGEST = 100


def modules():
    files = [file for top in LIBRARY for file in sorted((ROOT / top).rglob("*.py"))]
    assert len(files) > 200
    return files


def first_line(file):
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]


def named_in_the_map():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split(TITLE)[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "`" in line]
    names = {name for row in rows for name in re.findall(r"`([\w/.]+)`", row)}
    assert len(names) > 30
    return names


def test_everything_on_the_map_is_there():
    missing = [
        name for name in named_in_the_map() if not (ROOT / name).exists() and name != "_files"
    ]
    assert not missing, missing


def test_every_room_and_every_loose_module_is_on_the_map():
    rooms = {file.parent.relative_to(ROOT).as_posix() for file in modules()}
    loose = {
        file.relative_to(ROOT).as_posix()
        for top in ("lobes", "recipes", "processing")
        for file in (ROOT / top).glob("*.py")
        if file.name != "__init__.py"
    }
    tests = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").iterdir()
        if path.name not in LIBRARY and any(path.glob("**/*.py"))
    }
    absent = (rooms | loose | tests) - {"lobes", "recipes", "processing"} - named_in_the_map()
    assert not absent, f"CONTRIBUTING.md's map lacks {sorted(absent)}"


@pytest.mark.parametrize("top", LIBRARY)
def test_first_lines_read_as_a_table_of_contents(top):
    problems = []
    for file in modules():
        if file.relative_to(ROOT).parts[0] != top:
            continue
        line, name = first_line(file), file.relative_to(ROOT).as_posix()
        if len(line.split()) < 3:
            problems.append(f"{name} says nothing: {line!r}")
        if not line.endswith((".", "?")):
            problems.append(f"{name} does not end: {line!r}")
        if len(line) + len('"""') > LONGEST:
            problems.append(f"{name} is longer than {LONGEST}: {line!r}")
    assert not problems, "\n".join(problems)


def test_no_first_line_repeats_another():
    seen = {}
    for file in modules():
        seen.setdefault(first_line(file).lower().strip(" ."), []).append(
            file.relative_to(ROOT).as_posix()
        )
    repeated = {line: files for line, files in seen.items() if len(files) > 1}
    assert not repeated, repeated
