"""Draw batches of clips of similar duration: every clip once, shared by any number of ranks."""

import bisect
import logging
import math
import operator
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

from ..system.listing import first_of

logger = logging.getLogger(__name__)

# max_batch_s is compared with (number of clips) x (longest clip): allow for the rounding of that
# product, so that 100 clips of 0.1 s do fit into 10 s.
_ROUNDING = 1e-9
# How many compositions are drawn at construction to fix the number of batches of every epoch, and
# how often an epoch that needs more is drawn again with half the jitter before it is taken sorted.
_NUM_PROBES = 3
_NUM_DRAWS = 5
# Their random streams must not overlap.
_PROBE, _EPOCH = 0, 1


class DurationBatchSampler(Sampler[list[int]]):
    """Draw batches of clips of similar duration, limited by padded seconds, for a DataLoader.

    The clips are sorted by duration, disturbed by a little noise that is drawn anew for every
    epoch, and cut from the longest to the shortest into batches as large as the limits allow; then
    the order of the batches is shuffled. What an epoch yields is a pure function of the arguments,
    ``(seed, epoch)`` and the number of ranks: there is no state to save, and a
    ``speechbrain.dataio.dataloader.SaveableDataLoader`` that resumes in the middle of an epoch
    goes on with exactly the batches that were left, once ``set_epoch`` has been called with the
    same epoch.

    Over several ranks the batches are dealt out in groups of neighbours in the sorted order, one
    per rank, so that the ranks do not wait for each other. Where their number is not divisible by
    the number of ranks, the shortest clips are cut into a few more, smaller and even batches;
    nothing is repeated and nothing is left out.

    Arguments
    ---------
    durations_s : sequence of float
        Duration of each clip in seconds, as the model gets it (after cropping), > 0.
    max_batch_s : float, optional
        Most seconds in a batch with its padding: longest clip times number of clips. A longer clip
        becomes a batch of its own (one warning tells how many). None: no such limit.
    max_batch_items : int, optional
        Most clips in a batch. Alone (``max_batch_s=None``), and with clips of equal duration, this
        is shuffled batching with a fixed size.
    shuffle : bool
        False: longest clips first, the same in every epoch.
    seed : int
        Same on every rank, >= 0.
    jitter : float
        Half-width of the noise on the logarithm of the duration: with 0.02 a clip may be sorted as
        if it were 2 % longer or shorter. The larger, the more mixed are the batches and the more
        padding there is. With 0 only clips of equal duration are drawn anew.
    num_replicas, rank : int, optional
        Number of ranks and this one. Default: those of ``torch.distributed``, looked up when they
        are needed (so the sampler may be built before the process group), else 1 and 0.
    equal_batches : bool
        True, for training: the same number of batches on every rank. False, for evaluation with
        results merged by counts: the numbers may differ by one (a rank may have none), and the
        batches do not depend on the number of ranks.
    ascending_epochs : int
        With shuffle, the batches of epochs 1 up to this one come from the shortest to the longest
        clips: a curriculum for losses that are hard to start on long clips, such as CTC.

    Raises
    ------
    ValueError
        When there are no clips, a duration or a limit is not positive and finite, or the clips
        cannot be shared equally by the ranks within the limits (on first use, where the number of
        ranks is only known then).

    References
    ----------
    The task is that of ``speechbrain.dataio.sampler.DynamicBatchSampler``, which cuts the range of
    durations into fixed buckets whatever the data is like.

    Example
    -------
    >>> sampler = DurationBatchSampler([1.0, 3.0, 1.1, 2.9, 1.0], max_batch_s=6.0, seed=1)
    >>> sampler.set_epoch(1)
    >>> sorted(sorted(batch) for batch in sampler)
    [[0, 2, 4], [1, 3]]
    >>> len(sampler)
    2
    """

    def __init__(
        self,
        durations_s: Sequence[float],
        max_batch_s: float | None = None,
        max_batch_items: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        jitter: float = 0.02,
        num_replicas: int | None = None,
        rank: int | None = None,
        equal_batches: bool = True,
        ascending_epochs: int = 0,
    ):
        self._durations_s = _checked_durations(durations_s)
        if max_batch_s is None and max_batch_items is None:
            raise ValueError("give max_batch_s (padded seconds per batch), max_batch_items or both")
        if max_batch_s is not None and not (math.isfinite(max_batch_s) and max_batch_s > 0):
            raise ValueError(f"max_batch_s is a number of seconds > 0 or None, got {max_batch_s}")
        if max_batch_items is not None:
            max_batch_items = _checked_int("max_batch_items", max_batch_items, minimum=1)
        if not (math.isfinite(jitter) and jitter >= 0):
            raise ValueError(f"jitter is a finite number >= 0 (0.02 means 2 %), got {jitter}")
        if (num_replicas is None) != (rank is None):
            raise ValueError(
                f"give num_replicas and rank together, or neither (then torch.distributed is "
                f"asked); got num_replicas={num_replicas}, rank={rank}"
            )
        if num_replicas is not None:
            num_replicas = _checked_int("num_replicas", num_replicas, minimum=1)
            if (rank := _checked_int("rank", rank, minimum=0)) >= num_replicas:
                allowed = f"0..{num_replicas - 1}"
                raise ValueError(f"rank is in {allowed} with {num_replicas} ranks, got {rank}")
        self.max_batch_s = max_batch_s
        self.max_batch_items = max_batch_items
        self.shuffle = bool(shuffle)
        self.seed = _checked_int("seed", seed, minimum=0)
        self.jitter = float(jitter)
        self.equal_batches = bool(equal_batches)
        self.ascending_epochs = _checked_int("ascending_epochs", ascending_epochs, minimum=0)
        self.epoch = 0
        self._explicit_world = None if num_replicas is None else (num_replicas, rank)
        self._plan_of: tuple[int, int] | None = None
        self._plan = None

        # The number of batches is fixed here, once for all epochs: schedulers and progress bars
        # may rely on it. The noise makes it differ by one or two from draw to draw.
        self._num_batches = max(
            len(self._compose(_PROBE, number)[1]) - 1
            for number in range(_NUM_PROBES if self.shuffle else 1)
        )
        if self._explicit_world is not None:
            self._num_planned_batches(num_replicas)
        self._warn_about_long_clips()

    @property
    def num_replicas(self) -> int:
        """Number of ranks that share the clips."""
        return self._world()[0]

    @property
    def rank(self) -> int:
        """The rank whose batches are yielded, from 0."""
        return self._world()[1]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; call it before the DataLoader is iterated, also after a resume."""
        self.epoch = _checked_int("epoch", epoch, minimum=0)

    def __iter__(self) -> Iterator[list[int]]:
        # Not a generator function: epoch and rank are those of the call, not of the first next().
        order, edges, mine = self._rank_plan()
        return (order[edges[i] : edges[i + 1]].tolist() for i in mine)

    def __len__(self) -> int:
        """Number of batches of this rank; with ``equal_batches`` the same in every epoch."""
        if self.equal_batches:
            return self._num_planned_batches(self.num_replicas) // self.num_replicas
        return len(self._rank_plan()[2])

    def _world(self) -> tuple[int, int]:
        if self._explicit_world is not None:
            return self._explicit_world
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_world_size(), torch.distributed.get_rank()
        return 1, 0

    def _num_planned_batches(self, num_replicas: int) -> int:
        """Batches of an epoch over all ranks, a multiple of their number with equal_batches."""
        num_items, num_batches = len(self._durations_s), self._num_batches
        planned = -(-num_batches // num_replicas) * num_replicas
        if not self.equal_batches:
            return num_batches
        if planned > num_items:
            raise ValueError(
                f"{num_items} clips cannot be shared equally by {num_replicas} ranks: within the "
                f"limits (max_batch_s={self.max_batch_s}, max_batch_items={self.max_batch_items}) "
                f"they need {num_batches} batches, and the next multiple of {num_replicas} is "
                f"{planned}. Use fewer ranks, allow larger batches, or for evaluation "
                "equal_batches=False"
            )
        return planned

    def _rank_plan(self) -> tuple[np.ndarray, list[int], list[int]]:
        """Order of the clips, edges of all batches in it, and which batches this rank takes."""
        num_replicas, rank = self._world()
        if self._plan_of != (self.epoch, num_replicas):
            self._plan = self._draw_plan(num_replicas)
            self._plan_of = (self.epoch, num_replicas)
        order, edges, dealt = self._plan
        mine = dealt[:, rank]
        return order, edges, mine[mine >= 0].tolist()

    def _draw_plan(self, num_replicas: int) -> tuple[np.ndarray, list[int], np.ndarray]:
        """One epoch for all ranks; `dealt[step, rank]` is a batch number, or -1 for none."""
        planned = self._num_planned_batches(num_replicas)
        order, edges, rng = self._compose(_EPOCH, self.epoch)
        edges = self._even_out(order, edges, planned, num_replicas if self.equal_batches else 1)
        num_batches = len(edges) - 1
        num_steps = -(-num_batches // num_replicas)
        dealt = np.full(num_steps * num_replicas, -1)
        dealt[:num_batches] = np.arange(num_batches)
        dealt = dealt.reshape(num_steps, num_replicas)
        if self.shuffle:
            # Within a group too: else rank 0 would always get the longest clips.
            within = np.argsort(rng.random(dealt.shape), axis=1)
            dealt = np.take_along_axis(dealt, within, axis=1)
            # Batches were cut from the longest clips to the shortest.
            curriculum = 0 < self.epoch <= self.ascending_epochs
            dealt = dealt[::-1] if curriculum else dealt[np.argsort(rng.random(num_steps))]
        return order, edges, dealt

    def _compose(self, stream: int, number: int) -> tuple[np.ndarray, list, np.random.Generator]:
        """Sort by disturbed duration, longest first, and cut into at most the fixed number."""
        log_durations = np.log(self._durations_s)
        if not self.shuffle:
            order = np.argsort(-log_durations, kind="stable")
            return order, self._cut(order), np.random.default_rng(self.seed)
        for draw in range(_NUM_DRAWS + 1):
            rng = np.random.default_rng([self.seed, stream, number, draw])
            jitter = 0.0 if draw == _NUM_DRAWS else self.jitter * 0.5**draw
            noise = rng.uniform(-1.0, 1.0, len(log_durations))
            order = np.lexsort((noise, -(log_durations + jitter * noise)))
            edges = self._cut(order)
            # Taking the clips exactly sorted needs the fewest batches of all, so the last draw
            # always fits.
            if stream == _PROBE or len(edges) - 1 <= self._num_batches:
                break
        return order, edges, rng

    def _cut(self, order: np.ndarray, max_batch_s: float | None = None) -> list[int]:
        """Cut greedily where the next clip would break a limit; edges include 0 and the end."""
        if max_batch_s is None:
            max_batch_s = math.inf if self.max_batch_s is None else self.max_batch_s
        limit_s = max_batch_s * (1 + _ROUNDING)
        limit_items = len(order) if self.max_batch_items is None else self.max_batch_items
        edges, count, longest_s = [0], 0, 0.0
        # A plain loop: 0.1 s for a million clips, and nothing vectorises a running restart.
        for i, duration_s in enumerate(self._durations_s[order].tolist()):
            with_it_s = duration_s if duration_s > longest_s else longest_s
            if count and (count == limit_items or (count + 1) * with_it_s > limit_s):
                edges.append(i)
                count, longest_s = 1, duration_s
            else:
                count, longest_s = count + 1, with_it_s
        edges.append(len(order))
        return edges

    def _even_out(
        self, order: np.ndarray, edges: list[int], num_batches: int, num_replicas: int
    ) -> list[int]:
        """Cut the shortest clips again, evenly, so that there are exactly `num_batches`."""
        num_now = len(edges) - 1
        missing = num_batches - num_now
        # A last batch of one clip is evened out as well: batch normalisation fails on it.
        lonely = num_now > 1 and edges[-1] - edges[-2] == 1 and self.max_batch_items != 1
        # And over several ranks: whoever gets the greedy remainder would only wait for the others.
        if not missing and not lonely and num_replicas == 1:
            return edges
        # Take whole groups of ranks, enough that the new batches are not much smaller.
        num_tail = num_now % num_replicas or num_replicas
        while num_tail < num_now and (
            num_tail < max(2, 3 * missing) or len(order) - edges[-1 - num_tail] < num_tail + missing
        ):
            num_tail += num_replicas
        num_tail = min(num_tail, num_now)
        start = edges[-1 - num_tail]
        tail = order[start:]
        recut = self._cut_evenly(tail, edges[-1 - num_tail :], num_tail + missing)
        return edges[: -1 - num_tail] + [start + edge for edge in recut]

    def _cut_evenly(self, tail: np.ndarray, edges: list[int], num_parts: int) -> list[int]:
        """Cut into exactly `num_parts`, with the least padded seconds in the largest of them."""
        durations_s = self._durations_s[tail]
        relative = np.asarray(edges) - edges[0]
        high_s = float(_padded_s(durations_s, relative).max())
        if self.max_batch_s is not None:  # a longer clip does not make room for others
            high_s = min(high_s, self.max_batch_s)
        low_s, best = 0.0, relative.tolist()
        for _ in range(16):  # to 2e-5 of the largest part
            middle_s = (low_s + high_s) / 2
            trial = self._cut(tail, middle_s)
            if len(trial) - 1 <= num_parts:
                high_s, best = middle_s, trial
            else:
                low_s = middle_s
        while len(best) - 1 < num_parts:
            sizes = np.diff(best)
            widest = int(sizes.argmax())
            bisect.insort(best, best[widest] + int(sizes[widest]) // 2)
        return best

    def _warn_about_long_clips(self) -> None:
        if self.max_batch_s is None:
            return
        limit_s = self.max_batch_s * (1 + _ROUNDING)
        num_long = int((self._durations_s > limit_s).sum())
        if num_long and self.rank == 0:
            logger.warning(
                f"{num_long} of {len(self._durations_s)} clips are longer than max_batch_s="
                f"{self.max_batch_s:g} s (the longest: {self._durations_s.max():g} s); each is a "
                "batch of its own"
            )


def _padded_s(durations_s: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Longest clip times number of clips, for each stretch between two edges."""
    return np.maximum.reduceat(durations_s, edges[:-1]) * np.diff(edges)


def _checked_durations(durations_s: Sequence[float]) -> np.ndarray:
    durations_s = np.asarray(durations_s, dtype=np.float64)
    if durations_s.ndim != 1 or len(durations_s) == 0:
        raise ValueError(
            f"durations_s is one duration per clip, at least one; got shape {durations_s.shape}"
        )
    wrong = np.flatnonzero(~(np.isfinite(durations_s) & (durations_s > 0)))
    if len(wrong):
        shown = first_of(f"clip {i}: {durations_s[i]} s" for i in wrong)
        raise ValueError(
            f"{len(wrong)} of {len(durations_s)} durations are not positive and finite ({shown}); "
            "leave those clips out or correct the manifest"
        )
    return durations_s


def _checked_int(name: str, value: int, minimum: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum:
        raise ValueError(f"{name} is a whole number >= {minimum}, got {value!r}")
    return number
