"""Studies on submitit: real trainings on this machine, shared, killed, continued; SLURM's scripts."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from fake_training import begin_fake

STUDY = """
about: Does LEAF beat mel?
recipe: speech_commands
fixed:
    data_folder: mini
    mini_size: tiny
    number_of_epochs: 2
    warmup_epochs: 0
    encoder: linear
    device: cpu
    frontend_options: {leaf: {num_features: 8}}
axes: {frontend: [mel, leaf]}
seeds: [1, 2]
"""


@pytest.fixture
def study(shared_cache, tmp_path, monkeypatch):
    """The command `auricle study ACTION` on the study, in a process of its own."""
    monkeypatch.setenv("AURICLE_CACHE", str(shared_cache))
    (tmp_path / "s.yaml").write_text(STUDY)

    def run(action, *words, **options):
        command = [sys.executable, "-m", "auricle.recipes.cli", "study", action]
        command += [tmp_path / "s.yaml", "--folder", tmp_path / "runs", *words]
        options = {"capture_output": True, "timeout": 600, "check": False, **options}
        return subprocess.run(list(map(str, command)), text=True, **options)

    return run


def states(study):
    return [*json.loads(study("status", "--json").stdout)["cells"].values()]


def processor_s():
    """What processes that have ended have used of the processor, in s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_two_jobs_run_a_grid_and_a_second_start_runs_nothing(study, tmp_path):
    done = study("run", "--jobs", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Study s: 4 runs (2 cells, 2 seeds each), 4 waiting" in done.stdout
    assert "s an epoch, timed in 1 of 2 cells" in done.stdout
    assert "[4/4]" in done.stdout and "4 done" in done.stdout
    assert states(study) == ["done"] * 4
    files = sorted((tmp_path / "runs" / "runs").glob("*/results.json"))
    before = [file.stat().st_mtime_ns for file in files]
    began_s = processor_s()
    again = study("run", "--jobs", 2)
    assert processor_s() - began_s < 2, "torch is not even imported"
    assert again.returncode == 0 and again.stdout.strip().endswith("4 done")
    more = study("run", "--seeds", "1-3", "--axis", "frontend=mel", "--no-timing")
    assert "3 runs" in more.stdout and "1 to run" in more.stdout, more.stdout + more.stderr
    assert [file.stat().st_mtime_ns for file in files] == before


def test_in_this_process_what_fails_is_listed_and_stops_nothing(study, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(path.read_text() + "    \n".join(["axes2: {}", ""]))
    assert "axes2 is no key of a study" in study("run", "--on", "debug").stderr
    path.write_text(STUDY)
    wrong = study("run", "--on", "debug", "--axis", "frontend=mel,mell", "--axis", "lr=0.1,-1")
    assert wrong.returncode == 2
    assert "frontend mell" in wrong.stderr and "lr -1: " in wrong.stderr, wrong.stderr
    (tmp_path / "runs" / "runs").mkdir(parents=True, exist_ok=True)
    one = study("run", "--on", "debug", "--seeds", "1", "--axis", "frontend=mel", "--no-timing")
    assert one.returncode == 0, one.stdout + one.stderr
    (blocked,) = [
        line.split()[1] for line in study("status").stdout.splitlines() if "done " in line
    ]
    folder = tmp_path / "runs" / "runs" / blocked.replace("seed1", "seed2")
    assert not folder.exists()
    cells = json.loads(study("status", "--json").stdout)["cells"]
    name = next(name for name in cells if name.startswith("mel-seed2"))
    (tmp_path / "runs" / "runs" / name).write_text("in the way")
    failed = study("run", "--on", "debug", "--no-timing", "--axis", "frontend=mel")
    assert failed.returncode == 1 and f"failed: {name}" in failed.stdout, failed.stdout
    assert str(tmp_path / "runs" / "runs" / name) in study("status").stdout


SBATCH = """#!/bin/sh
cat "$1" > {folder}/script.sh
echo Submitted batch job 4711
"""


def test_slurm_gets_a_script_with_the_limits(study, tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sbatch").write_text(SBATCH.format(folder=tmp_path))
    (tools / "srun").write_text("#!/bin/sh\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    done = study("run", "--on", "slurm", "--partition", "gpu", "--gpus", 1, "--hours", 2)
    assert done.returncode == 0 and "Handed over as 4711" in done.stdout, done.stdout + done.stderr
    script = (tmp_path / "script.sh").read_text()
    for words in ("--partition=gpu", "--gpus-per-node=1", "--time=120", "--signal=USR2@120"):
        assert f"#SBATCH {words}" in script, script
    assert study("status").stdout.strip().endswith("4 waiting")
    assert "1 told to stop" in study("cancel").stdout


def until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_study_that_is_interrupted_goes_on_where_it_was(study, tmp_path):
    words = [sys.executable, "-m", "auricle.recipes.cli", "study", "run", "s.yaml"]
    words += ["--folder", "runs", "--seeds", "1", "--axis", "frontend=mel"]
    words += ["--set", "number_of_epochs=30", "--no-timing"]
    pipe = subprocess.PIPE
    first = subprocess.Popen(
        words,
        cwd=tmp_path,
        start_new_session=True,
        stderr=pipe,
        text=True,
        # A shell's background jobs ignore the signal, and so would this one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    runs = tmp_path / "runs" / "runs"
    until(lambda: [*runs.glob("*/checkpoints/CKPT*/CKPT.yaml")] or first.poll() is not None)
    os.killpg(first.pid, signal.SIGINT)  # as Ctrl-C on a terminal
    _, said = first.communicate(timeout=120)
    assert first.returncode == 130 and "Traceback" not in said, said
    assert not [*(tmp_path / "runs" / "jobs").glob("*.json")]
    (folder,) = runs.iterdir()
    assert not (folder / "results.json").exists()
    lines = (folder / "train_log.txt").read_text().splitlines()
    assert 1 <= len(lines) < 30
    again = study("run", *words[8:])
    assert again.returncode == 0, again.stdout + again.stderr
    epochs = [line.split(",")[0] for line in (folder / "train_log.txt").read_text().splitlines()]
    assert epochs == [f"epoch: {number}" for number in range(1, 31)], "no epoch was done twice"


def test_a_job_at_its_limit_is_queued_again_and_goes_on(tmp_path):
    import submitit

    from auricle.recipes.studies.worker import Worker

    store, cells, listed = begin_fake(tmp_path, 0.4, 0.5)
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=0.5, signal_delay_s=25)
    job = executor.submit(Worker(str(listed)))
    job.result()
    assert [*store.states(cells).values()] == ["done", "done"]
    assert (store.run(cells[0].name) / "starts").read_text() == "33", "stopped, and begun again"
