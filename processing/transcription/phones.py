"""The phones of TIMIT, their foldings to 48 and 39, and the convention of a phone error rate.

Three choices move a phone error rate on TIMIT by a point or more, so they belong to every result:

- The phone set. The corpus is labelled with 61 symbols; models are usually trained on 48 or 39 and
  scored on 39. ``TABLE`` is one row per symbol.
- The glottal stop ``q``, which the foldings have no class for. "delete" takes it out of both
  sides, whatever the set; "keep" leaves it as a symbol of its own, so that the sets 48 and 39 have
  49 and 40 symbols.
- Silence. "keep": a phone like every other. "collapse": a run of silences is one silence, also at
  the ends. "optional": a silence in either string that is not matched costs nothing
  (`auricle.processing.scoring.transcription.alignment` says how it is aligned).

A silence is ``sil``, and in the set of 61 the two symbols that the 48 call ``sil``: ``h#`` and
``pau``. In the set of 39 the closures (``bcl`` and others) and ``epi`` are ``sil`` as well and cannot
be told apart any more: fold first, then collapse.

The default is 39 phones, ``q`` deleted, silence kept. It is the convention in which the core test
set of 192 sentences has 7,215 reference tokens, and the development set 15,057.

References
----------
J. Garofolo et al., "TIMIT Acoustic-Phonetic Continuous Speech Corpus", LDC93S1, 1993 (symbols).
K.-F. Lee and H.-W. Hon, "Speaker-independent phone recognition using hidden Markov models", IEEE
Transactions on Acoustics, Speech and Signal Processing 37(11), 1989 (48 and 39 classes).
kaldi-asr/kaldi@ecce8e2, egs/timit/s5/conf/phones.60-48-39.map, whose three columns these are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from ..system.rules import choice

# 61, 48 and 39; "-": no class
TABLE = """
aa aa aa    ae ae ae    ah ah ah    ao ao aa    aw aw aw    ax ax ah    ax-h ax ah  axr er er
ay ay ay    b b b       bcl vcl sil ch ch ch    d d d       dcl vcl sil dh dh dh    dx dx dx
eh eh eh    el el l     em m m      en en n     eng ng ng   epi epi sil er er er    ey ey ey
f f f       g g g       gcl vcl sil h# sil sil  hh hh hh    hv hh hh    ih ih ih    ix ix ih
iy iy iy    jh jh jh    k k k       kcl cl sil  l l l       m m m       n n n       ng ng ng
nx n n      ow ow ow    oy oy oy    p p p       pau sil sil pcl cl sil  q - -       r r r
s s s       sh sh sh    t t t       tcl cl sil  th th th    uh uh uh    uw uw uw    ux uw uw
v v v       w w w       y y y       z z z       zh zh sh
"""

PHONE_SETS = (61, 48, 39)
SILENCE_RULES = ("keep", "collapse", "optional")
GLOTTAL_STOP_RULES = ("delete", "keep")
GLOTTAL_STOP = "q"


class UnknownPhone(ValueError):
    """A symbol that the phone set in use does not have."""


_cells = iter(TABLE.split())
_ROWS = tuple(zip(_cells, _cells, _cells, strict=True))
_SETS = {
    size: tuple(sorted({row[column] for row in _ROWS} - {"-", GLOTTAL_STOP}))
    for column, size in enumerate(PHONE_SETS)
}


def phones(phone_set: int = 39, glottal_stop: str = "delete") -> tuple[str, ...]:
    """The symbols of a phone set in alphabetical order.

    Arguments
    ---------
    phone_set : 61, 48 or 39.
    glottal_stop : "delete": without ``q`` (60, 48, 39 symbols); "keep": with it (61, 49, 40).

    Raises
    ------
    ValueError
        Another set or rule.

    Example
    -------
    >>> [len(phones(size)) for size in (61, 48, 39)], len(phones(61, "keep"))
    ([60, 48, 39], 61)
    """
    choice("phone_set", phone_set, PHONE_SETS)
    choice("glottal_stop", glottal_stop, GLOTTAL_STOP_RULES)
    extra = (GLOTTAL_STOP,) if glottal_stop == "keep" else ()
    return tuple(sorted(_SETS[phone_set] + extra))


def silences(phone_set: int = 39) -> tuple[str, ...]:
    """The symbols of a phone set that are silences, for the silence rule.

    Example
    -------
    >>> silences(61), silences(39)
    (('h#', 'pau'), ('sil',))
    """
    choice("phone_set", phone_set, PHONE_SETS)
    if phone_set != 61:
        return ("sil",)
    return tuple(sorted(source for source, middle, _ in _ROWS if middle == "sil"))


def folding(source: int = 61, target: int = 39, glottal_stop: str = "delete") -> MappingProxyType:
    """The mapping from every symbol of one phone set to a coarser one; None: the symbol is deleted.

    ``q`` is among the keys for every source set, because a transcript of 48 or 39 symbols may
    have kept it.

    Arguments
    ---------
    source, target : 61, 48 or 39; the target has as many symbols or fewer.
    glottal_stop : "delete" (``q`` gives None) or "keep" (``q`` gives ``q``).

    Raises
    ------
    ValueError
        Another set or rule, or a target finer than the source.

    Example
    -------
    >>> table = folding(61, 39)
    >>> table["zh"], table["tcl"], table["q"], folding(48, 39)["epi"]
    ('sh', 'sil', None, 'sil')
    """
    choice("source", source, PHONE_SETS)
    choice("target", target, PHONE_SETS)
    choice("glottal_stop", glottal_stop, GLOTTAL_STOP_RULES)
    if target > source:
        raise ValueError(
            f"{source} phones cannot be turned into {target}: a folding loses distinctions; take "
            f"transcripts of the {target} phones, or score with {source}"
        )
    return _build_folding(source, target, glottal_stop)


def fold(
    symbols: Iterable[str],
    source: int = 61,
    target: int = 39,
    glottal_stop: str = "delete",
    *,
    where: str = "",
) -> list[str]:
    """Phones of one set as phones of a coarser one, the glottal stop kept or deleted.

    Runs of silence stay runs: what becomes of them is `PhoneConvention`'s.

    Arguments
    ---------
    symbols : phones of the source set, in order.
    source, target, glottal_stop : as for `folding`.
    where : what to name in an error, such as the utterance or the file and line.

    Raises
    ------
    UnknownPhone
        A symbol that the source set does not have, named with its position and `where`.

    Example
    -------
    >>> fold("h# sh ix q ae tcl t h#".split())
    ['sil', 'sh', 'ih', 'ae', 'sil', 't', 'sil']
    """
    table = folding(source, target, glottal_stop)
    folded = []
    for position, symbol in enumerate(symbols):
        if not is_token(symbol) or symbol not in table:
            name = f"the {source} phones of TIMIT"
            raise UnknownPhone(_unknown(symbol, position, name, table, where))
        if table[symbol] is not None:
            folded.append(table[symbol])
    return folded


def collapse_runs(symbols: Sequence[str], silent: Iterable[str] = ("sil",)) -> list[str]:
    """Every run of silences as its first one; silences at the ends stay.

    Example
    -------
    >>> collapse_runs(["sil", "sil", "ae", "ae", "sil", "t"])
    ['sil', 'ae', 'ae', 'sil', 't']
    """
    silent, pairs = frozenset(silent), zip([None, *symbols], symbols, strict=False)
    return [symbol for before, symbol in pairs if not {before, symbol} <= silent]


@dataclass(frozen=True)
class PhoneConvention:
    """What a phone error rate rests on: the set, the silence rule and the glottal-stop rule.

    `PhoneConvention.timit` makes those of TIMIT. For other phones give a name of their own, the
    symbols and those that are silences.

    Arguments
    ---------
    phone_set : the name of the set, which every result carries ("timit39").
    symbols : the symbols there are, all different.
    silent : the symbols that are silences, each among the symbols.
    silence : "keep", "collapse" or "optional".
    glottal_stop : "delete" or "keep" for ``q``; None: the set has no such rule.

    Raises
    ------
    ValueError
        No name, repeated symbols, a silence that is not a symbol, another rule.

    Example
    -------
    >>> convention = PhoneConvention.timit(39, silence="collapse")
    >>> convention.prepare(["sil", "sil", "q", "ae"])
    ['sil', 'ae']
    >>> convention.describe()
    {'phone_set': 'timit39', 'silence_rule': 'collapse', 'glottal_stop': 'delete'}
    """

    phone_set: str
    symbols: tuple[str, ...]
    silent: tuple[str, ...] = ()
    silence: str = "keep"
    glottal_stop: str | None = None

    def __post_init__(self):
        if not isinstance(self.phone_set, str) or not self.phone_set:
            raise ValueError(f"phone_set must be the name of the set, got {self.phone_set!r}")
        for name in ("symbols", "silent"):
            values = getattr(self, name)
            if isinstance(values, str):
                raise ValueError(f"{name} must be a list of symbols, got the string {values!r}")
            object.__setattr__(self, name, tuple(values))
        wrong = [symbol for symbol in self.symbols if not is_token(symbol)]
        if wrong or not self.symbols:
            raise ValueError(
                f"symbols must be non-empty strings without spaces, got {wrong or 'none'}"
            )
        if len(set(self.symbols)) != len(self.symbols):
            repeated = sorted({s for s in self.symbols if self.symbols.count(s) > 1})
            raise ValueError(f"symbols must all be different, these repeat: {repeated}")
        strange = sorted(set(self.silent) - set(self.symbols))
        if strange:
            raise ValueError(f"these silences are no symbols of {self.phone_set}: {strange}")
        choice("silence", self.silence, SILENCE_RULES)
        if self.silence != "keep" and not self.silent:
            raise ValueError(
                f"silence is {self.silence!r}, and {self.phone_set} has no silences: name them in "
                "`silent`, or take 'keep'"
            )
        if self.glottal_stop is not None:
            choice("glottal_stop", self.glottal_stop, GLOTTAL_STOP_RULES)

    @classmethod
    def timit(
        cls, phone_set: int = 39, silence: str = "keep", glottal_stop: str = "delete"
    ) -> PhoneConvention:
        """A convention of TIMIT: 61, 48 or 39 phones and the two rules.

        Example
        -------
        >>> len(PhoneConvention.timit().symbols)
        39
        """
        return cls(
            phone_set=f"timit{phone_set}",
            symbols=phones(phone_set, glottal_stop),
            silent=silences(phone_set),
            silence=silence,
            glottal_stop=glottal_stop,
        )

    @property
    def optional(self) -> tuple[str, ...]:
        """The symbols that cost nothing where they are not matched."""
        return self.silent if self.silence == "optional" else ()

    def prepare(self, symbols: Iterable[str], *, where: str = "") -> list[str]:
        """The phones as they are scored: glottal stops deleted, then runs of silence collapsed.

        Doing it twice changes nothing.

        Raises
        ------
        UnknownPhone
            A symbol that the set does not have, named with its position and `where`.
        """
        known = set(self.symbols)
        deleted = {GLOTTAL_STOP} if self.glottal_stop == "delete" else set()
        kept = []
        for position, symbol in enumerate(symbols):
            if is_token(symbol) and symbol in known:
                kept.append(symbol)
            elif not is_token(symbol) or symbol not in deleted:
                name = f"the {len(known)} symbols of {self.phone_set}"
                raise UnknownPhone(_unknown(symbol, position, name, self.symbols, where))
        return collapse_runs(kept, self.silent) if self.silence == "collapse" else kept

    def describe(self) -> dict:
        """What a result says about its convention."""
        rules = {"silence_rule": self.silence, "glottal_stop": self.glottal_stop}
        return {"phone_set": self.phone_set, **rules}

    def state(self) -> dict:
        """The convention as plain strings and lists; ``PhoneConvention(**state)`` is equal to it."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def is_token(value) -> bool:
    """Whether a value can be one token of a transcript: a string without any white space.

    Example
    -------
    >>> is_token("ax-h"), is_token("a b"), is_token("")
    (True, False, False)
    """
    return isinstance(value, str) and value.split() == [value]


def _unknown(symbol, position: int, name: str, known: Iterable[str], where: str) -> str:
    lower = symbol.lower() if isinstance(symbol, str) else None
    hint = f"; {lower!r} is: write it in lower case" if lower in known else ""
    place = f"{where}: " if where else ""
    return f"{place}{symbol!r} (token {position + 1}) is not among {name}{hint}"


@functools.cache
def _build_folding(source: int, target: int, glottal_stop: str) -> MappingProxyType:
    columns = PHONE_SETS.index(source), PHONE_SETS.index(target)
    table = {row[columns[0]]: row[columns[1]] for row in _ROWS if row[0] != GLOTTAL_STOP}
    table[GLOTTAL_STOP] = GLOTTAL_STOP if glottal_stop == "keep" else None
    return MappingProxyType(table)
