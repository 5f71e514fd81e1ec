"""Transcripts to align: phones, words with a lexicon, or text, as the units of a bundle."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...processing.system.files import text_lines
from ...processing.transcription.phones import PHONE_SETS, folding, silences
from ...processing.transcription.segments import read_segments
from ...processing.transcription.spoken_text import spoken_text
from ...processing.transcription.units import Units
from .input_files import check_readable

FILES = (".phn", ".wrd", ".txt")
_IF_WORDS = (
    "if these are words, give --lexicon FILE with a line 'WORD PHONE ...' for each, or a .PHN file"
)
_SPACE, _WORD_BEGIN = "|", "\N{LOWER ONE EIGHTH BLOCK}"


@dataclass
class Transcript:
    """Units to align.

    Attributes
    ----------
    indices : list of int
        Units of the bundle.
    labels : list of str
        What each is called in the result, as it was given.
    word_of : list of int or None
        Which word each belongs to, None: to none (a silence, a space).
    words : list of str
    left_out : list of str
        Symbols that are no unit of the bundle by its convention: the glottal stop.
    """

    indices: list[int]
    labels: list[str]
    word_of: list[int | None]
    words: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def transcript_of(units: Units, text: str, lexicon: str | os.PathLike | None = None) -> Transcript:
    """A transcript as a user writes it: phones, words, or a .PHN, .WRD or .TXT file of TIMIT.

    Arguments
    ---------
    units : of the bundle.
    text : the text, or the path of a file with one of these suffixes.
    lexicon : file of words and their phones; with it the text is words.

    Raises
    ------
    ValueError
        An empty transcript; a symbol or a word that is not known, by name; a file of times that
        does not fit the units.
    OSError
        No such file.
    """
    suffix = Path(text).suffix.lower() if len(text.split()) == 1 else ""
    where = text if suffix in FILES else "the transcript"
    is_phones = units.scored_as == "phone"
    if lexicon is not None:
        check_readable(lexicon, "a lexicon, a line 'WORD PHONE ...' per word")
    if suffix in FILES:
        check_readable(text, "a .PHN, .WRD or .TXT file of TIMIT")
        segments = read_segments(text)
        text = " ".join(segment.text for segment in segments)
        if suffix == ".phn" and not is_phones:
            raise ValueError(
                f"{where}: holds phones, and the bundle knows {units.kind}: give words"
            )
        if suffix != ".phn" and is_phones and lexicon is None:
            raise ValueError(
                f"{where}: holds words, and the bundle knows phones: give its .PHN file, or "
                "--lexicon FILE with a line 'WORD PHONE ...' for each word"
            )
    if not text.split():
        raise _empty(where)
    if not is_phones:
        if lexicon is not None:
            raise ValueError(f"a lexicon is for bundles of phones, and this one knows {units.kind}")
        return from_text(units, text, where)
    if lexicon is not None and suffix != ".phn":
        return from_words(units, spoken_text({"text": text}).split(), read_lexicon(lexicon), where)
    return from_phones(units, text.split(), where)


def from_phones(
    units: Units, symbols: Sequence[str], where: str = "the transcript", cure: str = _IF_WORDS
) -> Transcript:
    """Phones of the 61, 48 or 39, each folded to what the bundle knows.

    Where the bundle was trained on runs of silence collapsed, a run is one silence. `cure` is what
    to do about a symbol that is none.

    Raises
    ------
    ValueError
        A symbol that is in no set, or only in one coarser than the bundle's, by name.

    Example
    -------
    >>> units = Units.build("phones39", [{"id": "u"}])
    >>> transcript = from_phones(units, "h# sh ix q".split())
    >>> transcript.labels, [units.labels[i] for i in transcript.indices], transcript.left_out
    (['h#', 'sh', 'ix'], ['sil', 'sh', 'ih'], ['q'])
    """
    pairs, left_out = [], []
    for position, symbol in enumerate(symbols, start=1):
        phone = _fold(units, symbol, f"{where}: {symbol!r} (token {position})", cure)
        if phone is None:
            left_out.append(symbol)
        else:
            pairs.append((phone, symbol))
    if units.silence_rule == "collapse":
        silent = silences(units.phone_set)
        before = [None, *(phone for phone, _ in pairs)]
        pairs = [
            pair
            for previous, pair in zip(before, pairs, strict=False)
            if not (pair[0] in silent and previous in silent)
        ]
    if not pairs:
        raise _empty(where)
    return Transcript(
        [units.labels.index(phone) for phone, _ in pairs],
        [symbol for _, symbol in pairs],
        [None] * len(pairs),
        left_out=left_out,
    )


def _fold(units: Units, symbol: str, named: str, cure: str) -> str | None:
    for source in PHONE_SETS:
        if source >= units.phone_set:
            table = folding(source, units.phone_set, units.glottal_stop)
            if symbol in table:
                return table[symbol]
    if symbol in _all_symbols():
        raise ValueError(
            f"{named} is a phone of a set that is coarser than the bundle's {units.kind}, and "
            f"stands for several of its units: write it as one of the {units.phone_set}"
        )
    lower = symbol.lower()
    if lower in _all_symbols():
        cure = f"{lower!r} is: write it in lower case"
    raise ValueError(f"{named} is none of TIMIT's 61, 48 or 39 phones; {cure}")


def _all_symbols() -> set[str]:
    """Of all three sets, the glottal stop included."""
    return {symbol for source in PHONE_SETS for symbol in folding(source, 39, "keep")}


def _empty(where: str) -> ValueError:
    named = "" if where == "the transcript" else f"{where}: "
    return ValueError(f"{named}the transcript is empty, there is nothing to align")


def from_words(
    units: Units,
    words: Sequence[str],
    lexicon: Mapping[str, Sequence[str]],
    where: str = "the transcript",
) -> Transcript:
    """Words by their phones in a lexicon, with a silence at the beginning and at the end.

    Raises
    ------
    ValueError
        Words that the lexicon does not have, all of them by name.
    """
    missing = sorted({word for word in words if word not in lexicon})
    if missing:
        raise ValueError(
            f"{where}: not in the lexicon: {', '.join(missing)}; add a line 'WORD PHONE ...' for each"
        )
    if not words:
        raise _empty(where)
    silence = silences(units.phone_set)[0]
    symbols, word_of = [silence], [None]
    for number, word in enumerate(words):
        # Each word for itself: what is left out of one is not to shift the words behind it.
        phones = from_phones(
            units, lexicon[word], f"the lexicon, word {word!r}", "mend that line of the lexicon"
        )
        symbols += phones.labels
        word_of += [number] * len(phones.labels)
    symbols.append(silence)
    word_of.append(None)
    transcript = from_phones(units, symbols, where)
    if len(transcript.labels) == len(word_of):
        transcript.word_of, transcript.words = word_of, list(words)
        return transcript
    raise ValueError(
        f"{where}: a word of the lexicon begins or ends in a silence, which the bundle does not "
        "tell from the silence beside it"
    )


def from_text(units: Units, text: str, where: str = "the transcript") -> Transcript:
    """Text as characters or subwords.

    Raises
    ------
    ValueError
        Nothing spoken in it; phones; a character that the bundle has not seen in training, by name.
    """
    tokens = text.split()
    # One token may well be a word ("ah"); a sentence of phones' names is none.
    if len(tokens) > 1 and _all_symbols().issuperset(tokens):
        raise ValueError(
            f"{where}: holds phones ({' '.join(tokens[:4])} ...), and the bundle knows {units.kind}: "
            "give words"
        )
    row = {"id": where, "text": text}
    spoken = spoken_text(row)
    if not spoken:
        raise _empty(where)
    alphabet = {character for label in units.labels[2:] for character in label} | {" "}
    if unknown := sorted(set(spoken) - alphabet):
        raise ValueError(
            f"{where}: the bundle does not know {', '.join(map(repr, unknown))}: it was trained on "
            f"{units.kind} of other transcripts"
        )
    indices = units.encode(row)
    labels = [units.labels[index] for index in indices]
    word_of: list[int | None] = []
    number = 0 if units.kind == "char" else -1
    for label in labels:
        if units.kind == "char":
            number += label == " "
            word_of.append(None if label == " " else number)
        else:
            number += label.startswith(_WORD_BEGIN)
            word_of.append(number)
    return Transcript(indices, [_SPACE if x == " " else x for x in labels], word_of, spoken.split())


def read_lexicon(path: str | os.PathLike) -> dict[str, list[str]]:
    """{word: phones} from lines ``WORD PHONE PHONE ...``; the first pronunciation of a word counts.

    Words are in lower case; stress digits (``AH0``) and numbers of variants (``A(2)``) are dropped;
    lines that begin with ``;;;`` or ``#`` are comments.

    Raises
    ------
    ValueError
        A line without a phone, or no word at all.
    """
    lexicon: dict[str, list[str]] = {}
    for number, line in text_lines(path):
        if line.startswith((";;;", "#")):
            continue
        fields = line.split()
        word = re.sub(r"\(\d+\)$", "", fields[0]).lower()
        phones = [symbol.lower().strip("/").rstrip("012") for symbol in fields[1:]]
        phones = [phone for phone in phones if phone]
        if not phones:
            raise ValueError(f"{path}, line {number}: {fields[0]!r} has no phones")
        lexicon.setdefault(word, phones)
    if not lexicon:
        raise ValueError(f"{path} holds no word")
    return lexicon
