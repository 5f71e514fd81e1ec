"""Commands and a training in odd surroundings: each works, or says in a line what is missing."""

import os
import subprocess
import sys

import pytest
from small_runs import SMALL

SHORT = ("--number_of_epochs", "1", "--warmup_epochs", "0")
#: Changes of the environment (None: not set), and what the shell does before it starts the command.
SURROUNDINGS = {
    "no home": ({"HOME": None, "XDG_CACHE_HOME": None, "AURICLE_CACHE": None}, ""),
    "cache that cannot be written": ({"AURICLE_CACHE": "/proc/auricle"}, ""),
    "locale C": ({"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, ""),
    "umask 077": ({}, "umask 077; "),
    "temporary folder that is not there": ({"TMPDIR": "/nowhere/tmp"}, ""),
    "closed standard output": ({}, "exec >&-; "),
    "closed standard input": ({}, "exec <&-; "),
    "an empty PATH": ({"PATH": ""}, ""),
}


def run(words, surroundings, folder):
    changes, before = SURROUNDINGS[surroundings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **changes}
    environment = {key: value for key, value in environment.items() if value is not None}
    return subprocess.run(
        ["/bin/sh", "-c", before + 'exec "$@"', "sh", sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        cwd=folder,
        timeout=300,
    )


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_a_listing_and_a_training_work_or_say_why_not(tiny, tmp_path, surroundings):
    recipe = SMALL["speech_commands"]
    recipe.corpus = tiny(recipe.name)
    folder = tmp_path / "däta run"
    script = ("-m", "auricle.recipes.cli", "train", recipe.name)
    for words in (
        ("-m", "auricle.recipes.cli", "list", "frontends"),
        (*script, *recipe.words(folder, *SHORT, "--frontend", "leaf")[1:]),
    ):
        done = run(words, surroundings, tmp_path)
        assert "Traceback" not in done.stderr, done.stderr
        if surroundings == "closed standard output":
            assert done.returncode == 2 and "no standard output" in done.stderr
        else:
            assert done.returncode == 0, done.stderr
    if surroundings == "umask 077":
        modes = {path.stat().st_mode & 0o077 for path in folder.rglob("*")}
        assert modes == {0}
