"""Checkpoints that are complete or absent, and the record of a run's epochs.

SpeechBrain writes a checkpoint's meta file first and its contents afterwards, and deletes file by
file: a run that is killed in between finds half a checkpoint and cannot be resumed.
"""

import json
import logging
import os
from pathlib import Path

import torch
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

logger = logging.getLogger(__name__)
UNFINISHED = "unfinished+"
#: Names of the folders that are written here, as a pattern; others are no checkpoints of a run.
CHECKPOINT = f"CKPT+{'dddd-dd-dd+dd-dd-dd+dd'.replace('d', '[0-9]')}"
#: Patterns of all files in a folder of checkpoints.
CHECKPOINT_FILES = tuple(
    f"{state}{CHECKPOINT}/{file}" for state in ("", UNFINISHED) for file in ("*.ckpt", METAFNAME)
)


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
        return final.with_name(UNFINISHED + final.name)

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
        saved = super().save_checkpoint(*args, **kwargs)
        if saved is None:  # not the main process
            return None
        final = saved.path.with_name(saved.path.name.removeprefix(UNFINISHED))
        os.replace(saved.path, final)
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
            listed |= {ckpt.path for ckpt in ranked}
            kept |= {ckpt.path for ckpt in ranked[:num_to_keep]}
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

    def _list_checkpoint_dirs(self):
        folders = self.checkpoints_dir.glob(CHECKPOINT)
        return [path for path in folders if not path.is_symlink() and (path / METAFNAME).is_file()]


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
        with open(path, encoding="utf-8") as stream:
            vars(self).update(json.load(stream))

    def best(self, key: str, sign: int) -> int:
        """Index of the best epoch (the first of equals); -1 when there is none."""
        values = [sign * record["valid"][key] for record in self.epochs if "valid" in record]
        return values.index(max(values)) if values else -1
