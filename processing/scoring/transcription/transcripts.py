"""Files of transcripts (Kaldi, trn): reading, scoring, alignments and summaries as text."""

import re
from collections.abc import Mapping
from pathlib import Path

from ...system.files import text_lines
from ...system.rules import choice
from ...transcription.phones import PhoneConvention, fold
from ...transcription.unit_options import RATES
from .alignment import Alignment
from .sequence import EditCounts, score_transcripts

FORMATS = ("auto", "kaldi", "trn")


def read_transcripts(path: str | Path, format: str = "auto") -> dict[str, list[str]]:
    """Transcripts {utterance: tokens} from a text file of one line per utterance.

    "kaldi": ``utterance token token``, "trn" (sclite): ``token token (utterance)``; an utterance
    without tokens has its name alone. "auto": trn if every line ends in a word in parentheses,
    kaldi if none does. Case is kept. In trn a line that starts with ``;;`` is a comment.
    sclite's alternatives, ``{ a / b }``, are refused.

    Raises
    ------
    ValueError
        Not UTF-8, no utterance, an utterance twice, lines of both formats, each with the line.
    OSError
        No such file.
    """
    choice("format", format, FORMATS)
    lines = list(text_lines(path))
    is_trn = {n: bool(re.search(r"(^|\s)\(\S+\)$", line)) for n, line in lines}
    if format == "auto":
        lines_of_text = [(n, line) for n, line in lines if not line.startswith(";;")]
        shapes = [is_trn[n] for n, _ in lines_of_text]
        if any(shapes) and not all(shapes):
            odd = next(n for n, _ in lines_of_text if is_trn[n] != shapes[0])
            raise ValueError(
                f"{path}, line {odd}: some lines end in '(utterance)' as in trn files and some do "
                "not; mend the file, or say that its format is kaldi or trn"
            )
        format = "trn" if any(shapes) else "kaldi"
    if format == "trn":
        lines = [(n, line) for n, line in lines if not line.startswith(";;")]
    transcripts: dict[str, list[str]] = {}
    first_line: dict[str, int] = {}
    for n, line in lines:
        tokens = line.split()
        if format == "kaldi":
            name, *tokens = tokens
        elif not is_trn[n]:
            raise ValueError(f"{path}, line {n}: does not end in '(utterance)': {line[-40:]!r}")
        else:
            name = tokens.pop()[1:-1]
            if {"{", "}"} & set(tokens):
                raise ValueError(f"{path}, line {n}: alternatives in braces are not supported")
        if name in transcripts:
            raise ValueError(
                f"{path}, line {n}: utterance {name!r} is in line {first_line[name]} already"
            )
        transcripts[name], first_line[name] = tokens, n
    if not transcripts:
        raise ValueError(f"{path} holds no utterance")
    return transcripts


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

    Raises
    ------
    ValueError
        What `read_transcripts` and `score_transcripts` refuse, with the file or utterance.
    UnknownPhone
        A symbol that the file's set does not have, with the file and the utterance.
    """
    is_phone = unit == "phone"
    convention = PhoneConvention.timit(phone_set, silence, glottal_stop) if is_phone else None
    sides = []
    for path, source in ((ref, ref_phone_set), (hyp, hyp_phone_set)):
        transcripts = read_transcripts(path, format)
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
    return score_transcripts(
        *sides, unit, convention, allow_empty_references=allow_empty_references
    )


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
