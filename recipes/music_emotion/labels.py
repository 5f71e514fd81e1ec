"""Compare static with dynamic labels in blocks of ids, and exchange valence and arousal back.

DEAM's static table has valence and arousal exchanged for ids up to 1000: there its valence column
goes with the mean dynamic arousal (and with the arousal of EmoMusic, whose songs these are, with a
correlation of 0.9998), and its arousal column with valence. Nobody who trains on the table as it is
trains on valence and arousal.
"""

from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from ..training.preparation import PreparationError

# First and last id of what DEAM collected in one year; the first block is EmoMusic's.
BLOCKS = ((1, 1000), (1001, 2000), (2001, None))
MIN_SONGS = 8
MIN_DIFFERENCE = 0.1
"""By how much one reading has to agree better than the other, in mean correlation."""


@dataclass(frozen=True)
class BlockAgreement:
    """Correlations over the songs of a block that have both kinds of labels.

    Attributes
    ----------
    first, last : int
        The ids; last is None for no end.
    songs : int
    correlation : dict
        {"valence": {"valence": r, "arousal": r}, "arousal": {...}}: static column, then dynamic.
        Empty with too few songs.
    verdict : str
        "straight", "exchanged", "undecided", or "too few songs".
    """

    first: int
    last: int | None
    songs: int
    correlation: dict
    verdict: str

    @property
    def name(self):
        return f"{self.first}-{self.last}" if self.last else f"from {self.first}"

    @property
    def mean_correlation(self):
        """(as the columns are named, exchanged)."""
        r = self.correlation
        return (
            (r["valence"]["valence"] + r["arousal"]["arousal"]) / 2,
            (r["valence"]["arousal"] + r["arousal"]["valence"]) / 2,
        )


def check_agreement(corpus):
    """Correlate static with mean dynamic labels in each block of ids.

    Arguments
    ---------
    corpus : Corpus
        As `read_corpus` gives; static labels as the table says.

    Returns
    -------
    list of BlockAgreement
        Only blocks that have songs; data sets other than DEAM are one block.
    """
    blocks = BLOCKS if corpus.dataset == "DEAM" else ((1, None),)
    agreements = []
    for first, last in blocks:
        labels = [
            (*song.static, *(fmean(song.dynamic[d].values()) for d in ("valence", "arousal")))
            for song in corpus.songs.values()
            if first <= int(song.id) <= (last or int(song.id))
            and song.static
            and song.dynamic.get("valence")
            and song.dynamic.get("arousal")
        ]
        if labels:
            agreements.append(_agreement(first, last, np.array(labels)))
    return agreements


def _agreement(first, last, labels):
    if len(labels) < MIN_SONGS:
        return BlockAgreement(first, last, len(labels), {}, "too few songs")
    static, dynamic = labels[:, :2], labels[:, 2:]
    names = ("valence", "arousal")
    correlation = {
        a: {b: _pearson(static[:, i], dynamic[:, j]) for j, b in enumerate(names)}
        for i, a in enumerate(names)
    }
    block = BlockAgreement(first, last, len(labels), correlation, "undecided")
    straight, exchanged = block.mean_correlation
    if abs(straight - exchanged) < MIN_DIFFERENCE:
        return block
    return replace(block, verdict="straight" if straight > exchanged else "exchanged")


def _pearson(x, y):
    """Correlation; 0 where one of the two never changes."""
    x, y = x - x.mean(), y - y.mean()
    power = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / power if power > 1e-12 else 0.0


def describe_agreement(blocks):
    """A table, one line per block."""
    lines = [
        "Pearson correlation of static labels with the mean of dynamic ones",
        f"{'ids':<12}{'songs':>6}   {'V with V':>9}{'A with A':>9}   {'V with A':>9}{'A with V':>9}"
        "   verdict",
    ]
    for block in blocks:
        r = block.correlation
        numbers = (
            f"{r['valence']['valence']:>9.3f}{r['arousal']['arousal']:>9.3f}   "
            f"{r['valence']['arousal']:>9.3f}{r['arousal']['valence']:>9.3f}"
            if r
            else " " * 39
        )
        lines.append(f"{block.name:<12}{block.songs:>6}   {numbers}   {block.verdict}")
    return "\n".join(lines)


def decide_exchange(corpus, setting):
    """Whether DEAM's static labels of ids up to 1000 have to be exchanged back.

    Arguments
    ---------
    corpus : Corpus
    setting : "auto", True or False
        auto asks `check_agreement`.

    Returns
    -------
    (bool, str)
        The decision and what it rests on.

    Raises
    ------
    PreparationError
        auto cannot tell, or another block disagrees as well.
    """
    first, last = BLOCKS[0]
    if corpus.dataset != "DEAM":
        return False, f"{corpus.dataset} is not DEAM: labels as its table names them"
    if setting != "auto":
        return setting, f"swap_2013_static is {str(setting).lower()}"
    labelled = [song for song in corpus.songs.values() if song.static and int(song.id) <= last]
    if not labelled:
        return False, f"no song up to {last} has a static label"
    blocks = {block.first: block for block in check_agreement(corpus)}
    block = blocks.get(first)
    if block is None or block.verdict not in ("straight", "exchanged"):
        why = "there are no dynamic labels" if block is None else block.verdict
        raise PreparationError(
            f"swap_2013_static auto cannot tell whether valence and arousal of the static labels are "
            f"exchanged for ids up to {last} ({why}). DEAM as published needs true; a table that was "
            "put right needs false."
        )
    straight, exchanged = block.mean_correlation
    return block.verdict == "exchanged", (
        f"static and dynamic labels of {block.songs} songs up to {last} correlate by "
        f"{straight:.3f} as named and by {exchanged:.3f} exchanged"
    )


def exchange(corpus):
    """Exchange valence and arousal of the static labels of ids up to 1000, in place."""
    _, last = BLOCKS[0]
    for song in corpus.songs.values():
        if song.static and int(song.id) <= last:
            song.static = (song.static[1], song.static[0])
