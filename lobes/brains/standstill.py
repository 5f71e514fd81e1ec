"""End every rank of a distributed run when one stands still, and name that one.

Collectives wait for hours, and what they raise then does not say for whom. Here a thread of each
rank writes two counts to the store by which the ranks have found each other: its own beats, which
stop with the process, and the progress of training, which stops where a rank waits for ever for its
data or its device. Nothing passes through the collectives, so gloo and NCCL are alike.
"""

import datetime
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple


class Counts(NamedTuple):
    """What a rank has said of itself, and when a count was last seen to change, in s."""

    beats: int = 0
    progress: int = 0
    is_training: bool = False
    beat_s: float = 0.0
    progress_s: float = 0.0


class _Own:
    progress = 0
    is_training = False


def advance() -> None:
    """Count that this rank comes to the next point of training at which it waits for others."""
    _Own.progress, _Own.is_training = _Own.progress + 1, True


def rest() -> None:
    """Training pauses (validation, test): only the process has to live."""
    _Own.is_training = False


def missing(ranks: dict[int, Counts], now_s: float, limit_s: float) -> list[int]:
    """The ranks that have stood still for longer than the limit.

    They are those without a beat; else, where all train and none advances, those that are behind:
    the others wait for them. Ranks that are equally far may all be at a long step.

    Example
    -------
    >>> ranks = {0: Counts(9, 5, True, 8.0, 2.0), 1: Counts(9, 4, True, 8.0, 1.0)}
    >>> missing(ranks, now_s=9.0, limit_s=5.0)
    [1]
    """
    dead = [rank for rank, counts in ranks.items() if now_s - counts.beat_s > limit_s]
    if dead:
        return dead
    if not all(c.is_training and now_s - c.progress_s > limit_s for c in ranks.values()):
        return []
    most = max(counts.progress for counts in ranks.values())
    return [rank for rank, counts in ranks.items() if counts.progress < most]


class Watch:
    """Threads that compare the counts of all ranks of torch.distributed's environment.

    Arguments
    ---------
    limit_s : float
        How long a rank may stand still.
    end : callable
        Called on every rank that can still act, with a sentence that names those that stand still.
    """

    def __init__(self, limit_s: float, end: Callable[[str], None]):
        from torch.distributed import PrefixStore, TCPStore

        self._rank, self._limit_s, self._end = int(os.environ["RANK"]), limit_s, end
        self._every_s = min(10.0, limit_s / 10)
        self._address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        # A connection of its own: waiting for an answer holds up no collective.
        timeout = datetime.timedelta(seconds=limit_s)
        store = TCPStore(*self._address, is_master=False, timeout=timeout)
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._store = PrefixStore(f"auricle/standstill/{attempt}", store)
        now_s, ranks = time.monotonic(), range(int(os.environ["WORLD_SIZE"]))
        self._counts = dict.fromkeys(ranks, Counts(beat_s=now_s, progress_s=now_s))
        self._names = {rank: f"rank {rank}" for rank in ranks}
        self._closed = threading.Event()
        _Own.progress, _Own.is_training = 0, False
        self._tell(0)
        for work in (self._exchange, self._compare):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        """Watch no longer: this rank is about to end, and the store with one of them."""
        self._closed.set()

    def _tell(self, beats: int) -> None:
        name = f"rank {self._rank}, process {os.getpid()} on {socket.gethostname()}"
        own = f"{beats} {_Own.progress} {int(_Own.is_training)} {name}"
        self._store.set(str(self._rank), own)

    def _exchange(self) -> None:
        """Write the own counts and read all, as long as the store answers."""
        beats = 0
        while not self._closed.wait(self._every_s):
            beats += 1
            try:
                self._tell(beats)
                for rank in self._counts:
                    if self._store.check([str(rank)]):
                        self._note(rank, self._store.get(str(rank)).decode())
            except RuntimeError:
                return  # from now on no count changes, the own ones among them

    def _note(self, rank: int, text: str) -> None:
        *numbers, self._names[rank] = text.split(" ", 3)
        beats, progress, is_training = map(int, numbers)
        old, now_s = self._counts[rank], time.monotonic()
        has_moved = (progress, is_training) != (old.progress, old.is_training)
        self._counts[rank] = Counts(
            beats,
            progress,
            bool(is_training),
            now_s if beats != old.beats else old.beat_s,
            now_s if has_moved else old.progress_s,
        )

    def _compare(self) -> None:
        """Call `end` when a rank stands still; asks no store, so that nothing holds it up."""
        last_s = time.monotonic()
        while not self._closed.wait(self._every_s):
            now_s = time.monotonic()
            if now_s - last_s > self._limit_s / 2:  # this process itself has stood still
                renewed = {"beat_s": now_s, "progress_s": now_s}
                self._counts = {r: c._replace(**renewed) for r, c in self._counts.items()}
            last_s = now_s
            ranks = missing(dict(self._counts), now_s, self._limit_s)
            if ranks and not self._closed.is_set():
                self._end(self._describe(ranks))

    def _describe(self, ranks: list[int]) -> str:
        if self._rank in ranks and len(ranks) == len(self._counts):
            # Nothing is heard of anyone: the store stands still.
            of_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
            holder = "torchrun" if of_torchrun else self._names[0]
            names = f"{holder} (its store at {':'.join(map(str, self._address))})"
        else:
            names = "; ".join(self._names[rank] for rank in ranks)
        return f"no sign of {names} for {self._limit_s:g} s"
