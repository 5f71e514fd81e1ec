"""The README's table of exported lobes holds what was measured, of every registered lobe."""

import importlib.util
import json
from pathlib import Path

from auricle.lobes import ENCODERS, FRONTENDS

BENCH = Path(__file__).parents[1] / "bench" / "exports.py"
AGAIN = "measure it: python tests/bench/exports.py NAME"


def bench():
    spec = importlib.util.spec_from_file_location("exports", BENCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_registered_lobe_was_exported_and_agrees():
    rows = json.loads(bench().MEASURED.read_text(encoding="utf-8"))
    for kind, registry in (("frontend", FRONTENDS), ("encoder", ENCODERS)):
        assert set(rows[kind]) == set(registry.names()), AGAIN
        for name, row in rows[kind].items():
            assert row.get("fails", "") == registry.get(name).not_exported, f"{name}: {AGAIN}"
            assert row.get("deviation", 0) < 1e-4, name
    assert not any("fails" in row for row in rows["frontend"].values())
    assert sum("fails" in row for row in rows["encoder"].values()) <= 3


def test_the_readme_has_the_table():
    exports = bench()
    text = exports.README.read_text(encoding="utf-8")
    rows = json.loads(exports.MEASURED.read_text(encoding="utf-8"))
    assert text == exports.with_table(text, rows), "python tests/bench/exports.py --table"
