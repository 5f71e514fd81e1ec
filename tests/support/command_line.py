"""Running a recipe as a user does: its train.py in a process of its own, on one thread."""

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def training(recipe, folder, settings, *extra):
    """The words of a training command; what a test gives replaces the settings."""
    settings = {
        "results_folder": folder.parent,
        "output_folder": folder,
        "device": "cpu",
        **settings,
    }
    given = [word for word in extra if str(word).startswith("--")]
    kept = []
    for key, value in settings.items():
        if f"--{key}" not in given:
            kept += [f"--{key}", str(value)]
    train = REPOSITORY / "recipes" / recipe / "train.py"
    yaml = REPOSITORY / "hparams" / f"{recipe}.yaml"
    return [str(train), str(yaml), "--noprogressbar", *kept, *map(str, extra)]


def run(*words, check=True, launcher=(sys.executable,), timeout=300, **environment):
    """Run it far from the repository; with `check`, it has to end well."""
    done = subprocess.run(
        [*launcher, *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        cwd=Path(words[0]).anchor,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def history(folder):
    """The records of all epochs of a run: those of its latest checkpoint."""
    files = (folder / "checkpoints").glob("CKPT*/history.ckpt")
    return max((json.loads(file.read_text())["epochs"] for file in files), key=len)
