"""Ray Tune's ASHA on a space of options: poor trials end early, by validation alone."""

import json
import subprocess
import sys

STUDY = """
recipe: speech_commands
fixed:
    data_folder: mini
    mini_size: tiny
    number_of_epochs: 3
    warmup_epochs: 0
    encoder: linear
    device: cpu
axes: {frontend: [mel, mfcc]}
search: {lr: {log: [0.0001, 0.01]}, batch_size: {of: [32, 64]}}
"""


def test_a_space_is_searched(shared_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(shared_cache))
    (tmp_path / "s.yaml").write_text(STUDY)

    def search(*words):
        command = [
            sys.executable,
            "-m",
            "auricle.recipes.cli",
            "study",
            "run",
            "s.yaml",
            "--search",
        ]
        command += ["--folder", "runs", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600)

    wrong = search("--samples", "0")
    assert wrong.returncode == 2 and "--on ray" in wrong.stderr and "--samples 0" in wrong.stderr
    done = search("--on", "ray", "--jobs", "2", "--samples", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 samples, 2 at a time, of up to 3 epochs" in done.stdout
    trials = json.loads((tmp_path / "runs" / "search.json").read_text())["trials"]
    scores = [trial["best_valid"] for trial in trials]
    assert len(trials) == 4 and scores == sorted(scores, reverse=True)
    for trial in trials:
        assert trial["options"]["axis frontend"] in ("mel", "mfcc")
        assert 0.0001 <= trial["options"]["lr"] <= 0.01 and trial["epochs"] <= 3
    assert min(trial["epochs"] for trial in trials) < 3, "a poor trial ends early"
