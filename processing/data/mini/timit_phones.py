"""Convert espeak-ng's phones to TIMIT's 61 symbols with contiguous times."""

import numpy as np

from ...transcription.segments import Segment
from .espeak import SpeechEvent

_PAUSE, _EDGE = "pau", "h#"
_SHORTEST_PAUSE_S = 0.01
_SHORTEST_CLOSURE_S = 0.008
_SILENT_DB = -60.0

# espeak-ng's mnemonics for American English, without stress marks. A phone that TIMIT writes as two
# is divided as the shares say.
_PHONES = """
i: iy   i iy    I ih    I2 ix   I# ix   E eh    a ae    aa ae   A: aa   A aa    0 aa    O: ao
O ao    O2 ao   V ah    U uh    u: uw   u uw    3: er   3 axr   @ ax    @2 ax   @5 ax   a# ax
eI ey   aI ay   aU aw   OI oy   oU ow   @L el   n- en   m- em   @- ax
p p     t t     k k     b b     d d     g g     tS ch   dZ jh   t# dx   d# dx   t2 t    ? q
f f     v v     T th    D dh    s s     z z     S sh    Z zh    h hh    m m     n n     N ng
l l     r r     r- r    w w     w# w    j y
A@ aa+r         e@ eh+r         i@3 ih+r        o@ ao+r         O@ ao+r
U@ uh+r         i@ iy+ax        aI3 ay+axr      aI@ ay+ax
"""
_SHARE_OF_THE_FIRST = 0.6
_CLOSURES = {
    "p": "pcl", "t": "tcl", "k": "kcl", "b": "bcl", "d": "dcl", "g": "gcl", "ch": "tcl", "jh": "dcl"
}  # fmt: skip
_GLIDE = ";"  # an effect on the phone before it
_GLOTTAL = "_!"

_cells = iter(_PHONES.split())
_TABLE = {ours: theirs.split("+") for ours, theirs in zip(_cells, _cells, strict=True)}


def timit_phones(
    samples: np.ndarray, sample_rate_hz: int, events: list[SpeechEvent], offset_samples: int = 0
) -> list[Segment]:
    """The phones of a dry recording, from its edge of silence to the other.

    - A stop or affricate is a closure and a release. The closure is the silence before the
      release; where espeak-ng makes none, it is the beginning of the stop, up to where the sound
      rises most. After a pause there is no telling the closure from the pause: it is left out.
    - A pause is ``pau``; a short glottal one before a vowel is ``q``; the edges are ``h#``.
    - Of the 61 symbols, ax-h, eng, epi, hv, nx and ux have nothing here that gives them; em, en and
      q have, but General American makes little use of it.

    Arguments
    ---------
    samples : numpy.ndarray
        Dry speech: between words that do not follow each other at once there is silence.
    events : list[SpeechEvent]
        Its phones (words are passed over), in order, in samples of `samples`.
    offset_samples : int
        Added to all times but the first, which is 0: so much silence comes before the speech.

    Raises
    ------
    ValueError
        On a mnemonic that is not in the table, or when nothing is spoken.

    Example
    -------
    >>> pie = [SpeechEvent("phone", "p", 0, 400), SpeechEvent("phone", "'aI", 400, 3000)]
    >>> [tuple(row) for row in timit_phones(np.ones(3000), 16000, pie, offset_samples=1600)]
    [(0, 1600, 'h#'), (1600, 2000, 'p'), (2000, 4600, 'ay'), (4600, 6200, 'h#')]
    """
    spoken = _merge([event for event in events if event.kind == "phone"], sample_rate_hz)
    if not spoken:
        raise ValueError("there are no phones to write down")
    loud = np.abs(samples) > 10.0 ** (_SILENT_DB / 20.0) * np.max(np.abs(samples))
    phones: list[Segment] = []
    for i, (start, end, mnemonic) in enumerate(spoken):
        following = spoken[i + 1].text if i + 1 < len(spoken) else ""
        for piece in _divide(start, end, mnemonic, following):
            if piece.text == _PAUSE:  # it begins when the sound has ended
                silence = _end_of_sound(phones[-1], loud)
                phones[-1] = phones[-1]._replace(end_samples=silence)
                piece = piece._replace(start_samples=silence)
            phones += _release(phones, piece, samples, loud, sample_rate_hz)
    phones[-1] = phones[-1]._replace(end_samples=_end_of_sound(phones[-1], loud))
    first, last = phones[0].start_samples + offset_samples, phones[-1].end_samples + offset_samples
    moved = [Segment(a + offset_samples, b + offset_samples, text) for a, b, text in phones]
    edges = Segment(0, first, _EDGE), Segment(last, len(samples) + 2 * offset_samples, _EDGE)
    return [p for p in (edges[0], *moved, edges[1]) if p.end_samples > p.start_samples]


