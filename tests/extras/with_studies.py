"""auricle's own studies at their smallest: every one runs on its mini corpus and gives a report."""

import re
import subprocess
import sys

import pytest

from auricle.recipes.studies.study import FOLDER, find_study

STUDIES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
assert len(STUDIES) > 4


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_and_reports(name, shared_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(shared_cache))

    def study(action, *words):
        command = [sys.executable, "-m", "auricle.recipes.cli", "study", action, name, "--quick"]
        command += ["--seeds", "1", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900)

    done = study("run", "--jobs", "2", "--no-timing")
    assert done.returncode == 0, done.stdout + done.stderr
    wrote = study("report").stdout
    html, markdown = (tmp_path / path for path in re.findall(r"wrote (.+)", wrote))
    text = markdown.read_text()
    assert (
        find_study(name).about in text
        and "not run" not in text.split("## Every cell")[1].split("##")[0]
    )
    if name == "leaf_report":
        assert "Table 5: by model" in text and "not comparable: a synthetic corpus" in text
    assert html.read_text().count("<svg") == 3
