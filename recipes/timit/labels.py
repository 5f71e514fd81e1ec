"""Read TIMIT's label files: phones and words with their times in samples, and the sentence.

What is wrong comes with the file and the line. The times of .WRD may overlap, as those of the
corpus do; those of .PHN may not.
"""

from dataclasses import dataclass

from ...processing.system.files import TextError, read_text
from ...processing.system.tables import to_number
from ...processing.transcription.phones import TABLE, silences

SYMBOLS = frozenset(TABLE.split()[0::3])
_SILENT = frozenset(silences(61))
# How far the silence at the end may reach beyond the audio: it is cut there, no phone is lost.
_OVERHANG_SAMPLES = 1600


@dataclass
class Labels:
    """What the label files of an utterance say.

    Attributes
    ----------
    phones : list of str
        Of the 61.
    phone_ends : list of int
        Where each ends, in samples.
    words : list of str
    text : str
        The sentence as it was prompted.
    cut_samples : int
        By how much the silence at the end was cut to end with the audio.
    """

    phones: list
    phone_ends: list
    words: list
    text: str
    cut_samples: int = 0


def read_labels(sentence, num_samples):
    """`Labels` of a sentence whose audio has so many samples (None: not known), and its problems.

    Returns
    -------
    Labels, list of (str, str)
        The second holds (kind, reason), file and line in the reason.
    """
    labels, problems = Labels([], [], [], ""), []
    _read_phones(sentence, num_samples, labels, problems)
    if ".wrd" in sentence.labels:
        for _, _, _, word in _read_times(sentence.labels[".wrd"], problems):
            labels.words.append(word)
    if ".txt" in sentence.labels:
        file = sentence.labels[".txt"]
        text = _read(file, problems)
        labels.text = _sentence_of(text or "")
        if text is not None and not labels.text:
            problems.append(("empty transcript", f"{file.key}: holds no words"))
    else:
        labels.text = " ".join(labels.words)
    return labels, problems


def _read_phones(sentence, num_samples, labels, problems):
    if ".phn" not in sentence.labels:
        problems.append(("missing .PHN", f"{sentence.path}: has no .PHN file beside it"))
        return
    file = sentence.labels[".phn"]
    before = len(problems)
    last_end = 0
    lines = list(_read_times(file, problems))
    for number, begin, end, symbol in lines:
        place = f"{file.key}, line {number}"
        if symbol not in SYMBOLS:
            hint = f" ({symbol.lower()!r} is)" if symbol.lower() in SYMBOLS else ""
            problems.append(
                ("unknown phone", f"{place}: {symbol!r} is none of the 61 symbols of TIMIT{hint}")
            )
        if not 0 <= begin <= end:
            reason = f"{place}: begins at {begin} and ends at {end}"
            problems.append(("impossible phone times", reason))
        elif begin < last_end:
            reason = f"{place}: begins at {begin}, before the phone above it ends ({last_end})"
            problems.append(("overlapping or unsorted phone times", reason))
        last_end = max(last_end, end)
        labels.phones.append(symbol)
        labels.phone_ends.append(end)
    if not lines and len(problems) == before:
        problems.append(("empty transcript", f"{file.key}: holds no phone"))
    if num_samples is None or len(problems) > before:
        return
    over = [line for line in lines if line[2] > num_samples]
    if not over:
        return
    number, begin, end, symbol = over[0]
    if number == lines[-1][0] and symbol in _SILENT and begin < num_samples:
        if end - num_samples <= _OVERHANG_SAMPLES:
            labels.phone_ends[-1], labels.cut_samples = num_samples, end - num_samples
            return
    reason = f"{file.key}, line {number}: ends at sample {end}, the audio has {num_samples}"
    problems.append(("times beyond the end of the audio", reason))


def _read(file, problems):
    """The text of a label file; None, and a problem, where it is none in UTF-8."""
    try:
        return read_text(file.path)
    except TextError as error:
        problems.append(("not UTF-8", f"{file.key}{str(error).removeprefix(str(file.path))}"))


def _read_times(file, problems):
    """(line number, begin, end, symbol) of every line that is none of the problems."""
    for number, line in enumerate((_read(file, problems) or "").split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            begin, end, what = fields
            yield number, to_number(begin, int), to_number(end, int), what
        except ValueError:
            reason = f"{file.key}, line {number}: {line.strip()[:40]!r} is not 'BEGIN END SYMBOL'"
            problems.append(("unreadable line", reason))


def _sentence_of(text):
    """The words of "0 46797 She had your dark suit.", with or without the times."""
    fields = text.split()
    if len(fields) >= 2 and fields[0].isdigit() and fields[1].isdigit():
        fields = fields[2:]
    return " ".join(fields)
