"""Claim an output folder for one run: lock it, write its settings there, compare them at a restart."""

import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import filelock

from ...hparams.loader import Config
from ...processing.system.files import PART, TextError, read_json, write_json
from ...processing.system.listing import first_of
from .messages import RecipeError, tell

#: Keys that may change between two starts of one run.
FREE_KEYS = (
    "cache_gb",
    "num_workers",
    "rank_limit_s",
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
SETTINGS, LOCK, HOLDER = "settings.json", "run.lock", "holder.json"
#: What a run writes into its folder, besides its checkpoints; nothing else there is ever changed.
WRITTEN = (
    *(SETTINGS, "results.json", "test_predictions.json", "train_log.txt", "tracker.json"),
    *("test_predictions.csv", "test_scores.txt", "tags.png"),
    *("training_curves.png", "learned_filters.png", "confusion_matrix.png", "confusions.png"),
    *("det.png", "emotion_curves.png", "valence_arousal.png"),
    *("bundle/bundle.json", "bundle/model.safetensors", "bundle/hyperparams.yaml"),
    *("bundle/bigram.json", "bundle/calibration.json", "bundle/README.md"),
    *(f"teacher/*/{'[0-9a-f]' * 32}.{suffix}" for suffix in ("f32", "jsonl")),
)
_held: list[filelock.FileLock] = []
#: How long data loaders of a killed run may live on, and hold its lock, in s.
_ORPHANS_S = 15


def claim_folder(config: Config, output_folder: str, data_digest: str) -> Path:
    """Make the output folder this run's own until `release_folder`, or go on with the same run.

    A folder that holds a run with other settings or other data is refused, so that no run ever
    resumes another one's checkpoint; with `fresh` that run's files are deleted, and only those.

    Raises
    ------
    RecipeError
        Naming each setting that differs, the process that is using the folder, or the files there
        that no run has written.
    """
    from speechbrain.utils.distributed import run_on_main

    folder = Path(output_folder)
    settings = {key: value for key, value in config.plain.items() if _is_setting(key, value)}
    settings["data_digest"] = data_digest
    if not config.run_opts.test_only:
        settings["processes"] = _num_processes()
    settings = json.loads(json.dumps(settings))
    if problem := run_on_main(_problem, [folder, settings, config.plain["fresh"]]):
        raise RecipeError(problem)
    return folder


def _num_processes() -> int:
    import torch

    is_alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
    return 1 if is_alone else torch.distributed.get_world_size()


def release_folder() -> None:
    """Let other runs use the folder that this process has claimed."""
    while _held:
        _held.pop().release()


def _problem(folder: Path, settings: dict, fresh: bool) -> str:
    """Claim the folder; why that is not possible, "" when it is done."""
    try:
        _refuse_links(folder, fresh)
        earlier = _settings_of(folder)
        if earlier is None:
            _refuse_files_of_others(folder, fresh)
        folder.mkdir(parents=True, exist_ok=True)
        _lock(folder)
        earlier = _settings_of(folder)  # another run may just have written its own
        if fresh and earlier is not None:
            _delete_run(folder)
            earlier = None
        for part in _written(folder, f".*{PART}"):
            part.unlink()
        if earlier is not None:
            settings = {**_optional(earlier), **settings}
            _refuse_other_settings(folder, settings, {**_optional(settings), **earlier})
        if settings != earlier:
            write_json(folder / SETTINGS, settings)
    except (RecipeError, OSError) as error:
        release_folder()
        return str(error)
    return ""


def _written(folder: Path, suffix: str = "") -> Iterator[Path]:
    """What runs have written into a folder, e.g. with the suffix of unfinished files."""
    from ...lobes.brains.checkpoints import CHECKPOINT_FILES

    for pattern in (*WRITTEN, *(f"checkpoints/{name}" for name in CHECKPOINT_FILES)):
        yield from folder.glob(pattern + suffix)


def _refuse_links(folder: Path, fresh: bool) -> None:
    """A run neither writes nor deletes through a link that lies in its folder."""
    if fresh and folder.is_symlink():
        raise RecipeError(
            f"--fresh true deletes nothing through a link, and {folder} is one: give "
            f"--output_folder {folder.resolve()}"
        )
    paths = {path.relative_to(folder) for path in _written(folder)}
    paths |= {Path(pattern) for pattern in (*WRITTEN, LOCK, HOLDER, "checkpoints/")}
    paths |= {parent for path in paths for parent in path.parents} - {Path()}
    for path in sorted(paths):
        if (folder / path).is_symlink():
            raise RecipeError(
                f"{folder / path} is a link to {os.readlink(folder / path)}, and a run writes "
                "nothing through a link: remove it, or give another --output_folder"
            )


def _settings_of(folder: Path) -> dict | None:
    """The settings of the run that a folder holds; None where there is no run of auricle."""
    try:
        settings = read_json(folder / SETTINGS)
    except (OSError, TextError):
        return None
    is_ours = isinstance(settings, dict) and {"data_digest", "seed"} <= settings.keys()
    return settings if is_ours else None


def _refuse_files_of_others(folder: Path, fresh: bool) -> None:
    """Nothing is deleted, and no file overwritten, in a folder that no run has begun."""
    files = _written(folder)
    if fresh and folder.is_dir():
        files = (path for path in folder.iterdir() if path.name not in (LOCK, HOLDER))
    if names := first_of(sorted({path.relative_to(folder).parts[0] for path in files})):
        what = "--fresh true would delete" if fresh else "a run would overwrite"
        raise RecipeError(
            f"{folder} is no run of auricle (no {SETTINGS} of one), and it holds files ({names}) "
            f"that {what}: give another --output_folder"
        )


def _optional(settings: dict) -> dict:
    """What runs of earlier versions have not written down, and a mere test does not have."""
    return {key: settings[key] for key in ("processes",) if key in settings}


def _refuse_other_settings(folder: Path, settings: dict, earlier: dict) -> None:
    from ...lobes.brains.optimization import BOUND

    earlier = {key: value for key, value in earlier.items() if _is_setting(key, value)}
    differing = [
        f"{key}: {earlier.get(key)!r} there, {settings.get(key)!r} now"
        for key in sorted({*settings, *earlier})
        if settings.get(key) != earlier.get(key)
    ]
    if not differing or _is_longer(settings, earlier):
        return
    remedies = "Give another --output_folder, or --fresh true to delete that run"
    if settings.get("processes") != earlier.get("processes"):
        remedies += (
            "; or start as many processes as before (torchrun --nproc_per_node="
            f"{earlier['processes']}): each has its share of an epoch"
        )
    if settings.get("number_of_epochs") != earlier.get("number_of_epochs"):
        remedies += (
            f". A run becomes longer where no schedule depends on its length ({', '.join(BOUND)} do: "
            "the epochs that are done would have had other learning rates) and nothing else differs"
        )
    raise RecipeError(
        f"{folder} holds a run with other settings:\n  " + "\n  ".join(differing) + f"\n{remedies}"
    )


def _is_longer(settings: dict, earlier: dict) -> bool:
    """Whether a run goes on to more epochs, with the learning rates that it would have had."""
    from ...lobes.brains.optimization import BOUND

    key = "number_of_epochs"
    if {**settings, key: 0} != {**earlier, key: 0} or settings[key] <= earlier[key]:
        return False
    return not {settings.get("schedule"), settings.get("frontend_schedule")} & set(BOUND)


def _lock(folder: Path) -> None:
    """Hold the folder until the process ends, and say for others who holds it."""
    lock = filelock.FileLock(folder / LOCK)
    holder = folder / HOLDER
    try:
        lock.acquire(timeout=_ORPHANS_S if _has_died(holder) else 0)
    except filelock.Timeout:
        raise RecipeError(f"{folder} is in use by another run: {_described(holder)}") from None
    except NotImplementedError:  # a file system without locks
        tell(f"{folder} cannot be locked there: start no second run in it")
        return
    _held.append(lock)
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    write_json(holder, {"host": socket.gethostname(), "process": os.getpid(), "since": since})


def _has_died(holder: Path) -> bool:
    """Whether the process that last held a folder ran on this host and is gone."""
    try:
        values = read_json(holder)
        if values["host"] == socket.gethostname():
            os.kill(int(values["process"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, TextError, KeyError, TypeError, ValueError):
        pass
    return False


def _described(holder: Path) -> str:
    try:
        return "process {process} on {host}, since {since}. Wait for its end, or stop it".format(
            **read_json(holder)
        )
    except (OSError, TextError, KeyError, TypeError):
        return f"{holder.name} does not say which"


def _delete_run(folder: Path) -> None:
    """Delete what runs have written into a folder, and say what is kept."""
    files = [*_written(folder), *_written(folder, f".*{PART}")]
    # The settings go last: without them the rest would be taken for somebody else's.
    for path in sorted(files, key=lambda path: path.name == SETTINGS):
        path.unlink()
    parents = {parent for path in files for parent in path.parents if folder in parent.parents}
    parents.add(folder / "checkpoints")
    for parent in sorted(parents, reverse=True):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
    kept = sorted(path.name for path in folder.iterdir() if path.name not in (LOCK, HOLDER))
    if kept:
        tell(f"Kept in {folder}, as no run has written it: {first_of(kept)}")


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
