"""Normalisation of transcripts: words in lower case without punctuation."""

import re
from collections.abc import Mapping


def spoken_text(row: Mapping) -> str:
    """What is said in a row, in lower case without punctuation: its words, or else its text.

    Example
    -------
    >>> spoken_text({"text": "Don't ask me - carry it!"})
    "don't ask me carry it"
    """
    text = row.get("words") or row.get("text") or ""
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    # A hyphen parts words; other punctuation is not spoken.
    kept = re.sub(r"[^\w\s']|_", " ", text)
    return " ".join(word for word in kept.split() if word.strip("'"))


def text_of(row: Mapping) -> str:
    """`spoken_text` of a row that must have some.

    Raises
    ------
    ValueError
        Nothing is said; the utterance is named.
    """
    text = spoken_text(row)
    if not text:
        raise ValueError(
            f"utterance {row['id']!r} has no words in its transcript: leave it out, mend it, or "
            "recognise phones"
        )
    return text
