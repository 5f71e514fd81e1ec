"""Find the test predictions of runs: in a file, a folder of a run, or the seeds below a folder."""

import codecs
import os
from pathlib import Path

from ...processing.scoring.predictions import TABLE_NAME
from ...processing.scoring.regression.files import FILE_NAME
from ...processing.scoring.verification.trial_scores import SCORES_NAME

#: What runs call the file of their predictions, and of what kind it is.
NAMES = {TABLE_NAME: "table", FILE_NAME: "regression", SCORES_NAME: "trials"}


def files_of(source: str) -> list[Path]:
    """The files of predictions that an argument means: one, or one per seed.

    Arguments
    ---------
    source : a file; a run's folder; a folder with runs `seed_*`; or several of these with commas.

    Raises
    ------
    ValueError
        Nothing of that name, or a folder without predictions.
    """
    path = Path(source)
    if path.is_dir():
        if found := _in_folder(path):
            return [found]
        seeds = [_in_folder(folder) for folder in sorted(path.glob("seed_*"))]
        if seeds := list(filter(None, seeds)):
            return seeds
        raise ValueError(
            f"{path} holds no {', '.join(list(NAMES)[:-1])} or {SCORES_NAME}, which a run writes "
            "after its test, and no folder seed_* with one: name a finished run, or a file"
        )
    if path.exists():
        return [path]
    if "," in source:
        return [file for part in source.split(",") for file in files_of(part)]
    raise ValueError(f"{source} is not there: name a run's folder, or a file of predictions")


def _in_folder(folder: Path) -> Path | None:
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def kind_of(path: str | os.PathLike) -> str:
    """ "table", "regression" or "trials": what a file of predictions is, by how it begins."""
    try:
        with open(path, "rb") as file:
            head = file.read(64).removeprefix(codecs.BOM_UTF8).lstrip()
    except OSError:
        return "trials"  # whose reader says what is wrong
    if head.startswith(b"{"):
        return "regression"
    return "table" if head.startswith(b"id,") else "trials"
