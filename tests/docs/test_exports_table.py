"""The README's table of exported lobes holds what was measured, and names what was not."""

import importlib.util
import json
from pathlib import Path

from auricle.lobes import ENCODERS, FRONTENDS

BENCH = Path(__file__).parents[1] / "bench" / "exports.py"


def bench():
    spec = importlib.util.spec_from_file_location("exports", BENCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_was_measured_is_registered_and_agrees():
    rows = json.loads(bench().MEASURED.read_text(encoding="utf-8"))
    for kind, registry in (("frontend", FRONTENDS), ("encoder", ENCODERS)):
        assert rows[kind] and set(rows[kind]) <= set(registry.names())
        for name, row in rows[kind].items():
            again = f"python tests/bench/exports.py {name}"
            assert row.get("fails", "") == registry.get(name).not_exported, again
            # cnn14's random values: 6e-4 of the range of its scores. The others: below 1e-5.
            assert row.get("deviation", 0) < (1e-3 if name == "cnn14" else 1e-4), again


def test_the_readme_has_the_table():
    exports = bench()
    text = exports.README.read_text(encoding="utf-8")
    rows = json.loads(exports.MEASURED.read_text(encoding="utf-8"))
    assert text == exports.with_table(text, rows), "python tests/bench/exports.py --table"
