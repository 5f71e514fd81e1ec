"""Draw training, validation and test recordings: alike for every label, never dividing a group."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Grouped:
    """What a draw has to know of a recording; others with these attributes will do.

    Attributes
    ----------
    id : unique.
    path : of its file; parts of one file stay together.
    labels : what should be spread alike.
    group : "" where it is not known.
    """

    id: str
    path: str
    labels: tuple[str, ...] = ()
    group: str = ""


def draw_splits(
    sounds: Sequence[Grouped], same: Mapping[str, str], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Draw the split of each recording, alike for every label, and never divide a group.

    Largest groups first, each goes where its labels are missing most. A label of enough groups is
    in every split, however rare it is.

    Arguments
    ---------
    same : a key that further recordings share which must not be divided, by id.
    shares : by split, with the sum 1; training first, test last.

    Example
    -------
    >>> names = [(f"{label}{i}", label) for label in "ab" for i in range(10)]
    >>> sounds = [Grouped(name, name, (label,)) for name, label in names]
    >>> drawn = draw_splits(sounds, {}, {"train": 0.6, "valid": 0.2, "test": 0.2}, 0)
    >>> sorted(Counter(drawn.values()).items())
    [('test', 4), ('train', 12), ('valid', 4)]
    """
    units = list(_units(sounds, same).values())

    def rank(unit):
        name = min(sound.id for sound in unit)
        return -len(unit), hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()

    counts = [Counter(label for sound in unit for label in sound.labels or ("",)) for unit in units]
    total, spread = Counter(), Counter()
    for count in counts:
        total += count
        spread.update(count.keys())
    missing = {}
    for number, (split, share) in enumerate(list(shares.items())[:0:-1], start=2):
        # A label of few groups has one in the test set, or of more in the validation set, too.
        least = {label: total[label] / spread[label] * (spread[label] >= number) for label in total}
        missing[split] = {label: max(share * n, least[label]) for label, n in total.items()}
    others = list(missing.values())
    first = next(iter(shares))
    rest = {label: n - sum(other[label] for other in others) for label, n in total.items()}
    missing = {first: rest, **missing}
    splits = {}
    order = sorted(range(len(units)), key=lambda place: rank(units[place]))
    for place in order:
        count = counts[place]
        need = {
            split: sum(n * missing[split][label] / total[label] for label, n in count.items())
            for split in missing
        }
        chosen = max(need, key=need.get)
        for label, n in count.items():
            missing[chosen][label] -= n
        splits |= {sound.id: chosen for sound in units[place]}
    return splits


def _units(sounds: Sequence[Grouped], same: Mapping[str, str]) -> dict[str, list[Grouped]]:
    """Recordings that stay together: of one group, of one file, or identical."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for sound in sounds:
        keys = [f"group {sound.group}"] if sound.group else []
        keys += [f"file {sound.path}", f"same {same.get(sound.id, sound.id)}"]
        for key in keys[1:]:
            parent[root(key)] = root(keys[0])
    units = defaultdict(list)
    for sound in sounds:
        units[root(f"file {sound.path}")].append(sound)
    return units
