"""Claim an output folder for one run: its settings are written there, and compared at a restart."""

import json
import shutil
from pathlib import Path

from ...hparams.loader import Config
from ...processing.system.files import read_json, write_json
from .messages import RecipeError

#: Keys that may change between two starts of one run.
FREE_KEYS = (
    "cache_gb",
    "num_workers",
    "fresh",
    "download",
    "data_folder",
    "official_test_folder",
    "decoded_folder",
)
#: Keys that are no options of a result: those above, and what has a place of its own there.
NO_OPTIONS = (
    *FREE_KEYS,
    "frontend",
    "encoder",
    "seed",
    "output_folder",
    "results_folder",
    "protocol",
    "mini_size",
)


def claim_folder(config: Config, output_folder: str, data_digest: str) -> Path:
    """Make the output folder this run's own, or go on with the same run.

    A folder that holds a run with other settings or other data is refused, so that no run ever
    resumes another one's checkpoint.

    Raises
    ------
    RecipeError
        Naming each setting that differs.
    """
    from speechbrain.utils.distributed import ddp_barrier, if_main_process

    folder = Path(output_folder)
    settings = {key: value for key, value in config.plain.items() if _is_setting(key, value)}
    settings["data_digest"] = data_digest
    settings = json.loads(json.dumps(settings))
    problem = ""
    if if_main_process():
        if config.plain["fresh"] and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        record = folder / "settings.json"
        if record.is_file():
            earlier = {k: v for k, v in read_json(record).items() if _is_setting(k, v)}
            differing = [
                f"{key}: {earlier.get(key)!r} there, {settings.get(key)!r} now"
                for key in sorted({*settings, *earlier})
                if settings.get(key) != earlier.get(key)
            ]
            if differing:
                problem = (
                    f"{folder} holds a run with other settings:\n  "
                    + "\n  ".join(differing)
                    + "\nGive another --output_folder, or --fresh true to delete that run"
                )
        else:
            write_json(record, settings)
    ddp_barrier()
    if problem:
        raise RecipeError(problem)
    return folder


def _is_setting(key: str, value) -> bool:
    """Whether a value of the YAML makes a run another one."""
    if key in (*FREE_KEYS, "output_folder", "results_folder") or isinstance(value, Path):
        return False
    # What is built from other keys is described by them.
    return not _is_reference(value)


def _is_reference(value) -> bool:
    """A tag of the YAML, or a map or list of nothing but such."""
    if isinstance(value, (dict, list)):
        members = value.values() if isinstance(value, dict) else value
        return bool(members) and all(map(_is_reference, members))
    return isinstance(value, str) and value.startswith("!")
