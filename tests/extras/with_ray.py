"""A study on a Ray that is started here: two workers share its cells, a failure stops nothing."""

import json
import subprocess
import sys

STUDY = """
recipe: speech_commands
fixed: {data_folder: mini, mini_size: tiny, number_of_epochs: 1, warmup_epochs: 0, encoder: linear}
axes: {frontend: [mel, mfcc]}
seeds: [1, 2]
"""


def test_a_grid_runs_on_ray(shared_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(shared_cache))
    (tmp_path / "s.yaml").write_text(STUDY)

    def study(action, *words):
        command = [sys.executable, "-m", "auricle.recipes.cli", "study", action, "s.yaml"]
        command += ["--folder", "runs", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600)

    first = study("run", "--on", "ray", "--jobs", "2", "--seeds", "1", "--axis", "frontend=mel")
    assert first.returncode == 0, first.stdout + first.stderr
    cells = json.loads(study("status", "--json").stdout)["cells"]
    assert sorted(cells.values()) == ["done", "waiting", "waiting", "waiting"]
    blocked = next(name for name in cells if name.startswith("mfcc-seed2"))
    (tmp_path / "runs" / "runs" / blocked).write_text("in the way")
    rest = study("run", "--on", "ray", "--jobs", "2")
    assert rest.returncode == 1, rest.stdout + rest.stderr
    assert f"failed: {blocked}" in rest.stdout and "3 done, 1 failed" in rest.stdout
