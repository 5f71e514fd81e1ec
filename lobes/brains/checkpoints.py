"""Checkpoints that are there whole or not at all.

SpeechBrain writes a checkpoint's meta file first and its contents afterwards, and deletes file by
file: a run that is killed in between finds half a checkpoint and cannot be resumed.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from speechbrain.utils.checkpoints import (
    METAFNAME,
    Checkpoint,
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import if_main_process, main_process_only

__all__ = ["AtomicCheckpointer", "History"]

UNFINISHED = "unfinished+"


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
                            "--max_grad_norm, and start again"
                        )
        saved = super().save_checkpoint(*args, **kwargs)
        if saved is None:  # not the main process
            return None
        final = saved.path.with_name(saved.path.name.removeprefix(UNFINISHED))
        os.replace(saved.path, final)
        files = {name: final / Path(path).name for name, path in saved.paramfiles.items()}
        return Checkpoint(final, saved.meta, files)

    @staticmethod
    @main_process_only
    def _delete_checkpoint(checkpoint, verbosity=None):
        # Without its meta file a folder is no checkpoint any more, whatever happens next.
        os.remove(checkpoint.path / METAFNAME)
        shutil.rmtree(checkpoint.path)

    def sweep(self) -> None:
        """Make the folder, and remove what an interrupted save or delete has left behind."""
        if not if_main_process():
            return
        Path(self.checkpoints_dir).mkdir(parents=True, exist_ok=True)
        for folder in Path(self.checkpoints_dir).iterdir():
            if folder.is_dir() and not (
                self._is_checkpoint_dir(folder) and folder.name.startswith("CKPT")
            ):
                shutil.rmtree(folder)


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
