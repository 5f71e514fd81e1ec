"""What a teacher said, kept on disk for the next epoch."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import numpy as np
import torch

__all__ = ["TargetCache"]


class TargetCache:
    """Rows of numbers on disk, by key.

    Each process that adds writes two files of its own, rows (float32) and their keys (a JSON text
    per line), and reads those of all others that are there when it starts: nothing is shared that
    would have to be locked. A row counts once its key is there, so an interrupted run loses at
    most the last one. Rows stay on disk; in memory is where they are.

    Arguments
    ---------
    folder : where to; made if it is not there. One teacher, one kind of output.
    width : int
        Values per row.

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> folder = mkdtemp()
    >>> TargetCache(folder, 2).add(["a.wav"], torch.tensor([[1.0, 2.0]]))
    >>> again = TargetCache(folder, 2)
    >>> "a.wav" in again, "b.wav" in again, again.rows(["a.wav"])
    (True, False, tensor([[1., 2.]]))
    """

    def __init__(self, folder: str | os.PathLike, width: int):
        self.folder, self.width = Path(folder), width
        self.folder.mkdir(parents=True, exist_ok=True)
        self._where: dict[str, tuple[int, int]] = {}
        self._readers: list = []
        self._writers: tuple | None = None
        for keys in sorted(self.folder.glob("*.jsonl")):
            rows = keys.with_suffix(".f32")
            lines = keys.read_text(encoding="utf-8").split("\n")[:-1]  # what follows is unfinished
            count = min(len(lines), rows.stat().st_size // (4 * width))
            for row, line in enumerate(lines[:count]):
                self._where.setdefault(json.loads(line), (len(self._readers), row))
            self._readers.append(open(rows, "rb", buffering=0))

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def add(self, keys: list[str], rows: torch.Tensor) -> None:
        """Rows (n, width) of n keys."""
        if self._writers is None:
            stem = self.folder / uuid.uuid4().hex
            rows_file = open(stem.with_suffix(".f32"), "ab", buffering=0)
            self._writers = rows_file, open(stem.with_suffix(".jsonl"), "ab", buffering=0)
            self._own, self._written = len(self._readers), 0
            self._readers.append(open(stem.with_suffix(".f32"), "rb", buffering=0))
        self._writers[0].write(rows.detach().cpu().float().contiguous().numpy().tobytes())
        self._writers[1].write("".join(json.dumps(key) + "\n" for key in keys).encode())
        for key in keys:
            self._where.setdefault(key, (self._own, self._written))
            self._written += 1

    def rows(self, keys: list[str]) -> torch.Tensor:
        """(n, width) of n keys that are there."""
        found = np.empty((len(keys), self.width), dtype=np.float32)
        for place, key in enumerate(keys):
            reader, row = self._where[key]
            self._readers[reader].seek(4 * self.width * row)
            found[place] = np.frombuffer(
                self._readers[reader].read(4 * self.width), dtype=np.float32
            )
        return torch.from_numpy(found)
