"""Checkpoints that are complete or absent, and the record of a run's epochs.

SpeechBrain writes a checkpoint's meta file first and its contents afterwards, and deletes file by
file: a run that is killed in between finds half a checkpoint and cannot be resumed.
"""

import contextlib
import json
import logging
import os
import pickle
import zipfile
from pathlib import Path

import torch
import yaml
from speechbrain.utils.checkpoints import (
    METAFNAME,
    Checkpoint,
    Checkpointer,
    ckpt_recency,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_barrier, if_main_process, main_process_only

from ...processing.system.files import naming_full_disk, parse_json, read_json, read_text, sync

logger = logging.getLogger(__name__)
UNFINISHED, DAMAGED = "unfinished+", "damaged+"
#: Names of the folders that are written here, as a pattern; others are no checkpoints of a run.
CHECKPOINT = f"CKPT+{'dddd-dd-dd+dd-dd-dd+dd'.replace('d', '[0-9]')}"
#: Patterns of all files in a folder of checkpoints.
CHECKPOINT_FILES = tuple(
    f"{state}{CHECKPOINT}/{file}"
    for state in ("", UNFINISHED, DAMAGED)
    for file in ("*.ckpt", METAFNAME)
)
#: What reading a meta file of any content raises.
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, RecursionError, yaml.YAMLError)


class CheckpointError(ValueError):
    """A checkpoint that is needed and cannot be read."""


def remove_checkpoint(folder: Path) -> None:
    """Remove the files of a checkpoint, whole or not, and its folder when nothing else is there."""
    # Without its meta file a folder is no checkpoint any more, whatever happens next.
    for file in (folder / METAFNAME, *folder.glob("*.ckpt")):
        file.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


class AtomicCheckpointer(Checkpointer):
    """SpeechBrain's Checkpointer, writing beside and renaming at the end.

    Also refuses to save parameters that are not finite, so that the last good checkpoint stays
    the last one.
    """

    def _new_checkpoint_dirpath(self):
        final = super()._new_checkpoint_dirpath()
        self._unfinished = final.with_name(UNFINISHED + final.name)
        return self._unfinished

    def save_checkpoint(self, *args, **kwargs):
        for name, thing in self.recoverables.items():
            if isinstance(thing, torch.nn.Module):
                for key, value in thing.state_dict().items():
                    if value.is_floating_point() and not torch.isfinite(value).all():
                        raise FloatingPointError(
                            f"{name}.{key} is not finite: no checkpoint is written. The last good "
                            f"one is in {self.checkpoints_dir}; lower the learning rate, or "
                            "max_grad_norm, and start again"
                        )
        try:
            with naming_full_disk(self.checkpoints_dir):
                saved = super().save_checkpoint(*args, **kwargs)
                if saved is None:  # not the main process
                    return None
                for path in (*saved.path.iterdir(), saved.path):
                    sync(path)
        except BaseException:
            if if_main_process():
                with contextlib.suppress(OSError):
                    remove_checkpoint(self._unfinished)  # a full disk needs the room
            raise
        final = saved.path.with_name(saved.path.name.removeprefix(UNFINISHED))
        os.replace(saved.path, final)
        sync(self.checkpoints_dir)
        files = {name: final / Path(path).name for name, path in saved.paramfiles.items()}
        return Checkpoint(final, saved.meta, files)

    @main_process_only
    def delete_checkpoints(
        self,
        *,
        num_to_keep=1,
        max_keys=None,
        min_keys=None,
        importance_keys=(ckpt_recency,),
        ckpt_predicate=None,
        verbosity=logging.INFO,
    ):
        """Delete all but the best checkpoints; arguments as SpeechBrain's.

        Of the latest, two are kept at least: the one before is used when the last one is damaged.

        There every rank lists the folder and they wait for each other once per deletion: a rank
        that lists it a moment later, when something is gone already, waits for ever. Here the main
        process alone looks, and the others wait once.
        """
        rankings = [
            *({"min_key": key} for key in min_keys or ()),
            *({"max_key": key} for key in max_keys or ()),
            # SpeechBrain adds the same key to its default list with every save.
            *({"importance_key": key} for key in dict.fromkeys(importance_keys)),
        ]
        listed, kept = set(), set()
        for ranking in rankings:
            ranked = self.find_checkpoints(ckpt_predicate=ckpt_predicate, **ranking)
            count = max(2, num_to_keep) if "importance_key" in ranking else num_to_keep
            listed |= {ckpt.path for ckpt in ranked}
            kept |= {ckpt.path for ckpt in ranked[:count]}
        for path in listed - kept:
            remove_checkpoint(path)
            logger.log(verbosity, "Deleted checkpoint in %s", path)

    def sweep(self) -> None:
        """Remove what an interrupted save or delete has left behind, and nothing else."""
        if if_main_process():
            whole = self._list_checkpoint_dirs()
            for state in ("", UNFINISHED):
                for folder in self.checkpoints_dir.glob(state + CHECKPOINT):
                    if folder.is_dir() and not folder.is_symlink() and folder not in whole:
                        remove_checkpoint(folder)
        ddp_barrier()

    def recover_if_possible(
        self, importance_key=None, max_key=None, min_key=None, ckpt_predicate=None
    ):
        """Load the latest checkpoint that can be read, or the best one; arguments as SpeechBrain's.

        Damaged ones that are later are named and put aside.

        Raises
        ------
        CheckpointError
            The best one cannot be read, or none can be.
        """
        damaged = {
            path: "no readable meta file"
            for path in self._list_checkpoint_dirs()
            if not self._construct_checkpoint_objects([path])
        }
        chosen, by_score = None, max_key or min_key
        for checkpoint in self.find_checkpoints(importance_key, max_key, min_key, ckpt_predicate):
            if not (problem := self._problem(checkpoint)):
                chosen = checkpoint
                break
            damaged[checkpoint.path] = problem
            if by_score:
                break
        listed = "".join(f"\n  {path}: {problem}" for path, problem in damaged.items())
        if damaged and not chosen:
            raise CheckpointError(
                f"{'the best checkpoint cannot' if by_score else 'no checkpoint can'} be read:{listed}\n"
                "Put a copy in its place, or begin the run anew (fresh)"
            )
        if damaged and if_main_process():
            logger.warning("damaged, and put aside:%s\nGoing on from %s", listed, chosen.path)
        ddp_barrier()
        if if_main_process():
            for path in damaged:
                os.replace(path, path.with_name(DAMAGED + path.name))
        if chosen:
            try:
                self.load_checkpoint(chosen)
            except (pickle.UnpicklingError, RuntimeError, LookupError, TypeError) as error:
                # More than tensors, which torch does not load, or those of another model.
                first = str(error).partition("\n")[0]
                raise CheckpointError(
                    f"{chosen.path} does not fit this run ({first}). Put a copy of its own in its "
                    "place, or begin the run anew (fresh)"
                ) from error
        return chosen

    def _problem(self, checkpoint: Checkpoint) -> str:
        """Why a checkpoint cannot be read, "" when it can; nothing is loaded yet."""
        files = checkpoint.paramfiles
        missing = [
            f"{name}.ckpt is missing"
            for name in self.recoverables
            if name not in files and not (self.optional_recoverables[name] or "dataloader" in name)
        ]
        return ", ".join(
            missing + [f"{file.name} is damaged" for file in files.values() if not _is_whole(file)]
        )

    @staticmethod
    def _construct_checkpoint_objects(checkpoint_dirs):
        found = []
        for path in checkpoint_dirs:
            with contextlib.suppress(*_UNREADABLE):
                (checkpoint,) = Checkpointer._construct_checkpoint_objects([path])
                float(checkpoint.meta["unixtime"]), bool(checkpoint.meta["end-of-epoch"])
                found.append(checkpoint)
        return found

    def _list_checkpoint_dirs(self):
        folders = self.checkpoints_dir.glob(CHECKPOINT)
        return [path for path in folders if not path.is_symlink() and (path / METAFNAME).is_file()]