def timit_words(
    phones: list[Segment], events: list[SpeechEvent], offset_samples: int = 0
) -> list[Segment]:
    """The words of a recording in lower case, each from its first phone to its last.

    Arguments
    ---------
    phones : list[Segment]
        What `timit_phones` made of the same events and offset.

    Raises
    ------
    ValueError
        If a word has no phone of its own: espeak-ng speaks some pairs ("in the") as one word.

    Example
    -------
    >>> rows = [Segment(0, 400, "bcl"), Segment(400, 500, "b"), Segment(500, 2000, "iy")]
    >>> [tuple(word) for word in timit_words(rows, [SpeechEvent("word", "Bee", 400, 2000)])]
    [(0, 2000, 'bee')]
    """
    words = []
    for event in (event for event in events if event.kind == "word"):
        start, end = event.start_samples + offset_samples, event.end_samples + offset_samples
        own_phones = [
            i
            for i, phone in enumerate(phones)
            if start <= (phone.start_samples + phone.end_samples) // 2 < end
            and phone.text not in (_PAUSE, _EDGE, *_CLOSURES.values())
        ]
        if not own_phones:
            raise ValueError(f"the word {event.text!r} has no phone: choose other words")
        first, last = own_phones[0], own_phones[-1]
        if first and phones[first - 1].text == _CLOSURES.get(phones[first].text):
            first -= 1
        words.append(
            Segment(phones[first].start_samples, phones[last].end_samples, event.text.lower())
        )
    return words


def _merge(events: list[SpeechEvent], sample_rate_hz: int) -> list[Segment]:
    """Bare mnemonics; glides and tiny pauses join what is before them, pauses join each other."""
    merged: list[Segment] = []
    for _, text, start, end in events:
        mnemonic = text.lstrip("',%=")
        if mnemonic.startswith("_") and mnemonic != _GLOTTAL:
            mnemonic = _PAUSE
        before = merged[-1].text if merged else _PAUSE
        short = mnemonic == _PAUSE and end - start < _SHORTEST_PAUSE_S * sample_rate_hz
        paused = before == _PAUSE and mnemonic in (_PAUSE, _GLOTTAL)
        if merged and (mnemonic == _GLIDE or short or paused):
            merged[-1] = merged[-1]._replace(end_samples=end)
        elif merged and before == _GLOTTAL and mnemonic == _PAUSE:
            merged[-1] = Segment(merged[-1].start_samples, end, _PAUSE)
        elif merged or not mnemonic.startswith((_PAUSE, _GLIDE, _GLOTTAL)):
            merged.append(Segment(start, end, mnemonic))
    while merged and merged[-1].text in (_PAUSE, _GLOTTAL):
        merged.pop()  # the edge
    return merged


def _divide(start: int, end: int, mnemonic: str, following: str) -> list[Segment]:
    """One phone of espeak-ng as one or two of TIMIT's, stops not yet divided."""
    if mnemonic == _PAUSE:
        return [Segment(start, end, _PAUSE)]
    if mnemonic == _GLOTTAL:
        return [Segment(start, end, "q")]
    if mnemonic not in _TABLE:
        raise ValueError(f"espeak-ng's phone {mnemonic!r} has no symbol of TIMIT's here")
    symbols = _TABLE[mnemonic]
    if symbols[-1] == "r" and len(symbols) == 2 and following in ("r", "r-"):
        symbols = symbols[:1]  # the r is said once
    if len(symbols) == 1 or end - start < 2:
        return [Segment(start, end, symbols[0])]
    middle = start + max(1, round(_SHARE_OF_THE_FIRST * (end - start)))
    return [Segment(start, middle, symbols[0]), Segment(middle, end, symbols[1])]


def _release(
    before: list[Segment],
    phone: Segment,
    samples: np.ndarray,
    loud: np.ndarray,
    sample_rate_hz: int,
) -> list[Segment]:
    """A stop as closure and release; `before` gives up the silence at its end. Others as they are.

    espeak-ng's mark of a stop is at the release; its silence still belongs to the phone before.
    """
    start, end, symbol = phone
    if symbol not in _CLOSURES or not before or before[-1].text == _PAUSE:
        return [phone]
    closure = _CLOSURES[symbol]
    silence = _end_of_sound(before[-1], loud)
    if start - silence >= _SHORTEST_CLOSURE_S * sample_rate_hz:
        before[-1] = before[-1]._replace(end_samples=silence)
        return [Segment(silence, start, closure), phone]
    middle = _steepest_rise(samples[start:end], sample_rate_hz)
    if not middle:
        return [phone]
    return [Segment(start, start + middle, closure), Segment(start + middle, end, symbol)]


def _end_of_sound(phone: Segment, loud: np.ndarray) -> int:
    """Where the silence at a phone's end begins; its end where it has none, or nothing else."""
    sounding = np.flatnonzero(loud[phone.start_samples : phone.end_samples])
    return phone.start_samples + int(sounding[-1]) + 1 if len(sounding) else phone.end_samples


def _steepest_rise(stop: np.ndarray, sample_rate_hz: int) -> int:
    """Where in a stop its release begins, between 3 and 7 tenths of it; 0 if it is too short."""
    step = round(0.002 * sample_rate_hz)
    candidates = range(round(0.3 * len(stop)), round(0.7 * len(stop)) + 1, step)
    if len(stop) < 4 * step:
        return 0

    def level_db(start: int, end: int) -> float:
        return 10.0 * np.log10(np.mean(stop[max(start, 0) : end] ** 2) + 1e-10)

    width = 3 * step  # 6 ms on either side
    # Rounded: the choice shall not hang on another processor's last bit.
    rises = [round(float(level_db(c, c + width) - level_db(c - width, c)), 3) for c in candidates]
    return candidates[int(np.argmax(rises))]
