"""Divide recordings into training, validation and test: given, by folds, or drawn by groups."""

from collections import Counter
from collections.abc import Mapping

from ...processing.system.listing import first_of
from ..training.group_splits import draw_splits
from ..training.preparation import PreparationError
from .corpus import Corpus

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