def _is_whole(path: Path) -> bool:
    """Whether a file is an archive with right checksums, as torch writes, or complete text."""
    try:
        with open(path, "rb") as file:
            if file.read(2) == b"PK":
                with zipfile.ZipFile(path) as archive:
                    # torch packs nothing; what is packed could unpack to any size.
                    stored = all(not entry.compress_type for entry in archive.infolist())
                    return stored and archive.testzip() is None
        text = read_text(path)
        value = parse_json(text.encode(), path) if text[:1] == "{" else yaml.safe_load(text)
        return value is not None
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, yaml.YAMLError):
        return False


@register_checkpoint_hooks
class History:
    """What a run has seen so far: one record per finished epoch, and the time it took.

    Attributes
    ----------
    epochs : list of dict, one per finished epoch
    seconds : training time, in s, over all starts of the run
    audio_seconds : audio the model was trained on, in s
    """

    def __init__(self):
        self.epochs: list[dict] = []
        self.seconds = 0.0
        self.audio_seconds = 0.0
        self.started = ""

    @mark_as_saver
    def save(self, path):
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(vars(self), stream)

    @mark_as_loader
    def load(self, path, end_of_epoch=False):
        vars(self).update(read_json(path))

    def curves(self) -> list[dict]:
        """The epochs as `auricle.processing.plots.training.training_curves` draws them."""
        return [
            {
                "epoch": record["epoch"],
                **{f"train_{key}": x for key, x in record["train"].items() if key != "seconds"},
                **{f"valid_{key}": x for key, x in record["valid"].items()},
            }
            for record in self.epochs
        ]

    def best(self, key: str, sign: int) -> int:
        """Index of the best epoch (the first of equals); -1 when there is none."""
        values = [sign * record["valid"][key] for record in self.epochs if "valid" in record]
        return values.index(max(values)) if values else -1
