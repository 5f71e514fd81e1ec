"""Cache of a teacher's outputs on disk, so that later epochs need not compute them."""

import contextlib
import json
import os
import uuid
from pathlib import Path

import numpy as np
import torch


class TargetCache:
    """Rows of numbers on disk, by key.

    Each process that adds writes two files of its own, rows (float32) and their keys (a JSON text
    per line), and reads the files that the others had written when it started, so no lock is
    needed. A row counts once its key is complete, so an interrupted run loses at most the last
    one. Only the positions of the rows are in memory.

    Arguments
    ---------
    folder : path
        Of one teacher and one kind of output; made where it is missing.
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
            lines = keys.read_text(encoding="utf-8", errors="replace").split("\n")[
                :-1
            ]  # what follows is unfinished
            count = min(len(lines), rows.stat().st_size // (4 * width))
            for row, line in enumerate(lines[:count]):
                # A line that was damaged counts nothing; those after it keep their places.
                with contextlib.suppress(ValueError, TypeError, RecursionError):
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
        """(n, width) of n keys, each of which must be in the cache."""
        size, rows = 4 * self.width, []
        for key in keys:
            reader, row = self._where[key]
            self._readers[reader].seek(size * row)
            rows.append(np.frombuffer(self._readers[reader].read(size), dtype=np.float32))
        return torch.from_numpy(np.stack(rows))
