"""Files of transcripts (Kaldi, trn): reading, scoring, alignments and summaries as text."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...system.files import text_lines
from ...system.rules import choice
from ...transcription.phones import PhoneConvention, fold
from ...transcription.unit_options import RATES
from .alignment import Alignment
from .sequence import EditCounts, score_transcripts

FORMATS = ("auto", "kaldi", "trn")
CASES = ("keep", "fold")


def read_transcripts(path: str | Path, format: str = "auto") -> dict[str, list[str]]:
    """Transcripts {utterance: tokens} from a text file of one line per utterance.

    "kaldi": ``utterance token token``, "trn" (sclite): ``token token (utterance)``; an utterance
    without tokens has its name alone. "auto": trn if every line ends in a word in parentheses,
    kaldi if none does. Case is kept. In trn a line that starts with ``;;`` is a comment.
    sclite's optional words, ``(a)``, and alternatives, ``{ a / b }``, are for `read_readings`.

    Raises
    ------
    ValueError
        Not UTF-8, no utterance, an utterance twice, lines of both formats, lines of trn with a
        score behind the name, words that are optional or have alternatives, each with the line.
    OSError
        No such file.
    """
    transcripts = {}
    for name, (place, segments) in read_readings(path, format).items():
        if any(len(readings) > 1 for readings in segments):
            raise ValueError(
                f"{place}: words in parentheses or braces are optional or have alternatives; that "
                "is for references, with the unit word"
            )
        transcripts[name] = [token for (reading,) in segments for token in reading]
    return transcripts


def read_readings(path: str | Path, format: str = "auto") -> dict[str, tuple[str, list]]:
    """As `read_transcripts`, {utterance: (its place in the file, segments)}.

    A segment is a list of readings, each a tuple of tokens: one of a word, two of sclite's optional
    word ``(a)``, and as many as alternatives stand between braces, ``{ a / b c / @ }``, where ``@``
    is nothing. In Kaldi's format a word is a word.
    """
    choice("format", format, FORMATS)
    lines = list(text_lines(path))
    names = {n: re.search(r"(?:^|(?<=\s))\((\S+)\)$", line) for n, line in lines}
    texts = [(n, line) for n, line in lines if not line.startswith(";;")]
    scored = [n for n, line in texts if re.search(r"(^|\s)\(\S+\s+-?[\d.]+\)$", line)]
    if format != "kaldi" and scored and len(scored) == len(texts):
        raise ValueError(
            f"{path}, line {scored[0]} looks like trn with a score behind the utterance, as Sphinx "
            "writes it: leave only the name in the parentheses"
        )
    if format == "auto":
        shapes = [bool(names[n]) for n, _ in texts]
        if any(shapes) and not all(shapes):
            odd = next(n for n, _ in texts if bool(names[n]) != shapes[0])
            raise ValueError(
                f"{path}, line {odd}: some lines end in '(utterance)' as in trn files and some do "
                "not; mend the file, or say that its format is kaldi or trn"
            )
        format = "trn" if any(shapes) else "kaldi"
    transcripts: dict[str, tuple[str, list]] = {}
    for n, line in texts if format == "trn" else lines:
        place = f"{path}, line {n}"
        if format == "kaldi":
            name, *tokens = line.split()
            segments = [[(token,)] for token in tokens]
        elif not names[n]:
            raise ValueError(f"{place}: does not end in '(utterance)': {line[-40:]!r}")
        else:
            name, segments = names[n][1], _segments(line[: names[n].start()], place)
        if name in transcripts:
            raise ValueError(
                f"{place}: utterance {name!r} is in{transcripts[name][0].rpartition(',')[2]} already"
            )
        transcripts[name] = place, segments
    if not transcripts:
        raise ValueError(f"{path} holds no utterance")
    return transcripts


def _segments(text: str, place: str) -> list[list[tuple[str, ...]]]:
    """The segments of a line of trn without its name."""
    segments = []
    for part in re.findall(r"\{[^{}]*\}|[^\s{}]+|[{}]", text):
        if part in "{}":
            raise ValueError(f"{place}: braces that do not close, or within others")
        if part.startswith("{"):
            readings = [tuple(words.split()) for words in part[1:-1].split("/")]
            if () in readings:
                raise ValueError(f"{place}: an empty alternative in {part}: nothing is written @")
            segments.append([() if words == ("@",) else words for words in readings])
        elif re.fullmatch(r"\(.+\)", part):
            segments.append([(part[1:-1],), ()])
        else:
            segments.append([(part,)])
    return segments


def best_reading(segments: Sequence[Sequence[tuple[str, ...]]], hypothesis: Sequence[str]) -> list:
    """The tokens of the reading with the fewest edits to a hypothesis; of several, a longest one.

    Arguments
    ---------
    segments : as of `read_readings`.
    hypothesis : its tokens.

    Example
    -------
    >>> best_reading([[("i",)], [("am",), ("was",)], [("here",), ()]], ["i", "was"])
    ['i', 'was']
    """
    if all(len(readings) == 1 for readings in segments):
        return [token for (reading,) in segments for token in reading]

    def better(*ways):
        return min(ways, key=lambda way: way[:2])

    def longer(way, edits, reading=()):
        return (way[0] + edits, way[1] - len(reading), (*way[2], *reading))

    # a way to each place of the hypothesis: (edits, -tokens, tokens)
    ways = [(place, 0, ()) for place in range(len(hypothesis) + 1)]
    for readings in segments:
        ends = []
        for reading in readings:
            row = ways
            for token in reading:
                before, row = row, [longer(row[0], 1, (token,))]
                for place, word in enumerate(hypothesis):
                    match = longer(before[place], int(token != word), (token,))
                    deletion = longer(before[place + 1], 1, (token,))
                    row.append(better(match, deletion, longer(row[place], 1)))
            ends.append(row)
        ways = [better(*ending) for ending in zip(*ends, strict=True)]
    return list(ways[-1][2])


def score_files(
    hyp: str | Path,
    ref: str | Path,
    unit: str = "phone",
    phone_set: int = 39,
    *,
    silence: str = "keep",
    glottal_stop: str = "delete",
    hyp_phone_set: int | None = None,
    ref_phone_set: int | None = None,
    format: str = "auto",
    allow_empty_references: bool = False,
    case: str = "keep",
) -> EditCounts:
    """Counts of a file of hypotheses against a file of references.

    Phones that are not TIMIT's: `read_transcripts` and `score_transcripts` with a convention.

    Arguments
    ---------
    hyp, ref : files as `read_transcripts` reads them; for characters, files of words.
    unit : "phone", "char" or "word".
    phone_set : the phones of TIMIT to score in: 61, 48 or 39.
    silence, glottal_stop : the rules, as for `PhoneConvention.timit`.
    hyp_phone_set, ref_phone_set : the set a file is written in (61, 48, 39); it is folded to
        `phone_set`. By default it is `phone_set`.
    format : "auto", "kaldi" or "trn".
    allow_empty_references : as for `EditCounts`.
    case : "keep" or "fold" (as sclite does without its option -s), of words and characters.

    With words, a reference is read as suits the hypothesis best where it has optional words or
    alternatives (sclite's trn), and its tokens are counted as they were read.

    Raises
    ------
    ValueError
        What `read_transcripts` and `score_transcripts` refuse, with the file or utterance.
    UnknownPhone
        A symbol that the file's set does not have, with the file and the utterance.
    """
    choice("case", case, CASES)
    is_phone = unit == "phone"
    convention = PhoneConvention.timit(phone_set, silence, glottal_stop) if is_phone else None
    fold_case = case == "fold" and not is_phone
    sides = []
    for path, source in ((hyp, hyp_phone_set), (ref, ref_phone_set)):
        if sides and unit == "word":
            transcripts = {}
            for name, (_, segments) in read_readings(path, format).items():
                if fold_case:
                    segments = [[tuple(map(str.casefold, r)) for r in s] for s in segments]
                transcripts[name] = best_reading(segments, sides[0].get(name, ()))
        else:
            transcripts = read_transcripts(path, format)
        if fold_case:
            transcripts = {n: [word.casefold() for word in w] for n, w in transcripts.items()}
        if unit == "char":
            transcripts = {name: list(" ".join(words)) for name, words in transcripts.items()}
        elif is_phone:
            source = phone_set if source is None else source
            transcripts = {
                name: fold(
                    tokens, source, phone_set, glottal_stop, where=f"{path}, utterance {name!r}"
                )
                for name, tokens in transcripts.items()
            }
        sides.append(transcripts)
    sides.reverse()
    try:
        return score_transcripts(
            *sides, unit, convention, allow_empty_references=allow_empty_references
        )
    except ValueError as error:
        raise ValueError(f"{ref} and {hyp}: {error}") from None


def format_alignment(alignment: Alignment, name: str = "") -> str:
    """An alignment as sclite prints it: errors in capitals, asterisks for what is missing.

    The line Eval has S, D or I below every error, and d or i below a free optional token. What is
    right is in lower case. A space, as a character, is shown as an underscore.

    Example
    -------
    >>> from auricle.processing.scoring.transcription.alignment import align
    >>> alignment, = align([["sil", "ae", "t"]], [["sil", "eh", "t", "s"]])
    >>> print(format_alignment(alignment, "u1"))
    id: (u1)
    Scores: (#C #S #D #I) 2 1 0 1
    REF:  sil AE t *
    HYP:  sil EH t S
    Eval:     S    I
    """
    lines = {"REF:": [], "HYP:": [], "Eval:": []}
    for step, pair in zip(alignment.steps, alignment.pairs(), strict=True):
        shown = [None if t is None else t.replace(" ", "_") for t in pair]
        shown = [t and (t.upper() if step in "SDI" else t.lower()) for t in shown]
        width = max(len(t) for t in shown if t)
        mark = "" if step == "C" else step
        for line, text in zip(
            lines.values(), [t or "*" * width for t in shown] + [mark], strict=True
        ):
            line.append(text.ljust(width))
    head = [f"id: ({name})"] if name else []
    numbers = " ".join(str(alignment.steps.count(kind)) for kind in "CSDI")
    rows = [f"{label:<5} {' '.join(texts)}".rstrip() for label, texts in lines.items()]
    return "\n".join([*head, f"Scores: (#C #S #D #I) {numbers}", *rows])


def format_summary(summary: Mapping) -> str:
    """A summary in one line, with everything the rate rests on.

    Example
    -------
    >>> counts = score_transcripts({"u": ["ae", "t"]}, {"u": ["eh", "t"]}, "phone",
    ...                            PhoneConvention.timit())
    >>> print(format_summary(counts.summarize()))
    PER 50.00% (1 edits of 2 tokens: 1 sub, 0 del, 0 ins; 1 utterances; timit39, silence keep, q delete)
    """
    rate = RATES[summary["unit"]]
    bounds = summary["interval"][rate]
    between = ""
    if bounds:
        between = f" [{100 * bounds[0]:.2f}, {100 * bounds[1]:.2f}]"
    text = (
        f"{rate.upper()} {100 * summary[rate]:.2f}%{between} ({summary['edits']} edits of "
        f"{summary['reference_tokens']} tokens: {summary['substitutions']} sub, "
        f"{summary['deletions']} del, {summary['insertions']} ins; {summary['n']} utterances"
    )
    if "phone_set" in summary:
        text += f"; {summary['phone_set']}, silence {summary['silence_rule']}"
        if summary["glottal_stop"]:
            text += f", q {summary['glottal_stop']}"
    return text + ")"
