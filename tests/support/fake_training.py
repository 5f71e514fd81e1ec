"""A study whose runs take no time: a script in place of the training, whose lr says what becomes of it."""

from auricle.recipes.studies.store import Store
from auricle.recipes.studies.study import read_study

PROGRAM = """
import os, pathlib, signal, sys, time
words = sys.argv[1:]
lr = words[words.index("--lr") + 1]
folder = pathlib.Path(words[words.index("--output_folder") + 1])
folder.mkdir(parents=True, exist_ok=True)
with open(folder / "starts", "a") as file:
    file.write(os.environ["OMP_NUM_THREADS"])
if lr == "0.2":
    sys.exit("auricle: there are no such data")
if lr == "0.3":
    os.kill(os.getpid(), signal.SIGKILL)
if lr == "0.4" and not (folder / "settings.json").exists():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    (folder / "settings.json").write_text("{}")
    time.sleep(60)
(folder / "results.json").write_text("{}")
"""


def begin_fake(folder, *rates):
    """The store of a study over lr, its cells, and the list of a start of it."""
    (folder / "train.py").write_text(PROGRAM)
    study = read_study({"recipe": "speech_commands", "axes": {"lr": [*rates]}}, "s", folder)
    store, cells = Store(folder / "study"), study.cells()
    store.open(study)
    content = {
        "program": [str(folder / "train.py")],
        "recipe": "speech_commands",
        "cells": {cell.name: study.words(cell) for cell in cells},
        "threads": 3,
    }
    return store, cells, store.begin(content)
