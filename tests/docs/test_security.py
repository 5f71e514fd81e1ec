"""SECURITY.md: every promise names tests, and those exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
#: What is said about programs, which are not restrained: there is nothing to test.
NO_PROMISE = "is a program"


def test_named_tests_exist():
    assert len(NAMED) >= 3
    for file, name in NAMED:
        path = ROOT / file
        found = path.is_file() and re.search(rf"^ *def {name}\(", path.read_text("utf-8"), re.M)
        assert found, f"SECURITY.md names {file}::{name}, which does not exist"


def test_every_promise_names_a_test():
    promises = re.findall(r"^- .*\n(?:  .*\n)*", TEXT, re.M)
    assert len(promises) >= 3
    bare = [p for p in promises if NO_PROMISE not in p and not re.search(r"::test_\w+`", p)]
    assert not bare, (
        f"name the test of each promise in SECURITY.md, as `tests/FILE.py::NAME`: {bare}"
    )
