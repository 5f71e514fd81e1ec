"""Find what two splits share, recordings by their content and speakers by name, and count it."""

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ...processing.data.manifest import SPLITS
from ...processing.system.files import file_digest
from ...processing.system.listing import first_of
from .preparation import PreparationError


class Item(NamedTuple):
    """A recording: its split, its speaker and a digest of what is heard ("": not known)."""

    id: str
    split: str
    speaker: str = ""
    content: str = ""


def find_shared(items: Iterable[Item]) -> dict[tuple[str, str, str], list[str]]:
    """Recordings of training and validation that a later split has as well.

    Returns
    -------
    dict from (split, later split, "recordings" or "speakers") to the ids in the first, sorted. Each
    recording is counted once: with the test before validation, as a recording before its speaker.

    Example
    -------
    >>> find_shared([Item("a", "train", "x", "1"), Item("b", "test", "y", "1")])
    {('train', 'test', 'recordings'): ['a']}
    """
    items = list(items)
    known = {split: (set(), set()) for split in SPLITS}
    for item in items:
        contents, speakers = known[item.split]
        contents.add(item.content)
        speakers.add(item.speaker)
    shared: dict[tuple[str, str, str], list[str]] = {}
    for item in items:
        for later in SPLITS[:0:-1]:
            if SPLITS.index(later) <= SPLITS.index(item.split):
                continue
            contents, speakers = known[later]
            if item.content and item.content in contents:
                what = "recordings"
            elif item.speaker and item.speaker in speakers:
                what = "speakers"
            else:
                continue
            shared.setdefault((item.split, later, what), []).append(item.id)
            break
    return {key: sorted(shared[key]) for key in sorted(shared)}


def leave_out_shared(
    items: Iterable[Item], skip_broken: bool, cause: str, is_published: bool = False
) -> tuple[set[str], dict[str, int]]:
    """Refuse what two splits share, or take it out of the earlier one, and count it.

    Arguments
    ---------
    items : all recordings, with the speakers that no two splits may share.
    skip_broken : whether to leave it out.
    cause : what has brought it there, and what else can be done; the middle of the error.
    is_published : whether the splits are complete and as published: then all is kept, as in every
        published result, and only counted.

    Returns
    -------
    Ids to leave out; the counts, in words, for the record and for results.

    Raises
    ------
    PreparationError
        Something is shared and neither left out nor published; nothing would be left of a split.
    """
    items = list(items)
    shared = find_shared(items)
    if not shared:
        return set(), {}
    listed = "".join(
        f"\n  {len(ids)} of {split}: {_REASONS[what].format(later)}, e.g. {first_of(ids)}"
        for (split, later, what), ids in shared.items()
    )
    if is_published:
        return set(), _counts(shared, _KEPT)
    left_out = {id for ids in shared.values() for id in ids}
    remaining = Counter(item.split for item in items if item.id not in left_out)
    if empty := [split for split in {item.split for item in items} if not remaining[split]]:
        raise PreparationError(
            f"nothing is left of {' and '.join(sorted(empty))}, for all of it is in another split "
            f"as well:{listed}\n{cause}"
        )
    if not skip_broken:
        raise PreparationError(
            f"what is trained on would be tested, or validated:{listed}\n{cause}, or leave these "
            "recordings out of training and validation, which the results then say: "
            "--skip_broken true"
        )
    return left_out, _counts(shared, "left out of {}")


def count_kept(items: Iterable[Item]) -> dict[str, int]:
    """What splits share and may share, as `leave_out_shared` counts it."""
    return _counts(find_shared(items), _KEPT)


def find_copies(
    paths: Iterable[str], originals: Iterable[str], num_workers: int | None = None
) -> Iterator[bool]:
    """Whether each file has the bytes of one of the originals; reads little of most.

    Arguments
    ---------
    paths : may be many; they are read in turn, a few KB of each that has an original's size.
    originals : fewer files.
    num_workers : threads that read.
    """
    by_probe = defaultdict(list)
    for path in originals:
        by_probe[_probe(path)].append(path)
    sizes = {size for size, _ in by_probe}

    def is_copy(path: str) -> bool:
        if os.path.getsize(path) not in sizes:
            return False
        same = by_probe.get(_probe(path), ())
        return any(file_digest(path) == file_digest(original) for original in same)

    paths = iter(paths)
    with ThreadPoolExecutor(num_workers or min(8, os.cpu_count() or 1)) as pool:
        while block := list(itertools.islice(paths, _BLOCK)):
            yield from pool.map(is_copy, block)


def _probe(path: str) -> tuple[int, bytes]:
    """Size of a file and some bytes of its middle, which few files share."""
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        file.seek(size // 2)
        return size, file.read(_PROBE_BYTES)


_BLOCK, _PROBE_BYTES = 10_000, 256
_KEPT = "kept in {}"
_REASONS = {"recordings": "identical recordings in {}", "speakers": "speakers of {}"}


def _counts(shared: Mapping[tuple[str, str, str], list[str]], done: str) -> dict[str, int]:
    return {
        f"{done.format(split)}: {_REASONS[what].format(later)}": len(ids)
        for (split, later, what), ids in shared.items()
    }
