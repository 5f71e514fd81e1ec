"""Divide recordings into training, validation and test: given, by folds, or drawn by groups."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ...processing.system.listing import first_of
from ..training.preparation import PreparationError
from .corpus import Corpus, Sound

PROTOCOLS = ("auto", "given", "folds", "random")


def protocol_of(corpus: Corpus, protocol: str) -> str:
    """ "given", "folds" or "random": what is asked for, or for "auto" the first that is known.

    Raises
    ------
    PreparationError
        Recordings without the split or the fold that the protocol needs.
    """
    columns = {"given": "split", "folds": "fold"}
    known = {
        name: [sound for sound in corpus.sounds if getattr(sound, column)]
        for name, column in columns.items()
    }
    if protocol == "auto":
        protocol = next((name for name in columns if known[name]), "random")
    if protocol in columns and len(known[protocol]) < len(corpus.sounds):
        column = columns[protocol]
        without = [sound.id for sound in corpus.sounds if not getattr(sound, column)]
        raise PreparationError(
            f"protocol {protocol} needs the {column} of every recording, and {corpus.source} gives "
            f"none for {len(without)} of {len(corpus.sounds)}: {first_of(without)}. Fill the column "
            f"{column} of the table, let name_pattern find it, or take --protocol random"
        )
    if protocol == "folds" and len(fold_names(corpus)) < 2:
        raise PreparationError(
            f"protocol folds needs at least 2 folds, and {corpus.source} has only "
            f"{first_of(fold_names(corpus))}: give every recording its fold, or take --protocol "
            "random"
        )
    return protocol


def fold_names(corpus: Corpus) -> list[str]:
    """The folds, numbers in their order."""
    folds = {sound.fold for sound in corpus.sounds if sound.fold}
    return sorted(folds, key=lambda name: (not name.isdecimal(), name.zfill(9)))


def split_corpus(
    corpus: Corpus,
    protocol: str,
    fold: str | None,
    same: Mapping[str, str],
    shares: tuple[float, float],
    seed: int,
) -> dict[str, str]:
    """Split of each recording by id.

    Arguments
    ---------
    protocol : as `protocol_of` gives it.
    fold : of protocol folds, the one that is tested on.
    same : what identical recordings share, by id; they are never divided by a draw.
    shares : of the recordings in validation and test, where these are drawn.
    seed : of the draw; the same recordings give the same splits in any order.

    Raises
    ------
    PreparationError
        A fold that is not there; no recording for training or for test.
    """
    valid_share, test_share = shares
    sounds = corpus.sounds
    if protocol == "random":
        drawn = {"train": 1 - valid_share - test_share, "valid": valid_share, "test": test_share}
        return draw_splits(sounds, same, drawn, seed)
    if protocol == "folds":
        names = fold_names(corpus)
        if fold not in names:
            raise PreparationError(f"fold is {fold!r}; {corpus.source} has {', '.join(names)}")
        splits = {sound.id: "test" if sound.fold == fold else "train" for sound in sounds}
    else:
        splits = {sound.id: sound.split for sound in sounds}
    counts = Counter(splits.values())
    if absent := [name for name in ("train", "test") if not counts[name]]:
        raise PreparationError(
            f"{corpus.source} gives no recording of {' and '.join(absent)} (it gives "
            f"{', '.join(f'{n} of {name}' for name, n in counts.items())}): give some, or take "
            "--protocol random"
        )
    if not counts["valid"]:
        rest = [sound for sound in sounds if splits[sound.id] == "train"]
        drawn = {"train": 1 - valid_share, "valid": valid_share}
        splits |= draw_splits(rest, same, drawn, seed)
    return splits


def draw_splits(
    sounds: Sequence[Sound], same: Mapping[str, str], shares: Mapping[str, float], seed: int
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
    >>> sounds = [Sound(f"{i}.wav", (label,)) for label in "ab" for i in range(10)]
    >>> sounds = [Sound(f"{s.labels[0]}{s.path}", s.labels) for s in sounds]
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


def _units(sounds: Sequence[Sound], same: Mapping[str, str]) -> dict[str, list[Sound]]:
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


def divided(sounds: Sequence[Sound], splits: Mapping[str, str], key) -> dict[str, list[Sound]]:
    """Recordings by key, for keys that are in more than one split; "" is no key."""
    by_key = defaultdict(list)
    for sound in sounds:
        if key(sound):
            by_key[key(sound)].append(sound)
    return {
        name: members
        for name, members in by_key.items()
        if len({splits[sound.id] for sound in members}) > 1
    }
